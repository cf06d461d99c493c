"""Dask's collections as partitions: the rows of X with their labels and weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import dask
import dask.array
import numpy as np

from fastlin.estimators.columns import keep_string_names
from fastlin.typing import Array

if TYPE_CHECKING:
    import dask.dataframe

    DaskCollection: TypeAlias = dask.array.Array | dask.dataframe.DataFrame | dask.dataframe.Series

ACCEPTED = "a Dask array or a Dask dataframe"


def is_collection(data: object) -> bool:
    """Say whether data are a Dask array, dataframe or series."""
    return isinstance(data, dask.array.Array) or hasattr(data, "to_dask_array")


def read_dataframe(dataframe: Any) -> Array:
    """Return a dataframe of pandas as an array (m, d); its own and Arrow's nullable numbers become float64 with NaN."""
    dtypes = []
    for name, dtype in dataframe.dtypes.items():
        own = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", None))
        if not (isinstance(own, np.dtype) and own.kind in "biuf"):
            raise ValueError(f"Column {name!r} of X holds {dtype}; columns must hold numbers or truth values.")
        dtypes.append(own if own is dtype or own.kind == "f" else np.dtype(np.float64))
    common = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return dataframe.to_numpy(dtype=common, **({"na_value": np.nan} if common.kind == "f" else {}))


def name_columns(X: DaskCollection) -> list[str] | None:
    """Return the names of the columns (d,) of a dataframe whose names are strings, else None."""
    return None if isinstance(X, dask.array.Array) else keep_string_names(list(X.columns))


def read_rows(X: DaskCollection) -> dask.array.Array:
    """Return X as a Dask array of shape (n, d) whose chunks hold whole rows; n need not be known."""
    if not is_collection(X):
        raise TypeError(f"X must be {ACCEPTED}, got {type(X).__name__}.")
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {X.ndim}.")
    if math.isnan(X.shape[1]):
        raise ValueError("X must have a known number of columns; call compute_chunk_sizes() on it.")
    if not X.shape[1]:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    return _to_array(X)


def _to_array(values):
    """Return a collection as a Dask array whose chunks hold whole rows."""
    array = values
    if not isinstance(values, dask.array.Array):
        # Each partition may have columns of several types, and of pandas' own.
        read = read_dataframe if values.ndim == 2 else np.asarray
        array = values.map_partitions(read, meta=read(values._meta))
    return array.rechunk({1: -1}) if array.ndim == 2 and array.numblocks[1] > 1 else array


def cut_alike(rows: dask.array.Array, values: Any, name: str) -> dask.array.Array | None:
    """Return labels, weights or offsets as a Dask array (n,) or (n, K), cut as the rows; None for None."""
    if values is None:
        return None
    if not is_collection(values):
        raise TypeError(f"{name} must be a Dask array or a Dask series, cut as X is, got {type(values).__name__}.")
    array = _to_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > 2:
        raise ValueError(f"{name} must have one dimension or two, got the shape {array.shape}.")
    lengths, own_lengths = rows.chunks[0], array.chunks[0]
    if not any(map(math.isnan, lengths + own_lengths)):
        if sum(lengths) != sum(own_lengths):
            raise ValueError(
                f"{name} has {sum(own_lengths)} entries, but X has {sum(lengths)} rows: inconsistent lengths."
            )
        array = array.rechunk({0: lengths})
    elif len(lengths) != len(own_lengths):
        raise ValueError(
            f"{name} has {len(own_lengths)} partitions, but X has {len(lengths)}, and some lengths are not known; "
            "both must be cut at the same rows, or their lengths be known (compute_chunk_sizes)."
        )
    return array


def list_partitions(*arrays: dask.array.Array | None) -> list[tuple[Any, ...]]:
    """Return a tuple of delayed blocks for each partition, one of each array, optimized together; None for no array."""
    optimized = dask.optimize(*arrays)
    none = [None] * optimized[0].numblocks[0]
    delayed = [
        none if array is None else array.to_delayed(optimize_graph=False).ravel().tolist() for array in optimized
    ]
    return list(zip(*delayed, strict=True))
