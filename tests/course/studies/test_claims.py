"""The table of claims: that each claim can be measured, and what stands in place of a verdict."""

import json

import pytest

from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import CLAIMS, NEEDS_CIFAR10, NEEDS_MNIST, NOT_RUN, judge_claims
from fastlin.course.studies.verdicts import CONFIRMED, CONTRADICTED, NEEDS_WHOLE, NOT_CONFIRMED

COLUMNS = {
    "reports",
    "task",
    "study",
    "data",
    "says",
    "how",
    "reported",
    "tolerance",
    "here",
    "verdict",
    "because",
}
TASKS = {"1a", "1b", "2a", "2b", "2c", "2d", "2e", "3a", "3b", "3c", "3d", "4a", "4b", "4c", "4d", "4e"}
HOMEWORK = {"two layers", "search", "depth", "batch norm", "dropout"}


def make_entries(data="mnist", quick=False, **merits):
    """Return an entry for every study, which has no merits but those given."""
    return {
        study: {"data": data, "parameters": {"quick": quick}, "merits": merits.get(study, {})}
        for study in {**STUDIES, **CIFAR10_STUDIES}
    }


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.task}-{claim.reports}-{claim.study}")
def test_every_claim_names_its_reports_task_and_study(claim):
    is_homework = claim.study in CIFAR10_STUDIES
    assert is_homework or claim.study in STUDIES
    assert set(claim.task.split(", ")) <= (HOMEWORK if is_homework else TASKS)
    assert set(claim.reports.split(", ")) <= ({"H"} if is_homework else set("ABCD"))
    assert claim.on in (("cifar10",) if is_homework else ("any", "mnist"))
    assert claim.says.endswith(".")
    assert all((claim.how, claim.reported, claim.tolerance))


def test_every_task_and_study_has_a_claim():
    assert {task for claim in CLAIMS for task in claim.task.split(", ")} == TASKS | HOMEWORK
    assert {claim.study for claim in CLAIMS} == {*STUDIES, *CIFAR10_STUDIES} - {"compare", "learning"}
    assert len({(claim.reports, claim.task, claim.says) for claim in CLAIMS}) == len(CLAIMS)


def check_rows(rows):
    """Fail where rows are not plain JSON values, one for each claim."""
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["says"] for row in rows] == [claim.says for claim in CLAIMS]
    for row in rows:
        assert row.keys() == COLUMNS
        assert all(isinstance(value, str) for name, value in row.items() if name != "data")
        assert row["because"].endswith(".")


def test_studies_that_did_not_run():
    rows = judge_claims({})
    check_rows(rows)
    assert {(row["verdict"], row["here"], row["data"]) for row in rows} == {(NOT_RUN, "–", None)}
    assert all(row["study"] in row["because"] for row in rows)


def test_merits_that_are_missing():
    for row in judge_claims(make_entries()):
        if row["study"] not in CIFAR10_STUDIES:
            assert (row["verdict"], row["here"]) == (NOT_RUN, "–")
            assert row["because"].startswith("The study did not measure ")


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("data", ["digits", "synthetic", "mnist", "cifar10"])
def test_other_data_cannot_show_every_claim(data, quick):
    rows = judge_claims(make_entries(data, quick))
    check_rows(rows)
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert row["data"] == data
        if claim.on == "mnist" and data != "mnist":
            assert (row["verdict"], row["here"]) == (NEEDS_MNIST, "–")
        elif claim.on == "cifar10" and data != "cifar10":
            assert (row["verdict"], row["here"]) == (NEEDS_CIFAR10, "–")
        else:
            assert (row["verdict"], row["here"]) == (NEEDS_WHOLE if quick else NOT_RUN, "–")


def test_a_verdict_follows_from_the_merits():
    merits = {"squared_norm": {"1": 1.0, "0.1": 2.0, "0": 3.0}}
    (row,) = (row for row in judge_claims(make_entries("digits", l2_norm=merits)) if row["study"] == "l2_norm")
    assert (row["verdict"], row["here"], row["data"]) == (CONFIRMED, "1 2 3", "digits")
    # The parameters of a run that an earlier program wrote have no "quick".
    entry = {"data": "digits", "parameters": {}, "merits": {"squared_norm": {"1": 3.0, "0": 1.0}}}
    (row,) = (row for row in judge_claims({"l2_norm": entry}) if row["study"] == "l2_norm")
    assert row["verdict"] == CONTRADICTED
    assert len({CONFIRMED, NOT_CONFIRMED, CONTRADICTED, NEEDS_MNIST, NEEDS_CIFAR10, NOT_RUN, NEEDS_WHOLE}) == 7
