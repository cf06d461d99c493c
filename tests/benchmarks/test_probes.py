"""Single probes: the objectives that they reach, and the published records. No test asserts a time."""

import json
from dataclasses import replace
from functools import partial

import pytest

from benchmarks.bounds import describe_violations, read_bounds
from benchmarks.comparisons import FASTLIN
from benchmarks.fits import COMPARISONS, load_linear_probe
from benchmarks.probes import (
    CASES,
    SCIKIT_LEARN,
    TORCH,
    find_seconds_to_objective,
    fit_torch_to_target,
    list_iterations,
    make_default_comparison,
    measure_probe,
)
from benchmarks.tables import tabulate
from fastlin import LogisticRegression

load_small_probe = partial(load_linear_probe, n_all=300, n_features=8, n_classes=5)


def test_the_time_to_an_objective_includes_time_outside_iterations():
    points = [(1.0, 0.9), (2.0, 0.5), (3.0, 0.7), (4.0, 0.3)]
    assert [find_seconds_to_objective(points, objective) for objective in (1.0, 0.9, 0.6, 0.5, 0.4, 0.2)] == [
        1,
        1,
        2,
        2,
        4,
        None,
    ]
    problem = load_small_probe(100)
    model = LogisticRegression().fit(problem.X, problem.y)
    points = list_iterations(model, model.history_[-1].seconds + 10)
    assert points[0] == (pytest.approx(10 + model.history_[0].seconds), model.history_[0].objective)
    assert points[-1][1] == pytest.approx(problem.objective(model.coef_, model.intercept_), rel=1e-5)


def test_records_of_a_probe_are_published():
    pytest.importorskip("torch", reason="PyTorch is in the extra baselines-torch.")
    measure = partial(
        measure_probe, comparison=make_default_comparison(replace(COMPARISONS["probe-300"], load=load_small_probe))
    )
    record = replace(CASES["probe-times-300"], load=load_small_probe, rows=300, measure=measure)()
    assert json.loads(json.dumps(record)) == record
    assert record["failure"] == ""
    ours, theirs, torch = (record["libraries"][name] for name in (FASTLIN, SCIKIT_LEARN, TORCH))
    assert ours["objective"] == pytest.approx(theirs["objective"], rel=1e-3)
    assert 0 <= ours["certified_gap"] <= 1e-4
    assert torch["objective"] <= ours["objective"] * (1 + 1.1e-4)
    assert torch["seconds_to_fastlin"] > 0
    lost = {**record, "ratio": 0.5, "interval": None, "ratios": dict.fromkeys(record["ratios"])}
    lost["libraries"] = {**record["libraries"], TORCH: {**torch, "seconds": 120.0, "seconds_to_fastlin": None}}
    (table,) = tabulate({"probe-times-300": lost})
    assert table.bold_mask == [True]
    assert table.rows[0][0] == "300 × 8, 5 classes, float32"
    assert "over 120 s" in " ".join(table.rows[0])
    assert len(describe_violations(read_bounds(), {"probe-times-300": lost}, "x86-64-v3")) == 4


def test_pytorch_stops_at_the_target_or_the_time_limit():
    pytest.importorskip("torch", reason="PyTorch is in the extra baselines-torch.")
    problem = load_small_probe(100)
    model = LogisticRegression().fit(problem.X, problem.y)
    target = 1.01 * problem.objective(model.coef_, model.intercept_)
    torch_fit = fit_torch_to_target(problem, target)
    assert [objective <= target for _, objective in torch_fit.points] == [False] * (len(torch_fit.points) - 1) + [True]
    assert torch_fit.lowest_objective == pytest.approx(torch_fit.points[-1][1], rel=1e-5)
    assert len(fit_torch_to_target(problem, target=0.0, time_limit=0.0).points) == 1
    assert fit_torch_to_target(problem, target=0.0, max_iter=3).lowest_objective > 0
