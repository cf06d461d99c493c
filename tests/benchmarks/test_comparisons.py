"""Comparisons of fits: which baselines count, what is a failure and what is skipped."""

import warnings
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from benchmarks import comparisons
from benchmarks.comparisons import (
    FASTLIN,
    Comparison,
    ComparisonRule,
    Outcome,
    load_problem,
    measure_interleaved_calls,
    run_comparison,
)
from benchmarks.fits import fit_scikit_learn_to_pixels, make_scikit_learn_baselines
from benchmarks.problems import make_classification_problem
from benchmarks.sparse_data import make_text
from benchmarks.suite import COMPARISONS
from fastlin.benchmarking import timing
from fastlin.benchmarking.other_libraries import fit_fastlin, fit_scikit_learn
from fastlin.kernels.machine.threads import count_threads


def make_small_problem(X, C=1.0):
    y = np.random.default_rng(1).integers(0, 3, len(X))
    return make_classification_problem("small", X, y, C)


def load_small_problem(n_rows):
    return make_small_problem(np.random.default_rng(0).normal(size=(n_rows or 60, 4)))


def return_zeros(problem):
    return np.zeros((problem.n_classes, problem.X.shape[1])), np.zeros(problem.n_classes)


def finish(problem):
    return fit_scikit_learn(problem, 100, "newton-cholesky", tol=1e-8)


def test_the_baseline_on_scaled_pixels_has_the_same_objective():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4), np.uint8)
    problem = make_small_problem(pixels, C=1 / 255**2)
    coef, intercept = fit_scikit_learn_to_pixels(problem)
    scaled = make_small_problem(pixels / 255.0)
    (fit_by_lbfgs,) = make_scikit_learn_baselines("lbfgs").values()
    assert problem.objective(coef, intercept) == pytest.approx(scaled.objective(255 * coef, intercept), rel=1e-12)
    assert problem.objective(coef, intercept) == pytest.approx(scaled.objective(*fit_by_lbfgs(scaled)), rel=1e-12)


def test_baselines_that_miss_the_objective_are_excluded():
    fastlin = partial(fit_fastlin, tol=1e-8)
    comparison = Comparison(
        "small", load_small_problem, fastlin, {"gives up": return_zeros, "finishes": finish}, within=1e-6, rounds=2
    )
    problem = load_small_problem(None)
    outcome = run_comparison(comparison, problem, 1)
    assert outcome.baseline == "finishes"
    assert outcome.seconds.keys() == {FASTLIN, "finishes"}
    assert outcome.describe_failure() == ""
    record = outcome.describe()
    assert (record["n_repetitions"], record["interval"]) == (2, None)
    tried = record["tried"]
    assert tried.keys() == {FASTLIN, "gives up", "finishes"}
    totals = {
        name: problem.objective(*solve(problem)) for name, solve in (("gives up", return_zeros), ("finishes", finish))
    }
    assert tried["gives up"]["suboptimality"] == pytest.approx(totals["gives up"] / totals["finishes"] - 1)
    assert tried["finishes"]["seconds"] == outcome.seconds["finishes"]
    # Without a test set, the scores are those of a fit to four fifths of the rows.
    part = problem.hold_out_rows()
    assert record["libraries"][FASTLIN]["accuracy"] == part.score_test_rows(*fastlin(part)).accuracy
    assert record["data"] == "60 × 4, 3 classes, float64"
    assert record["libraries"].keys() == {FASTLIN, "finishes"}
    with pytest.raises(RuntimeError, match="no baseline comes within"):
        run_comparison(replace(comparison, baselines={"gives up": return_zeros}), load_small_problem(None), 1)


@pytest.fixture
def take(monkeypatch):
    """Return a function that fits a problem and adds a number of seconds to the clock of the comparisons."""
    clock = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: clock[0])

    def take(seconds, problem):
        clock[0] += seconds
        return finish(problem)

    return take


