"""The comparators of the claims: each verdict for made-up merits."""

import pytest

from fastlin.course.studies.comparators import (
    COMPARATORS,
    CONFIRMED,
    CONTRADICTED,
    DEPENDS_ON_THE_MEASURE,
    DEPENDS_ON_THE_SETTING,
    NOT_CONFIRMED,
    SHOWS_SIGNS,
)


def orders(better, worse, of=10):
    return {"better": better, "worse": worse, "of": of}


def slopes(before, after, training):
    named = {"b": before, "a": after, "t": training}
    return {"s": {name: {"change": change, "error": 0.1} for name, change in named.items()}}


def overfitting(rise, gap, growth):
    return {"rise": rise, "gap": gap, "growth": growth, "error": 0.1}


WITHIN = {"values": ["a"], "of": [33], "by": 1}
EQUAL = {"values": ["a"], "of": ["b"], "by": 0}
BOTH = {"values": ["a", "b"], "of": [1, 2], "by": 0.2}
BETWEEN = {"values": ["a"], "lowest": 1, "highest": 3}
SHARE = {"part": "part", "of": "of", "confirmed_from": 0.9, "contradicted_to": 0}
SIGNIFICANT = {"value": "g", "error": "e", "of": "n"}
PLATEAU = {"before": "s/b", "after": "s/a", "training": "s/t"}
OVERFITS = {"rise": "rise", "by": 0.01, "gap": "gap", "growth": "growth", "error": "error"}
CASES = [
    ("within", {"a": 33.5}, WITHIN, CONFIRMED),
    ("within", {"a": 34.1}, WITHIN, CONTRADICTED),
    ("within", {"a": None}, WITHIN, CONTRADICTED),
    ("within", {"a": 28, "b": 28}, EQUAL, CONFIRMED),
    ("within", {"a": 27, "b": 28}, EQUAL, CONTRADICTED),
    ("within", {"a": 1, "b": 2.1}, BOTH, CONFIRMED),
    ("within", {"a": 1, "b": 2.3}, BOTH, CONTRADICTED),
    ("within", {"a": {"x": 1e-9, "y": 2e-6}}, {"values": ["a"], "of": [0], "by": 1e-6}, CONTRADICTED),
    ("between", {"a": {"x": 1, "y": 3}}, BETWEEN, CONFIRMED),
    ("between", {"a": {"x": 1, "y": 4}}, BETWEEN, DEPENDS_ON_THE_SETTING),
    ("between", {"a": {"x": 0, "y": 4}}, BETWEEN, CONTRADICTED),
    ("share", {"part": 18, "of": 20}, SHARE, CONFIRMED),
    ("share", {"part": 17, "of": 20}, SHARE, NOT_CONFIRMED),
    ("share", {"part": 0, "of": 20}, SHARE, CONTRADICTED),
    ("share", {"part": 1, "of": 1}, {**SHARE, "least": 2}, NOT_CONFIRMED),
    ("share", {"part": 1, "of": 3}, {**SHARE, "otherwise": DEPENDS_ON_THE_SETTING}, DEPENDS_ON_THE_SETTING),
    ("measures", {"m": {"x": orders(8, 2), "y": orders(16, 4, 20)}}, {"rows": "m"}, CONFIRMED),
    ("measures", {"m": {"x": orders(8, 2), "y": orders(2, 8)}}, {"rows": "m"}, DEPENDS_ON_THE_MEASURE),
    ("measures", {"m": {"x": orders(8, 2), "y": orders(7, 3)}}, {"rows": "m"}, DEPENDS_ON_THE_MEASURE),
    ("measures", {"m": {"x": orders(5, 5), "y": orders(0, 0)}}, {"rows": "m"}, NOT_CONFIRMED),
    ("measures", {"m": {"x": orders(5, 5), "y": orders(2, 8)}}, {"rows": "m"}, CONTRADICTED),
    ("falls", {"v": {"1": 1.0, "0.1": 2.0, "0": 3.0}}, {"values": "v"}, CONFIRMED),
    ("falls", {"v": {"1": 1.0, "0.1": 2.0, "0": 2.0}}, {"values": "v"}, CONFIRMED),
    ("falls", {"v": {"1": 1.0, "0.1": 3.0, "0": 2.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": 2.0, "0.1": 2.0, "0": 2.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": float("nan"), "0.1": 2.0, "0": 3.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": 3.0, "0.1": 2.0, "0": 1.0}}, {"values": "v"}, CONTRADICTED),
    # Student's t of 95 % is 2.776 for five seeds and 4.303 for three.
    ("significant", {"g": 0.28, "e": 0.1, "n": 5}, SIGNIFICANT, CONFIRMED),
    ("significant", {"g": 0.27, "e": 0.1, "n": 5}, SIGNIFICANT, NOT_CONFIRMED),
    ("significant", {"g": 0.42, "e": 0.1, "n": 3}, SIGNIFICANT, NOT_CONFIRMED),
    ("significant", {"g": -0.28, "e": 0.1, "n": 5}, SIGNIFICANT, CONTRADICTED),
    ("plateau", slopes(2.0, 0.2, 1.0), PLATEAU, CONFIRMED),
    ("plateau", slopes(2.0, -1.0, 1.0), PLATEAU, CONFIRMED),
    ("plateau", slopes(2.0, 0.4, 1.0), PLATEAU, SHOWS_SIGNS),
    # Not below the slope before the step, or not below that of the training accuracy.
    ("plateau", slopes(0.6, 0.4, 1.0), PLATEAU, CONTRADICTED),
    ("plateau", slopes(2.0, 0.8, 1.0), PLATEAU, CONTRADICTED),
    ("plateau", slopes(2.0, 0.0, 0.2), PLATEAU, CONTRADICTED),
    ("overfits", overfitting(0.01, 0.0, 0.0), OVERFITS, CONFIRMED),
    ("overfits", overfitting(0.009, 0.5, 0.21), OVERFITS, SHOWS_SIGNS),
    ("overfits", overfitting(0.009, 0.5, 0.2), OVERFITS, CONTRADICTED),
    ("overfits", overfitting(0.009, -0.5, 0.3), OVERFITS, CONTRADICTED),
]


@pytest.mark.parametrize(("name", "merits", "arguments", "verdict"), CASES)
def test_a_comparator_gives_each_of_its_verdicts(name, merits, arguments, verdict):
    assert COMPARATORS[name](merits, **arguments) == verdict
