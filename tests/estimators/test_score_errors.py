"""Bounds on the errors of scores, compared with fits that are much closer to the minimum."""

import numpy as np
import pytest
from scipy.special import expit

import fastlin
from fastlin.estimators.score_errors import BinaryFit, FittedRows, HeldOutRows, bound_distance, bound_suboptimality
from fastlin.matrices import as_matrix
from fastlin.objective.rounding import gamma

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(80, 3)) * [1.0, 30.0, 0.1] + [5.0, 0.0, 0.0]
Y = (X[:, 0] - 5 + GENERATOR.logistic(size=80) > 0).astype(int)
TRAIN_ROWS, TEST_ROWS = np.arange(60), np.arange(40, 80)


def compute_objective(model, C):
    """Return the L2-penalized objective J of a model on the training rows."""
    margins = np.where(Y[TRAIN_ROWS], 1, -1) * (X[TRAIN_ROWS] @ model.coef_[0] + model.intercept_[0])
    return np.mean(np.logaddexp(0, -margins)) + 0.5 / (C * len(TRAIN_ROWS)) * np.sum(model.coef_**2)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.01, 1.0, 1e4, np.inf])
def test_errors_of_scores_are_within_their_bounds(C, fit_intercept):
    options = {"C": C, "fit_intercept": fit_intercept}
    best = fastlin.LogisticRegression(tol=1e-14, **options).fit(X[TRAIN_ROWS], Y[TRAIN_ROWS])
    rows = FittedRows(as_matrix(X), np.ones(3), fit_intercept)
    n_checked_bounds, weights = 0, np.isin(np.arange(80), TRAIN_ROWS).astype(float)
    for size in np.logspace(-8, -1, 8):
        # A model at a distance from the minimum, and its suboptimality.
        model = fastlin.LogisticRegression(**options).fit(X[TRAIN_ROWS], Y[TRAIN_ROWS])
        step = size * GENERATOR.normal(size=4) / [1, 30, 0.1, 1]
        model.coef_, model.intercept_ = best.coef_ + step[:3], best.intercept_ + step[3] * fit_intercept
        suboptimality = compute_objective(model, C) - compute_objective(best, C) + best.certificate_ + 1e-15
        fit = BinaryFit(model.coef_[0], suboptimality, 0.0 if C == np.inf else 1 / (C * len(TRAIN_ROWS)), weights)
        decisions, exact = model.decision_function(X), best.decision_function(X)
        hessian_norm = rows.compute_hessian_norm(fit, decisions, TEST_ROWS)
        common_error_bound = rows.bound_decision_errors(fit, decisions)
        assert hessian_norm is not None or suboptimality > 1e-3
        held_out_rows, optimal_held_out_rows = (
            HeldOutRows(decisions[TEST_ROWS], Y[TEST_ROWS], 0.0),
            HeldOutRows(exact[TEST_ROWS], Y[TEST_ROWS], 0.0),
        )
        score = optimal_held_out_rows.score_log_loss(np.zeros(40), 0.0)[0]
        training_loss_error = abs(
            np.mean(np.logaddexp(0, -np.where(Y, 1, -1) * decisions)[TRAIN_ROWS])
            - np.mean(np.logaddexp(0, -np.where(Y, 1, -1) * exact)[TRAIN_ROWS])
        )
        assert training_loss_error <= rows.bound_training_loss_error(fit)
        error_bounds = (
            [np.full(40, common_error_bound)]
            if hessian_norm is None
            else [np.full(40, common_error_bound), hessian_norm.bound_decision_errors()]
        )
        for k, errors in enumerate(error_bounds):
            assert (np.abs(decisions - exact)[TEST_ROWS] <= errors).all()
            first_order_error = hessian_norm.bound_mean_error(held_out_rows.residuals) if k else None
            actual, error = held_out_rows.score_log_loss(errors, first_order_error)
            assert abs(actual - score) <= error
            accuracy, error = held_out_rows.score_accuracy(errors, False)
            assert abs(accuracy - optimal_held_out_rows.score_accuracy(np.zeros(40), True)[0]) <= error + gamma(4)
            n_checked_bounds += 1
        if hessian_norm is not None:
            # The true distance in the norm of the Hessian is near sqrt(2 suboptimality).
            assert hessian_norm.distance <= 2 * np.sqrt(suboptimality)
            assert hessian_norm.bound_decision_errors().max() <= common_error_bound
    assert n_checked_bounds >= 7


def test_the_distance_bound_accounts_for_decreasing_curvature():
    # One row has decision value z at the minimum of loss plus linear term; curvature decreases at most by e^-z.
    for z in np.linspace(-3, 3, 13):
        for step in (-1.0, -0.3, 0.3, 1.0):
            suboptimality = np.logaddexp(0, z + step) - np.logaddexp(0, z) - expit(z) * step
            curvature = expit(z + step) * expit(-z - step)
            assert abs(step) * np.sqrt(curvature) <= bound_distance(suboptimality, 1 / curvature)


def test_converged_fits_have_a_bound_of_the_suboptimality():
    assert bound_suboptimality(1e-9, 0.5, 1e-4, True) == 1e-9
    assert bound_suboptimality(np.inf, 0.5, 1e-4, True) == 5e-5
    assert bound_suboptimality(0.1, 0.5, 1e-4, False) == bound_suboptimality(np.inf, 0.5, 1e-4, False) == 0