def test_a_much_slower_baseline_is_not_repeated(take):
    calls = []

    def run_slowly(problem):
        calls.extend([problem] if len(problem.X) == 60 else [])
        return take(0.5, problem)

    quick = partial(take, 0.2)
    comparison = Comparison(
        "small", load_small_problem, quick, {"lingers": run_slowly, "finishes": quick}, rounds=3, n_warm_up_rows=50
    )
    outcome = run_comparison(comparison, load_small_problem(None), 1)
    assert len(calls) == timing.N_REPEATS
    assert outcome.baseline == "finishes"
    assert outcome.points["lingers"]["seconds"] == pytest.approx(0.5)


def test_a_baseline_is_timed_at_its_fastest_number_of_threads(take):
    counts = []

    def run_slowly(problem):
        counts.extend([count_threads()] if len(problem.X) == 60 else [])
        return take(0.2 * (1 + count_threads()), problem)

    comparison = Comparison(
        "small", load_small_problem, partial(take, 0.2), {"lingers": run_slowly}, rounds=2, n_warm_up_rows=50
    )
    outcome = run_comparison(comparison, load_small_problem(None), 2)
    assert counts == [1] * timing.N_REPEATS + [2] * timing.N_REPEATS + [1, 2] * 2
    assert {name: point["threads"] for name, point in outcome.points.items()} == {FASTLIN: 2, "lingers": 1}
    assert outcome.seconds["lingers"] == pytest.approx(0.4)
    assert outcome.time_ratios == pytest.approx([2.0, 2.0])
    assert outcome.describe()["libraries"]["lingers"]["threads"] == 1
    outcome = run_comparison(comparison, load_small_problem(None), 1)
    assert {name: point["threads"] for name, point in outcome.points.items()} == {FASTLIN: 1, "lingers": 1}


def test_a_fit_that_fails_is_reported_by_name():
    def fail(problem):
        raise ValueError("on purpose")

    def fail_on_many_rows(problem):
        return finish(problem) if len(problem.X) < 60 else fail(problem)

    calls = []

    def fail_later(problem):
        calls.append(problem)
        return finish(problem) if len(calls) < 6 else fail(problem)

    options = {"n_warm_up_rows": 50, "baseline_threads": ("one",), "rounds": 7}
    for baseline, message in (
        (fail, "small: fails failed: ValueError: on purpose"),
        (fail_on_many_rows, "small: fails failed: ValueError: on purpose"),
        (fail_later, "small: fails failed: ValueError: on purpose"),
    ):
        comparison = Comparison("small", load_small_problem, finish, {"fails": baseline}, **options)
        with pytest.raises(RuntimeError, match=message):
            run_comparison(comparison, load_small_problem(None), 1)


def get_failure_message(comparison, objectives, accuracies=(0.9, 0.9), has_converged=True):
    names = FASTLIN, "baseline"
    accuracy = dict(zip(names, accuracies, strict=True)).get
    problem = SimpleNamespace(X=np.empty((5000, 0)), accuracy=accuracy)
    points = {
        name: {"seconds": 1.0, "objectives": objective, "solution": (name,)}
        for name, objective in zip(names, objectives, strict=True)
    }
    outcome = Outcome(comparison, problem, 1, points, [], list(names), "baseline", [1.0], has_converged)
    return outcome.describe_failure()


