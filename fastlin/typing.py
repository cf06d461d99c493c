"""Type aliases for parameters and return values.

`Array`, `FloatArray`, `IntArray` and `BoolArray` are NumPy arrays; docstrings state their shapes. `MatrixLike` is X in
memory. The other aliases are types of several parameters. Labels and weights have the type `numpy.typing.ArrayLike`.
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
"""An array of any dtype: labels (numbers, strings or booleans), or data in their original dtype."""
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""An array of float64 or float32."""
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""An array of integers."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""An array of booleans."""
FloatType: TypeAlias = type[np.float64] | type[np.float32]
"""The floating-point type of a computation."""
SparseContainer: TypeAlias = sparse.sparray | sparse.spmatrix
"""A sparse array or matrix of SciPy in any format."""
MatrixLike: TypeAlias = npt.ArrayLike | SparseContainer | ArrowTable
"""X with one row per sample: an array-like, a sparse container, or a table."""
RandomState: TypeAlias = int | np.random.RandomState | None
"""A seed, a random number generator, or None for NumPy's global generator."""
ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None
"""Weights of classes by label, "balanced" for the same total weight of all classes, or None for ones."""
PathLike: TypeAlias = str | os.PathLike[str]
"""The path of a file or folder."""
