"""What asv runs: the bodies of the suite with made-up races, and the plugin that knows the name of the folder."""

import ast
import math
from pathlib import Path
from unittest.mock import Mock

import pytest
from benchmark_records import make_race

from benchmarks import asv_history, asv_suite
from benchmarks.asv_suite import CHOSEN, OTHERS, Races
from benchmarks.suite import OTHERS as OTHER_CASES
from benchmarks.suite import RACES


def test_the_suite_chooses_among_the_cases():
    assert set(CHOSEN) <= RACES.keys()
    assert {case for case, *_ in OTHERS.values()} <= OTHER_CASES.keys()


@pytest.mark.parametrize("case", ["iris", "an epoch of mini-batches", "an epoch of a network"])
def test_the_history_calls_what_users_call(case):
    history = asv_history.History()
    history.setup(case)
    history.time_call(case)


def test_the_history_imports_nothing_of_the_other_benchmarks():
    """Inner modules that it imported would have to stay for as long as an earlier release is compared."""
    tree = ast.parse(Path(asv_history.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.split(".")[0] in ("fastlin", "benchmarks")} == {"fastlin"}


OURS = {"seconds": 1.0, "accuracy": 0.9, "log loss": 0.25, "objective": 0.5}
THEIRS = {"seconds": 4.0, "log loss": 0.5, "objective": 0.5}


def test_a_race_is_run_once_and_shown_side_by_side(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    record, asked = make_race(theirs=4.0, gap=-1e-3), []
    record["contenders"]["scikit-learn"]["accuracy"] = None
    monkeypatch.setattr(asv_suite, "measure", lambda race, whole: asked.append(race) or {race: record})
    found, races = {}, Races()
    for what in Races.params[1]:
        races.setup("digits", what)
        found[what] = races.track_result("digits", what)
    assert asked == ["digits"]
    assert math.isnan(found.pop("the peer's accuracy"))
    assert (found.pop("time over the peer's"), found.pop("objective above the peer's")) == (0.25, 0.0)
    assert {what: found[f"fastlin's {what}"] for what in OURS} == OURS
    assert {what: found[f"the peer's {what}"] for what in THEIRS} == THEIRS


@pytest.mark.parametrize(
    ("measured", "raised"),
    [
        (NotImplementedError("on purpose"), NotImplementedError),
        (OSError("on purpose"), RuntimeError),
        ([{"digits": make_race(fault="on purpose")}], RuntimeError),
    ],
    ids=["missing", "failed", "unequal"],
)
def test_a_race_that_is_no_figure_says_so_to_all_that_ask(monkeypatch, tmp_path, measured, raised):
    monkeypatch.setattr(asv_suite, "measure", Mock(side_effect=measured))
    for _ in range(2):
        with pytest.raises(raised, match="on purpose"):
            asv_suite.find_records("digits", tmp_path)
    assert asv_suite.measure.call_count == 1


def test_other_cases_are_numbers_of_their_records(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    records = {
        "limit-step": {"part": 0.85568},
        "memory-text": {"fit_bytes": 12_345_678, "peer_bytes": None},
        "pass-scaling": {"seconds": {"n": [1.0, 2.0, 3.0, 4.0, 5.0]}},
    }
    first_use = {"import": {"contenders": {"fastlin": {"seconds": 0.25}}}}
    # The first fit ever is of whole measurements alone.
    measured = {(case, False): {case: record} for case, record in records.items()} | {("first-use", True): first_use}
    monkeypatch.setattr(asv_suite, "measure", lambda case, whole: measured[case, whole])

    def track(what):
        others = asv_suite.Others()
        others.setup(what)
        return others.track_number(what)

    assert track("limit-step, part of the limit's speed") == 0.85568
    assert track("memory-text, bytes beside X") == 12_345_678
    assert math.isnan(track("memory-text, bytes of scikit-learn"))
    assert track("pass, n × 10, seconds") == 5.0
    assert track("import, seconds") == 0.25


def test_only_the_folder_of_the_benchmarks_is_no_range(monkeypatch):
    pytest.importorskip("asv", reason="asv is of the extra bench.")
    from asv.config import Config

    from benchmarks.asv_plugins import names

    ranges = {"benchmarks": True, "./benchmarks/": True, "HEAD": False, "HEAD~1..HEAD": False, None: False}
    assert {each: names._names_folder(Config.load(), each) for each in ranges} == ranges
