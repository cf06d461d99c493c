"""The objective J as a value, and everything that is known of it at one point.

`Objective` is J for given data: its rows and their sums (`rows`), the coordinates in which solvers see it
(`coordinates`) and its penalty (`penalty`). `Objective.at` returns a `Point` (`point`), which has derivatives and lower
bounds (`duality`, and `rounding` for their rounding). None of these values changes after it is made, except for
`MeanSums`: it holds memory that passes use, a count of them, and the sums by class that all certificates share. One
thread at a time may use a `MeanSums`.
"""

from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import Objective, RangeError, fill_factors
from fastlin.objective.penalty import LARGEST_PENALTY
from fastlin.objective.point import Point, Room
from fastlin.objective.rows import Rows, make_samples, weigh_by_counts

__all__ = [
    "LARGEST_PENALTY",
    "Objective",
    "Point",
    "RangeError",
    "Room",
    "Rows",
    "choose_coordinates",
    "fill_factors",
    "make_samples",
    "weigh_by_counts",
]
