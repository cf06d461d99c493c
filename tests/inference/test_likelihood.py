"""Log-likelihoods, their scores and informations, against sums over rows in plain NumPy and finite differences."""

import numpy as np
from naive_likelihood import sum_rows
from scipy import sparse

from fastlin.inference.likelihood import Likelihood
from fastlin.matrices import as_matrix
from fastlin.objective import Objective


def make_rows(n_classes, n=60, d=3, seed=0):
    """Return X, labels and whole weights, some of them zero."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)) * [1, 10, 0.1][:d] + [0, 30, 1][:d]
    X[:, 0] *= random.random(n) > 0.5
    return X, random.integers(0, n_classes, n), random.integers(0, 3, n).astype(float)


def test_values_scores_and_informations_are_those_of_plain_sums():
    for n_classes, is_firth, intercept in ((2, False, True), (2, True, True), (3, True, True), (4, True, False)):
        X, labels, weights = make_rows(n_classes)
        containers = as_matrix(X), as_matrix(np.asfortranarray(X)), as_matrix(sparse.csr_array(X))
        whole = np.column_stack([X, np.ones(len(X))]) if intercept else X
        for matrix in containers:
            objective = Objective.over(matrix, labels, n_classes, weights=weights / 4, fit_intercept=intercept)
            likelihood = Likelihood(objective, 4.0, is_firth, np.append(np.ones(3, bool), intercept))
            R, P = likelihood.shape
            theta = 0.3 * np.random.default_rng(1).normal(size=(R, P))
            scale, shift = objective.coordinates.scale, objective.coordinates.shift

            def restore(theta, scale=scale, shift=shift, intercept=intercept):
                coef = theta[:, :3] * scale
                return np.column_stack([coef, theta[:, -1] + theta[:, :3] @ shift]) if intercept else coef

            state = likelihood.at(theta)
            value, information = sum_rows(restore(theta), whole, labels, weights, is_firth)
            value += R * np.log(scale).sum() * is_firth
            np.testing.assert_allclose(state.value, value, rtol=1e-12)
            turn = np.linalg.inv(np.stack([restore(unit[None]) for unit in np.eye(P)], axis=-1)[0])
            turn = np.kron(np.eye(R), turn)
            np.testing.assert_allclose(turn.T @ state.information @ turn, information, rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(state.information @ state.step.ravel(), state.score.ravel(), atol=1e-9)
            slopes = np.empty(R * P)
            for place, unit in enumerate(np.eye(R * P).reshape(-1, R, P)):
                ends = [likelihood.at(theta + side * 1e-5 * unit).value for side in (1, -1)]
                slopes[place] = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(state.score.ravel(), slopes, rtol=1e-6, atol=1e-6)


def test_parts_of_rows_make_the_same_sums(monkeypatch):
    X, labels, weights = make_rows(3, n=200)
    objective = Objective.over(X, labels, 3, weights=weights)
    likelihood = Likelihood(objective, 1.0, True, np.ones(4, bool))
    theta = np.full(likelihood.shape, 0.1)
    whole = likelihood.at(theta)
    whole_score = whole.score
    monkeypatch.setattr("fastlin.matrices.matrix.PROBABILITY_BYTES", 8 * 3 * 64)
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BYTES", 8 * 16 * 10)
    cut = likelihood.at(theta)
    np.testing.assert_allclose(cut.information, whole.information, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cut.score, whole_score, rtol=1e-10, atol=1e-12)
    X, labels, _ = make_rows(2)
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(len(X))])
    objective = Objective.over(X, labels, 2)
    likelihood = Likelihood(objective, 1.0, True, np.ones(6, bool))
    assert likelihood.at(likelihood.start()) is None
