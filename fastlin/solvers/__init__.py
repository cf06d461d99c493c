"""Solvers: each minimizes an objective and returns a Solution. They work with l1 and l2, not with labels or C.

A solver is a module with a function ``minimize(fit)``. Its argument is a Fit, made by `choose.minimize`, with the
attributes::

    objective   the Objective to minimize
    start       the starting parameters, centered as by `Objective.center`; `start_point` returns the Point there
    stopping    the Stopping: the stopping rule, and the history of the fit
    buffer      the ProbabilityBuffer for the probabilities of points, or None

`minimize` returns a `Solution`. It raises a RangeError if J or its gradient is not finite at the start. `choose`
selects the solvers.
"""

from fastlin.solvers.solution import Solution

__all__ = ["Solution"]
