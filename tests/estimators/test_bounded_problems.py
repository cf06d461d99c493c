"""Fits with bounds, offsets and large numbers end at their minimum, or say that they do not.

Where all probabilities are 0 or 1, no row has curvature that a step could go by.
"""

import warnings

import numpy as np
import pytest
from bounded_problems import draw

import fastlin
from fastlin.exceptions import ConvergenceWarning

INF = np.inf


def fit(problem):
    parameters = {name: value for name, value in problem.parameters.items() if name != "K"}
    offset = problem.offset
    if offset is not None and offset.shape[1] == 1:
        offset = offset[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fastlin.LogisticRegression(**parameters).fit(problem.X, problem.y, problem.weights, offset=offset)


def test_columns_of_hundreds_with_an_l1_penalty_have_their_minimum():
    X, y = np.array([[122], [224], [298], [-244]]), [0, 1, 2, 2]
    lower, upper = np.array([[-0.2], [0.5], [-INF]]), np.array([[-0.2], [INF], [-2.1]])
    model = fastlin.LogisticRegression(C=0.01, l1_ratio=1.0, lower_bounds=lower, upper_bounds=upper, tol=1e-6)
    model.fit(X, y)
    # The least penalty that the bounds allow; nothing but rounding is lost by the rows.
    np.testing.assert_allclose(model.coef_, [[-0.2], [0.5], [-2.1]], rtol=1e-12)
    assert model.converged_ and model.certificate_ < 1e-4


def test_classes_that_bounds_let_be_separated_are():
    X = np.array([[-10, -252], [185, 2], [-200, 5], [-31, -194], [-113, 151]])
    y = np.array([0, 1, 2, 0, 2])
    lower = np.array([[-INF, -INF], [0.6, 0.6], [0.7, -INF]])
    upper = np.array([[-0.9, -1.1], [INF, 0.6], [0.7, 0.6]])
    model = fastlin.LogisticRegression(C=INF, fit_intercept=False, lower_bounds=lower, upper_bounds=upper).fit(X, y)
    assert -np.log(model.predict_proba(X)[np.arange(5), y]).mean() < 1e-9
    assert model.converged_


# Seeds, of which few take a second and a half; most of that is the other minimiser's.
FIRSTS = [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(8, 1_000, 8))]


@pytest.mark.parametrize("first", FIRSTS)
def test_no_fit_is_silently_above_the_least_that_another_minimiser_finds(first):
    for seed in range(first, first + 8):
        problem = draw(seed)
        if problem.y.ndim == 1 and np.unique(problem.y).size < 2:
            continue
        model = fit(problem)
        value = problem.value(model.coef_, model.intercept_)
        least = problem.least((model.coef_, model.intercept_), max_evaluations=300)
        tol = problem.parameters["tol"]
        if problem.parameters["solver"] != "auto":
            # Where the gradient stays small.
            tol = max(tol, min(30 * tol, 3e-3))
        assert not model.converged_ or value <= (1 + 1.01 * tol) * least + 1e-10, seed
