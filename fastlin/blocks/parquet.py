"""Blocks of Parquet files, decoded once into files that can be mapped: decoding in each pass would take most of it.

With 2.3 GB of Parquet in memory, 5,000,000 x 100 of float32, a whole fit takes 9 seconds by a temporary copy, 14 by a
new one in a cache, 1.8 by one that is there, and 19 if each pass decodes (two cores of an AMD EPYC).
"""

import glob
import hashlib
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.blocks.blocks import BLOCK_BYTES, Blocks, cut_sources
from fastlin.extras import needs
from fastlin.file_system import check_writable, write_whole
from fastlin.tensors import choose_type
from fastlin.typing import PathLike

# A change here makes what earlier versions have decoded unknown.
FORMAT = 3
# A folder of the disk that is made for large temporary files; /tmp lies in memory on many systems.
LARGE_TEMPORARY = "/var/tmp"


def from_parquet(
    paths: PathLike | Sequence[PathLike],
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    cache: PathLike | None = None,
) -> Blocks:
    """Return Blocks of Parquet files, each of which is decoded once.

    A fit reads the data once a pass, and decoding takes several times as long as reading. So the columns of X are
    decoded into arrays, which are mapped into memory from then on. They take as much disk as the array.

    Parameters
    ----------
    paths : str, Path, or sequence of these
        Files, folders, of which all ``*.parquet`` are taken in the order of their names, or patterns with ``*``.
    columns : sequence of str or None
        The columns of X: numbers or truth values. None takes all but `label`, `weight`, and the index of a frame that
        pandas has written, which a warning names.
    label, weight : str or None
        The columns of y, of any type, and of the weights.
    cache : str, Path or None
        A folder, made if missing, that keeps the decoded arrays; the same file, unchanged, is not decoded again,
        and an interrupted call goes on where it was. What a file held before it changed is removed. With None a
        temporary file without a name is used as long as the Blocks are: in ``TMPDIR`` where that is set, else in
        ``/var/tmp``, which lies on a disk where ``/tmp`` may lie in memory.

    Returns
    -------
    Blocks
        Its `feature_names` are the columns. A block never holds rows of two files.

    Raises
    ------
    ModuleNotFoundError
        pyarrow is not installed.
    FileNotFoundError
        A path names no file.
    ValueError
        A file is no Parquet file or broken, lacks a column, or holds it in another type than the first file, a column
        of X is not numeric, or a label or weight is missing. The error names the file.
    OSError
        The disk is full.

    Examples
    --------
    >>> from fastlin import LogisticRegression, blocks
    >>> rows = blocks.from_parquet("clicks/*.parquet", label="clicked", cache="decoded")  # doctest: +SKIP
    >>> LogisticRegression().fit(rows)  # doctest: +SKIP
    LogisticRegression()
    """
    with needs("arrow", "pyarrow.parquet"):
        import pyarrow.parquet  # noqa: F401
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the text {columns!r}")
    files = _find_files(paths)
    columns, dtype = _read_schemas(files, columns if columns is None else list(columns), label, weight)
    y, weights = _read_column(files, label, _to_labels), _read_column(files, weight, _to_weights)
    if cache is None:
        sources = _decode_together(files, columns, dtype)
    else:
        Path(cache).mkdir(parents=True, exist_ok=True)
        sources = [_decode_into(Path(cache), file, columns, dtype) for file in files]
    known: dict[str, Any] = {"y": y, "sample_weight": weights, "feature_names": columns}
    return cut_sources(sources, has_files=cache is not None, **known)


def _decode_together(files, columns, dtype):
    """Return the sources of files that are decoded into one file, which the system removes when none uses it."""
    with tempfile.TemporaryFile(dir=_choose_temporary()) as together:
        lengths = [_decode(file, columns, dtype, together) for file in files]
        # Nothing can be mapped of a file without bytes.
        together.write(bytes(1))
        together.flush()
        X = np.memmap(together, dtype, "r", shape=(sum(lengths), len(columns)))
    parts = np.split(X, np.cumsum(lengths)[:-1])
    return [(f" of {file.name}", partial(np.asanyarray, part)) for file, part in zip(files, parts, strict=True)]


