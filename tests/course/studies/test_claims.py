"""The claims: claims.toml is complete, verdicts follow from comparators, and reasons for missing verdicts."""

import json
from inspect import signature

import pytest

from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import CLAIMS, NEEDS_CIFAR10, NEEDS_FULL_RUN, NEEDS_MNIST, NOT_RUN, evaluate_claims
from fastlin.course.studies.comparators import (
    COMPARATORS,
    CONFIRMED,
    CONTRADICTED,
    DEPENDS_ON_THE_MEASURE,
    DEPENDS_ON_THE_SETTING,
    NOT_CONFIRMED,
    SHOWS_SIGNS,
)
from fastlin.course.text_templates import PLACEHOLDER_PATTERN

COLUMNS = {"reports", "task", "study", "says", "assumed", "how", "reported", "tolerance", "here", "verdict", "because"}
COURSE_TASKS = {"1a", "1b", "2a", "2b", "2c", "2d", "2e", "3a", "3d", "4a", "4b", "4c", "4d", "4e"}
HOMEWORK = {"derivations", "two layers", "search", "depth", "batch norm", "dropout"}

ALL_STUDIES = {**STUDIES, **CIFAR10_STUDIES}


def make_study_entries(data="mnist", quick=False, **metrics):
    """Return an entry for every study, with the given metrics."""
    parameters = {"quick": quick}
    return {name: {"data": data, "parameters": parameters, "metrics": metrics.get(name, {})} for name in ALL_STUDIES}


def evaluate_claim(study, entries):
    (row,) = (row for row in evaluate_claims(entries) if row["study"] == study)
    return row


def test_every_claim_has_reports_task_study_and_comparator():
    for claim in CLAIMS:
        is_homework = claim["reports"] == "H"
        assert claim["study"] in ALL_STUDIES
        assert set(claim["task"].split(", ")) <= (HOMEWORK if is_homework else COURSE_TASKS)
        assert is_homework or set(claim["reports"].split(", ")) <= set("ABCD")
        # Formulas can be checked on any images. Observations can only be evaluated on the data of the report.
        observed_data_set = "cifar10" if claim["study"] in CIFAR10_STUDIES else "mnist"
        assert claim["on"] == ("any" if claim["study"] == "gradient_check" else observed_data_set)
        assert claim["says"].endswith(".")
        assert claim["because"].endswith(".")
        assert claim["assumed"] == "–" or claim["assumed"].endswith(".")
        assert all((claim["how"], claim["reported"], claim["tolerance"]))
        # Both texts contain a measured value.
        assert all(PLACEHOLDER_PATTERN.search(text) for text in (claim["here"], claim["because"]))
        (comparator,) = claim.keys() & COMPARATORS.keys()
        arguments = {name: value for name, value in claim[comparator].items() if name != "needs"}
        signature(COMPARATORS[comparator]).bind({}, **arguments)


def test_every_task_and_study_has_a_claim():
    assert {task for claim in CLAIMS for task in claim["task"].split(", ")} == COURSE_TASKS | HOMEWORK
    assert {claim["study"] for claim in CLAIMS} == ALL_STUDIES.keys() - {"learning"}
    assert len({(claim["reports"], claim["task"], claim["says"]) for claim in CLAIMS}) == len(CLAIMS)
    assert {name for claim in CLAIMS for name in claim.keys() & COMPARATORS.keys()} == COMPARATORS.keys()


def check_rows(rows):
    """Assert that rows are plain JSON values, one for each claim."""
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["says"] for row in rows] == [claim["says"] for claim in CLAIMS]
    for row in rows:
        assert row.keys() == COLUMNS | {"data"}
        assert all(isinstance(row[name], str) for name in COLUMNS)
        assert row["because"].endswith(".")


def test_claims_of_studies_that_did_not_run_have_no_verdict():
    rows = evaluate_claims({})
    check_rows(rows)
    assert {(row["verdict"], row["here"], row["data"]) for row in rows} == {(NOT_RUN, "–", None)}
    assert all(row["study"] in row["because"] for row in rows)
    failed = evaluate_claims({}, ["images"])
    assert {row["because"] for row in failed if row["study"] == "images"} == {"The study images failed."}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("data", ["digits", "synthetic", "mnist", "cifar10"])
def test_other_data_cannot_show_every_claim(data, quick):
    rows = evaluate_claims(make_study_entries(data, quick))
    check_rows(rows)
    reason = NEEDS_FULL_RUN if quick else NOT_RUN
    # On its own data, a claim only lacks a full run.
    expected = {"any": reason, "mnist": NEEDS_MNIST, "cifar10": NEEDS_CIFAR10} | {data: reason}
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert (row["data"], row["verdict"], row["here"]) == (data, expected[claim["on"]], "–")


