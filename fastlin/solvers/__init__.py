"""Solvers: each minimises an objective, knows nothing of labels or C, and returns a Solution."""

from fastlin.solvers.solution import Solution

__all__ = ["Solution"]
