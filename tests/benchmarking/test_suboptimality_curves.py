"""The comparison of libraries on the digits: excluded libraries, threads, time limits, and measurements."""

import json
import os
from dataclasses import replace
from time import perf_counter, sleep

import numpy as np
import pytest

from benchmarks.data import simulate_clusters
from fastlin.benchmarking import suboptimality_curves, timing
from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.library_comparison import compare_libraries, make_sample_problem
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.benchmarking.suboptimality_curves import summarize_curves
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
    assert rows["fastlin"]["time / fastlin's"] == 1
    assert comparison.tables["even or odd: cyanure"] == "failed: MemoryError: too many rows"
    reason = f"stopped after {stopped:.3g} s, ≥ {stopped / rows['fastlin']['1e-4']:.3g} × fastlin's time"
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


def test_the_sample_has_every_class():
    for data in (datasets.load_digits(), simulate_clusters(4, 2000, 3, seed=0)):
        for problem, _ in make_problems(data, False, "float64"):
            assert set(make_sample_problem(problem).y) == set(problem.y)


def test_every_library_has_its_own_color_and_marker():
    assert set(figures.LIBRARIES) == set(LIBRARIES)
    assert len(set(figures.LIBRARIES.values())) == len(LIBRARIES)


class SimulatedProcess:
    """A process that records its fits. The number of threads determines their seconds, and None means a timeout."""

    def __init__(self, seconds):
        self.seconds, self.calls, self.has_answered = seconds, [], True

    def call(self, function, library, path, effort, n_threads, n_repeats, allowed, seconds):
        self.calls.append((path, n_threads))
        self.has_answered = path != "rows" or self.seconds[n_threads] is not None
        if not self.has_answered:
            raise TimeoutError
        return [self.seconds[n_threads]], {"objective": 1.0}


@pytest.mark.parametrize(
    ("name", "seconds", "fitted", "later"),
    [
        ("fastlin", {2: 0.1}, [("rows", 2)], [2]),
        ("torch", {1: 0.2, 2: 0.1}, [("rows", 1), ("rows", 2)], [1, 2]),
        ("torch", {1: 1.5, 2: 2.5}, [("rows", 1), ("rows", 2)], [1]),
        # After a timeout, a new process loads the library with the sample.
        ("torch", {1: None, 2: 0.1}, [("rows", 1), ("sample", 2), ("rows", 2)], [2]),
        ("torch", {1: 0.1, 2: None}, [("rows", 1), ("rows", 2)], [1]),
        ("torch", {1: None, 2: None}, [("rows", 1), ("sample", 2), ("rows", 2)], None),
    ],
)
def test_a_baseline_is_measured_on_each_number_of_threads(monkeypatch, name, seconds, fitted, later):
    monkeypatch.setattr(suboptimality_curves, "count_threads", lambda: 2)
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    process = SimulatedProcess(seconds)
    candidate = suboptimality_curves._Candidate(name, LIBRARIES[name], "rows", "sample", process)
    deadline = perf_counter() + 60.0
    candidate.measure_next_effort(0, 1, 5.0, deadline)
    assert process.calls == fitted
    if later is None:
        # The first number of threads had half of the budget, and the second one the rest.
        assert candidate.points == []
        assert 2.4 < candidate.stopped <= 2.5
        assert not candidate.should_measure_next_effort(1, 0.0, 5.0, deadline)
        return
    process.calls.clear()
    candidate.measure_next_effort(1, 1, 5.0, deadline)
    assert [n_threads for path, n_threads in process.calls if path == "rows"] == later
    assert [point["threads"] for point in candidate.points] == [min(later, key=seconds.get)] * 2


def test_after_the_deadline_only_the_reference_is_fitted():
    past = perf_counter() - 1.0
    for is_reference in (False, True):
        candidate = suboptimality_curves._Candidate("torch", LIBRARIES["torch"], "rows", "sample", None, is_reference)
        assert candidate.should_measure_next_effort(0, None, 5.0, past) == is_reference
        candidate.points = [{"seconds": 0.1, "objective": 1.0, "suboptimality": 0.5}]
        assert not candidate.should_measure_next_effort(1, None, 5.0, past)
        assert candidate.should_measure_next_effort(1, None, 5.0, past + 60.0)


def test_the_needed_time_allows_the_next_fit_of_the_slowest_baseline():
    def make(spent_seconds, **attributes):
        candidate = suboptimality_curves._Candidate("torch", LIBRARIES["torch"], "rows", "sample", None)
        candidate.spent_seconds, candidate._threads = spent_seconds, [1]
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


