"""What asv runs: the bodies of the suite with made-up races, and the plugin that knows the name of the folder."""

import ast
from pathlib import Path

import numpy as np
import pytest

from benchmarks import asv_history, asv_suite
from benchmarks.asv_suite import CHOSEN, MEMORY_CHOSEN, PEAK_CHOSEN, SIDES, BothSides, Races
from benchmarks.memory import CASES
from benchmarks.suite import RACES


def test_the_suite_chooses_among_the_cases():
    assert set(CHOSEN) <= RACES.keys()
    assert set(MEMORY_CHOSEN) <= CASES.keys()
    for race in PEAK_CHOSEN:
        assert any(name.startswith("scikit-learn") for name in RACES[race].peers), race


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


def test_a_race_that_fails_costs_no_other(monkeypatch):
    good, missing, faulty, broken = CHOSEN[:4]
    ours = {"seconds": 1.0, "objective": 0.5, "accuracy": 0.9, "log_loss": 0.25}
    theirs = {"seconds": 4.0, "objective": 0.6, "accuracy": None, "log_loss": 0.5}
    record = {
        "peer": "lbfgs",
        "ratio": 4.0,
        "gap": -1e-3,
        "fault": "",
        "contenders": {"fastlin": ours, "lbfgs": theirs},
    }

    def measure(race):
        if race == missing:
            raise NotImplementedError("no data")
        if race == broken:
            raise OSError("no disk")
        return {race: {**record, "fault": "too high" if race == faulty else ""}}

    monkeypatch.setattr(asv_suite, "measure", measure)
    races = Races()
    records = races.setup_cache()
    races.setup(records, good)
    assert races.track_ratio_to_peer(records, good) == 0.25
    assert races.track_objective_gap(records, good) == 0
    both = BothSides()
    for side, expected in zip(SIDES, (ours, theirs), strict=True):
        both.setup(records, good, side)
        assert both.track_seconds(records, good, side) == expected["seconds"]
        assert both.track_objective(records, good, side) == expected["objective"]
        assert both.track_log_loss(records, good, side) == expected["log_loss"]
    assert both.track_accuracy(records, good, SIDES[0]) == 0.9
    assert np.isnan(both.track_accuracy(records, good, SIDES[1]))
    for race, error, words in (
        (missing, NotImplementedError, "no data"),
        (faulty, ValueError, "too high"),
        (broken, RuntimeError, "no disk"),
    ):
        with pytest.raises(error, match=words):
            races.setup(records, race)


def list_benchmarks():
    classes = [each for each in vars(asv_suite).values() if isinstance(each, type)]
    return {name: method for each in classes for name, method in vars(each).items() if name.startswith("track_")}


def test_asv_formats_seconds_and_bytes_and_every_other_number_is_short(monkeypatch):
    units = {name: method.unit for name, method in list_benchmarks().items()}
    assert {"seconds", "bytes"} < set(units.values())
    assert not {"s", "ms", "MB", "GB"} & set(units.values())
    long = 0.8556799999999999
    side = dict.fromkeys(("seconds", "objective", "accuracy", "log_loss"), long)
    record = {"peer": "lbfgs", "ratio": 1 / long, "gap": long, "contenders": {"fastlin": side}}
    monkeypatch.setattr(asv_suite, "measure_case", lambda case: {"fit_bytes": 12_345_678})
    monkeypatch.setattr(asv_suite, "measure_limit", lambda limit: {"part": long})
    # asv itself formats seconds and bytes.
    assert asv_suite.Memory().track_peak_beside_X(MEMORY_CHOSEN[0]) == 12_345_678
    found = [
        Races().track_ratio_to_peer({"x": record}, "x"),
        Races().track_objective_gap({"x": record}, "x"),
        BothSides().track_objective({"x": record}, "x", "fastlin"),
        BothSides().track_accuracy({"x": record}, "x", "fastlin"),
        BothSides().track_log_loss({"x": record}, "x", "fastlin"),
        asv_suite.Limits().track_part_of_limit(next(iter(asv_suite.LIMITS))),
    ]
    assert found == [0.8557, 0.8557, 0.85568, 0.8557, 0.8557, 85.57]


def test_only_the_folder_of_the_benchmarks_is_no_range(monkeypatch):
    pytest.importorskip("asv", reason="asv is of the extra bench.")
    from asv.config import Config

    from benchmarks.asv_plugins import run_folder

    conf = Config.load()
    assert run_folder._names_folder(conf, "benchmarks")
    assert run_folder._names_folder(conf, "./benchmarks/")
    assert not run_folder._names_folder(conf, "HEAD")
    assert not run_folder._names_folder(conf, "HEAD~1..HEAD")
    assert not run_folder._names_folder(conf, None)
