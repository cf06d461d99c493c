"""Many fits: each fit is evaluated on its own rows, and both libraries return the same results."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import fastlin
from benchmarks import many_fits
from benchmarks.many_fits import COMPARISONS, LabelProblems, PathProblems, ResampleProblems
from benchmarks.problems import make_classification_problem
from benchmarks.sparse_data import make_one_hot
from fastlin.benchmarking.other_libraries import fit_scikit_learn


def make_random_fits(seed):
    """Return X (30, 4), labels (30, 3) of zeros and ones, a random model per label, and the rows of two resamples."""
    generator = np.random.default_rng(seed)
    X, y = generator.normal(size=(30, 4)), (np.arange(30)[:, None] % 3 == np.arange(3)).astype(int)
    coef, intercept = generator.normal(size=(3, 1, 4)), generator.normal(size=(3, 1))
    return X, y, coef, intercept, generator.integers(0, 30, (2, 30))


def test_each_objective_uses_the_rows_or_label_of_its_fit():
    X, y, coef, intercept, rows = make_random_fits(0)
    resample_problems, Cs = ResampleProblems(X, y[:, 0], rows), np.array([1.0, 10.0])
    expected = [
        make_classification_problem("", X[rows[k]], y[rows[k], 0], 1.0).objective(coef[k], intercept[k])
        for k in range(2)
    ]
    assert resample_problems.objective(coef[:2], intercept[:2]) == pytest.approx(expected, rel=1e-13)
    labels = LabelProblems("labels", X, y, X, y, 2, Cs)
    expected = [
        make_classification_problem("", X, y[:, k], C).objective(coef[k], intercept[k]) for k in range(3) for C in Cs
    ]
    actual = labels.objective(coef.repeat(2, axis=0), intercept.repeat(2, axis=0))
    assert actual == pytest.approx(expected, rel=1e-13)
    with pytest.raises(ValueError, match="shorter"):
        labels.objective(coef, intercept)


def test_each_fit_is_scored_on_rows_outside_its_training_set():
    X, y, coef, intercept, rows = make_random_fits(1)
    resample_scores = ResampleProblems(X, y[:, 0], rows).score_test_rows(coef[:2], intercept[:2])
    # Of the two fits to each label, the second is chosen.
    two_fits_per_label = [
        np.stack([np.full_like(each, 9.0), each], axis=1).reshape(6, *each.shape[1:]) for each in (coef, intercept)
    ]
    held_out_scores = LabelProblems("labels", X[:20], y[:20], X[20:], y[20:], 2, np.ones(2)).score_test_rows(
        *two_fits_per_label, [1, 1, 1]
    )
    left = [np.setdiff1d(np.arange(30), drawn_rows) for drawn_rows in rows]
    for scores, parts in (
        (resample_scores, [(coef[k], intercept[k], X[left[k]], y[left[k], 0]) for k in range(2)]),
        (held_out_scores, [(coef[k], intercept[k], X[20:], y[20:, k]) for k in range(3)]),
    ):
        z = [(x @ w.ravel() + b) * np.where(label, 1, -1) for w, b, x, label in parts]
        assert scores.accuracy == pytest.approx(np.mean([(margins > 0).mean() for margins in z]), rel=1e-13)
        assert scores.log_loss == pytest.approx(np.mean([np.log1p(np.exp(-m)).mean() for m in z]), rel=1e-13)
    assert COMPARISONS["many-folds"].load(200).score_test_rows(np.array([0.25, 0.75])) == (None, 0.5)


@pytest.mark.parametrize("case", [case for case in COMPARISONS if case.startswith("many")])
def test_fits_are_equal_sequentially_and_in_threads(case, monkeypatch):
    # With fewer fits a mistake in their order could be missed.
    monkeypatch.setattr(many_fits, "SHORT_RUN_DIVISOR", 20)
    monkeypatch.setattr(many_fits, "SHORT_RUN_C_STEP", 1)
    comparison = COMPARISONS[case]
    problem = comparison.load(200)
    if isinstance(problem, LabelProblems):
        # With a large C lbfgs does not converge in 100 iterations. Kernels for float32 would have to be compiled.
        problem = replace(problem, Cs=problem.Cs[:5], X=problem.X.astype(np.float64))
    ours, solver = comparison.solve(problem), list(comparison.baselines)[-1].partition(",")[0]
    theirs, threaded_solution = (
        comparison.baselines[f"{solver}, {mode}"](problem)
        for mode in (many_fits.SEQUENTIAL_MODE, many_fits.THREAD_MODE)
    )
    # Threads draw the random numbers of liblinear in any order.
    tolerance = 1e-3 if solver.endswith("liblinear") else 0
    for one, other in zip(theirs, threaded_solution, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    objectives = [problem.objective(*solution) for solution in (ours, theirs)]
    assert np.isfinite(objectives).all()
    # scikit-learn stops further from the minimum than fastlin.
    np.testing.assert_allclose(*objectives, rtol=comparison.rule.same_steps_tol or 1e-3)
    assert (
        comparison.rule.same_steps_tol or (objectives[0] <= objectives[1] * (1 + comparison.rule.suboptimality)).all()
    )
    np.testing.assert_allclose(problem.accuracy(*ours), problem.accuracy(*theirs), atol=0.01)


@pytest.mark.parametrize("case", ["sweep-small-l1", "sweep-small-l2"])
def test_the_best_C_of_a_small_cross_validation_is_the_same_for_both_libraries(case, monkeypatch):
    monkeypatch.setattr(many_fits, "SHORT_RUN_C_STEP", 1)
    comparison = COMPARISONS[case]
    problem = comparison.load(comparison.rows)
    for fit in (fit for name, fit in comparison.baselines.items() if name.endswith(many_fits.SEQUENTIAL_MODE)):
        losses = []
        for solution in (comparison.solve(problem), fit(problem)):
            scores = [each.score_test_rows(*pair) for each, *pair in zip(problem.problems(), *solution, strict=True)]
            losses.append(np.reshape([each.log_loss for each in scores], (many_fits.N_WIDE_FOLDS, -1)).mean(axis=0))
        assert losses[0].argmin() == losses[1].argmin()
        assert losses[0].min() == pytest.approx(losses[1].min(), rel=0.02)


def test_the_C_of_each_label_minimizes_its_test_loss():
    X, y, *_ = make_random_fits(2)
    y[:, 0] = X[:, 0] > 0
    labels = LabelProblems("labels", X[:20], y[:20], X[20:], y[20:], 2, np.array([1e-3, 1.0, 1e3]))
    for fit, model in (
        (many_fits.fit_multilabel, fastlin.LogisticRegression()),
        (many_fits.fit_label_by_label, LogisticRegression()),
    ):
        *fits, indices = fit(labels, model)
        solved = zip(labels.problems(), *fits, strict=True)
        losses = np.reshape([problem.score_test_rows(*solution).log_loss for problem, *solution in solved], (3, 3))
        assert indices.tolist() == losses.argmin(axis=1).tolist()
        assert len(set(indices)) > 1


def test_a_grid_evaluates_each_fit_with_its_own_rows_and_C():
    generator = np.random.default_rng(0)
    X, y, Cs = generator.normal(size=(30, 4)), np.arange(30) % 3, np.array([0.1, 10.0])
    fits = coef, intercept = generator.normal(size=(6, 3, 4)), generator.normal(size=(6, 3))
    grid, indices = PathProblems("small", X, y, X, y, 3, Cs, n_folds=3), np.arange(30)
    # Stratified folds take these rows in order.
    parts = [(indices // 10 != fold, C) for fold in range(3) for C in Cs]
    problems = [make_classification_problem("small", X[rows], y[rows], C) for rows, C in parts]
    expected = [problem.objective(*fit) for problem, *fit in zip(problems, *fits, strict=True)]
    assert grid.objective(*fits) == pytest.approx(expected, rel=1e-13)
    scores = [make_classification_problem("small", X, y, np.inf).objective(*fit) for fit in zip(*fits, strict=True)]
    losses, mean_scores = np.reshape(scores, (3, len(Cs))).mean(axis=0), grid.score_test_rows(*fits)
    assert mean_scores.log_loss == pytest.approx(losses.min(), rel=1e-13)
    predicted = (X @ coef.transpose(0, 2, 1) + intercept[:, None]).argmax(axis=2)
    assert mean_scores.accuracy == pytest.approx(np.mean(predicted[losses.argmin() :: len(Cs)] == y), rel=1e-13)


@pytest.mark.thorough
def test_the_baselines_of_the_grids_minimize_their_objective():
    data = make_one_hot(300)
    arrays = data.X_train, data.y_train, data.X_test, data.y_test
    path = PathProblems("one-hot", *arrays, 2, np.array([0.05, 0.5]), fit_intercept=False, l1_ratio=1.0)
    coef, intercept = many_fits.fit_liblinear_path(path, tol=1e-8)
    for problem, row, objective in zip(path.problems(), coef, path.objective(coef, intercept), strict=True):
        saga = fit_scikit_learn(problem, 20_000, "saga", tol=1e-8)
        assert objective == pytest.approx(problem.objective(*saga), rel=1e-7)
        np.testing.assert_array_equal(row == 0, saga[0] == 0)
    folds = PathProblems("one-hot", *arrays, 2, np.array([1e-3, 1e-2]), n_folds=3)
    coef, intercept = many_fits.fit_cross_validation(folds, LogisticRegression())
    for problem, objective in zip(folds.problems(), folds.objective(coef, intercept), strict=True):
        exact = fit_scikit_learn(problem, 100, "newton-cholesky", tol=1e-10)
        assert objective == pytest.approx(problem.objective(*exact), rel=1e-6)
