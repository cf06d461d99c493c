"""Log-likelihoods, scores and information, compared with sums over rows in NumPy and with finite differences."""

import numpy as np
import pytest
from objectives import build_objective
from reference import log_likelihood
from scipy import sparse

from fastlin.inference.hessian import CholeskyFactor
from fastlin.inference.likelihood import Likelihood
from fastlin.matrices import as_matrix


def make_weighted_rows(n_classes, n=60):
    """Return X, labels and integer weights, some of them zero."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n, 3)) * [1, 10, 0.1] + [0, 30, 1]
    X[:, 0] *= random.random(n) > 0.5
    return X, random.integers(0, n_classes, n), random.integers(0, 3, n).astype(float)


@pytest.mark.parametrize(
    ("n_classes", "is_firth", "intercept"), [(2, False, True), (2, True, True), (3, True, True), (4, True, False)]
)
def test_values_scores_and_information_match_explicit_sums(n_classes, is_firth, intercept):
    X, labels, weights = make_weighted_rows(n_classes)
    design = np.column_stack([X, np.ones(len(X))]) if intercept else X
    for rows in (X, np.asfortranarray(X), sparse.csr_array(X)):
        objective = build_objective(as_matrix(rows), labels, n_classes, weights=weights / 4, fit_intercept=intercept)
        likelihood = Likelihood(objective, 4.0, is_firth, np.append(np.ones(3, bool), intercept))
        R, P = max(1, n_classes - 1), 3 + intercept
        theta = 0.3 * np.random.default_rng(1).normal(size=R * P)
        scale, shift = objective.coordinates.scale, objective.coordinates.shift
        # The map from parameters to the coefficients of unscaled columns.
        coefficient_transformation = np.diag(np.append(scale, 1.0))
        coefficient_transformation[-1, :3] = shift
        coefficient_transformation = coefficient_transformation[:P, :P]
        state = likelihood.at(theta)
        value, information = log_likelihood(
            theta.reshape(R, P) @ coefficient_transformation.T, design, labels, weights, is_firth
        )
        np.testing.assert_allclose(state.value, value + R * np.log(scale).sum() * is_firth, rtol=1e-12)
        to_parameters = np.kron(np.eye(R), np.linalg.inv(coefficient_transformation))
        np.testing.assert_allclose(
            to_parameters.T @ state.information @ to_parameters, information, rtol=1e-8, atol=1e-8
        )
        np.testing.assert_allclose(state.information @ state.step, state.score, atol=1e-9)
        units = 1e-5 * np.eye(R * P)
        slopes = [(likelihood.at(theta + unit).value - likelihood.at(theta - unit).value) / 2e-5 for unit in units]
        np.testing.assert_allclose(state.score, slopes, rtol=1e-6, atol=1e-6)


def test_score_adjustments_do_not_depend_on_the_chunk_size(monkeypatch):
    X, labels, weights = make_weighted_rows(3, n=200)
    likelihood = Likelihood(build_objective(X, labels, 3, weights=weights), 1.0, True, np.ones(4, bool))
    theta = np.full(8, 0.1)
    expected = likelihood.at(theta)
    expected_score = expected.score
    monkeypatch.setattr("fastlin.matrices.matrix.PROBABILITY_BATCH_BYTES", 8 * 3 * 64)
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BATCH_BYTES", 8 * 16 * 10)
    actual = likelihood.at(theta)
    np.testing.assert_allclose(actual.information, expected.information, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual.score, expected_score, rtol=1e-10, atol=1e-12)


def test_collinear_columns_have_no_likelihood_state():
    X, labels, _ = make_weighted_rows(2)
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(len(X))])
    likelihood = Likelihood(build_objective(X, labels, 2), 1.0, True, np.ones(6, bool))
    assert likelihood.at(np.zeros(6)) is None


@pytest.mark.parametrize("size", [1, 2, 31, 80])
def test_the_cholesky_factor_detects_dependent_columns(size):
    random = np.random.default_rng(0)
    columns = random.normal(size=(2 * size, size)) * 10.0 ** random.integers(-6, 6, size)
    matrix = columns.T @ columns
    factor, scale = CholeskyFactor(matrix), np.sqrt(np.diagonal(matrix))
    assert factor.dependent_column is None
    np.testing.assert_allclose(factor.log_determinant, np.linalg.slogdet(matrix)[1], rtol=1e-10)
    identity = (factor.invert() * scale[:, None]) @ (matrix / scale)
    np.testing.assert_allclose(identity, np.eye(size), atol=1e-9 * size)
    root = factor.inverse_root * scale
    np.testing.assert_allclose(root.T @ root, factor.invert() * scale * scale[:, None], rtol=1e-12, atol=1e-12)
    if size > 2:
        columns[:, 2], columns[:, -1] = 3 * columns[:, 0] - columns[:, 1], 0
        assert CholeskyFactor(columns.T @ columns).dependent_column == 2