def test_the_needed_time_allows_the_repetitions():
    def make(name, seconds, suboptimality=1e-5):
        candidate = suboptimality_curves._Candidate(name, LIBRARIES["torch"], "rows", "sample", None)
        candidate.points = [{"seconds": seconds, "suboptimality": suboptimality, "threads": 1}]
        return candidate

    candidates = {"ours": make("ours", 1.0), "theirs": make("theirs", 2.0), "inaccurate": make("inaccurate", 9.0, 0.1)}
    find = suboptimality_curves._estimate_seconds_for_repetitions
    n, fraction = suboptimality_curves.timing.N_REPETITIONS, suboptimality_curves.REPETITIONS_DEADLINE_FRACTION
    assert find(candidates, "ours", {}, 10.0) == np.ceil((10.0 + 3.0 * n) / fraction)
    assert find(candidates, "ours", {"theirs": {}}, 10.0) is None
    # Without a reference, repetitions are useless.
    assert find(candidates, "inaccurate", {}, 10.0) is None


def test_each_missing_ratio_has_a_reason():
    point = {"seconds": 1.0, "suboptimality": 0.1}
    comparison = {
        "reference": "reference",
        "left_out": {"excluded": "no softmax"},
        "failed": {"failing": "MemoryError"},
        "stopped": {"slow": 5.0},
        "cut_off": {"cut off": "2 of 8"},
        "points": {
            "reference": [{"seconds": 0.5, "suboptimality": 0.0}],
            "failing": [point],
            "slow": [],
            "cut off": [point],
            "late": [],
            "inaccurate": [point],
        },
    }
    assert suboptimality_curves.explain_missing_ratios(comparison) == {
        "excluded": "excluded: no softmax",
        "failing": "failed: MemoryError",
        "slow": "stopped after 5 s, ≥ 10 × reference's time",
        "cut off": "time over after effort 2 of 8",
        "late": "no time was left for a fit",
        "inaccurate": "did not reach 1e-4 with its last effort",
    }


def make_candidate(name, process, **point):
    candidate = suboptimality_curves._Candidate(name, LIBRARIES[name], "rows", "sample", process)
    candidate.points = [{"effort": 1, "effort_index": 0, "threads": 1, "seconds": 1.0, "suboptimality": 0.0, **point}]
    return candidate


class SlowingProcess(SimulatedProcess):
    """A process in which each call takes twice as long as the previous one, as on a machine that becomes slower."""

    def call(self, *arguments, **limits):
        seconds, model = super().call(*arguments, **limits)
        return [seconds[0] * 2.0 ** len(self.calls)], model


def test_repetitions_of_compared_fits_are_interleaved(monkeypatch):
    monkeypatch.setattr(suboptimality_curves, "perf_counter", lambda: 0.0)
    ours = make_candidate("fastlin", SlowingProcess({1: 1.0}))
    others = {
        "cyanure": make_candidate("cyanure", SlowingProcess({1: 3.0})),
        # Repetitions of glum would exceed the time, skglm is too far from the optimum, and torch fails.
        "glum": make_candidate("glum", SimulatedProcess({1: 50.0}), seconds=50.0),
        "skglm": make_candidate("skglm", SimulatedProcess({1: 0.1}), suboptimality=1e-3),
        "torch": make_candidate("torch", SimulatedProcess({1: None})),
    }
    repetitions = dict(suboptimality_curves._repeat_compared_fits(ours, [ours, *others.values()], 100.0))
    # The ratio is the same in each repetition; a library that fails has none.
    assert repetitions == {"cyanure": {"ratio": 3.0, "interval": [3.0, 3.0], "n_repetitions": timing.N_REPETITIONS}}
    assert not others["glum"]._process.calls
    assert not dict(suboptimality_curves._repeat_compared_fits(others["skglm"], [*others.values()], 100.0))
    # fastlin alone is not repeated.
    n_before = len(ours._process.calls)
    assert not dict(suboptimality_curves._repeat_compared_fits(ours, [ours, *others.values()], 6.0))
    assert len(ours._process.calls) == n_before


@pytest.mark.parametrize(
    ("ratio", "interval", "verdict"),
    [
        (2.0, [1.5, 2.5], "faster"),
        (0.5, [0.4, 0.9], "slower"),
        (1.2, [0.9, 2.0], "even"),
        # Equal code differs by as much in two processes.
        (1.03, [1.02, 1.04], "even"),
        (0.97, [0.96, 0.98], "even"),
    ],
)
def test_the_verdict_on_speed_follows_from_the_interval(ratio, interval, verdict):
    repetitions = {"torch": {"ratio": ratio, "interval": interval, "n_repetitions": 7}}
    points = {name: [{"seconds": 1.0, "suboptimality": 0.0, "accuracy": 0.5}] for name in ("torch", "glum")}
    points["fastlin"] = [{"seconds": 2.0, "suboptimality": 0.0, "accuracy": 0.5}]
    problem = {"points": points, "stopped": {}, "failed": {}, "cut_off": {}, "repetitions": repetitions}
    rows = summarize_curves(problem | {"reference": "fastlin", "scores": ["accuracy"]})
    assert rows["torch"]["fastlin is"] == verdict
    assert rows["torch"]["time / fastlin's"] == f"{ratio:g} ({interval[0]:g} to {interval[1]:g})"
    assert (rows["glum"]["fastlin is"], rows["glum"]["time / fastlin's"]) == ("–", 0.5)


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
