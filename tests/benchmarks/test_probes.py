"""Single probes: the objectives that they reach, and the published records. No test asserts a time."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks.bounds import describe_violations, read_bounds
from benchmarks.comparisons import FASTLIN
from benchmarks.fits import COMPARISONS, load_linear_probe
from benchmarks.probes import (
    CASES,
    ROUNDING_ERROR,
    SCIKIT_LEARN,
    TORCH,
    fit_torch_to_objective,
    make_default_comparison,
    measure_probe,
)
from benchmarks.tables import tabulate
from fastlin import LogisticRegression

load_small_probe = partial(load_linear_probe, n_all=300, n_features=8, n_classes=5)


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


def test_pytorch_stops_at_the_objective_or_the_time_limit():
    pytest.importorskip("torch", reason="PyTorch is in the extra baselines-torch.")
    problem = load_small_probe(100)
    model = LogisticRegression().fit(problem.X, problem.y)
    minimum, zeros = problem.objective(model.coef_, model.intercept_), (np.zeros((5, 8)), np.zeros(5))
    reached = problem.objective(*fit_torch_to_objective(problem, 1.01 * minimum))
    # The fit stops at the first sufficient evaluation.
    assert 1.0001 * minimum < reached <= (1.01 + ROUNDING_ERROR) * minimum
    first = problem.objective(*fit_torch_to_objective(problem, 0.0, time_limit=0.0))
    assert first == pytest.approx(problem.objective(*zeros))
    assert problem.objective(*fit_torch_to_objective(problem, 0.0)) == pytest.approx(minimum, rel=1e-4)
