"""Blocks from Parquet files. Each file is decoded once into a file that can be memory-mapped.

Decoding in each pass would take most of the time of a fit (docs/benchmarks/design-choices.md: parquet decoding).
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

from fastlin.blocks.blocks import BLOCK_BYTES, Blocks, split_into_blocks
from fastlin.containers.tensors import choose_kernel_dtype
from fastlin.environment.extras import import_extra
from fastlin.environment.file_system import check_writable, write_atomically
from fastlin.typing import PathLike

# A new number invalidates the files that earlier versions have decoded.
CACHE_VERSION = 3
# A folder on disk for large temporary files; /tmp is in memory on many systems.
TEMPORARY_FOLDER_ON_DISK = "/var/tmp"


def from_parquet(
    paths: PathLike | Sequence[PathLike],
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    cache: PathLike | None = None,
) -> Blocks:
    """Return Blocks from Parquet files.

    A fit reads the data once per pass, and decoding takes several times as long as reading. Each file is therefore
    decoded once into an array on disk, which is memory-mapped.

    Parameters
    ----------
    paths : str, Path, or sequence of these
        Files, patterns with ``*``, or folders, whose ``*.parquet`` files are read in the order of their names.
    columns : sequence of str or None
        The columns of X, which must contain numbers or booleans. None means all except `label`, `weight`, and the index
        of a pandas DataFrame; a warning names the index.
    label, weight : str or None
        The column of the labels, which may have any type, and the column of the weights.
    cache : str, Path or None
        A folder for the decoded arrays. A missing folder is created. Files that have not changed are not decoded again,
        and an interrupted call resumes. Arrays of changed files are deleted. None means an unnamed temporary file that
        exists as long as the Blocks. The file is in ``TMPDIR`` if this variable is set, otherwise in ``/var/tmp``,
        because ``/tmp`` may be in memory.

    Returns
    -------
    Blocks
        The rows, with `feature_names`. A block never contains rows from two files.

    Raises
    ------
    ModuleNotFoundError
        pyarrow is not installed.
    FileNotFoundError
        A path matches no file.
    ValueError
        A file is not a valid Parquet file, a column is missing or its type differs from that in the first file, a
        column of X is not numeric, or a label or weight is missing. The error names the file.
    OSError
        The disk is full.

    Examples
    --------
    >>> from fastlin import LogisticRegression, blocks
    >>> rows = blocks.from_parquet("clicks/*.parquet", label="clicked", cache="decoded")  # doctest: +SKIP
    >>> LogisticRegression().fit(rows)  # doctest: +SKIP
    LogisticRegression()
    """
    with import_extra("arrow", "pyarrow.parquet"):
        import pyarrow.parquet  # noqa: F401
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}. Use [{columns!r}].")
    files = _find_files(paths)
    columns, dtype = _read_schemas(files, columns if columns is None else list(columns), label, weight)
    y, weights = _read_column(files, label, _convert_labels), _read_column(files, weight, _convert_weights)
    if cache is None:
        sources = _decode_to_temporary_file(files, columns, dtype)
    else:
        Path(cache).mkdir(parents=True, exist_ok=True)
        sources = [_decode_to_cache(Path(cache), file, columns, dtype) for file in files]
    options: dict[str, Any] = {"y": y, "sample_weight": weights, "feature_names": columns}
    return split_into_blocks(sources, has_files=cache is not None, **options)


def _decode_to_temporary_file(files, columns, dtype):
    """Decode files into one temporary file, and return their sources. The system removes the file when it is closed."""
    with tempfile.TemporaryFile(dir=_choose_temporary_folder()) as temporary_file:
        lengths = [_decode(file, columns, dtype, temporary_file) for file in files]
        # An empty file cannot be mapped.
        temporary_file.write(bytes(1))
        temporary_file.flush()
        X = np.memmap(temporary_file, dtype, "r", shape=(sum(lengths), len(columns)))
    parts = np.split(X, np.cumsum(lengths)[:-1])
    return [(f" of {file.name}", partial(np.asanyarray, part)) for file, part in zip(files, parts, strict=True)]


def _decode_to_cache(cache, file, columns, dtype):
    """Return the source of a file. Decode the file into the cache folder, unless the decoded file exists."""
    file_status = file.stat()
    # A copied file may keep its size and modification time, but not its change time.
    content = _hash_values((CACHE_VERSION, file_status.st_size, file_status.st_mtime_ns, file_status.st_ctime_ns))
    # File systems accept names of up to 255 bytes.
    name_prefix = f"{file.stem[:40]}-{_hash_values(str(file.resolve()))}"
    path = cache / f"{name_prefix}-{content}-{_hash_values((columns, str(dtype)))}.npy"
    shape = _open_parquet_file(file).metadata.num_rows, len(columns)
    if not path.exists():
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        try:
            with write_atomically(path) as temporary_path, open(temporary_path, "wb") as X:
                np.lib.format.write_array_header_2_0(X, header)
                _decode(file, columns, dtype, X)
        except PermissionError:
            # Another process has created the file and mapped it: Windows cannot replace a mapped file.
            if not path.exists():
                raise
        for outdated_path in cache.glob(f"{glob.escape(name_prefix)}-*.npy"):
            if not outdated_path.name.startswith(f"{name_prefix}-{content}-"):
                with suppress(OSError):
                    outdated_path.unlink()
    return f" of {file.name}", partial(_load_decoded_array, path, shape, dtype)


def _hash_values(value):
    """Return a short hash of values of built-in types."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _load_decoded_array(path, shape, dtype):
    """Return a memory map of a decoded array.

    Each block maps the array again, because few files can be open at once.
    """
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
        if X.shape != shape or X.dtype != dtype:
            raise ValueError(f"it is {X.shape} {X.dtype} instead of {shape} {dtype}")
    except (ValueError, EOFError) as error:
        raise ValueError(f"The cached file {path} is damaged ({error}). Delete it.") from error
    return X


