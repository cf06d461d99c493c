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


class StopReason(NamedTuple):
    """Why a solver ended."""

    message: str
    converged: bool = False  # whether tol was reached, or the floor that the precision of the data sets
    is_final: bool = True  # whether nothing is left to do for another method


REACHED = StopReason("tol is reached", converged=True)
AT_FLOOR = StopReason("the objective is at the floor that its precision sets", converged=True)
LIMITED = StopReason("max_iter is reached")
STOPPED = StopReason("a callback asked to stop")
SEPARABLE = StopReason("the classes are separable by what is not penalized")
SLOW = StopReason("another solver may do better", is_final=False)
STALLED = StopReason("the objective no longer falls", is_final=False)


class Iteration(NamedTuple):
    """The state after an iteration."""

    objective: float  # J
    # Upper bound on J - J*, infinite where none is known: rigorous in the last iteration, in float64. In those before,
    # descents leave out what the exchange between classes costs, and the row space what the intercept does.
    bound: float
    gradient: float  # largest entry by coefficients and intercept, in magnitude; in the row space a bound of it
    n_passes: float  # over X so far
    seconds: float  # since the solver began


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solver ended. The fields that may be None serve the next fit of nearly the same objective."""

    parameters: np.ndarray  # (K, d + 1), in the coordinates of the objective
    value: float  # J
    loss: float  # the mean loss
    gradient: np.ndarray  # (K, d + 1), of the smooth part of J
    certificate: float  # an upper bound on J - J*; infinite where none is known
    stop_reason: StopReason
    history: list[Iteration]
    n_passes: float  # over X, of the whole fit
    preconditioner: AnyPreconditioner | None = None  # the last one of L-BFGS, times the factor that steps had
    pairs: Pairs | None = None  # the last ones of L-BFGS
    row_point: RowPoint | None = None  # where L-BFGS in the row space ended
    model: HessianModel | None = None  # the last one of proximal Newton

    @property
    def converged(self) -> bool:
        """Whether tol was reached, or the floor that the precision of the data sets."""
        return self.stop_reason.converged

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self.history)
