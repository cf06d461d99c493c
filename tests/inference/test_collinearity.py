"""Columns that depend on each other, in all forms of X, and how they are named."""

import numpy as np
import pytest

from fastlin.exceptions import CollinearityError
from fastlin.inference.collinearity import find_dependences
from fastlin.objective import Objective

from .conftest import infer, list_forms, refuse

pytestmark = pytest.mark.usefixtures("sparse_passes")

# Three columns without dependence, and the four of a dummy code.
N, GENERATOR = 200, np.random.default_rng(0)
X, DUMMIES, ONES = GENERATOR.normal(size=(N, 3)), np.eye(4)[GENERATOR.integers(0, 4, N)], np.ones(N)


def describe(*columns, n_classes=2, **options):
    table = np.column_stack(columns)
    names = np.array([f"x{j}" for j in range(table.shape[1])])
    objective = Objective.over(table, np.random.default_rng(1).integers(0, n_classes, N), n_classes, **options)
    return [each.describe(names) for each in find_dependences(objective, objective.penalty.curvatures == 0)]


def test_sums_of_columns_are_named():
    x = X.T
    for columns, expected in (
        ([X, x[0] + 2 * x[1]], ["x3 = x0 + 2 x1"]),
        ([X, x[0] / 3 - 2.5 * x[1] + 4, x[2]], ["x3 = 4 + 0.333333 x0 - 2.5 x1", "x4 = x2"]),
        ([X, ONES, 0 * ONES], ["x3 is constant", "x4 is constant"]),
        ([X, DUMMIES], ["x6 = 1 - x3 - x4 - x5"]),
        ([X, x[0] * 1e8, x[1] * 1e-8 - 1e-8], ["x3 = 1e+08 x0", "x4 = -1e-08 + 1e-08 x1"]),
        ([1e6 + x[0], 3 * (1e6 + x[0]) - x[1], x[1]], ["x2 = 3 x0 - x1"]),
        ([X], []),
    ):
        assert describe(*columns) == expected
        assert describe(*columns, n_classes=3) == expected
    wide = np.random.default_rng(2).normal(size=(N, 8))
    assert describe(wide, wide.sum(axis=1)) == ["x8 depends on x0, x1, x2, x3 and 4 more"]
    # Without an intercept a constant is a column.
    for columns, expected in (
        ([X, ONES], []),
        ([DUMMIES], []),
        ([X, ONES, 0 * ONES], ["x4 is constant"]),
        ([ONES, X, 2 * ONES], ["x4 = 2 x0"]),
    ):
        assert describe(*columns, fit_intercept=False) == expected
    # Rows without weight do not count.
    weights = (np.arange(N) % 4 > 0).astype(float)
    last = np.where(weights > 0, x[0] - x[1], 7.0)
    assert describe(X, last) == []
    assert describe(X, last, weights=weights) == ["x3 = x0 - x1"]


def test_an_inference_is_refused_in_every_form_of_rows():
    table, y = np.hstack([X, DUMMIES]), np.random.default_rng(4).integers(0, 2, N)
    for rows, labels in list_forms(table, y):
        refuse("x6 = 1 - x3 - x4 - x5", rows, labels, error=CollinearityError)
    refuse("x3 is constant", np.column_stack([X, 0.1 * ONES]), y, error=CollinearityError)
    # A penalty determines the coefficients.
    assert np.isfinite(infer(table, y, parameters={"C": 1.0}, penalised="laplace").std_errors).all()
