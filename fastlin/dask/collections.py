"""Convert Dask collections of X, labels, weights and offsets to Dask arrays with the same partitions."""

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

ACCEPTED_COLLECTIONS = "a Dask array or a Dask dataframe"


def is_dask_collection(data: object) -> bool:
    """Return whether data are a Dask array, DataFrame or Series."""
    return isinstance(data, dask.array.Array) or hasattr(data, "to_dask_array")


def read_dataframe(dataframe: Any) -> Array:
    """Return a pandas DataFrame as an array (m, d). Nullable integers and booleans become float64 with NaN."""
    dtypes = []
    for name, dtype in dataframe.dtypes.items():
        base = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", None))
        if not (isinstance(base, np.dtype) and base.kind in "biuf"):
            raise ValueError(
                f"Column {name!r} of X has dtype {dtype}, but columns must be numbers or booleans. Encode it first."
            )
        dtypes.append(base if base is dtype or base.kind == "f" else np.dtype(np.float64))
    common = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return dataframe.to_numpy(dtype=common, **({"na_value": np.nan} if common.kind == "f" else {}))


def list_column_names(X: DaskCollection) -> list[str] | None:
    """Return the column names (d,) of a DataFrame if they are strings, otherwise None."""
    return None if isinstance(X, dask.array.Array) else keep_string_names(list(X.columns))


def read_rows(X: DaskCollection) -> dask.array.Array:
    """Return X as a Dask array of shape (n, d) whose chunks contain whole rows; n may be unknown."""
    if not is_dask_collection(X):
        raise TypeError(f"X must be {ACCEPTED_COLLECTIONS}, got {type(X).__name__}.")
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {X.ndim}.")
    if math.isnan(X.shape[1]):
        raise ValueError("X has an unknown number of columns. Call X.compute_chunk_sizes() first.")
    if not X.shape[1]:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    return _to_dask_array(X)


def _to_dask_array(values):
    """Return a collection as a Dask array whose chunks contain whole rows."""
    array = values
    if not isinstance(values, dask.array.Array):
        # Columns may have several dtypes, including pandas' nullable ones.
        read = read_dataframe if values.ndim == 2 else np.asarray
        array = values.map_partitions(read, meta=read(values._meta))
    return array.rechunk({1: -1}) if array.ndim == 2 and array.numblocks[1] > 1 else array


def rechunk_like(rows: dask.array.Array, values: Any, name: str) -> dask.array.Array | None:
    """Return labels, weights or offsets as a Dask array with the chunks of `rows`, or None if there are none.

    The array has shape (n,) or (n, K).
    """
    if values is None:
        return None
    if not is_dask_collection(values):
        raise TypeError(f"{name} must be a Dask array or Series with the partitions of X, got {type(values).__name__}.")
    array = _to_dask_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > 2:
        raise ValueError(f"{name} must have one or two dimensions, got shape {array.shape}.")
    row_lengths, lengths = rows.chunks[0], array.chunks[0]
    if not any(map(math.isnan, row_lengths + lengths)):
        if sum(row_lengths) != sum(lengths):
            raise ValueError(
                f"{name} has {sum(lengths)} entries, but X has {sum(row_lengths)} rows: inconsistent lengths."
            )
        array = array.rechunk({0: row_lengths})
    elif len(row_lengths) != len(lengths):
        raise ValueError(
            f"{name} has {len(lengths)} partitions, but X has {len(row_lengths)}, and some lengths are unknown. Use "
            "the same partitions for both, or call compute_chunk_sizes() on them."
        )
    return array


def list_partitions(*arrays: dask.array.Array | None) -> list[tuple[Any, ...]]:
    """Return one tuple of delayed chunks per partition.

    A tuple contains one chunk per array, or None if the array is None. The arrays are optimized together.
    """
    optimized_arrays = dask.optimize(*arrays)
    missing_chunks = [None] * optimized_arrays[0].numblocks[0]
    delayed_chunks = [
        missing_chunks if array is None else array.to_delayed(optimize_graph=False).ravel().tolist()
        for array in optimized_arrays
    ]
    return list(zip(*delayed_chunks, strict=True))
