"""What a solver hands back, and what it tells after each iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastlin.objective.row_space import RowPoint
    from fastlin.solvers.lbfgs import Pairs
    from fastlin.solvers.preconditioners import AnyPreconditioner
    from fastlin.solvers.quadratic import HessianModel

REACHED = "tol is reached"
AT_FLOOR = "the objective is at the floor that its precision sets"
IMPATIENT = "another solver may do better"
STALLED = "the objective no longer falls"


class Iteration(NamedTuple):
    """The state after an iteration.

    Attributes
    ----------
    objective : float
        J.
    bound : float
        Upper bound on J - J*, the distance to the optimum: rigorous where the iteration was computed in float64,
        infinite where none is known. In the row space it is an estimate until the intercept is stationary.
    gradient : float
        Largest absolute entry of the gradient by coefficients and intercept, or in the row space a bound of it.
    n_passes : float
        Passes over X so far.
    seconds : float
        Since the solver began.
    """

    objective: float
    bound: float
    gradient: float
    n_passes: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solver ended.

    Attributes
    ----------
    parameters : ndarray of shape (K, d + 1)
        In the coordinates of the objective.
    value : float
        J.
    loss : float
        The mean loss.
    gradient : ndarray of shape (K, d + 1)
        The gradient of the smooth part of J.
    certificate : float
        Upper bound on J - J*; infinite where none is known.
    message : str
        Why it ended.
    history : list of Iteration
        What each iteration reached.
    n_passes : float
        Passes over X that the fit made.
    preconditioner : Preconditioner or None
        What L-BFGS divided gradients by last, times the factor that steps had, for the next fit of nearly the same
        objective to begin with.
    pairs : Pairs or None
        The steps and gradient changes that L-BFGS knew last, likewise.
    row_point : RowPoint or None
        Where L-BFGS in the row space ended, likewise.
    model : HessianModel or None
        The last model of proximal Newton, likewise.
    """

    parameters: np.ndarray
    value: float
    loss: float
    gradient: np.ndarray
    certificate: float
    message: str
    history: list[Iteration]
    n_passes: float
    preconditioner: AnyPreconditioner | None = None
    pairs: Pairs | None = None
    row_point: RowPoint | None = None
    model: HessianModel | None = None

    @property
    def converged(self) -> bool:
        """Whether tol was reached, or the floor that the precision of the data sets."""
        return self.message in (REACHED, AT_FLOOR)

    @property
    def is_ended(self) -> bool:
        """Whether nothing is left to do for another method."""
        return self.message not in (IMPATIENT, STALLED)

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self.history)