def test_a_comparison_with_unequal_results_fails():
    comparison = Comparison("small", None, None, {})
    assert get_failure_message(comparison, (0.5, 0.5)) == ""
    assert get_failure_message(comparison, (0.4, 0.5)) == ""
    assert "above that of baseline by 1.0e-05" in get_failure_message(comparison, (0.5 * (1 + 1e-5), 0.5))
    # Each of many fits must reach the objective of the baseline.
    unequal_objectives = np.array([0.5, 0.2]), np.array([0.9, 0.2 / (1 + 1e-5)])
    assert "above that of baseline by 1.0e-05" in get_failure_message(comparison, unequal_objectives)
    assert get_failure_message(comparison, (0.5, 0.5), has_converged=False) == "fastlin did not converge"
    assert get_failure_message(comparison, (0.5, 0.5), (0.896, 0.9)) == ""
    assert "accuracy differs from that of baseline by -0.0060" in get_failure_message(
        comparison, (0.5, 0.5), (0.894, 0.9)
    )
    assert "accuracy differs from that of baseline by +0.0500" in get_failure_message(
        comparison, (0.5, 0.5), (0.95, 0.9)
    )
    training = replace(comparison, rule=ComparisonRule(same_steps_tol=1e-6))
    assert "is below that of baseline by 2.0e-01" in get_failure_message(training, (0.4, 0.5))
    assert get_failure_message(training, (0.5, 0.5), (np.nan, np.nan)) == ""
    assert (
        get_failure_message(
            replace(comparison, rule=ComparisonRule(should_match_accuracy=False)), (0.5, 0.5), (0.95, 0.9)
        )
        == ""
    )


def test_a_fit_that_warns_counts_as_not_converged():
    def warn(problem):
        warnings.warn("on purpose", ConvergenceWarning, stacklevel=1)
        return finish(problem)

    outcome = run_comparison(
        Comparison("small", load_small_problem, warn, {"finishes": finish}), load_small_problem(None)
    )
    assert outcome.describe_failure() == "fastlin did not converge"
    # Baselines may reach their maximum number of iterations.
    outcome = run_comparison(Comparison("small", load_small_problem, finish, {"warns": warn}), load_small_problem(None))
    assert outcome.describe_failure() == ""


def test_calls_are_interleaved():
    repetitions = []
    seconds = measure_interleaved_calls(
        {"a": lambda: repetitions.append("a"), "b": lambda: repetitions.append("b")}, 2, n_calls=2
    )
    assert repetitions == ["a", "b", "a", "a", "b", "b", "a", "a", "b", "b"]
    assert seconds.keys() == {"a", "b"}


def test_a_comparison_is_skipped_where_its_baseline_is_not_installed():
    with pytest.raises(NotImplementedError, match="no_such_library is not installed"):
        load_problem(Comparison("small", None, None, {}, package="no_such_library"))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_objective_and_accuracy_follow_the_formula(n_classes):
    generator = np.random.default_rng(0)
    labels = np.array(["a", "b", "c"])[np.arange(40) % n_classes]
    X_sparse = make_text(40, n_classes).X_train[:, :30]
    problem = make_classification_problem("small", X_sparse, labels, 0.3, l1_ratio=0.4)
    coef, intercept = generator.normal(size=(problem.n_rows_coef, 30)), generator.normal(size=problem.n_rows_coef)
    scores = X_sparse.toarray() @ coef.T + intercept
    scores = np.hstack([-scores / 2, scores / 2]) if n_classes == 2 else scores
    penalty = 0.6 * np.sum(coef**2) / 2 + 0.4 * np.sum(np.abs(coef))
    expected = log_loss(problem.y, softmax(scores, axis=1)) + penalty / (0.3 * 40)
    for each in (problem, replace(problem, X=X_sparse.toarray())):
        assert each.objective(coef, intercept) == pytest.approx(expected, rel=1e-13)
        assert each.accuracy(coef, intercept) == np.mean(scores.argmax(axis=1) == problem.y)


def test_every_comparison_of_minima_has_a_tol():
    with pytest.raises(ValueError, match=r"tol must be at most suboptimality \+ baseline_suboptimality, got 0\.0001"):
        ComparisonRule(tol=1e-4, baseline_suboptimality=1e-6)
    comparison = Comparison("small", None, lambda problem, **options: options, {}, rule=ComparisonRule(tol=1e-6))
    assert comparison.solve(None) == {"tol": 1e-6}
    # Without `tol`, the problem is the only argument of the solver.
    assert replace(comparison, rule=ComparisonRule()).solve(None) == {}
    # Every comparison of minima sets `tol`, except comparisons of patched models, for which the patch chooses it.
    without = {name for name, each in COMPARISONS.items() if each.rule.tol is None and "patched" not in each.title}
    kinds = "epoch", "mini-batches", "course", "pass-", "predict"
    assert without == {name for name in COMPARISONS if name.startswith(kinds)}


