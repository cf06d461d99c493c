"""The bounds that the project has set itself: bounds.json states each once, and only maintainers assert them.

A bound names a case, a class of machines, what is measured, and the least or the greatest value. The class is "any" or
a level of instructions, such as "x86-64-v4"; where both are stated, the level's bound holds. Bounds are for whole
cases, as --full runs them.
"""

import json
from pathlib import Path

from benchmarks.races import FASTLIN

FILE = Path(__file__).with_name("bounds.json")
ANY = "any"
# What a bound may be of, as functions from a record to a number.
MEASURES = {
    "ratio": lambda record: record["ratio"],
    "ratio to NumPy": lambda record: _seconds(record, "NumPy") / _seconds(record, FASTLIN),
    "part": lambda record: record["part"],
    "seconds": lambda record: _seconds(record, FASTLIN),
    "seconds beyond scikit-learn's": lambda record: _seconds(record, FASTLIN) - _seconds(record, "scikit-learn"),
}


def read_bounds(path=FILE):
    """Return the bounds as a list of dicts."""
    return json.loads(path.read_text(encoding="utf-8"))


def find_bounds(bounds, case, level):
    """Return the bounds that hold for a case on a machine with a level of instructions."""
    of_case = [bound for bound in bounds if bound["case"] == case]
    return [bound for bound in of_case if bound["machine"] == level] or [
        bound for bound in of_case if bound["machine"] == ANY
    ]


def find_broken_bounds(bounds, case, record, level):
    """Return a sentence for each bound of the case that its record does not keep."""
    broken = []
    for bound in find_bounds(bounds, case, level):
        value = MEASURES[bound["measure"]](record)
        if "at least" in bound and value < bound["at least"]:
            broken.append(f"{case}: {bound['measure']} is {value:.3g}, its bound is at least {bound['at least']:g}.")
        if "at most" in bound and value > bound["at most"]:
            broken.append(f"{case}: {bound['measure']} is {value:.3g}, its bound is at most {bound['at most']:g}.")
    return broken


def _seconds(record, contender):
    return record["contenders"][contender]["seconds"]
