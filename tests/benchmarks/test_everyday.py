"""Everyday fits: the cases, their records, the tables, the plot and the command."""

from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from benchmark_records import make_comparison, make_machine
from sklearn.linear_model import LogisticRegression

from benchmarks import everyday
from benchmarks.comparisons import FASTLIN
from benchmarks.data import standardize
from benchmarks.pages import BLOCK_FUNCTIONS
from benchmarks.plots import read_records_digest, save_plots
from benchmarks.problems import make_classification_problem
from benchmarks.tables import EVERYDAY_LAYOUT, tabulate
from fastlin.benchmarking.other_libraries import fit_fastlin

# Objectives that saga reaches without an intercept, to twelve digits, from scikit-learn's pull request 33160.
PUBLISHED_OBJECTIVES = {2: 0.493598632171, 3: 0.752265142327}


def find_case(name):
    return next(case for case in everyday.CASES if case.name == name)


def test_the_grid_of_everyday_cases_is_complete():
    shapes = [case.shape for case in everyday.CASES if case.group == "grid"]
    assert len(set(shapes)) == len(shapes) == 6 * 3 * 3
    for cases in (everyday.CASES, everyday.SCIKIT_LEARN_CASES):
        assert len({case.name for case in cases}) == len(cases)
    short = [case for case in everyday.CASES if case.is_short]
    assert max(case.shape[0] for case in short if case.shape) == 1_000
    assert {case.group for case in short} == {"grid", "real tables"}


@pytest.mark.parametrize(
    "name",
    [
        "300 × 5, 4 classes",
        "iris, standardized",
        "correlated, 1,000 × 20, 2 classes",
        "unbalanced, 1,000 × 20, 2 classes",
        "raw scales, 1,000 × 20, 2 classes",
    ],
)
def test_columns_match_the_name_of_their_case(name):
    problem = find_case(name).load(None)
    X = problem.X
    is_standardized = not name.startswith("raw")
    assert np.allclose([X.mean(axis=0), X.std(axis=0)], [[0], [1]]) == is_standardized
    correlations = np.corrcoef(X.T)[0, 1:]
    assert (correlations.min() > 0.9) == name.startswith("correlated")
    if name.startswith("unbalanced"):
        assert 0.03 < np.mean(problem.y == 1) < 0.2
    if name.startswith("raw"):
        assert X.std(axis=0).max() > 500 * X.std(axis=0).min()
        assert np.abs(X.mean(axis=0)).max() > 1_000
    if name.startswith("300"):
        assert (X.shape, problem.n_classes, len(problem.X_test)) == ((300, 5), 4, 60)


def test_baselines_have_scikit_learns_defaults(monkeypatch):
    problem = find_case("300 × 5, 4 classes").load(None)
    baselines = everyday.choose_baselines(problem)
    assert list(baselines)[:3] == [f"scikit-learn {solver}" for solver in everyday.SOLVERS]
    for solver in everyday.SOLVERS:
        expected = LogisticRegression(solver=solver).fit(problem.X, problem.y)
        coef, intercept = baselines[f"scikit-learn {solver}"](problem)
        np.testing.assert_array_equal(coef, expected.coef_)
        np.testing.assert_array_equal(intercept, expected.intercept_)
    monkeypatch.setattr(everyday, "MAX_HESSIAN_MULTIPLY_ADDS", 300 * (4 * 6) ** 2 - 1)
    assert "scikit-learn newton-cholesky" not in everyday.choose_baselines(problem)


