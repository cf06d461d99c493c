"""Solvers. Each solver minimizes an objective with penalty strengths l1 and l2, and returns a Solution.

A solver is a module with a function ``minimize(fit)``. `choose.minimize` creates the argument, which is a Minimization
with the attributes::

    objective   the Objective to minimize
    start       the Start, with centered parameters (see `Objective.center`); `start_point` returns its Point
    stopping    the Stopping, with the stopping rule and the history of the fit
    buffer      the ProbabilityBuffer for the probabilities of points, or None

`minimize` returns a `Solution`. It raises a FloatRangeError if J or its gradient is not finite at the start. The module
`choose` selects the solvers.
"""

from fastlin.solvers.solution import Solution

__all__ = ["Solution"]
