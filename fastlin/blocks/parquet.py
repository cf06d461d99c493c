"""Blocks of Parquet files, decoded once into files that can be mapped."""

import glob
import os
import secrets
import shutil
import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.blocks.array_blocks import FileCheck, read_ahead
from fastlin.blocks.blocks import BLOCK_BYTES, Blocks, Kind, cut, join_blocks
from fastlin.blocks.decoded_folders import UNFINISHED, CacheFolder, TemporaryFolder, digest, name_source
from fastlin.extras import needs
from fastlin.tensors import choose_type
from fastlin.typing import PathLike

MOST_MAPPED = 256
X_FILE, Y_FILE, WEIGHT_FILE = "X.npy", "y.npy", "weight.npy"


def from_parquet(
    paths: PathLike | Sequence[PathLike],
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    cache: PathLike | None = None,
) -> Blocks:
    """Return Blocks of Parquet files, each of which is decoded once.

    A fit reads the data once a pass, and decoding takes longer than reading. So each file is decoded into arrays
    that are read without conversion, which are mapped into memory from then on. They take as much disk as the array.

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
        A folder, made where it is missing, that keeps what was decoded; the same file, unchanged, is not decoded again,
        and an interrupted call goes on where it was. Arrays of a file that has changed are removed once no process
        uses the folder. With None a temporary folder is used as long as the Blocks are: in ``TMPDIR`` where that is
        set, else in ``/var/tmp``, which lies on a disk where ``/tmp`` may lie in memory.

    Returns
    -------
    Blocks
        Its `feature_names` are the columns. A block never holds rows of two files.

    Raises
    ------
    ModuleNotFoundError
        pyarrow or filelock is not installed.
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
    with needs("arrow"):
        import filelock  # noqa: F401
        import pyarrow.parquet  # noqa: F401
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the text {columns!r}")
    columns = columns if columns is None else list(columns)
    files = _find_files(paths)
    # A map holds a file open, of which a process may have about a thousand.
    load = lru_cache(MOST_MAPPED)(_load)
    owner = TemporaryFolder(load.cache_clear) if cache is None else CacheFolder(cache, files)
    return _make_blocks(files, columns, label, weight, owner, load)


def _make_blocks(files, columns, label, weight, owner, load):
    """Return Blocks of files that are decoded into the folder of an owner, as far as they are not there.

    ``load`` is `_load` with a memory of the files that it has mapped. The Blocks keep the owner of the folder.
    """
    columns, dtype = _read_schemas(files, columns, label, weight)
    parts = [_decode(file, columns, dtype, label, weight, owner) for file in files]
    lengths = [len(_load(part / X_FILE, "r")) for part in parts]
    y, weights = (
        None if name is None else _join([_load_column(part / file, n) for part, n in zip(parts, lengths, strict=True)])
        for name, file in ((label, Y_FILE), (weight, WEIGHT_FILE))
    )
    cuts = [list(pairwise(cut(n, len(columns) * dtype.itemsize))) for n in lengths]
    checks = [FileCheck([part / X_FILE]) for part in parts]

    def read(owner=owner):
        for part, borders, files in zip(parts, cuts, checks, strict=True):
            for first, last in borders:
                files.check()
                block = load(part / X_FILE, "r")[first:last]
                read_ahead(block)
                yield block.view(np.ndarray)

    places = [(*rows, file) for file, borders in zip(files, cuts, strict=True) for rows in borders]
    block_lengths = [last - first for first, last, _ in places]
    names = [f"rows {first} to {last - 1} of {file.name}" for first, last, file in places]
    kind = Kind(len(columns), dtype, is_sparse=False)
    return join_blocks(read, block_lengths, names, kind, y=y, sample_weight=weights, feature_names=columns)


def _join(parts):
    """Return the labels, or weights, of all files; those of a file without rows have no say in the type."""
    return np.concatenate([part for part in parts if len(part)] or parts[:1])


def _find_files(paths):
    """Return the Parquet files that paths name."""
    files = []
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = os.fspath(path)
        if os.path.isdir(path):
            found = sorted(Path(path).glob("*.parquet"))
        elif glob.has_magic(path) and not os.path.exists(path):
            found = [Path(each) for each in sorted(glob.glob(path))]
        else:
            found = [Path(path)] if os.path.isfile(path) else []
        if not found:
            raise FileNotFoundError(f"paths: {path} names no Parquet file.")
        files += found
    if not files:
        raise ValueError("paths is empty; it must name at least one Parquet file.")
    return files


def _read_schemas(files, columns, label, weight):
    """Return the names of the columns of X, and the type of DTYPES for all of them, after checks of every file."""
    first: dict[str, Any] = {}
    for file in files:
        schema = _open(file).schema_arrow
        if columns is None:
            left_out = list_index_columns(schema)
            columns = [name for name in schema.names if name not in (label, weight, *left_out)]
            if left_out:
                warnings.warn(
                    f"{file} holds the index of a frame of pandas as {', '.join(map(repr, left_out))}, which is no "
                    "column of X unless `columns` names it.",
                    stacklevel=4,
                )
        names = [*columns, *(name for name in (label, weight) if name is not None)]
        for name in names:
            if schema.names.count(name) != 1:
                found = "no column" if name not in schema.names else "several columns"
                raise ValueError(f"{file} has {found} {name!r}; it has {', '.join(map(repr, schema.names))}.")
        types = {name: schema.field(name).type for name in names}
        first = first or types
        for name, kind in types.items():
            if kind != first[name]:
                raise ValueError(
                    f"{file} holds column {name!r} as {kind}, but {files[0]} as {first[name]}. All files must hold it "
                    "as one type."
                )
    if weight is not None:
        _choose_type({weight: first[weight]}, files[0])
    return columns, _choose_type({name: first[name] for name in columns}, files[0])


def list_index_columns(schema: Any) -> list[str]:
    """Return the columns of an Arrow schema that hold the index of a frame of pandas, as its metadata say."""
    found = (schema.pandas_metadata or {}).get("index_columns", [])
    # An index that only counts is described by a dict, and has no column.
    return [name for name in found if isinstance(name, str) and name in schema.names]


def _choose_type(types, file):
    """Return the type of DTYPES that holds columns of Arrow types, and missing values where there may be some."""
    import pyarrow as pa

    kinds = []
    for name, kind in types.items():
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{file} holds column {name!r} as {kind}; the columns of X, and weights, must be numbers or truth "
                "values. Leave it out by `columns`, or encode it."
            )
        kinds.append(np.dtype(bool) if pa.types.is_boolean(kind) else np.dtype(kind.to_pandas_dtype()))
    if not kinds:
        raise ValueError("columns is empty; X must have at least one column.")
    return choose_type(np.result_type(*kinds))


def _decode(file, columns, dtype, label, weight, owner):
    """Return the folder with the arrays of a file, which are decoded unless they are there."""
    source, content = name_source(file)
    part = owner.path / f"{source}-{content}-{digest((columns, str(dtype), label, weight))}"
    if part.is_dir():
        return part
    # Only a folder that is whole gets its name.
    working = owner.path / f"{UNFINISHED}{secrets.token_hex(8)}"
    working.mkdir()
    try:
        _write_arrays(file, columns, dtype, label, weight, working)
        owner.keep(working, part)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return part


def _write_arrays(file, columns, dtype, label, weight, working):
    """Write X, and y and weights where they have a column, as files into a folder."""
    source = _open(file)
    shape = source.metadata.num_rows, len(columns)
    labels, weights, n_together = [], [], max(1, BLOCK_BYTES // (8 * len(columns)))
    names = list(dict.fromkeys([*columns, *(name for name in (label, weight) if name is not None)]))
    with open(working / X_FILE, "wb") as X:
        # Written piece by piece: what a map cannot write, since the disk is full, would end the process.
        description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(X, description)
        for batch in _read_batches(source, file, n_together, names):
            piece = np.empty((batch.num_rows, len(columns)), dtype)
            for j, name in enumerate(columns):
                piece[:, j] = _to_numbers(batch.column(name), dtype, file, name)
            X.write(piece.data)
            if label is not None:
                labels.append(_to_labels(batch.column(label), file, label))
            if weight is not None:
                weights.append(_to_weights(batch.column(weight), file, weight))
    for values, kept, name in ((labels, label, Y_FILE), (weights, weight, WEIGHT_FILE)):
        if kept is not None:
            np.save(working / name, np.concatenate(values) if values else np.empty(0), allow_pickle=False)


def _read_batches(source, file, n_together, names):
    """Yield the rows of a Parquet file, some at a time."""
    import pyarrow as pa

    try:
        yield from source.iter_batches(n_together, columns=names)
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


def _to_weights(column, file, name):
    """Return an Arrow array of weights as finite numbers."""
    weights = _to_numbers(column, np.dtype(np.float64), file, name)
    if not np.isfinite(weights).all():
        raise ValueError(f"{file} holds weights in column {name!r} that are missing or not finite.")
    return weights


def _to_labels(column, file, name):
    """Return an Arrow array of labels as an array that a file can hold without pickles."""
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


def _load_column(file, n_rows):
    """Return the labels or weights in a file, (n_rows,)."""
    values = _load(file)
    if values.shape != (n_rows,):
        raise ValueError(
            f"{file}, decoded by an earlier call, is broken (it has the shape {values.shape}, and X has {n_rows} rows)."
        )
    return values


def _load(file, mmap_mode=None):
    try:
        return np.load(file, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file}, decoded by an earlier call, is broken ({error}). Delete its folder.") from error