def test_the_coefficient_error_ignores_constants_and_constant_columns():
    assert everyday.find_coef_error(np.array([[1.0, -4.5]]), np.array([[1.5, -4.0]])) == 0.125
    # Adding a constant to the coefficients of a column in all classes changes no probability.
    reference = np.array([[1.0, 2.0], [-1.0, 0.0]])
    assert everyday.find_coef_error(reference + np.array([3.0, -2.0]), reference) == 0
    assert everyday.find_coef_error(reference * [[1.0], [1.5]], reference) == 0.25
    X, X_test = standardize(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 6.0]]))
    np.testing.assert_array_equal(X, [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(X_test, [[0, 1]])


def test_a_record_has_the_coefficient_errors_of_both_libraries():
    case = find_case("wine, raw")
    record = everyday.measure_case(case, is_full_run=False)
    problem = case.load(None)
    best = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(problem.X, problem.y)
    # lbfgs does not reach the minimum in 100 iterations: it does not count as the baseline.
    assert record["baseline"] != record["default"] == "scikit-learn lbfgs"
    assert record["libraries"].keys() == {FASTLIN, record["default"], record["baseline"]}
    for library in record["libraries"].values():
        assert library.keys() == {"seconds", "threads", "objective", "accuracy", "log_loss", "coef_error"}
    ours, _ = everyday.fit_with_defaults(problem)
    expected = everyday.find_coef_error(ours, best.coef_)
    assert record["libraries"][FASTLIN]["coef_error"] == pytest.approx(expected, rel=1e-3)
    assert record["libraries"][record["default"]]["coef_error"] > 0.1


def test_everyday_minima_match_encoded_dataframes_and_published_objectives():
    pytest.importorskip("pandas", reason="pandas is not installed")
    record = everyday.measure_case(find_case("DataFrame with categories, 1,000 rows"))
    assert record["failure"] == ""
    assert record["libraries"][FASTLIN]["coef_error"] < 0.01
    for case in everyday.SCIKIT_LEARN_CASES:
        if case.group == everyday.L1_GROUP and "without" in case.name and case.shape[2] in PUBLISHED_OBJECTIVES:
            problem = case.load(None)
            actual = problem.objective(*fit_fastlin(problem, tol=1e-11))
            assert actual == pytest.approx(PUBLISHED_OBJECTIVES[case.shape[2]], rel=1e-10)


def make_problem(title, ratio, shape=(), group="grid", **values):
    record = make_comparison(1e-3, ratio / 1e3, "lbfgs", title=title, data="", ratio=ratio, objective_difference=1e-7)
    record["libraries"]["fastlin"]["coef_error"] = 1e-3
    record["libraries"]["lbfgs"] |= {"coef_error": 2e-3, "threads": 1}
    record |= {"group": group, "shape": list(shape), "default": "lbfgs"}
    record |= {"default_ratio": 2 * ratio, "scikit_learn_ratio": 1.5 * ratio}
    return {**record, "is_above": False, "is_worse": False, **values}


PROBLEMS = [
    make_problem("300 × 5, 2 classes", 4.0, (300, 5, 2)),
    make_problem("300 × 20, 2 classes", 0.25, (300, 20, 2), is_worse=True),
    make_problem("300 × 5, 10 classes", 9.0, (300, 5, 10), is_above=True),
    make_problem("iris", 2.0, group="real tables"),
]
EVERYDAY_RECORD = {"kind": "everyday", "title": "everyday fits", "threads": 2, "problems": PROBLEMS}


def test_a_group_reports_its_mean_its_worst_and_its_slower_cases():
    (table,) = tabulate({"everyday": EVERYDAY_RECORD})
    assert [" | ".join(row) for row in table.rows] == [
        "grid, 3 | 0.9000 vs 0.8000 | 2.1 | 3.1, 4.2 | 1; lowest ratio 0.25 on 300 × 20, 2 classes | "
        "1e-03, 1e-03 vs 2e-03, 2e-03 | 2",
        "real tables, 1 | 0.9000 vs 0.8000 | 2.0 | 3.0, 4.0 | 0; lowest ratio 2.0 on iris | "
        "1e-03, 1e-03 vs 2e-03, 2e-03 | 0",
    ]
    table = EVERYDAY_LAYOUT.tabulate([EVERYDAY_RECORD])
    assert table.bold_mask == [False, True, False, False]
    assert " | ".join(table.rows[0]) == (
        "300 × 5, 2 classes | 0.9000 vs 0.8000 | 4.0 | 8.0 | 1 ms vs 4 ms | lbfgs, 1 thread | +1e-07; 1e-03 vs 2e-03"
    )


def test_the_speed_map_and_tables_are_published(tmp_path):
    machine = make_machine() | {"cores": 2}
    machines = {"a": {"machine": machine, "records": {"everyday": {**EVERYDAY_RECORD, "date": "2026-01-02"}}}}
    save_plots(machines, tmp_path)
    assert read_records_digest(tmp_path / "a-everyday.png")
    text = BLOCK_FUNCTIONS["everyday"](machines)
    assert "columns and number of classes, A, 2 cores](benchmarks/a-everyday.png)" in text
    assert "| real tables, 1 | 0.9000 vs 0.8000 | 2.0 |" in text
    assert "| **300 × 20, 2 classes** | **0.9000 vs 0.8000** |" in BLOCK_FUNCTIONS["everyday-problems"](machines)


def test_cases_without_their_data_are_skipped():
    lines = []
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 3))
    problem = make_classification_problem("small", X, X[:, 0] > generator.normal(size=60), 1.0)
    load_functions = {"missing": Mock(side_effect=NotImplementedError("no data")), "small": lambda n_rows: problem}
    cases = [everyday.Case(everyday.REAL_TABLES_GROUP, name, load) for name, load in load_functions.items()]
    record = replace(everyday.EVERYDAY_FITS, cases=cases).measure(report=lines.append)
    assert lines[0] == "missing: skipped. no data"
    assert [problem["title"] for problem in record["problems"]] == ["small"]
    assert lines[1].startswith("small, ")


