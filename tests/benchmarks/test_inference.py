"""Fits with standard errors: the contenders reach one maximum and one table, and what is published of it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import inference, races
from benchmarks.bounds import find_broken_bounds, read_bounds
from benchmarks.inference import CASES, STATSMODELS, measure_inference, measure_memory, scale_to_all_fits
from benchmarks.pages import BLOCKS, choose_races
from benchmarks.races import FASTLIN

pytest.importorskip("statsmodels", reason="statsmodels is of the extra test.")
pytest.importorskip("glum", reason="glum is of the extra test.")


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(races, "PAUSE", 0.0)
    monkeypatch.setattr(races, "TURN", 1e-9)


def test_every_contender_has_the_same_table():
    for name in ("inference-logit-1000000", "inference-mnlogit-400000"):
        race = CASES[name].race
        problem = race.load(800)
        solutions = [race.solve(problem), *(solve(problem) for solve in race.peers.values())]
        (coef, errors), *others = [inference._list_estimates(solution) for solution in solutions]
        assert coef.shape == (problem.n_classes - 1, problem.X.shape[1] + 1)
        for their_coef, their_errors in others:
            assert abs(coef - their_coef).max() <= 1e-2 * errors.min()
            assert their_errors == pytest.approx(errors, rel=1e-3)


def test_a_peer_that_fits_the_first_resamples_is_scaled_to_all():
    contenders = {FASTLIN: {"seconds": 1.0}, "peer": {"seconds": 3.0}}
    record = {"contenders": contenders, "ratio": 2.5, "interval": [2.0, 4.0]}
    scale_to_all_fits(record, SimpleNamespace(n_fits=100, rows=range(10)))
    assert contenders == {FASTLIN: {"seconds": 1.0}, "peer": {"seconds": 30.0, "n_measured": 10}}
    assert (record["ratio"], record["interval"]) == (25.0, [20.0, 40.0])


def test_tables_and_bootstraps_are_measured_and_published(monkeypatch):
    records = {}
    for name, rows in (("inference-logit-1000000", 800), ("bootstrap-5000", 400)):
        case = CASES[name]
        monkeypatch.setitem(CASES, name, replace(case, race=replace(case.race, rows=rows)))
        records |= {name: measure_inference(name)}
        # Plain values alone.
        assert json.loads(json.dumps(records[name])) == records[name]
        assert records[name]["fault"] == ""
        peer = records[name]["contenders"][records[name]["peer"]]
        assert peer["errors_apart"] < 1e-2
    assert peer["n_measured"] == 10
    for record in records.values():
        record["date"] = "2026-01-02"
        record["contenders"][FASTLIN]["seconds"] = 10.0
    machine = {"name": "a", "processor": "A", "processors": 2, "level": "x86-64-v3"}
    machines = {"a": {"machine": machine, "records": records}}
    rows = [line for line in BLOCKS["inference"](machines).splitlines() if line.startswith("| **")]
    assert any(f"**{STATSMODELS} newton" in row for row in rows)
    assert any("10 fits measured**" in row for row in rows)
    assert choose_races(machines).endswith("of 2 fits with standard errors")
    assert [len(find_broken_bounds(read_bounds(), name, records[name], "x86-64-v3")) for name in records] == [1, 1]


@pytest.mark.thorough
def test_the_memory_of_both_is_measured_in_processes_of_their_own():
    name = "inference-mnlogit-400000"
    problem = CASES[name].race.load(20_000)
    ours, theirs = (measure_memory(name, problem, contender) for contender in (FASTLIN, f"{STATSMODELS} newton"))
    # statsmodels holds the probabilities of all rows and more.
    assert 0 < ours < theirs
