"""The objective J as a value, and everything that is known of it at one point.

`Objective.at` returns a `Point`, which has derivatives and lower bounds. Only `Rows` changes after it is made: it
holds memory that passes use, so one thread at a time may use one.
"""

from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import Objective, RangeError, fill_factors
from fastlin.objective.penalty import LARGEST_PENALTY, Box, Penalty
from fastlin.objective.point import Point, Room
from fastlin.objective.rows import Rows, make_samples, weigh_by_counts

__all__ = [
    "LARGEST_PENALTY",
    "Box",
    "Objective",
    "Penalty",
    "Point",
    "RangeError",
    "Room",
    "Rows",
    "choose_coordinates",
    "fill_factors",
    "make_samples",
    "weigh_by_counts",
]
