"""The claims: that claims.toml is whole, that each claim can be judged, and what stands in place of a verdict."""

import json
from inspect import signature

import pytest

from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import CLAIMS, NEEDS_CIFAR10, NEEDS_MNIST, NEEDS_WHOLE, NOT_RUN, judge_claims
from fastlin.course.studies.comparators import COMPARATORS, CONFIRMED, CONTRADICTED
from fastlin.course.texts import PLACE

TEXTS = {"reports", "task", "study", "says", "assumed", "how", "reported", "tolerance", "here", "verdict", "because"}
TASKS = {"1a", "1b", "2a", "2b", "2c", "2d", "2e", "3a", "3d", "4a", "4b", "4c", "4d", "4e"}
HOMEWORK = {"derivations", "two layers", "search", "depth", "batch norm", "dropout"}


ALL_STUDIES = {**STUDIES, **CIFAR10_STUDIES}


def make_entries(data="mnist", quick=False, **merits):
    """Return an entry for every study, which has no merits but those given."""
    parameters = {"quick": quick}
    return {name: {"data": data, "parameters": parameters, "merits": merits.get(name, {})} for name in ALL_STUDIES}


def judge(study, entries):
    (row,) = (row for row in judge_claims(entries) if row["study"] == study)
    return row


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim['task']}-{claim['reports']}-{claim['study']}")
def test_every_claim_names_its_reports_task_study_and_comparator(claim):
    is_homework = claim["reports"] == "H"
    assert claim["study"] in ALL_STUDIES
    assert set(claim["task"].split(", ")) <= (HOMEWORK if is_homework else TASKS)
    assert is_homework or set(claim["reports"].split(", ")) <= set("ABCD")
    assert claim["on"] == "cifar10" if claim["study"] in CIFAR10_STUDIES else claim["on"] in ("any", "mnist")
    assert claim["says"].endswith(".")
    assert claim["because"].endswith(".")
    assert claim["assumed"] == "–" or claim["assumed"].endswith(".")
    assert all((claim["how"], claim["reported"], claim["tolerance"]))
    # What is measured here, and the sentence, hold a measurement.
    assert all(PLACE.search(text) for text in (claim["here"], claim["because"]))
    (comparator,) = claim.keys() & COMPARATORS.keys()
    arguments = {name: value for name, value in claim[comparator].items() if name != "needs"}
    signature(COMPARATORS[comparator]).bind({}, **arguments)


def test_every_task_and_study_has_a_claim_and_every_comparator_is_used():
    assert {task for claim in CLAIMS for task in claim["task"].split(", ")} == TASKS | HOMEWORK
    assert {claim["study"] for claim in CLAIMS} == ALL_STUDIES.keys() - {"learning"}
    assert len({(claim["reports"], claim["task"], claim["says"]) for claim in CLAIMS}) == len(CLAIMS)
    assert {name for claim in CLAIMS for name in claim.keys() & COMPARATORS.keys()} == COMPARATORS.keys()


def check_rows(rows):
    """Fail where rows are not plain JSON values, one for each claim."""
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["says"] for row in rows] == [claim["says"] for claim in CLAIMS]
    for row in rows:
        assert row.keys() == TEXTS | {"data"}
        assert all(isinstance(row[name], str) for name in TEXTS)
        assert row["because"].endswith(".")


def test_studies_that_did_not_run():
    rows = judge_claims({})
    check_rows(rows)
    assert {(row["verdict"], row["here"], row["data"]) for row in rows} == {(NOT_RUN, "–", None)}
    assert all(row["study"] in row["because"] for row in rows)
    failed = judge_claims({}, ["images"])
    assert {row["because"] for row in failed if row["study"] == "images"} == {"The study images failed."}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("data", ["digits", "synthetic", "mnist", "cifar10"])
def test_other_data_cannot_show_every_claim(data, quick):
    rows = judge_claims(make_entries(data, quick))
    check_rows(rows)
    judged = NEEDS_WHOLE if quick else NOT_RUN
    # What is claimed of these data can be judged, but for the run.
    expected = {"any": judged, "mnist": NEEDS_MNIST, "cifar10": NEEDS_CIFAR10} | {data: judged}
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert (row["data"], row["verdict"], row["here"]) == (data, expected[claim["on"]], "–")


def test_a_verdict_follows_from_the_merits():
    merits = {"squared_norm": {"1": 1.0, "0.1": 2.0, "0": 3.0}}
    row = judge("l2_norm", make_entries("digits", l2_norm=merits))
    assert (row["verdict"], row["here"], row["data"]) == (CONFIRMED, "1, 2, 3", "digits")
    # The parameters of a run that an earlier program wrote have no "quick".
    entry = {"data": "digits", "parameters": {}, "merits": {"squared_norm": {"1": 3.0, "0": 1.0}}}
    assert judge("l2_norm", {"l2_norm": entry})["verdict"] == CONTRADICTED


@pytest.mark.parametrize(("draws", "verdict"), [(100, CONFIRMED), (99, NEEDS_WHOLE)])
def test_a_study_that_was_too_short_is_not_judged_by(draws, verdict):
    best = {"best_validation": 0.51, "median_validation": 0.5, "behind_the_best": 0.005}
    merits = {"draws": draws, "optimum_validation": 0.505, "optimum_rank": 7, **best}
    row = judge("cifar10_search", make_entries("cifar10", cifar10_search=merits))
    assert (row["verdict"], row["here"]) == (verdict, "0.505, rank 7; best draw 0.510")
