"""The comparison of libraries on the digits: excluded libraries, threads, time limits, and measurements."""

import json
import os
from dataclasses import replace
from time import perf_counter, sleep

import numpy as np
import pytest

from benchmarks.data import simulate_clusters
from fastlin.benchmarking import suboptimality_curves
from fastlin.benchmarking.candidate import Candidate, CannotSolveError
from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.library_comparison import compare_libraries, make_sample_problem
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.benchmarking.timing import Stopwatch
from fastlin.course import datasets, figures
from fastlin.course.studies.image_problems import make_problems
from fastlin.course.studies.settings import Results
from fastlin.kernels.machine.threads import count_threads


def fail(problem, effort):
    raise RuntimeError("on purpose")


def fit_with_another_penalty(problem, effort):
    return LIBRARIES["scikit-learn lbfgs"].fit(replace(problem, C=2 * problem.C), effort)


def return_nan_coefficients(problem, effort):
    shape = problem.n_rows_coef, problem.X.shape[1]
    return np.full(shape, np.nan), np.zeros(shape[0])


def exit_process(problem, effort):
    os._exit(3)


def fail_on_many_rows(problem, effort):
    if len(problem.y) > 250:
        raise MemoryError("too many rows\nfor this library")
    return LIBRARIES["scikit-learn lbfgs"].fit(problem, effort)


def sleep_on_many_rows(problem, effort):
    if len(problem.y) > 250:
        sleep(3600)
    return LIBRARIES["scikit-learn lbfgs"].fit(problem, effort)


def test_every_library_is_measured_and_plotted(libraries, tmp_path):
    notifications, digits = [], datasets.load_digits()
    few_digits = replace(digits, X_train=digits.X_train[:300], y_train=digits.y_train[:300])
    # On a slow machine a minute would not be enough.
    pairs = make_problems(few_digits, True, "float64")
    parameters, tables, problems = compare_libraries(pairs, 300.0, 1, notifications.append)
    assert notifications
    assert [(problem["classes"], problem["intercept"]) for problem in problems] == [(10, True), (2, False)]
    for problem in problems:
        assert problem["points"].keys() == libraries.keys()
        assert problem["left_out"] == {}
        objectives = [point["objective"] for points in problem["points"].values() for point in points]
        assert problem["optimum"] <= min(objectives)
        for name, points in problem["points"].items():
            assert [point["effort"] for point in points] == list(LIBRARIES[name].efforts[: len(points)])
            for point in points:
                assert point["suboptimality"] == pytest.approx(point["objective"] / problem["optimum"] - 1, abs=1e-12)
                assert point["seconds"] > 0
                assert 0 <= point["accuracy"] <= 1
                assert point["threads"] in (1, count_threads())
            assert points[-1]["suboptimality"] < min(1e-2, points[0]["suboptimality"])
    assert set(parameters["versions"]) == {"fastlin", "scikit-learn"}
    all_results = {**parameters, **tables, "problems": problems}
    assert json.loads(json.dumps(all_results)) == all_results
    results = Results({"data": few_digits.name, **parameters}, tables, {"problems": problems})
    (plot,) = figures.draw("baselines", results, tmp_path)
    assert len((tmp_path / plot.file).read_bytes()) > 50_000


def run_synthetic_comparison():
    return compare_libraries(make_problems(simulate_clusters(2, 300, 5, seed=0), True, "float64"), n_repeats=1)


EXCLUDED_LIBRARIES = {
    "torch": (fail, "RuntimeError: on purpose"),
    "snapml": (exit_process, "its process has ended with status 3"),
    "skglm": (fit_with_another_penalty, "its objective differs from the optimum"),
    "glum": (return_nan_coefficients, "its objective is nan"),
}


def test_libraries_that_fail_differ_or_are_too_slow_are_excluded(libraries, monkeypatch):
    monkeypatch.setattr(suboptimality_curves, "N_SAMPLE_ROWS", 200)
    monkeypatch.setattr(suboptimality_curves, "MAX_WARM_UP_SECONDS", 5.0)
    fits = {name: fit for name, (fit, _) in EXCLUDED_LIBRARIES.items()}
    for name, fit in {**fits, "cyanure": fail_on_many_rows}.items():
        libraries[name] = replace(LIBRARIES[name], fit=fit, package="scikit-learn", module="sklearn")
    # The process of this library is killed, so other libraries must not share it.
    slow = replace(LIBRARIES["scikit-learn-intelex"], fit=sleep_on_many_rows, package="numpy", module="numpy")
    libraries["scikit-learn-intelex"] = slow
    comparison = run_synthetic_comparison()
    (problem,) = comparison.problems
    assert problem["points"].keys() == libraries.keys() - EXCLUDED_LIBRARIES.keys()
    for name, (_, reason) in EXCLUDED_LIBRARIES.items():
        assert reason in problem["left_out"][name]
        assert "excluded" in comparison.tables[f"even or odd: {name}"]
    assert problem["points"]["cyanure"] == problem["points"]["scikit-learn-intelex"] == []
    assert problem["failed"] == {"cyanure": "MemoryError: too many rows"}
    # The budget is divided between the numbers of threads.
    assert problem["stopped"].keys() == {"scikit-learn-intelex"}
    stopped = problem["stopped"]["scikit-learn-intelex"]
    assert 0 < stopped <= problem["budget"] / len({1, count_threads()})
    rows = comparison.tables["even or odd: seconds to suboptimality"]
    assert rows["fastlin"]["time ratio"] == 1
    assert comparison.tables["even or odd: cyanure"] == "failed: MemoryError: too many rows"
    reason = f"stopped after {stopped:.3g} s, ≥ {stopped / problem['compared_seconds']['fastlin']:.3g} × fastlin's time"
    assert comparison.tables["even or odd: scikit-learn-intelex"] == reason
    assert set(rows["scikit-learn-intelex"].values()) == set(rows["cyanure"].values()) == {"–"}
    (scores,) = (table for title, table in comparison.tables.items() if "scores on" in title)
    assert set(scores["cyanure"].values()) == {"–"}
    assert list(scores) == ["null model", *problem["points"]]
    assert scores["fastlin"] == {name: problem["points"]["fastlin"][-1][name] for name in problem["scores"]}


