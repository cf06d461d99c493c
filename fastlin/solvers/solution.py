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


class Ending(NamedTuple):
    """Why a solver ended.

    Attributes
    ----------
    message : str
        The same in words.
    converged : bool
        Whether tol was reached, or the floor that the precision of the data sets.
    is_final : bool
        Whether nothing is left to do for another method.
    """

    message: str
    converged: bool = False
    is_final: bool = True


REACHED = Ending("tol is reached", converged=True)
AT_FLOOR = Ending("the objective is at the floor that its precision sets", converged=True)
LIMITED = Ending("max_iter is reached")
STOPPED = Ending("a callback asked to stop")
SEPARABLE = Ending("the classes are separable by what is not penalised")
IMPATIENT = Ending("another solver may do better", is_final=False)
STALLED = Ending("the objective no longer falls", is_final=False)


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
    ending : Ending
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
    ending: Ending
    history: list[Iteration]
    n_passes: float
    preconditioner: AnyPreconditioner | None = None
    pairs: Pairs | None = None
    row_point: RowPoint | None = None
    model: HessianModel | None = None

    @property
    def converged(self) -> bool:
        """Whether tol was reached, or the floor that the precision of the data sets."""
        return self.ending.converged

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self.history)
