"""Type aliases: what the functions of fastlin take and return.

`Array`, `FloatArray`, `IntArray` and `BoolArray` are NumPy arrays by what they hold; shapes stand in the docstrings.
`MatrixLike` is what X may be in memory. The others are what several parameters have in common. The types of labels and
weights that users pass are NumPy's own, `numpy.typing.ArrayLike`.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = [
    "Array",
    "ArrowTable",
    "BoolArray",
    "ClassWeight",
    "FloatArray",
    "FloatType",
    "IntArray",
    "MatrixLike",
    "PathLike",
    "RandomState",
    "SparseContainer",
]


class ArrowTable(Protocol):
    """A table that Arrow can read, such as a DataFrame of pandas or polars, or a Table of pyarrow."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a capsule with an Arrow stream of the rows."""


Array: TypeAlias = npt.NDArray[Any]
"""An array of any type: labels, which may be numbers, strings or bools, and data in the type that they came in."""
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""An array of float64 or float32."""
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""An array of integers."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""An array of bools."""
FloatType: TypeAlias = type[np.float64] | type[np.float32]
"""The type that something is computed or kept in."""
SparseContainer: TypeAlias = sparse.sparray | sparse.spmatrix
"""A sparse array or matrix of SciPy in any format."""
MatrixLike: TypeAlias = npt.ArrayLike | SparseContainer | ArrowTable
"""X with one row for each sample: an array, what NumPy makes one of, a sparse container, or a table."""
RandomState: TypeAlias = int | np.random.RandomState | None
"""A seed, a generator of random numbers that goes on from where it is, or None for NumPy's global generator."""
ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None
"""Weights of classes by their labels, "balanced" for weights that make all classes count alike, or None for ones."""
PathLike: TypeAlias = str | os.PathLike[str]
"""The place of a file or a folder."""
