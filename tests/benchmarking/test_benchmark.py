"""Benchmarks of any estimators: curves, verdicts, failures by name, and tables, JSON and figures."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_array, issparse
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import Lasso, LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score

import fastlin
from fastlin.benchmarking import (
    Baseline,
    BenchmarkProblem,
    BenchmarkResult,
    LeastSquaresObjective,
    LogisticObjective,
    candidate,
    compare,
    repetitions,
    suboptimality_curves,
    timing,
)

TOLERANCES = [1e-1, 1e-3, 1e-5]
X, Y = make_classification(400, 6, random_state=0)
SCORES = {"accuracy": lambda model, X, y: accuracy_score(y, model.predict(X))}
PROBLEM = BenchmarkProblem(X[:300], Y[:300], LogisticObjective(), X[300:], Y[300:], SCORES, name="generated")


def make_baseline(name, kind=LogisticRegression, **parameters):
    return Baseline(name, lambda tol: kind(tol=tol, **parameters), TOLERANCES)


def test_two_estimators_are_compared_at_equal_accuracy(tmp_path):
    baselines = [make_baseline("fastlin", fastlin.LogisticRegression), make_baseline("scikit-learn", max_iter=1000)]
    notifications = []
    result = compare(PROBLEM, baselines, seconds=60, notify=notifications.append)
    assert notifications
    (problem,) = result.problems
    assert (problem["name"], problem["samples"], problem["features"], problem["held_out"]) == ("generated", 300, 6, 100)
    assert not problem["left_out"] and not problem["failed"]
    # The optimum is certified, so no objective is lower, except for rounding.
    assert problem["optimum"] == pytest.approx(LogisticObjective().find_minimum(X[:300], Y[:300]), rel=1e-12)
    model = baselines[0].make(1e-5).fit(X[:300], Y[:300])
    accuracy = accuracy_score(Y[300:], model.predict(X[300:]))
    for points in problem["points"].values():
        assert [point["effort"] for point in points] == TOLERANCES[: len(points)]
        assert points[-1]["suboptimality"] < 1e-4
        assert points[-1]["accuracy"] == pytest.approx(accuracy, abs=0.02)
    low, high = problem["repetitions"]["scikit-learn"]["interval"]
    assert 0 < low <= problem["repetitions"]["scikit-learn"]["ratio"] <= high
    assert json.loads(result.to_json(tmp_path / "result.json")) == {"problems": result.problems}
    assert json.loads((tmp_path / "result.json").read_text("utf-8")) == {"problems": result.problems}
    frame = result.to_frame()
    assert list(frame.columns[:4]) == ["problem", "baseline", "effort", "threads"]
    assert set(frame["baseline"]) == {"fastlin", "scikit-learn"}
    summary = str(result)
    assert summary.startswith("generated, 300 × 6:\n- fastlin: the reference, ")
    # The seconds of the compared fits follow the ratio.
    assert summary.count(" s to a suboptimality of 1e-4; last fit ") == 2
    assert "- scikit-learn: takes " in summary


class Estimator:
    """An estimator without parameters that scikit-learn fits."""

    def fit(self, X, y):
        model = LogisticRegression().fit(X, y)
        self.coef_, self.intercept_, self.classes_ = model.coef_, model.intercept_, model.classes_
        self.predict = model.predict
        return self


class Raising(Estimator):
    def fit(self, X, y):
        raise RuntimeError("on purpose\nsecond line")


class Exiting(Estimator):
    def fit(self, X, y):
        os._exit(3)


class ModifyingRows(Estimator):
    def fit(self, X, y):
        X[0, 0] += 1
        return super().fit(X, y)


class WrongNumberOfClasses(Estimator):
    def fit(self, X, y):
        super().fit(X, y)
        self.coef_, self.intercept_ = np.ones((5, X.shape[1])), np.ones(5)
        return self


class WrongShape(Estimator):
    def fit(self, X, y):
        super().fit(X, y)
        self.coef_ = self.coef_[:, 1:]
        return self


class NoEstimator:
    """A class whose objects can neither be fitted nor called."""


class NotFinite(Estimator):
    def fit(self, X, y):
        super().fit(X, y)
        self.coef_ = self.coef_ * np.nan
        return self


class SlowEstimator(Estimator):
    def __init__(self, seconds):
        self.seconds = seconds

    def fit(self, X, y):
        if len(y) > suboptimality_curves.N_SAMPLE_ROWS:
            time.sleep(self.seconds)
        return super().fit(X, y)


class HangingOnManyRows(Estimator):
    def fit(self, X, y):
        if len(y) > 200:
            time.sleep(3600)
        return super().fit(X, y)


FAILURES = {
    Raising: "RuntimeError: on purpose",
    Exiting: "its process has ended with status 3",
    ModifyingRows: "it modifies X or y",
    NoEstimator: "TypeError: make must return an estimator with a method fit, or a function of X and y",
    WrongShape: "its solution cannot be measured: ValueError: coef_ must have the shape (K, 6)",
    WrongNumberOfClasses: "its solution cannot be measured: ValueError: coef_ has 5 rows",
    NotFinite: "its objective is nan",
}


def test_failures_are_reported_by_name(monkeypatch):
    rows = BenchmarkProblem(X, Y, LogisticObjective())
    small = BenchmarkProblem(X[:200], Y[:200], LogisticObjective())
    monkeypatch.setattr(BenchmarkProblem, "make_sample", lambda self: small)
    monkeypatch.setattr(suboptimality_curves, "MAX_WARM_UP_SECONDS", 5.0)
    kinds = [Estimator, HangingOnManyRows, *FAILURES]
    baselines = [Baseline(kind.__name__, lambda effort, kind=kind: kind()) for kind in kinds]
    result = compare(rows, baselines, seconds=4)
    (problem,) = result.problems
    assert problem["left_out"].keys() == {kind.__name__ for kind in FAILURES}
    for kind, reason in FAILURES.items():
        assert problem["left_out"][kind.__name__].startswith(reason)
        assert f"- {kind.__name__}: excluded, because {reason}" in result.summary()
    assert problem["stopped"].keys() == {"HangingOnManyRows"}
    assert "- HangingOnManyRows: stopped after " in result.summary()
    assert len(problem["points"]["Estimator"]) == 1


class RaisingIfStrict(LogisticRegression):
    def fit(self, X, y):
        if self.tol < 1e-6 and len(y) > suboptimality_curves.N_SAMPLE_ROWS:
            raise RuntimeError("too strict")
        return super().fit(X, y)


def test_a_baseline_that_fails_does_not_end_the_comparison():
    baselines = [Baseline("raising", lambda effort: Raising()), Baseline("estimator", lambda effort: Estimator())]
    (problem,) = compare(PROBLEM, baselines, seconds=60).problems
    assert problem["left_out"] == {"raising": "RuntimeError: on purpose"}
    assert problem["points"]["estimator"]
    assert problem["repetitions"] == {}
    # Without an intercept, the minimum is higher. A baseline with an intercept does not change the suboptimalities of
    # the others, and fits before a failure remain valid.
    shifted = BenchmarkProblem(X + 1.0, Y, LogisticObjective(fit_intercept=False))
    baselines = [
        Baseline("strict", lambda tol: RaisingIfStrict(tol=tol, fit_intercept=False), [1e-4, 1e-9]),
        make_baseline("fastlin", fastlin.LogisticRegression, fit_intercept=False),
        make_baseline("with intercept"),
    ]
    result = compare(shifted, baselines, seconds=60)
    (problem,) = result.problems
    assert problem["failed"].keys() == {"strict", "with intercept"}
    assert re.match(r"its objective \S+ is below the minimum ", problem["failed"]["with intercept"])
    assert [point["effort"] for point in problem["points"]["strict"]] == [1e-4]
    assert problem["points"]["with intercept"] == []
    assert problem["repetitions"].keys() == {"fastlin"}
    assert f"- with intercept: failed, because {problem['failed']['with intercept']}." in result.summary()
    assert "; a later fit failed, because RuntimeError: too strict." in result.summary()
    # The summary names the reason why there is no ratio, also if it lies with the reference.
    without_ratio = {**problem, "compared_seconds": {}, "repetitions": {}}
    summary = BenchmarkResult([without_ratio]).summary()
    assert "- fastlin: not compared, because a fit of strict failed; last fit " in summary
    summary = BenchmarkResult([{**without_ratio, "failed": {}, "stopped": {"strict": 2.0}}]).summary()
    assert "because strict did not reach a suboptimality of 1e-4 (stopped after 2 s); last fit " in summary


def test_without_an_objective_times_and_scores_are_compared():
    problem = BenchmarkProblem(X[:300], Y[:300], None, X[300:], Y[300:], SCORES)
    baselines = [make_baseline("lbfgs"), Baseline("SGD", lambda n: SGDClassifier(max_iter=n), [1, 5])]
    result = compare(problem, baselines, seconds=60)
    (measured,) = result.problems
    assert measured["optimum"] is None
    assert [len(points) for points in measured["points"].values()] == [3, 2]
    assert measured["repetitions"].keys() == {"SGD"}
    assert "accuracy" in result.to_frame()
    with pytest.raises(ValueError, match="'problem' has no objective"):
        result.plot()
    # An effort that the time did not allow is not compared.
    slow = Baseline("slow", lambda n: SlowEstimator(n), [0.01, 30])
    problem = BenchmarkProblem(X, Y, None, X, Y, SCORES)
    (measured,) = compare(problem, [make_baseline("lbfgs"), slow], seconds=3).problems
    assert "slow" not in measured["repetitions"]


def test_close_baselines_are_repeated_in_new_processes(monkeypatch):
    # On a busy machine, the times of equal code may differ more.
    for name in ("MAX_CLOSE_RATIO", "MAX_PLANNED_RATIO"):
        monkeypatch.setattr(repetitions, name, np.inf)
    steps = []
    baselines = [
        Baseline(name, lambda tol: LogisticRegression(tol=tol), [1e-6], package="shared")
        for name in ("first", "second")
    ]
    (measured,) = compare(PROBLEM, baselines, seconds=120, notify=steps.append).problems
    assert measured["failed"] == {}
    assert measured["needed_seconds"] is None
    n_processes = repetitions.N_PROCESSES
    assert measured["repetitions"]["second"]["n_repetitions"] == n_processes * timing.N_REPETITIONS
    assert steps.count("generated, repetitions in new processes") == n_processes - 1


def test_changes_of_many_rows_are_found(monkeypatch):
    monkeypatch.setattr(candidate, "MAX_HASHED_ENTRIES", 100)
    for rows in (X.copy(), csr_array(X)):
        problem = BenchmarkProblem(rows, Y.copy(), LogisticObjective())
        before = candidate._hash_rows(problem)
        assert candidate._hash_rows(problem) == before
        # Every tenth row or entry is checked, at least.
        entries = rows.data if issparse(rows) else rows
        entries[: len(entries) // 10 + 100] *= 2.0
        changed = candidate._hash_rows(problem)
        problem.y[0] = 1 - problem.y[0]
        assert len({before, changed, candidate._hash_rows(problem)}) == 3
    # Python objects are hashed slowly, so fewer are checked.
    monkeypatch.setattr(candidate, "MAX_HASHED_OBJECTS", 10)
    table = pd.DataFrame({"a": np.where(Y == 1, "yes", "no").astype(object), "b": X[:, 0]})
    labels = ["yes" if label else "no" for label in Y]
    hashes = [candidate._hash_rows(BenchmarkProblem(table, labels))]
    for column, value in ((0, "changed"), (1, np.nan)):
        hashes.append(candidate._hash_rows(BenchmarkProblem(table, labels)))
        table.iloc[0, column] = value
    labels[0] = "changed"
    hashes.extend([candidate._hash_rows(BenchmarkProblem(table, labels)) for _ in range(2)])
    assert hashes[0] == hashes[1] and hashes[3] == hashes[4] and len(set(hashes)) == 3


class ClippingRows(Estimator):
    """An estimator that modifies only rows that no sample contains."""

    def fit(self, X, y):
        np.minimum(X, 100.0, out=X)
        return super().fit(X, y)


def test_a_change_of_the_rows_is_not_attributed_to_another_baseline():
    rows = np.vstack([X, X])
    rows[-1, 0] = 1000.0
    problem = BenchmarkProblem(rows, np.append(Y, Y), LogisticObjective())
    kinds = ClippingRows, Estimator
    baselines = [Baseline(kind.__name__, lambda effort, kind=kind: kind(), package="shared") for kind in kinds]
    (measured,) = compare(problem, baselines, seconds=20).problems
    assert measured["left_out"] == {} and measured["failed"] == {"ClippingRows": "it modifies X or y"}
    (point,) = measured["points"]["Estimator"]
    assert point["objective"] == pytest.approx(problem.measure(Estimator().fit(rows, problem.y))["objective"], rel=1e-9)


def test_a_function_that_returns_a_fitted_model_is_a_baseline():
    baseline = Baseline("function", lambda tol: partial(fit_with_tol, tol=tol), TOLERANCES)
    (measured,) = compare(PROBLEM, [baseline], seconds=20).problems
    assert [point["effort"] for point in measured["points"]["function"]] == TOLERANCES


def fit_with_tol(X, y, tol):
    return LogisticRegression(tol=tol).fit(X, y)


def test_the_approximate_time_of_a_comparison_with_intervals_is_announced():
    steps = []
    compare(PROBLEM, [make_baseline("a"), make_baseline("b")], seconds=2, notify=steps.append)
    (announcement,) = (step for step in steps if "with intervals takes about" in step)
    assert re.fullmatch(
        r"generated: a comparison with intervals takes about [1-9]\d* s for this problem, .* 2 s are available.",
        announcement,
    )


def test_numbers_that_json_does_not_have_become_null():
    def reject(constant):
        raise ValueError(constant)

    result = BenchmarkResult([{"points": {"a": [{"log_loss": float("inf"), "AUC": float("nan"), "seconds": 0.5}]}}])
    (problem,) = json.loads(result.to_json(), parse_constant=reject)["problems"]
    assert problem == {"points": {"a": [{"log_loss": None, "AUC": None, "seconds": 0.5}]}}


def test_sparse_rows_are_not_modified_by_estimators_that_check_them():
    problem = BenchmarkProblem(coo_array(X), Y, LogisticObjective())
    (measured,) = compare(problem, [make_baseline("liblinear", solver="liblinear")], seconds=60).problems
    assert measured["left_out"] == {}
    assert measured["points"]["liblinear"]


@pytest.mark.parametrize("name", ["fastlin", "other"])
def test_the_name_of_a_baseline_does_not_change_its_measurement(name, monkeypatch):
    monkeypatch.setattr(candidate, "count_threads", lambda: 2)
    measured = candidate.Candidate(name, make_baseline(name), "rows", "sample", None, timing.Stopwatch())
    assert measured.thread_counts == [1, 2]


def test_regression_and_several_problems_are_plotted_as_a_profile(tmp_path):
    from matplotlib.figure import Figure

    problems = []
    for seed in range(2):
        rows, targets = make_regression(200, 10, noise=5.0, random_state=seed)
        problems.append(BenchmarkProblem(rows, targets, LeastSquaresObjective(0.5), name=f"lasso {seed}"))
    baselines = [
        Baseline("cyclic", lambda tol: Lasso(0.5, tol=tol), TOLERANCES),
        Baseline("random", lambda tol: Lasso(0.5, tol=tol, selection="random", random_state=0), TOLERANCES),
    ]
    result = compare(problems, baselines, seconds=60)
    for problem in result.problems:
        assert all(points[-1]["suboptimality"] < 1e-4 for points in problem["points"].values())
    axes = Figure().subplots()
    assert result.plot(axes) is axes
    assert {line.get_label() for line in axes.lines} == {"cyclic", "random"}
    assert max(line.get_ydata().max() for line in axes.lines) == 1.0
    axes = BenchmarkResult(result.problems[:1]).plot(Figure().subplots())
    assert axes.get_title() == "lasso 0, 200 × 10"


def test_the_sample_has_rows_of_every_class():
    y = np.repeat(np.arange(5), [1000, 3, 3, 3, 3])
    rows = np.arange(2.0 * len(y)).reshape(-1, 2)
    for container in (np.asarray, csr_array, pd.DataFrame):
        sample = BenchmarkProblem(container(rows), y, LogisticObjective()).make_sample()
        assert set(sample.y) == set(y)
        assert sample.X.shape == (72, 2)
    # Every class of many has rows, also if the labels are sorted.
    many = BenchmarkProblem(rows, np.arange(len(y)) // 3, LogisticObjective()).make_sample()
    assert len(np.unique(many.y)) == 338
    # Many labels that are no numbers are those of classes.
    names = np.repeat([f"name {number}" for number in range(1_500)], 2)
    assert len(BenchmarkProblem(np.ones((len(names), 1)), names).make_sample().y) == len(names)
    # Labels may be floats.
    assert set(BenchmarkProblem(rows, 1.0 * y).make_sample().y) == set(y)
    # Targets of a regression have no classes, even if they are integers.
    prices = BenchmarkProblem(np.ones((5000, 1)), np.arange(5000.0))
    assert prices.make_sample().X.shape == replace(prices, objective=LeastSquaresObjective()).make_sample().X.shape
    assert prices.make_sample().X.shape == (300, 1)
    assert replace(prices, y=prices.y.astype(object)).make_sample().X.shape == (300, 1)
    # The sample has the user's labels, whatever their types.
    labels = np.array([0, "one"] * 10, dtype=object)
    assert set(BenchmarkProblem(rows[:20], labels).make_sample().y) == {0, "one"}
    assert BenchmarkProblem(rows, np.arange(len(y)) / 7).make_sample().X.shape == (300, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], [1]), ValueError, "X must be two-dimensional, got list"),
        ((X, Y[:-1]), ValueError, "y must have one value per row of X, got 399 values for 400 rows"),
        ((X, Y[:, None]), ValueError, "y must be one-dimensional, got the shape"),
        ((X, Y, None, X, Y, {"seconds": max}), ValueError, "scores must not have the names .* got"),
        ((X, Y, 3), TypeError, "objective must be a function or None, got int"),
        (
            (X, Y, None, None, None, SCORES),
            ValueError,
            "scores require X_test and y_test, but one is missing",
        ),
    ],
)
def test_invalid_problems_raise_an_error(arguments, error, message):
    with pytest.raises(error, match=message):
        BenchmarkProblem(*arguments)


LOCK = threading.Lock()
UNPICKLABLE = partial(lambda lock, effort: Estimator(), LOCK)


def test_invalid_comparisons_raise_an_error():
    baseline = make_baseline("a")
    unpicklable_problem = BenchmarkProblem(X, Y, partial(lambda lock, model, X, y: 0.0, LOCK), name="p")
    for arguments, message in (
        ((PROBLEM, []), "problems and baselines must not be empty, got 1 and 0"),
        ((PROBLEM, [baseline, baseline]), "The names of baselines must be unique, got a, a"),
        ((PROBLEM, [baseline], 1.0, "b"), r"reference must be one of the baselines \(a\), got 'b'"),
        ((PROBLEM, [baseline], 0.0), "seconds must be positive and finite, got 0.0"),
        (([PROBLEM, PROBLEM], [baseline]), "The names of problems must be unique, got generated, generated"),
        ((PROBLEM, [Baseline("b", UNPICKLABLE)]), "The baseline 'b' cannot be sent to another process"),
        (([PROBLEM, unpicklable_problem], [baseline]), "The problem 'p' cannot be sent to another process"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(*arguments)


SCRIPT = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from fastlin.benchmarking import Baseline, BenchmarkProblem, compare

print("start")
X = np.random.default_rng(0).normal(size=(100, 3))
C = 2.0

class Own(LogisticRegression):
    pass

def log_loss(model, X, y):
    return -np.mean(model.predict_log_proba(X)[np.arange(len(y)), y])

problem = BenchmarkProblem(X, (X[:, 0] > 0).astype(int), log_loss)
result = compare(problem, [Baseline("own", lambda tol: Own(C=C, tol=tol), [0.1, 0.01])], seconds=60)
print(len(result.problems[0]["points"]["own"]), result.problems[0]["left_out"])
"""