def test_verdicts_follow_from_the_metrics():
    metrics = {"squared_norm": {"1": 1.0, "0.1": 2.0, "0": 3.0}}
    row = evaluate_claim("l2_norm", make_study_entries("mnist", l2_norm=metrics))
    assert (row["verdict"], row["here"], row["data"]) == (CONFIRMED, "1, 2, 3", "mnist")
    # Results of an earlier version have no parameter "quick".
    entry = {"data": "mnist", "parameters": {}, "metrics": {"squared_norm": {"1": 3.0, "0": 1.0}}}
    assert evaluate_claim("l2_norm", {"l2_norm": entry})["verdict"] == CONTRADICTED


@pytest.mark.parametrize(("width", "verdict"), [(28, CONFIRMED), (8, CONTRADICTED)])
def test_the_width_of_the_images_is_compared_with_the_reported_width(width, verdict):
    metrics = {"side": width, "width_of_most_alike_rows": width, "correlation_at_that_width": 0.7}
    row = evaluate_claim("images", make_study_entries("mnist", images=metrics))
    assert (row["verdict"], row["reported"], row["here"]) == (verdict, "28", str(width))
    row = evaluate_claim("images", make_study_entries("digits", images=metrics))
    assert (row["verdict"], row["reported"], row["here"]) == (NEEDS_MNIST, "28", "–")
    assert row["because"] == "It was observed on MNIST, but this run used scikit-learn's 8 × 8 digits."


@pytest.mark.parametrize(("draws", "verdict"), [(100, CONFIRMED), (99, NEEDS_FULL_RUN)])
def test_a_study_that_was_too_short_gives_no_verdict(draws, verdict):
    best = {"best_validation": 0.51, "median_validation": 0.5, "behind_the_best": 0.005}
    metrics = {"draws": draws, "optimum_validation": 0.505, "optimum_rank": 7, **best}
    row = evaluate_claim("cifar10_search", make_study_entries("cifar10", cifar10_search=metrics))
    assert (row["verdict"], row["here"]) == (verdict, "0.505, rank 7; best draw 0.510")


def make_comparison_counts(n_better, n_worse, of=10):
    return {"better": n_better, "worse": n_worse, "of": of}


def make_slope_metrics(before, after, training):
    changes_by_name = {"b": before, "a": after, "t": training}
    return {"s": {name: {"change": change, "error": 0.1} for name, change in changes_by_name.items()}}


def make_overfitting_metrics(rise, gap, growth):
    return {"rise": rise, "gap": gap, "growth": growth, "error": 0.1}


