"""Solvers: each minimizes an objective, knows nothing of labels or C, and returns a Solution.

A solver is a module with a function ``minimize(fit)`` of a Fit, which `choose.minimize` makes::

    objective   the Objective to minimize
    beginning   where to start, centered as by `Objective.center`; `begin_in` returns the Point there
    stopping    the Stopping: the rule that ends the fit, and its record
    room        the Room for the probabilities of points, or None

It returns a `Solution`, and raises a RangeError where J or its gradient is not finite at the start. `choose`
picks solvers.
"""

from fastlin.solvers.solution import Solution

__all__ = ["Solution"]