def _decode_into(cache, file, columns, dtype):
    """Return the source of a file that is decoded into a file of a folder, unless it is there."""
    found = file.stat()
    # A file that was copied over may have kept size and time, but not the time of its change.
    content = _digest((FORMAT, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    # File systems take names of 255 bytes.
    place = f"{file.stem[:40]}-{_digest(str(file.resolve()))}"
    path = cache / f"{place}-{content}-{_digest((columns, str(dtype)))}.npy"
    shape = _open(file).metadata.num_rows, len(columns)
    if not path.exists():
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        try:
            with write_whole(path) as working, open(working, "wb") as X:
                np.lib.format.write_array_header_2_0(X, header)
                _decode(file, columns, dtype, X)
        except PermissionError:
            # Another process was faster and reads it: Windows replaces no file that is mapped.
            if not path.exists():
                raise
        for before in cache.glob(f"{glob.escape(place)}-*.npy"):
            if not before.name.startswith(f"{place}-{content}-"):
                with suppress(OSError):
                    before.unlink()
    return f" of {file.name}", partial(_load, path, shape, dtype)


def _digest(value):
    """Return a short hash of plain values."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _load(path, shape, dtype):
    """Return a decoded array, mapped; it is mapped again for each block, since few files can be open at once."""
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
        if X.shape != shape or X.dtype != dtype:
            raise ValueError(f"it is {X.shape} {X.dtype} in place of {shape} {dtype}")
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}, decoded by an earlier call, is broken ({error}). Delete it.") from error
    return X


def _find_files(paths):
    """Return the Parquet files that paths name."""
    files: list[Path] = []
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = os.fspath(path)
        pattern = os.path.join(glob.escape(path), "*.parquet") if os.path.isdir(path) else path
        found = [path] if os.path.isfile(path) else sorted(glob.glob(pattern))
        if not found:
            raise FileNotFoundError(f"paths: {path} names no Parquet file.")
        files += map(Path, found)
    if not files:
        raise ValueError("paths is empty; it must name at least one Parquet file.")
    return files


def _read_schemas(files, columns, label, weight):
    """Return the names of the columns of X, and the type of DTYPES for all of them, after checks of every file."""
    schemas = {file: _open(file).schema_arrow for file in files}
    first = schemas[files[0]]
    if columns is None:
        left_out = list_index_columns(first)
        columns = [name for name in first.names if name not in (label, weight, *left_out)]
        if left_out:
            warnings.warn(
                f"{files[0]} holds the index of a frame of pandas as {', '.join(map(repr, left_out))}, which is no "
                "column of X unless `columns` names it.",
                stacklevel=3,
            )
    for file, schema in schemas.items():
        counts = Counter(schema.names)
        for name in (*columns, *(name for name in (label, weight) if name is not None)):
            if counts[name] != 1:
                found = "no column" if name not in counts else "several columns"
                raise ValueError(f"{file} has {found} {name!r}; it has {', '.join(map(repr, schema.names))}.")
            kind, expected = schema.field(name).type, first.field(name).type
            if kind != expected:
                raise ValueError(
                    f"{file} holds column {name!r} as {kind}, but {files[0]} as {expected}. All files must hold it as "
                    "one type."
                )
    if weight is not None:
        _choose_type([first.field(weight)], files[0])
    return columns, _choose_type([first.field(name) for name in columns], files[0])


def list_index_columns(schema: Any) -> list[str]:
    """Return the columns of an Arrow schema that hold the index of a frame of pandas, as its metadata say."""
    found, names = (schema.pandas_metadata or {}).get("index_columns", []), set(schema.names)
    # An index that only counts is described by a dict, and has no column.
    return [name for name in found if isinstance(name, str) and name in names]


def _choose_type(fields, file):
    """Return the type of DTYPES that holds columns of Arrow, and missing values where there may be some."""
    import pyarrow as pa

    kinds = []
    for field in fields:
        kind = field.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{file} holds column {field.name!r} as {kind}; the columns of X, and weights, must be numbers or "
                "truth values. Leave it out by `columns`, or encode it."
            )
        kinds.append(np.dtype(kind.to_pandas_dtype()))
    if not kinds:
        raise ValueError("columns is empty; X must have at least one column.")
    return choose_type(np.result_type(*kinds))


def _decode(file, columns, dtype, X):
    """Write the columns of a Parquet file as rows to an open file, and return how many."""
    n_rows = 0
    # Written piece by piece: a map that a full disk cannot take would end the process.
    for batch in _read_batches(file, columns):
        piece = np.empty((batch.num_rows, len(columns)), dtype)
        for j, name in enumerate(columns):
            piece[:, j] = _to_numbers(batch.column(name), dtype, file, name)
        X.write(piece.data)
        n_rows += len(piece)
    return n_rows


def _read_batches(file, columns):
    """Yield the rows of a Parquet file, some at a time."""
    import pyarrow as pa

    source = _open(file)
    try:
        yield from source.iter_batches(max(1, BLOCK_BYTES // (8 * len(columns))), columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def _to_numbers(column, dtype, file, name):
    """Return an Arrow array as numbers; a missing one is NaN."""
    if column.null_count and dtype.kind != "f":
        raise ValueError(
            f"{file} holds {column.null_count} missing values in column {name!r}, whose type {dtype} has no place for "
            "them. Fill them in before."
        )
    return column.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def _read_column(files, name, convert):
    """Return the labels or weights of all files, where files without rows have no say in the type; None without."""
    if name is None:
        return None
    parts = [convert(batch.column(0), file, name) for file in files for batch in _read_batches(file, [name])]
    return np.concatenate([part for part in parts if len(part)] or [np.empty(0)])


def _to_weights(column, file, name):
    """Return an Arrow array of weights as finite numbers."""
    weights = _to_numbers(column, np.dtype(np.float64), file, name)
    if not np.isfinite(weights).all():
        raise ValueError(f"{file} holds weights in column {name!r} that are missing or not finite.")
    return weights


def _to_labels(column, file, name):
    """Return an Arrow array of labels as an array of numbers or texts."""
    if hasattr(column, "dictionary"):
        column = column.dictionary_decode()
    labels = column.to_numpy(zero_copy_only=False)
    n_missing = column.null_count or (np.isnan(labels).sum() if labels.dtype.kind == "f" else 0)
    if n_missing:
        raise ValueError(f"{file} holds {n_missing} missing values in column {name!r}, the labels.")
    return labels.astype(str) if labels.dtype == object else labels


def _open(file):
    """Return a Parquet file, or raise a ValueError that names it."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is no Parquet file, or is broken: {error}") from error


def _choose_temporary():
    """Return the folder for temporary files that may be too large for memory."""
    folder = os.environ.get("TMPDIR") or LARGE_TEMPORARY
    if folder == LARGE_TEMPORARY and not os.access(folder, os.W_OK):
        folder = tempfile.gettempdir()
    check_writable(Path(folder))
    return folder