WITHIN_TOLERANCE_ARGUMENTS = {"values": ["a"], "of": [33], "by": 1}
EQUAL_VALUES_ARGUMENTS = {"values": ["a"], "of": ["b"], "by": 0}
TWO_VALUES_ARGUMENTS = {"values": ["a", "b"], "of": [1, 2], "by": 0.2}
BETWEEN_LIMITS_ARGUMENTS = {"values": ["a"], "lowest": 1, "highest": 3}
FRACTION_ARGUMENTS = {"part": "part", "of": "of", "confirmed_from": 0.9, "contradicted_to": 0}
SIGNIFICANCE_ARGUMENTS = {"value": "g", "error": "e", "of": "n"}
PLATEAU_ARGUMENTS = {"before": "s/b", "after": "s/a", "training": "s/t"}
OVERFITTING_ARGUMENTS = {"rise": "rise", "by": 0.01, "gap": "gap", "growth": "growth", "error": "error"}
CASES = [
    ("within", {"a": 33.5}, WITHIN_TOLERANCE_ARGUMENTS, CONFIRMED),
    ("within", {"a": 34.1}, WITHIN_TOLERANCE_ARGUMENTS, CONTRADICTED),
    ("within", {"a": None}, WITHIN_TOLERANCE_ARGUMENTS, CONTRADICTED),
    ("within", {"a": 28, "b": 28}, EQUAL_VALUES_ARGUMENTS, CONFIRMED),
    ("within", {"a": 27, "b": 28}, EQUAL_VALUES_ARGUMENTS, CONTRADICTED),
    ("within", {"a": 1, "b": 2.1}, TWO_VALUES_ARGUMENTS, CONFIRMED),
    ("within", {"a": 1, "b": 2.3}, TWO_VALUES_ARGUMENTS, CONTRADICTED),
    ("within", {"a": {"x": 1e-9, "y": 2e-6}}, {"values": ["a"], "of": [0], "by": 1e-6}, CONTRADICTED),
    ("between", {"a": {"x": 1, "y": 3}}, BETWEEN_LIMITS_ARGUMENTS, CONFIRMED),
    ("between", {"a": {"x": 1, "y": 4}}, BETWEEN_LIMITS_ARGUMENTS, DEPENDS_ON_THE_SETTING),
    ("between", {"a": {"x": 0, "y": 4}}, BETWEEN_LIMITS_ARGUMENTS, CONTRADICTED),
    ("fraction", {"part": 18, "of": 20}, FRACTION_ARGUMENTS, CONFIRMED),
    ("fraction", {"part": 17, "of": 20}, FRACTION_ARGUMENTS, NOT_CONFIRMED),
    ("fraction", {"part": 0, "of": 20}, FRACTION_ARGUMENTS, CONTRADICTED),
    ("fraction", {"part": 1, "of": 1}, {**FRACTION_ARGUMENTS, "min_number": 2}, NOT_CONFIRMED),
    (
        "fraction",
        {"part": 1, "of": 3},
        {**FRACTION_ARGUMENTS, "otherwise": DEPENDS_ON_THE_SETTING},
        DEPENDS_ON_THE_SETTING,
    ),
    (
        "measures",
        {"m": {"x": make_comparison_counts(8, 2), "y": make_comparison_counts(16, 4, 20)}},
        {"rows": "m"},
        CONFIRMED,
    ),
    (
        "measures",
        {"m": {"x": make_comparison_counts(8, 2), "y": make_comparison_counts(2, 8)}},
        {"rows": "m"},
        DEPENDS_ON_THE_MEASURE,
    ),
    (
        "measures",
        {"m": {"x": make_comparison_counts(8, 2), "y": make_comparison_counts(7, 3)}},
        {"rows": "m"},
        DEPENDS_ON_THE_MEASURE,
    ),
    (
        "measures",
        {"m": {"x": make_comparison_counts(5, 5), "y": make_comparison_counts(0, 0)}},
        {"rows": "m"},
        NOT_CONFIRMED,
    ),
    (
        "measures",
        {"m": {"x": make_comparison_counts(5, 5), "y": make_comparison_counts(2, 8)}},
        {"rows": "m"},
        CONTRADICTED,
    ),
    ("falls", {"v": {"1": 1.0, "0.1": 2.0, "0": 3.0}}, {"values": "v"}, CONFIRMED),
    ("falls", {"v": {"1": 1.0, "0.1": 2.0, "0": 2.0}}, {"values": "v"}, CONFIRMED),
    ("falls", {"v": {"1": 1.0, "0.1": 3.0, "0": 2.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": 2.0, "0.1": 2.0, "0": 2.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": float("nan"), "0.1": 2.0, "0": 3.0}}, {"values": "v"}, NOT_CONFIRMED),
    ("falls", {"v": {"1": 3.0, "0.1": 2.0, "0": 1.0}}, {"values": "v"}, CONTRADICTED),
    # The 95 % quantile of Student's t is 2.776 for five seeds and 4.303 for three.
    ("significant", {"g": 0.28, "e": 0.1, "n": 5}, SIGNIFICANCE_ARGUMENTS, CONFIRMED),
    ("significant", {"g": 0.27, "e": 0.1, "n": 5}, SIGNIFICANCE_ARGUMENTS, NOT_CONFIRMED),
    ("significant", {"g": 0.42, "e": 0.1, "n": 3}, SIGNIFICANCE_ARGUMENTS, NOT_CONFIRMED),
    ("significant", {"g": -0.28, "e": 0.1, "n": 5}, SIGNIFICANCE_ARGUMENTS, CONTRADICTED),
    ("plateau", make_slope_metrics(2.0, 0.2, 1.0), PLATEAU_ARGUMENTS, CONFIRMED),
    ("plateau", make_slope_metrics(2.0, -1.0, 1.0), PLATEAU_ARGUMENTS, CONFIRMED),
    ("plateau", make_slope_metrics(2.0, 0.4, 1.0), PLATEAU_ARGUMENTS, SHOWS_SIGNS),
    # The slope is not below the slope before the step, or not below the slope of the training accuracy.
    ("plateau", make_slope_metrics(0.6, 0.4, 1.0), PLATEAU_ARGUMENTS, CONTRADICTED),
    ("plateau", make_slope_metrics(2.0, 0.8, 1.0), PLATEAU_ARGUMENTS, CONTRADICTED),
    ("plateau", make_slope_metrics(2.0, 0.0, 0.2), PLATEAU_ARGUMENTS, CONTRADICTED),
    ("overfits", make_overfitting_metrics(0.01, 0.0, 0.0), OVERFITTING_ARGUMENTS, CONFIRMED),
    ("overfits", make_overfitting_metrics(0.009, 0.5, 0.21), OVERFITTING_ARGUMENTS, SHOWS_SIGNS),
    ("overfits", make_overfitting_metrics(0.009, 0.5, 0.2), OVERFITTING_ARGUMENTS, CONTRADICTED),
    ("overfits", make_overfitting_metrics(0.009, -0.5, 0.3), OVERFITTING_ARGUMENTS, CONTRADICTED),
]


@pytest.mark.parametrize(("name", "metrics", "arguments", "verdict"), CASES)
def test_a_comparator_gives_each_of_its_verdicts(name, metrics, arguments, verdict):
    assert COMPARATORS[name](metrics, **arguments) == verdict
