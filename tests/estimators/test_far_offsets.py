"""Fits with offsets far from each other and weights of far different sizes, where curvature underflows."""

import warnings

import numpy as np
import pytest
from conftest import marked
from reference import objective
from scipy import optimize
from scipy.special import softmax

from fastlin import LogisticRegression
from fastlin.exceptions import ConvergenceWarning


def value_and_gradient(point, X, y, n_classes, l2, weights, offset, fit_intercept):
    """Return J and its gradient by the parameters, in plain NumPy."""
    K, shares = 1 if n_classes == 2 else n_classes, weights / weights.sum()
    rows = np.column_stack([X, np.full(len(X), fit_intercept)])
    parameters = point.reshape(K, -1)
    curvatures = np.append(np.full(X.shape[1], l2), 0.0)
    scores = rows @ parameters.T + offset.reshape(len(X), K)
    scores = np.column_stack([np.zeros(len(X)), scores]) if K == 1 else scores
    own = scores[np.arange(len(X)), y]
    largest = scores.max(axis=1)
    loss = np.log(np.exp(scores - largest[:, None]).sum(axis=1)) + largest - own
    residuals = shares[:, None] * (softmax(scores, axis=1) - np.eye(n_classes)[y])
    gradient = residuals[:, 1:].T @ rows if K == 1 else residuals.T @ rows
    return shares @ loss + 0.5 * np.sum(curvatures * parameters**2), (gradient + curvatures * parameters).ravel()


def draw(seed):
    """Return X, labels, weights, an offset, and the parameters of a fit."""
    generator = np.random.default_rng(seed)
    n_classes, d = int(generator.choice([2, 2, 3, 4])), generator.integers(1, 7)
    n = generator.integers(n_classes, 31)
    X = 1.0 * generator.integers(-6, 7, (n, d))
    if generator.integers(2):
        X = generator.normal(size=(n, d)) * 10.0 ** generator.integers(-2, 3)
    y = np.append(np.arange(n_classes), generator.integers(0, n_classes, n - n_classes))
    offset = np.round(generator.normal(size=(n, 1 if n_classes == 2 else n_classes)) * 10 ** generator.uniform(0, 4))
    weights = generator.choice([1.0, 1.0, 10.0, 100.0, 1e3], n) if generator.integers(3) else np.ones(n)
    parameters = {
        "C": 10.0 ** generator.integers(-3, 4),
        "fit_intercept": bool(generator.integers(3)),
        "solver": str(generator.choice(["auto", "auto", "lbfgs", "newton-cg", "newton-cholesky"])),
        "max_iter": 1000,
    }
    return X, y, weights, offset, parameters


@pytest.mark.parametrize(("first", "last"), [(0, 60), *marked(pytest.mark.slow, (60, 10_000))])
def test_fits_end_at_the_minimum(first, last):
    n_missed = 0
    for seed in range(first, last):
        X, y, weights, offset, parameters = draw(seed)
        n_classes = y.max() + 1
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "The number of unique classes")
            given = offset[:, 0] if n_classes == 2 else offset
            model = LogisticRegression(**parameters).fit(X, y, weights, offset=given)
        problem = X, y, n_classes, 1 / (parameters["C"] * weights.sum()), weights, offset, parameters["fit_intercept"]
        end = np.column_stack([model.coef_, model.intercept_]).ravel()
        value, _ = value_and_gradient(end, *problem)
        least = value
        for start in (end, np.zeros_like(end)):
            options = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-14}
            least = min(
                least, optimize.minimize(value_and_gradient, start, problem, "L-BFGS-B", True, options=options).fun
            )
        # By a solver's name of scikit-learn so much may be left.
        tol = 1.01e-4 if parameters["solver"] == "auto" else 3e-3
        assert value - least <= tol * least + 1e-12 or not model.converged_, seed
        n_missed += not model.converged_
    # One of 6,000 of another draw, by a solver's name.
    assert n_missed <= (last - first) / 1000


def test_a_step_that_is_far_too_long_is_shortened_to_the_best_point():
    X, y, weights, offset = np.array([[0.0], [2], [-3]]), np.array([0, 1, 0]), [10, 1, 10], [-20, -10, 10]
    model = LogisticRegression().fit(X, y, weights, offset=offset)
    value = objective(
        X, y, model.coef_, model.intercept_, 1 / 21, weights=np.array(weights), offsets=np.array(offset)[:, None]
    )
    assert model.converged_
    assert value == pytest.approx(0.53833630, rel=1e-5)
    # J is 0 but for rounding.
    X, offset = [[6.0, 4, 3], [0, 3, -3], [2, 0, 3]], [1280.0, 12182, -11292]
    model = LogisticRegression().fit(X, [0, 1, 0], offset=offset)
    assert model.converged_
    assert model.certificate_ < 1e-12
