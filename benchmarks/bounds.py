"""Performance bounds of full cases. Maintainers check them before a release.

A bound in bounds.json consists of a case, a class of machines, a measure, and a minimum or maximum value. The class is
"any" or an instruction set level, such as "x86-64-v4". Bounds of a level override those of "any".
"""

import json
from pathlib import Path

from benchmarks.comparisons import FASTLIN
from benchmarks.inference import STATSMODELS
from benchmarks.probes import TO_ITS_OBJECTIVE, TORCH_TO_ITS_OBJECTIVE, TORCH_TO_OURS
from benchmarks.suite import COMPARISON_RECORDS
from benchmarks.tables import describe_case

FILE = Path(__file__).with_name("bounds.json")
ANY = "any"


def _seconds(record, library):
    return record["libraries"][library]["seconds"]


def _times_as_fast_as(library):
    return lambda record: _seconds(record, library) / _seconds(record, FASTLIN)


# Each measure consists of a function from a record to a number, and the number's format in messages.
MEASURES = {
    "ratio": (lambda record: record["ratio"], "{:.3g} times as fast as its baseline"),
    "ratio to NumPy": (_times_as_fast_as("NumPy"), "{:.3g} times as fast as NumPy"),
    # By default, statsmodels fits with Newton's method.
    "ratio to statsmodels": (
        _times_as_fast_as(f"{STATSMODELS} newton"),
        "{:.3g} times as fast as statsmodels' default",
    ),
    "MB in addition to X": (
        lambda record: record["libraries"][FASTLIN]["additional_bytes"] / 1e6,
        "{:.3g} MB in addition to X",
    ),
    "part": (lambda record: record["part"], "{:.1%} of the limit's speed"),
    "seconds": (lambda record: _seconds(record, FASTLIN), "{:.3g} s"),
    "seconds beyond scikit-learn's": (
        lambda record: _seconds(record, FASTLIN) - _seconds(record, "scikit-learn"),
        "{:.3g} s more than scikit-learn",
    ),
    # The ratio is missing if fastlin does not reach the objective.
    **{
        name: (lambda record, name=name: record["ratios"][name] or 0.0, f"{{:.3g}} times as fast as {words}")
        for name, words in {
            TO_ITS_OBJECTIVE: "scikit-learn, to its objective",
            TORCH_TO_ITS_OBJECTIVE: "PyTorch, to scikit-learn's objective",
            TORCH_TO_OURS: "PyTorch, to fastlin's objective",
        }.items()
    },
}


def read_bounds(path=FILE):
    """Return the bounds as a list of dicts."""
    return json.loads(path.read_text(encoding="utf-8"))


def find_bounds(bounds, case, level):
    """Return the bounds of a case on an instruction set level. Single-thread records use the comparison's bounds."""
    case = COMPARISON_RECORDS.get(case, case)
    case_bounds = [bound for bound in bounds if bound["case"] == case]
    return [bound for bound in case_bounds if bound["machine"] == level] or [
        bound for bound in case_bounds if bound["machine"] == ANY
    ]


def find_violated_bounds(bounds, records, level):
    """Return a sentence for each bound that is violated. `records` maps the names of cases to records."""
    violations = []
    for case, record in records.items():
        for bound in find_bounds(bounds, case, level):
            measure, words = MEASURES[bound["measure"]]
            value = measure(record)
            # If the baseline was stopped, the ratio is only a lower bound.
            is_low = "at least" in bound and value < bound["at least"] and not record.get("is_bound")
            if is_low or ("at most" in bound and value > bound["at most"]):
                side = "at least" if is_low else "at most"
                limit = words.format(bound[side])
                violations.append(f"{describe_case(record)}: {words.format(value)}; the bound is {side} {limit}.")
    return violations