def _find_files(paths):
    """Return the Parquet files that match `paths`."""
    files: list[Path] = []
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = os.fspath(path)
        pattern = os.path.join(glob.escape(path), "*.parquet") if os.path.isdir(path) else path
        matches = [path] if os.path.isfile(path) else sorted(glob.glob(pattern))
        if not matches:
            raise FileNotFoundError(f"paths: {path} matches no Parquet file.")
        files += map(Path, matches)
    if not files:
        raise ValueError("paths is empty; it must contain at least one Parquet file.")
    return files


def _read_schemas(files, columns, label, weight):
    """Check the schemas of all files; return the names of the columns of X and their common dtype, one of DTYPES."""
    schemas = {file: _open_parquet_file(file).schema_arrow for file in files}
    first = schemas[files[0]]
    if columns is None:
        index_columns = list_index_columns(first)
        columns = [name for name in first.names if name not in (label, weight, *index_columns)]
        if index_columns:
            warnings.warn(
                f"{files[0]} has the index of a pandas DataFrame in {', '.join(map(repr, index_columns))}, which is "
                "not used as a column of X. Pass `columns` to include it.",
                stacklevel=3,
            )
    for file, schema in schemas.items():
        counts = Counter(schema.names)
        for name in (*columns, *(name for name in (label, weight) if name is not None)):
            if counts[name] != 1:
                problem = "no column" if name not in counts else "several columns"
                raise ValueError(
                    f"{file} has {problem} {name!r}. Its columns are {', '.join(map(repr, schema.names))}."
                )
            kind, expected = schema.field(name).type, first.field(name).type
            if kind != expected:
                raise ValueError(
                    f"{file} has column {name!r} as {kind}, but {files[0]} has it as {expected}. All files must have "
                    "the same types."
                )
    if weight is not None:
        _choose_type([first.field(weight)], files[0])
    return columns, _choose_type([first.field(name) for name in columns], files[0])


