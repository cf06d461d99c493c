"""Blocks of Parquet files, decoded once into files that can be mapped."""

import glob
import hashlib
import os
import shutil
import tempfile
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np

from fastlin.blocks.arrays import from_arrays
from fastlin.blocks.blocks import BLOCK_BYTES, DTYPES

# A change here makes what earlier versions have decoded unknown.
FORMAT = 1
X_FILE, Y_FILE, WEIGHT_FILE = "X.npy", "y.npy", "weight.npy"


def from_parquet(paths, columns=None, label=None, weight=None, cache=None):
    """Return Blocks of Parquet files, each of which is decoded once.

    A fit reads the data 15 to 100 times, and decoding takes longer than reading. So each file is decoded into arrays of
    a type that fits read as it is, which are mapped into memory from then on. They take as much disk as the array.

    Parameters
    ----------
    paths : str, Path, or sequence of these
        Files, folders, of which all ``*.parquet`` are taken in the order of their names, or patterns with ``*``.
    columns : sequence of str or None
        The columns of X: numbers or truth values. None takes all but `label` and `weight`.
    label, weight : str or None
        The columns of y, of any type, and of the weights.
    cache : str, Path or None
        A folder, made where it is missing, that keeps what was decoded; the same file, unchanged, is not decoded again,
        and an interrupted call goes on where it was. With None a temporary folder is used as long as the Blocks are.

    Returns
    -------
    Blocks
        Its `feature_names` are the columns. A block never holds rows of two files.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    FileNotFoundError
        A path names no file.
    ValueError
        A file is no Parquet file or broken, lacks a column, or holds it in another type than the first file, a column
        of X is not numeric, or a label or weight is missing. The error names the file.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError("blocks.from_parquet needs pyarrow: pip install pyarrow") from error
    files = _find_files(paths)
    if cache is not None:
        folder = Path(cache)
        folder.mkdir(parents=True, exist_ok=True)
        return _make_blocks(files, columns, label, weight, folder)
    folder = Path(tempfile.mkdtemp(prefix="fastlin-blocks-"))
    try:
        blocks = _make_blocks(files, columns, label, weight, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(blocks, shutil.rmtree, folder, ignore_errors=True)
    return blocks


def _make_blocks(files, columns, label, weight, folder):
    """Return Blocks of files that are decoded into a folder, as far as they are not there."""
    columns, dtype = _read_schemas(files, columns, label, weight)
    parts = [_decode(file, columns, dtype, label, weight, folder) for file in files]
    X = [_load(part / X_FILE, "r") for part in parts]
    y, weights = (
        None if name is None else np.concatenate([_load(part / file) for part in parts])
        for name, file in ((label, Y_FILE), (weight, WEIGHT_FILE))
    )
    blocks = from_arrays(X, y, weights)
    blocks.names = list(
        _name_rows([(file.name, len(array)) for file, array in zip(files, X, strict=True)], blocks.borders)
    )
    blocks.feature_names = columns
    return blocks


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
    first = None
    for file in files:
        schema = _open(file).schema_arrow
        if columns is None:
            columns = [name for name in schema.names if name not in (label, weight)]
        for name in (*columns, *filter(None, (label, weight))):
            if name not in schema.names:
                raise ValueError(f"{file} has no column {name!r}; it has {', '.join(map(repr, schema.names))}.")
        types = {name: schema.field(name).type for name in (*columns, *filter(None, (label, weight)))}
        if first is None:
            first = types
            continue
        for name, kind in types.items():
            if kind != first[name]:
                raise ValueError(
                    f"{file} holds column {name!r} as {kind}, but {files[0]} as {first[name]}. All files must hold it "
                    "as one type."
                )
    return list(columns), _choose_type({name: first[name] for name in columns}, files[0])


def _choose_type(types, file):
    """Return the type of DTYPES that holds columns of Arrow types, and missing values where there may be some."""
    import pyarrow as pa

    kinds = []
    for name, kind in types.items():
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{file} holds column {name!r} as {kind}; the columns of X must be numbers or truth values. Leave it "
                "out by `columns`, or encode it."
            )
        kinds.append(np.dtype(bool) if pa.types.is_boolean(kind) else np.dtype(kind.to_pandas_dtype()))
    if not kinds:
        raise ValueError("columns is empty; X must have at least one column.")
    together = np.result_type(*kinds)
    return together if together in DTYPES else np.dtype(np.float64)


def _decode(file, columns, dtype, label, weight, folder):
    """Return the folder with the arrays of a file, which are decoded unless they are there."""
    found = file.stat()
    told = repr((FORMAT, str(file.resolve()), found.st_size, found.st_mtime_ns, columns, str(dtype), label, weight))
    part = folder / f"{file.stem}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if part.is_dir():
        return part
    # Only a folder that is whole gets its name.
    working = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    try:
        _write_arrays(file, columns, dtype, label, weight, working)
        try:
            working.rename(part)
        except OSError:
            # Another process was faster.
            if not part.is_dir():
                raise
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return part


def _write_arrays(file, columns, dtype, label, weight, working):
    """Write X, and y and weights where they have a column, as files into a folder."""
    source = _open(file)
    n = source.metadata.num_rows
    X = np.lib.format.open_memmap(working / X_FILE, "w+", dtype, (n, len(columns)))
    labels, weights, first = [], [], 0
    n_together = max(1, BLOCK_BYTES // (8 * len(columns)))
    names = [*columns, *filter(None, (label, weight))]
    try:
        for batch in source.iter_batches(n_together, columns=list(dict.fromkeys(names))):
            rows = slice(first, first + batch.num_rows)
            for j, name in enumerate(columns):
                X[rows, j] = _to_numbers(batch.column(name), dtype, file, name)
            if label is not None:
                labels.append(_to_labels(batch.column(label), file, label))
            if weight is not None:
                weights.append(_to_numbers(batch.column(weight), np.dtype(np.float64), file, weight))
            first = rows.stop
    except (OSError, ValueError) as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file} cannot be read: {error}") from error
    X.flush()
    for values, name in ((labels, Y_FILE if label else None), (weights, WEIGHT_FILE if weight else None)):
        if name is not None:
            np.save(working / name, np.concatenate(values) if values else np.empty(0), allow_pickle=False)


def _to_numbers(column, dtype, file, name):
    """Return an Arrow array as numbers; a missing one is NaN."""
    if column.null_count and dtype.kind != "f":
        raise ValueError(
            f"{file} holds {column.null_count} missing values in column {name!r}, whose type {dtype} has no place for "
            "them. Fill them in before."
        )
    return column.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def _to_labels(column, file, name):
    """Return an Arrow array of labels as an array that a file can hold without pickles."""
    if column.null_count:
        raise ValueError(f"{file} holds {column.null_count} missing values in column {name!r}, the labels.")
    if hasattr(column, "dictionary"):
        column = column.dictionary_decode()
    labels = column.to_numpy(zero_copy_only=False)
    return labels.astype(str) if labels.dtype == object else labels


def _open(file):
    """Return a Parquet file, or raise a ValueError that names it."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is no Parquet file, or is broken: {error}") from error


def _load(file, mmap_mode=None):
    try:
        return np.load(file, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{file}, which an earlier call has decoded, is broken ({error}). Delete its folder."
        ) from error


def _name_rows(places, borders):
    """Yield the name of each block: its file, and its rows there."""
    place, start = 0, 0
    for first, last in pairwise(borders):
        while first >= start + places[place][1]:
            start += places[place][1]
            place += 1
        yield f"rows {first - start} to {last - start - 1} of {places[place][0]}"
