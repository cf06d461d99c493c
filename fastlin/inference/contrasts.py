"""The reported coefficients: contrasts between classes, in the original columns of X.

Row a of a contrast matrix D (K', K) yields the coefficients sum_k D_ak T v_k. Here v_k (d + 1,) contains the parameters
of class k for scaled columns. T undoes the scaling and moves the shifts of the columns into the intercept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from fastlin.objective.coordinates import Coordinates
from fastlin.objective.objective import Objective
from fastlin.typing import Array, FloatArray, IntArray

SYMMETRIC_REFERENCE = "symmetric"


@dataclass(frozen=True, eq=False)
class Contrasts:
    """The combinations of parameters that are reported. D is `matrix` (K', K), and `coordinates` determine T.

    `reference` is the index of the reference class, or None for contrasts with the mean of all classes. If
    `fit_intercept` is true, the intercept is the last column.
    """

    matrix: FloatArray
    reference: int | None
    coordinates: Coordinates
    fit_intercept: bool

    @classmethod
    def from_reference(cls, reference: int | None, n_classes: int, objective: Objective) -> Self:
        """Return the contrasts with the class of index `reference`, or with the mean of all classes if it is None."""
        if reference is None:
            matrix = np.eye(n_classes) - 1 / n_classes
        else:
            matrix = np.delete(np.eye(n_classes), reference, axis=0)
            matrix[:, reference] = -1
        # A two-class model has one row of parameters, for the second class minus the first class.
        matrix = matrix if n_classes > 2 else matrix[:, 1:]
        return cls(matrix, reference, objective.coordinates, objective.fit_intercept)

    @property
    def n_columns(self) -> int:
        """The number of columns p, including the intercept."""
        return len(self.coordinates.scale) + self.fit_intercept

    @property
    def n_free_classes(self) -> int:
        """The number of classes minus one."""
        return max(self.matrix.shape[1], 2) - 1

    @property
    def n_parameters(self) -> int:
        """The number of free parameters of the model."""
        return self.n_free_classes * self.n_columns

    @property
    def n_intercepts(self) -> int:
        """The number of intercepts among the free parameters."""
        return self.n_free_classes * self.fit_intercept

    def build_contrast_matrix(self, positions: IntArray) -> sparse.csr_array:
        """Return the matrix (K' q, K (d + 1)) that maps parameters to the coefficients of columns `positions` (q,)."""
        return sparse.csr_array(sparse.kron(self.matrix, self.coordinates.build_conversion_matrix()[positions]))

    def of(self, parameters: FloatArray) -> FloatArray:
        """Return the coefficients (K', p) for parameters (K, d + 1)."""
        coef, intercept = self.coordinates.convert_to_coefficients(parameters)
        columns = np.column_stack([coef, intercept]) if self.fit_intercept else coef
        return np.einsum("ak,kj->aj", self.matrix, columns)


def find_reference(reference: Any, classes: Array) -> int | None:
    """Return the index of the reference class: 0 for None, and None for "symmetric".

    Raise a ValueError if it is unknown.
    """
    if reference is None:
        return 0
    if isinstance(reference, str) and reference == SYMMETRIC_REFERENCE and SYMMETRIC_REFERENCE not in classes.tolist():
        return None
    indices = [index for index, label in enumerate(classes.tolist()) if np.ndim(reference) == 0 and label == reference]
    if not indices:
        raise ValueError(
            f"reference must be one of the classes {classes.tolist()}, 'symmetric' or None, got {reference!r}."
        )
    return indices[0]


def find_reported_classes(reference: int | None, n_reported: int) -> IntArray:
    """Return the indices (n_reported,) of the classes that have coefficients: all except the reference, if any."""
    indices = np.arange(n_reported)
    return indices if reference is None else indices + (indices >= reference)