def list_index_columns(schema: Any) -> list[str]:
    """Return the columns that the metadata of an Arrow schema lists as the index of a pandas DataFrame."""
    index_columns, names = (schema.pandas_metadata or {}).get("index_columns", []), set(schema.names)
    # A RangeIndex is described by a dict, and has no column.
    return [name for name in index_columns if isinstance(name, str) and name in names]


def _choose_type(fields, file):
    """Return the common dtype of Arrow columns, one of DTYPES."""
    import pyarrow as pa

    column_dtypes = []
    for field in fields:
        kind = field.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{file} has column {field.name!r} as {kind}, but the columns of X and the weights must be numbers or "
                "booleans. Exclude it with `columns`, or encode it."
            )
        column_dtypes.append(np.dtype(kind.to_pandas_dtype()))
    if not column_dtypes:
        raise ValueError("columns is empty; X must have at least one column.")
    return choose_kernel_dtype(np.result_type(*column_dtypes))


def _decode(file, columns, dtype, X):
    """Write the columns of a Parquet file to an open file in row-major order, and return the number of rows."""
    n_rows = 0
    # The file is not mapped, because writing to a mapped file on a full disk would crash the process.
    for batch in _read_batches(file, columns):
        piece = np.empty((batch.num_rows, len(columns)), dtype)
        for j, name in enumerate(columns):
            piece[:, j] = _convert_numbers(batch.column(name), dtype, file, name)
        X.write(piece.data)
        n_rows += len(piece)
    return n_rows


def _read_batches(file, columns):
    """Yield the rows of a Parquet file in batches."""
    import pyarrow as pa

    source = _open_parquet_file(file)
    try:
        yield from source.iter_batches(max(1, BLOCK_BYTES // (8 * len(columns))), columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}. Replace the file.") from error


def _convert_numbers(column, dtype, file, name):
    """Return an Arrow array as a NumPy array of numbers, in which missing values are NaN."""
    if column.null_count and dtype.kind != "f":
        raise ValueError(
            f"{file} has {column.null_count} missing values in column {name!r}, and {dtype} has no missing values. "
            "Fill them in first."
        )
    return column.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def _read_column(files, name, convert_values):
    """Return the labels or weights of all files, or None if `name` is None. Empty files do not affect the dtype."""
    if name is None:
        return None
    parts = [convert_values(batch.column(0), file, name) for file in files for batch in _read_batches(file, [name])]
    return np.concatenate([part for part in parts if len(part)] or [np.empty(0)])


def _convert_weights(column, file, name):
    """Return an Arrow array of weights as a NumPy array of finite numbers."""
    weights = _convert_numbers(column, np.dtype(np.float64), file, name)
    if not np.isfinite(weights).all():
        raise ValueError(f"{file} has missing or infinite weights in column {name!r}. Replace them, or drop the rows.")
    return weights


def _convert_labels(column, file, name):
    """Return an Arrow array of labels as a NumPy array of numbers or strings."""
    if hasattr(column, "dictionary"):
        column = column.dictionary_decode()
    labels = column.to_numpy(zero_copy_only=False)
    n_missing = column.null_count or (np.isnan(labels).sum() if labels.dtype.kind == "f" else 0)
    if n_missing:
        raise ValueError(f"{file} has {n_missing} missing labels in column {name!r}. Drop those rows.")
    return labels.astype(str) if labels.dtype == object else labels


def _open_parquet_file(file):
    """Return an open Parquet file; raise a ValueError if it is invalid."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a valid Parquet file: {error}") from error


def _choose_temporary_folder():
    """Return the folder for temporary files that may be larger than memory."""
    folder = os.environ.get("TMPDIR") or TEMPORARY_FOLDER_ON_DISK
    if folder == TEMPORARY_FOLDER_ON_DISK and not os.access(folder, os.W_OK):
        folder = tempfile.gettempdir()
    check_writable(Path(folder))
    return folder
