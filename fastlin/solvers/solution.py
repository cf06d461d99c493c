"""The results of a solver: the solution, the iterations and the stop reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastlin.objective.row_space import RowPoint
    from fastlin.solvers.preconditioners import AnyPreconditioner
    from fastlin.solvers.quadratic import HessianModel
    from fastlin.solvers.two_loop_recursion import CoefficientPairs


class StopReason(NamedTuple):
    """The reason why a solver stopped."""

    message: str
    converged: bool = False  # whether tol or the limit of floating-point accuracy was reached
    is_final: bool = True  # False if another solver may make progress


CONVERGED = StopReason("tol is reached", converged=True)
AT_ROUNDING_LIMIT = StopReason("the objective is at the limit of floating-point accuracy", converged=True)
MAX_ITER_REACHED = StopReason("max_iter is reached")
STOPPED_BY_CALLBACK = StopReason("a callback stopped the fit")
SEPARABLE_CLASSES = StopReason("the classes are separable by features without a penalty")
TOO_SLOW = StopReason("progress is too slow", is_final=False)
STALLED = StopReason("the objective no longer decreases", is_final=False)


class Iteration(NamedTuple):
    """The state after an iteration."""

    objective: float  # J
    # An upper bound on J - J*, or infinity. It is rigorous in the last iteration, which is in float64. Before that, the
    # bounds of `descent` omit the exchange between classes, and the bounds in the row space omit the derivatives with
    # respect to the intercepts.
    bound: float
    gradient: float  # the largest magnitude in the gradient; in the row space, an upper bound on it
    n_passes: float  # the number of passes over X so far
    seconds: float  # the time since the start of the solver


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of a solver. The fields that may be None speed up the next fit of a similar objective."""

    parameters: np.ndarray  # (K, d + 1), in the coordinates of the objective
    value: float  # J
    loss: float  # the mean loss
    gradient: np.ndarray  # (K, d + 1), the gradient of the smooth part of J
    certificate: float  # an upper bound on J - J*; infinite if there is none
    stop_reason: StopReason
    history: list[Iteration]
    n_passes: float  # the number of passes over X in the fit
    preconditioner: AnyPreconditioner | None = None  # the last preconditioner of L-BFGS, with the last scale
    pairs: CoefficientPairs | None = None  # the last steps and gradient changes of L-BFGS
    row_space_point: RowPoint | None = None  # the last point of L-BFGS in the row space
    model: HessianModel | None = None  # the last model of proximal Newton

    @property
    def converged(self) -> bool:
        """Whether tol or the limit of floating-point accuracy was reached."""
        return self.stop_reason.converged

    @property
    def n_iter(self) -> int:
        """The number of iterations."""
        return len(self.history)
