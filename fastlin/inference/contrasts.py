"""The coefficients that are reported: contrasts between classes, of the columns as they were given.

For each row a of a matrix of contrasts D (K', K) they are the sums over k of D_ak T v_k, where v_k (d + 1) are the
scaled parameters of class k, and T scales the columns back and takes their shifts into the intercept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from fastlin.objective.coordinates import Coordinates
from fastlin.objective.objective import Objective
from fastlin.typing import Array, FloatArray, IntArray

SYMMETRIC = "symmetric"


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Which combinations of the parameters are reported: D is `matrix` (K', K), in `coordinates`.

    `reference` is the number of the class that others are compared with; None means their mean. With `fit_intercept` an
    intercept is the last column.
    """

    matrix: FloatArray
    reference: int | None
    coordinates: Coordinates
    fit_intercept: bool

    @classmethod
    def against(cls, reference: int | None, n_classes: int, objective: Objective) -> Self:
        """Return the contrasts against a class, by its number, or against the mean of all where it is None."""
        if reference is None:
            matrix = np.eye(n_classes) - 1 / n_classes
        else:
            matrix = np.delete(np.eye(n_classes), reference, axis=0)
            matrix[:, reference] = -1
        # Two classes have one row of parameters: the second class less the first.
        matrix = matrix if n_classes > 2 else matrix[:, 1:]
        return cls(matrix, reference, objective.coordinates, objective.fit_intercept)

    @property
    def n_columns(self) -> int:
        """The number of columns p that are reported."""
        return len(self.coordinates.scale) + self.fit_intercept

    @property
    def n_free(self) -> int:
        """The number of classes but one."""
        return max(self.matrix.shape[1], 2) - 1

    @property
    def n_parameters(self) -> int:
        """The number of parameters of the model, of all classes but one."""
        return self.n_free * self.n_columns

    @property
    def n_intercepts(self) -> int:
        """The number of intercepts among the parameters of the model."""
        return self.n_free * self.fit_intercept

    def list_units(self, positions: IntArray) -> sparse.csr_array:
        """Return the map (K' q, K (d + 1)) from parameters to the coefficients of some columns, class by class."""
        scale, shift = self.coordinates.scale, self.coordinates.shift
        # Of one class: shifts of columns go into the intercept.
        units = sparse.diags_array(np.append(scale, 1.0), format="lil")
        units[-1, :-1] = shift
        return sparse.csr_array(sparse.kron(self.matrix, units.tocsr()[positions]))

    def of(self, parameters: FloatArray) -> FloatArray:
        """Return the coefficients (K', p) of parameters (K, d + 1)."""
        coef, intercept = self.coordinates.to_coefficients(parameters)
        columns = np.column_stack([coef, intercept]) if self.fit_intercept else coef
        return np.einsum("ak,kj->aj", self.matrix, columns)


def find_reference(reference: Any, classes: Array) -> int | None:
    """Return the number of the class that a label names, 0 for None, None for symmetric; ValueError: no such class."""
    if reference is None:
        return 0
    if isinstance(reference, str) and reference == SYMMETRIC and SYMMETRIC not in classes.tolist():
        return None
    positions = [
        position for position, label in enumerate(classes.tolist()) if np.ndim(reference) == 0 and label == reference
    ]
    if not positions:
        raise ValueError(
            f"reference must be one of the classes {classes.tolist()}, 'symmetric' or None, got {reference!r}."
        )
    return positions[0]
