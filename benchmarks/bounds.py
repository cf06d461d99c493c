"""Performance bounds of full cases. Maintainers check them before a release.

A bound in bounds.json consists of a case, a class of machines, a measure, and a minimum or maximum value. The class is
"any" or an instruction set level, such as "x86-64-v4". Bounds of a level override those of "any".
"""

import json
from pathlib import Path

from benchmarks.comparisons import FASTLIN
from benchmarks.inference import STATSMODELS
from benchmarks.probes import (
    RATIO_TO_SCIKIT_LEARN_OBJECTIVE,
    TORCH_RATIO_TO_FASTLIN_OBJECTIVE,
    TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE,
)
from benchmarks.suite import COMPARISONS_BY_RECORD
from benchmarks.tables import describe_case

BOUNDS_FILE = Path(__file__).with_name("bounds.json")
ANY_MACHINE = "any"


def _get_seconds(record, library):
    return record["libraries"][library]["seconds"]


def _make_speed_ratio_function(library):
    return lambda record: _get_seconds(record, library) / _get_seconds(record, FASTLIN)


# Each measure consists of a function from a record to a number, and the number's format in messages.
BOUND_MEASURES = {
    "ratio": (lambda record: record["ratio"], "{:.3g} times as fast as its baseline"),
    "ratio to NumPy": (_make_speed_ratio_function("NumPy"), "{:.3g} times as fast as NumPy"),
    # By default, statsmodels fits with Newton's method.
    "ratio to statsmodels": (
        _make_speed_ratio_function(f"{STATSMODELS} newton"),
        "{:.3g} times as fast as statsmodels' default",
    ),
    "MB in addition to X": (
        lambda record: record["libraries"][FASTLIN]["additional_bytes"] / 1e6,
        "{:.3g} MB in addition to X",
    ),
    "speed_fraction": (lambda record: record["speed_fraction"], "{:.1%} of the limit's speed"),
    "seconds": (lambda record: _get_seconds(record, FASTLIN), "{:.3g} s"),
    "seconds beyond scikit-learn's": (
        lambda record: _get_seconds(record, FASTLIN) - _get_seconds(record, "scikit-learn"),
        "{:.3g} s more than scikit-learn",
    ),
    # The ratio is missing if fastlin does not reach the objective.
    **{
        name: (lambda record, name=name: record["ratios"][name] or 0.0, f"{{:.3g}} times as fast as {baseline_phrase}")
        for name, baseline_phrase in {
            RATIO_TO_SCIKIT_LEARN_OBJECTIVE: "scikit-learn, to its objective",
            TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE: "PyTorch, to scikit-learn's objective",
            TORCH_RATIO_TO_FASTLIN_OBJECTIVE: "PyTorch, to fastlin's objective",
        }.items()
    },
}


def read_bounds(path=BOUNDS_FILE):
    """Return the bounds as a list of dicts."""
    return json.loads(path.read_text(encoding="utf-8"))


def find_bounds(bounds, case, instruction_set_level):
    """Return the bounds of a case on an instruction set level. Single-thread records use the comparison's bounds."""
    case = COMPARISONS_BY_RECORD.get(case, case)
    case_bounds = [bound for bound in bounds if bound["case"] == case]
    return [bound for bound in case_bounds if bound["machine"] == instruction_set_level] or [
        bound for bound in case_bounds if bound["machine"] == ANY_MACHINE
    ]


def describe_violations(bounds, records, instruction_set_level):
    """Return a sentence for each bound that is violated. `records` maps the names of cases to records."""
    violations = []
    for case, record in records.items():
        for bound in find_bounds(bounds, case, instruction_set_level):
            measure, value_format = BOUND_MEASURES[bound["measure"]]
            value = measure(record)
            # If the baseline was stopped, the ratio is only a lower bound.
            is_too_low = "at least" in bound and value < bound["at least"] and not record.get("is_bound")
            if is_too_low or ("at most" in bound and value > bound["at most"]):
                bound_key = "at least" if is_too_low else "at most"
                bound_text = value_format.format(bound[bound_key])
                violations.append(
                    f"{describe_case(record)}: {value_format.format(value)}; the bound is {bound_key} {bound_text}."
                )
    return violations