def test_the_command_measures_all_cases_or_the_short_ones(monkeypatch, capsys):
    whole_arguments = []
    monkeypatch.setattr(
        everyday.CaseCollection,
        "measure",
        lambda cases, is_full_run, report: whole_arguments.append(is_full_run) or EVERYDAY_RECORD,
    )
    everyday.main(["--short"])
    everyday.main([])
    assert whole_arguments == [False, True]
    assert capsys.readouterr().out.count("\n real ") == 2


def test_the_cases_of_scikit_learn_are_those_that_are_published():
    groups = [case.group for case in everyday.SCIKIT_LEARN_CASES]
    assert [
        groups.count(group) for group in (everyday.SCIKIT_LEARN_BENCH_GROUP, everyday.THREADS_GROUP, everyday.L1_GROUP)
    ] == [4, 18, 6]
    assert max(case.shape for case in everyday.SCIKIT_LEARN_CASES) == (1_000_000, 100, 32)
    short = [case for case in everyday.SCIKIT_LEARN_CASES if case.is_short]
    assert {case.shape[0] for case in short} == {100}
    # The other cases are too large for a test.
    for case in short:
        problem = case.load(None)
        assert (*problem.X.shape, problem.n_classes) == case.shape
    assert everyday.SCIKIT_LEARN_CASES[0].load(50).X.shape == (50, 50)


def test_cases_of_scikit_learn_are_measured_with_its_solvers_only():
    load = partial(everyday._load_threads_benchmark, n=300, d=10, K=3)
    large_case = next(case for case in everyday.SCIKIT_LEARN_CASES if case.n_trial_rows)
    large_case = replace(large_case, name="many rows", load=load, n_trial_rows=60)
    l1 = next(case for case in everyday.SCIKIT_LEARN_CASES if case.group == everyday.L1_GROUP)
    l1 = replace(l1, name="L1", load=lambda n_rows, load=l1.load: load(n_rows or 200))
    record = replace(everyday.SCIKIT_LEARN_COLLECTION, cases=[large_case, l1]).measure(is_full_run=True)
    assert [problem["title"] for problem in record["problems"]] == ["many rows", "L1"]
    for problem in record["problems"]:
        assert problem["failure"] == ""
        assert {name.partition(" ")[0] for name in problem["libraries"]} == {FASTLIN, "scikit-learn"}
        assert {"accuracy", "log_loss", "coef_error"} <= problem["libraries"][FASTLIN].keys()
    defaults = [problem["default"] for problem in record["problems"]]
    assert defaults == ["scikit-learn lbfgs", "scikit-learn saga, tol 1e-5"]
    machines = {"a": {"machine": make_machine(), "records": {"scikit-learn-cases": record}}}
    assert "many rows | " in BLOCK_FUNCTIONS["scikit-learn-cases"](machines).replace("*", "")
