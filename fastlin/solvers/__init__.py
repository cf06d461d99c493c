"""Solvers: each minimises an objective, knows nothing of labels or C, and returns a Solution.

A solver is a module with a function ``minimize(fit)``, to which `choose.minimize` gives what it was given::

    objective   the Objective to minimise
    start       parameters (K, d + 1) to start from, centred as by `Objective.center`; they are not changed
    stopping    the Stopping: the rule that ends the fit, and its record
    room        the Room for the probabilities of points, or None

It returns a `Solution`, and raises a RangeError where J or its gradient is not finite at the start. The docstring of a
solver has its further arguments. `choose.minimize` picks one.
"""

from fastlin.solvers.solution import Solution

__all__ = ["Solution"]
