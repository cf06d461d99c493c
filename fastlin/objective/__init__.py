"""The objective J as a value, and everything that is known of it at one point.

`Objective` is J for given data: its rows (`rows`), the coordinates in which solvers see it (`coordinates`) and its
penalty (`penalty`). `Objective.at` returns a `Point` (`point`), on which derivatives and lower bounds hang (`duality`,
and `rounding` for what rounding does to them).
Samples of the rows, and rows that are replaced by their linearisation, are made in `subsets`. None of these values
changes after it is made. `Rows` alone holds memory that passes use, a count of them, and the sums by class that all
certificates share; one thread at a time may use it.
"""

from fastlin.objective.objective import Objective
from fastlin.objective.penalty import LARGEST_PENALTY
from fastlin.objective.point import Point, Room
from fastlin.objective.rows import weigh_named_rows

__all__ = ["LARGEST_PENALTY", "Objective", "Point", "Room", "weigh_named_rows"]