class FailingObjective(LogisticObjective):
    def find_minimum(self, X, y):
        raise ValueError("no minimum")


class HangingObjective(LogisticObjective):
    def find_minimum(self, X, y):
        time.sleep(3600)


@pytest.mark.parametrize(
    ("objective", "reason"),
    [(FailingObjective(), "The minimum cannot be computed: ValueError: no minimum"), (HangingObjective(), "stopped")],
)
def test_without_a_computable_minimum_the_lowest_objective_of_a_fit_replaces_it(monkeypatch, objective, reason):
    for name in ("MAX_LOADING_SECONDS", "MAX_WARM_UP_SECONDS"):
        monkeypatch.setattr(suboptimality_curves, name, 2.0)
    result = compare(BenchmarkProblem(X, Y, objective), [Baseline("estimator", lambda effort: Estimator())], seconds=2)
    (problem,) = result.problems
    (point,) = problem["points"]["estimator"]
    assert (problem["optimum"], point["suboptimality"]) == (point["objective"], 0.0)
    assert problem["unknown_optimum"].startswith(reason)
    assert f"The minimum is unknown ({problem['unknown_optimum']})" in result.summary()


def test_a_script_needs_no_condition_on_its_name(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    completed_process = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert completed_process.stdout == "start\n2 {}\n"
    assert completed_process.stderr == ""


def test_a_library_that_needs_too_long_to_load_is_excluded(monkeypatch):
    monkeypatch.setattr(candidate, "MAX_LOADING_SECONDS", 20.0)

    def hang(effort):
        time.sleep(3600)

    result = compare(PROBLEM, [Baseline("estimator", lambda effort: Estimator()), Baseline("hangs", hang)], seconds=1)
    reason = "loading and a fit to a small sample took more than 20 s"
    assert result.problems[0]["left_out"] == {"hangs": reason}
