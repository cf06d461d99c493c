"""Dask's collections as partitions: the rows of X with their labels and weights, as delayed objects."""

import math

import dask.array
import numpy as np

ACCEPTED = "a Dask array or a Dask dataframe"


def is_collection(data):
    """Say whether data are a Dask array, dataframe or series."""
    return isinstance(data, dask.array.Array) or hasattr(data, "to_dask_array")


def name_columns(X):
    """Return the names of the columns (d,) of a dataframe whose names are strings, else None."""
    if isinstance(X, dask.array.Array):
        return None
    names = list(X.columns)
    return np.array(names, dtype=object) if all(isinstance(name, str) for name in names) else None


def read_rows(X, name="X"):
    """Return X as a Dask array of shape (n, d) whose chunks hold whole rows; n need not be known.

    Raises
    ------
    TypeError
        X is no collection of Dask.
    ValueError
        It is not two-dimensional, or has no columns.
    """
    if not is_collection(X):
        raise TypeError(f"{name} must be {ACCEPTED}, got {type(X).__name__}.")
    array = X if isinstance(X, dask.array.Array) else X.to_dask_array()
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got {array.ndim}.")
    if math.isnan(array.shape[1]):
        raise ValueError(f"{name} must have a known number of columns; call compute_chunk_sizes() on it.")
    if not array.shape[1]:
        raise ValueError(f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return array.rechunk({1: -1}) if array.numblocks[1] > 1 else array


def cut_alike(rows, values, name):
    """Return the delayed partitions of labels or weights, cut as the rows are; None for each where values are None.

    Raises
    ------
    TypeError
        Values are no collection of Dask.
    ValueError
        They do not have an entry for each row, or are cut in another way and their lengths are not known.
    """
    if values is None:
        return [None] * rows.numblocks[0]
    if not is_collection(values):
        raise TypeError(f"{name} must be a Dask array or a Dask series, cut as X is, got {type(values).__name__}.")
    array = values if isinstance(values, dask.array.Array) else values.to_dask_array()
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got the shape {array.shape}.")
    lengths, own_lengths = rows.chunks[0], array.chunks[0]
    if not any(map(math.isnan, lengths + own_lengths)):
        if sum(lengths) != sum(own_lengths):
            raise ValueError(
                f"{name} has {sum(own_lengths)} entries, but X has {sum(lengths)} rows: inconsistent lengths."
            )
        array = array.rechunk((lengths,))
    elif len(lengths) != len(own_lengths):
        raise ValueError(
            f"{name} has {len(own_lengths)} partitions of unknown lengths, but X has {len(lengths)}; both must be cut "
            "at the same rows, or their lengths be known (compute_chunk_sizes)."
        )
    return list(array.to_delayed().ravel())
