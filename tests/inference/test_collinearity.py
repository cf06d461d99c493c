"""Columns that depend on each other, in all forms of X, and how they are named."""

import numpy as np
import pytest
from scipy import sparse

from fastlin import LogisticRegression
from fastlin.exceptions import CollinearityError
from fastlin.inference.collinearity import find_dependences
from fastlin.objective import Objective

pytestmark = pytest.mark.usefixtures("sparse_passes")

N = 200


def make_columns():
    """Return three columns without dependence, and the four of a dummy code."""
    generator = np.random.default_rng(0)
    return generator.normal(size=(N, 3)), np.eye(4)[generator.integers(0, 4, N)]


def describe(X, n_classes=2, **options):
    labels = np.random.default_rng(1).integers(0, n_classes, X.shape[0])
    names = np.array([f"x{j}" for j in range(X.shape[1])])
    objective = Objective.over(X, labels, n_classes, **options)
    return [each.describe(names) for each in find_dependences(objective, objective.penalty.curvatures == 0)]


def test_sums_of_columns_are_named():
    X, dummies = make_columns()
    x, ones = X.T, np.ones(N)
    cases = [
        ([*x, x[0] + 2 * x[1]], ["x3 = x0 + 2 x1"]),
        ([*x, x[0] / 3 - 2.5 * x[1] + 4, x[2]], ["x3 = 4 + 1/3 x0 - 5/2 x1", "x4 = x2"]),
        ([*x, ones, 0 * ones], ["x3 is constant", "x4 is constant"]),
        ([*x, *dummies.T], ["x6 = 1 - x3 - x4 - x5"]),
        ([*x, x[0] * 1e8, x[1] * 1e-8 - 1e-8], ["x3 = 1e+08 x0", "x4 = -1e-08 + 1e-08 x1"]),
        ([1e6 + x[0], 3 * (1e6 + x[0]) - x[1], x[1]], ["x2 = 3 x0 - x1"]),
        (list(x), []),
    ]
    for columns, expected in cases:
        assert describe(np.column_stack(columns)) == expected
        assert describe(np.column_stack(columns), 3) == expected
    wide = np.random.default_rng(2).normal(size=(N, 8))
    assert describe(np.column_stack([wide, wide.sum(axis=1)])) == ["x8 depends on x0, x1, x2, x3 and 4 more"]
    # Without an intercept a constant is a column.
    ones = np.ones((N, 1))
    assert describe(np.hstack([X, ones]), fit_intercept=False) == []
    assert describe(dummies, fit_intercept=False) == []
    assert describe(np.hstack([X, ones, 0 * ones]), fit_intercept=False) == ["x4 is constant"]
    assert describe(np.hstack([ones, X, 2 * ones]), fit_intercept=False) == ["x4 = 2 x0"]
    # Rows without weight do not count.
    weights = (np.arange(N) % 4 > 0).astype(float)
    X = np.column_stack([X, np.where(weights > 0, X[:, 0] - X[:, 1], 7.0)])
    assert describe(X) == []
    assert describe(X, weights=weights) == ["x3 = x0 - x1"]


def test_an_inference_is_refused_in_every_form_of_rows():
    from fastlin import blocks

    X, dummies = make_columns()
    X, y = np.hstack([X, dummies]), np.random.default_rng(4).integers(0, 2, N)
    forms = {"dense": X, "sparse": sparse.csr_array(X), "blocks": blocks.from_arrays(X, y, rows_per_block=70)}
    for form, rows in forms.items():
        labels = None if form == "blocks" else y
        with pytest.raises(CollinearityError, match="x6 = 1 - x3 - x4 - x5"):
            LogisticRegression(C=np.inf).fit(rows, labels).inference(rows, labels)
    constant = np.column_stack([X[:, :3], np.full(N, 0.1)])
    with pytest.raises(CollinearityError, match="x3 is constant"):
        LogisticRegression(C=np.inf).fit(constant, y).inference(constant, y)
    # A penalty determines the coefficients.
    assert np.isfinite(LogisticRegression(tol=1e-8).fit(X, y).inference(X, y, penalised="laplace").std_errors).all()