@pytest.mark.parametrize(("threads", "expected_threads"), [(("all", "one"), ("one",)), (("all",), ("all",))])
def test_a_short_comparison_runs_each_baseline_once(threads, expected_threads):
    comparison = comparisons.shorten_comparison(
        Comparison("small", load_small_problem, finish, {"baseline": finish}, rounds=5, baseline_threads=threads)
    )
    assert (comparison.rounds, comparison.baseline_threads) == (1, expected_threads)


def test_each_repetition_of_the_baseline_is_compared_with_fastlins(take):
    # Each call of fastlin takes a second longer than the previous one, and each call of the baseline takes 10 seconds.
    calls = []

    def slow_down(problem):
        calls.append(problem)
        return take(len(calls), problem)

    baselines = {"finishes": partial(take, 10.0)}
    comparison = Comparison("small", load_small_problem, slow_down, baselines, rounds=7, n_warm_up_rows=50)
    outcome = run_comparison(comparison, load_small_problem(None), 1)
    # The first call compiles, and the second one is the point of the curve.
    assert outcome.time_ratios == pytest.approx([10 / seconds for seconds in range(3, 10)])
    assert outcome.time_ratio == pytest.approx(10 / 6)
    assert outcome.describe()["interval"] == pytest.approx([10 / 9, 10 / 3])


def test_long_fits_have_fewer_repetitions(take, monkeypatch):
    monkeypatch.setattr(comparisons, "MAX_REPETITION_SECONDS", 25.0)
    fits = partial(take, 4.0), {"finishes": partial(take, 4.0)}
    comparison = Comparison("small", load_small_problem, *fits, rounds=7, n_warm_up_rows=50)
    assert len(run_comparison(comparison, load_small_problem(None), 1).time_ratios) == 3
    monkeypatch.setattr(comparisons, "MAX_REPETITION_SECONDS", 0.0)
    assert len(run_comparison(comparison, load_small_problem(None), 1).time_ratios) == 1


def test_the_time_to_the_baselines_objective_is_that_of_the_fastest_sufficient_fit():
    def list_tolerances(fit, rounds=7, **rule):
        efforts = Comparison("small", None, fit, {}, rule=ComparisonRule(**rule), rounds=rounds).list_efforts()
        return [effort.get("tol") for effort in efforts]

    assert list_tolerances(fit_fastlin, tol=1e-6) == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert list_tolerances(fit_fastlin) == [1e-1, 1e-2, 1e-3, None]
    # The comparison is short, tol has no effect, or all libraries run the same steps.
    assert list_tolerances(fit_fastlin, rounds=1, tol=1e-6) == [1e-6]
    assert list_tolerances(finish) == list_tolerances(fit_fastlin, same_steps_tol=1e-3) == [None]

    def measure(baseline_objective, tolerances=comparisons.LOOSE_TOLERANCES):
        points = {FASTLIN: {"objectives": 1.0}, "other": {"objectives": baseline_objective, "seconds": 1.0}}
        loose_points = [{"objectives": 1 + tol, "seconds": -np.log10(tol)} for tol in tolerances]
        points[FASTLIN]["seconds"] = 6.0
        comparison = Comparison("small", None, None, {})
        outcome = Outcome(comparison, None, 1, points, loose_points, [*points], "other", [1.0], True)
        return outcome.seconds_to_baseline_objective

    assert measure(1.005) == pytest.approx(3.0)
    assert measure(2.0) == pytest.approx(1.0)
    # Only the whole fit is good enough, or none.
    assert measure(1.0) == pytest.approx(6.0)
    assert measure(1 - 1e-12) == pytest.approx(6.0)
    assert measure(0.9) is None
    # There are no looser fits, for example because all libraries run the same steps.
    assert measure(1.0, ()) is None