def test_a_failure_of_fastlin_raises_an_error(libraries):
    libraries["fastlin"] = replace(LIBRARIES["fastlin"], fit=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        run_synthetic_comparison()


def test_the_lowest_objective_replaces_a_minimum_of_the_sample_that_cannot_be_computed(monkeypatch):
    measures = {
        Candidate(name, LIBRARIES[name], "rows", "sample", None, Stopwatch()): measure
        for name, measure in {
            "fastlin": {"objective": 2.0},
            "glum": {"objective": 2.00001},
            "skglm": {"objective": 2.1},
            "torch": CannotSolveError("reason"),
        }.items()
    }
    monkeypatch.setattr(suboptimality_curves, "_fit_samples", lambda pool, candidates: measures)
    monkeypatch.setattr(suboptimality_curves, "_find_optimum", lambda *arguments: (None, "too large"))
    left_out = suboptimality_curves._find_excluded_baselines(None, list(measures), None)
    assert left_out == {"skglm": "its objective differs from the lowest one by 5.0e-02 on a sample", "torch": "reason"}


def test_the_sample_has_every_class():
    for data in (datasets.load_digits(), simulate_clusters(4, 2000, 3, seed=0)):
        for problem, _ in make_problems(data, False, "float64"):
            assert set(make_sample_problem(problem).y) == set(problem.y)


def test_every_library_has_its_own_color_and_marker():
    assert set(figures.LIBRARIES) == set(LIBRARIES)
    assert len(set(figures.LIBRARIES.values())) == len(LIBRARIES)


def test_the_needed_time_allows_the_next_fit_of_the_slowest_baseline():
    def make(spent_seconds, **attributes):
        candidate = Candidate("torch", LIBRARIES["torch"], "rows", "sample", None, Stopwatch())
        candidate.spent_seconds, candidate.thread_counts = spent_seconds, [1]
        vars(candidate).update(attributes)
        return candidate

    point = {"seconds": 2.0, "objective": 1.0, "suboptimality": 0.5}
    find = suboptimality_curves._estimate_needed_seconds
    assert find([make(1.0, points=[{**point, "suboptimality": 1e-5}]), make(1.0, failed="no")], 60.0, 5.0) is None
    # The next fit is expected to take twice as long as the last one, in addition to the budget.
    assert find([make(3.0, points=[point])], 60.0, 5.0) == 60 * (5 + 2 * 2) / 5
    assert find([make(5.0, stopped=5.0), make(3.0, points=[point])], 60.0, 5.0) == 60 * (5 + 2 * 5) / 5
    # Loading another baseline took all of the time.
    assert find([make(0.0)], 60.0, 5.0) > 60
    assert find([make(0.0)], 60.0, 0.0) > 60
    # The problems share the time equally.
    needed_seconds = [{"needed_seconds": each} for each in (20, None, 100)]
    assert suboptimality_curves.find_needed_seconds(needed_seconds) == 300
    assert suboptimality_curves.find_needed_seconds(needed_seconds[1:2]) is None


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_null_model_predicts_class_frequencies(n_classes):
    y, y_test = np.arange(30) % n_classes, np.array([0, 0, 1, 1, 0])
    y[:6] = 0
    problem = ComparisonProblem("a", np.ones((5, 2)), y_test, n_classes, C=1.0, fit_intercept=True)
    scores = problem.score_null_model(y)
    frequencies = np.bincount(y) / len(y)
    assert scores.pop("accuracy") == 0.6
    assert scores.pop("log_loss") == pytest.approx(-np.mean(np.log(frequencies[y_test])), rel=1e-14)
    assert scores == ({"AUC": 0.5} if n_classes == 2 else {})


def test_a_comparison_respects_its_time_limit(libraries, monkeypatch):
    monkeypatch.setattr(suboptimality_curves, "N_SAMPLE_ROWS", 200)
    monkeypatch.setattr(suboptimality_curves, "MAX_WARM_UP_SECONDS", 5.0)
    libraries["torch"] = replace(LIBRARIES["torch"], fit=sleep_on_many_rows, package="numpy", module="numpy")
    problems = make_problems(simulate_clusters(2, 300, 5, seed=0), False, "float64")
    begin = perf_counter()
    comparison = compare_libraries(problems, 12.0)
    # fastlin and the start of processes may take longer on a busy machine.
    assert perf_counter() - begin < 120
    (problem,) = comparison.problems
    assert problem["budget"] == 0 or "torch" in problem["stopped"]
    assert problem["budget"] <= 12.0 * suboptimality_curves.CURVES_DEADLINE_FRACTION / len(problem["points"])
    assert comparison.parameters["budget"] == round(problem["budget"], 1)
    assert len(problem["points"]["fastlin"]) > 0
