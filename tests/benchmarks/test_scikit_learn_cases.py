"""Cases of scikit-learn's issues and suites: the data are the published ones, and the peers scikit-learn's solvers."""

from dataclasses import replace
from functools import partial

import pytest

from benchmarks import races, scikit_learn_cases
from benchmarks.pages import BLOCKS
from benchmarks.races import FASTLIN
from benchmarks.scikit_learn_cases import BENCH, CASES, FEW, L1, THREADS_TABLE, measure_scikit_learn_cases
from fastlin.contenders import fit_fastlin

# The objectives of scikit-learn's pull request 33160, without an intercept: those of saga, to twelve places.
PUBLISHED = {2: 0.493598632171, 3: 0.752265142327}


def test_the_cases_are_those_that_are_published():
    assert len({case.name for case in CASES}) == len(CASES)
    sizes = {group: [case.shape for case in CASES if case.group == group] for group in (BENCH, THREADS_TABLE, L1)}
    assert [len(shapes) for shapes in sizes.values()] == [4, 18, 6]
    assert max(sizes[THREADS_TABLE]) == (1_000_000, 100, 32)
    assert {case.shape[0] for case in FEW} == {100}
    # The others are too large for a test.
    for case in FEW:
        problem = case.load(None)
        assert (*problem.X.shape, problem.n_classes) == case.shape
    X = CASES[0].load(50).X
    assert X.shape == (50, 50)


def test_the_problem_of_l1_has_the_published_minimum():
    for case in CASES:
        if case.group == L1 and "without" in case.name and case.shape[2] in PUBLISHED:
            problem = case.load(None)
            found = problem.objective(*fit_fastlin(problem, tol=1e-11))
            assert found == pytest.approx(PUBLISHED[case.shape[2]], rel=1e-10)


def test_a_case_is_measured_and_published_with_the_solvers_of_scikit_learn_alone(monkeypatch):
    monkeypatch.setattr(races, "PAUSE", 0.0)
    monkeypatch.setattr(races, "TURN", 1e-9)
    load = partial(scikit_learn_cases._load_threads, n=300, d=10, K=3)
    many = replace(next(case for case in CASES if case.tried_rows), name="many rows", load=load, tried_rows=60)
    l1 = next(case for case in CASES if case.group == L1)
    l1 = replace(l1, name="L1", load=lambda n_rows, load=l1.load: load(n_rows or 200))
    record = measure_scikit_learn_cases(cases=[many, l1])
    assert [problem["title"] for problem in record["problems"]] == ["many rows", "L1"]
    for problem in record["problems"]:
        assert problem["fault"] == ""
        assert {name.partition(" ")[0] for name in problem["contenders"]} == {FASTLIN, "scikit-learn"}
        assert {"accuracy", "log_loss", "coef_error"} <= problem["contenders"][FASTLIN].keys()
    assert [problem["default"] for problem in record["problems"]] == [
        "scikit-learn lbfgs",
        "scikit-learn saga, tol 1e-5",
    ]
    machine = {"name": "a", "processor": "A", "processors": 2, "level": "x86-64-v3"}
    machines = {"a": {"machine": machine, "records": {"scikit-learn-cases": record}}}
    assert "many rows | " in BLOCKS["scikit-learn-cases"](machines).replace("*", "")
