"""Grids of fits: how each fit is judged, and that the peers minimise the objective of each."""

import numpy as np
import pytest

from benchmarks.paths import Grid, fit_liblinear_path, fit_scikit_learn_cross_validation
from benchmarks.problems import pose
from benchmarks.sparse_data import make_one_hot
from fastlin.contenders import fit_scikit_learn


def test_a_grid_judges_each_fit_on_its_rows_and_its_C():
    generator = np.random.default_rng(0)
    X, y, Cs = generator.normal(size=(30, 4)), np.arange(30) % 3, np.array([0.1, 10.0])
    coef, intercept = generator.normal(size=(6, 3, 4)), generator.normal(size=(6, 3))
    objectives = Grid("small", X, y, X, y, 3, Cs, n_folds=3).objective(coef, intercept)
    # Stratified folds take these rows in order.
    for fold, first in enumerate((0, 10, 20)):
        rows = np.setdiff1d(np.arange(30), np.arange(first, first + 10))
        for place, C in enumerate(Cs):
            fit = 2 * fold + place
            expected = pose("small", X[rows], y[rows], C).objective(coef[fit], intercept[fit])
            assert objectives[fit] == pytest.approx(expected, rel=1e-13)
    scores = [pose("small", X, y, np.inf).objective(*fit) for fit in zip(coef, intercept, strict=True)]
    tested = Grid("small", X, y, X, y, 3, Cs, n_folds=3).test(coef, intercept)
    losses = np.reshape(scores, (3, len(Cs))).mean(axis=0)
    assert tested.log_loss == pytest.approx(losses.min(), rel=1e-13)
    predicted = (X @ coef.transpose(0, 2, 1) + intercept[:, None]).argmax(axis=2)
    assert tested.accuracy == pytest.approx(np.mean(predicted[losses.argmin() :: len(Cs)] == y), rel=1e-13)
    with pytest.raises(ValueError, match="shorter"):
        Grid("small", X, y, X, y, 3, Cs).objective(coef[:1], intercept[:1])


@pytest.mark.thorough
def test_the_peers_of_the_grids_minimise_their_objective():
    data = make_one_hot(300)
    arrays = data.X_train, data.y_train, data.X_test, data.y_test
    path = Grid("one-hot", *arrays, 2, np.array([0.05, 0.5]), fit_intercept=False, l1_ratio=1.0)
    coef, intercept = fit_liblinear_path(path, tol=1e-8)
    for problem, row, objective in zip(path.problems(), coef, path.objective(coef, intercept), strict=True):
        saga = fit_scikit_learn(problem, 20_000, "saga", tol=1e-8)
        assert objective == pytest.approx(problem.objective(*saga), rel=1e-7)
        np.testing.assert_array_equal(row == 0, saga[0] == 0)
    folds = Grid("one-hot", *arrays, 2, np.array([1e-3, 1e-2]), n_folds=3)
    coef, intercept = fit_scikit_learn_cross_validation(folds)
    for problem, objective in zip(folds.problems(), folds.objective(coef, intercept), strict=True):
        exact = fit_scikit_learn(problem, 100, "newton-cholesky", tol=1e-10)
        assert objective == pytest.approx(problem.objective(*exact), rel=1e-6)
