"""The attributes that a linear model predicts with, checked against each other: users and files may change them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fastlin.containers import read_if_sparse
from fastlin.fitted import as_array, check_array, expect, read_count
from fastlin.typing import Array, FloatArray


def read_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, FloatArray, FloatArray]:
    """Return `classes_`, `coef_` (K, n_features) and `intercept_` (K,) of a fitted linear model, as kernels take them.

    n_features are the columns of the matrix that the coefficients are for, and classes those that they are for; None
    means those that the model itself names. K is 1 for two classes.
    """
    classes, coef, intercept = check_coefficients(model, n_features, classes)
    return classes, coef.toarray() if sparse.issparse(coef) else coef, intercept


def check_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, Any, FloatArray]:
    """Return what `read_coefficients` does; coefficients that `sparsify` has made sparse stay so."""
    n_features = _count_features(model) if n_features is None else n_features
    classes = read_classes(model) if classes is None else classes
    n_rows = 1 if len(classes) == 2 else len(classes)
    reason = f", for {len(classes)} classes and {n_features} features"
    # SciPy would read where broken index arrays point.
    given = read_if_sparse(model.coef_, "coef_")
    coef = given if sparse.issparse(given) else as_array("coef_", given)
    check_array("coef_", coef, (n_rows, n_features), reason)
    intercept = as_array("intercept_", model.intercept_)
    # A model of two classes may have a number.
    intercept = intercept if intercept.ndim else intercept.reshape(1)
    return classes, coef, check_array("intercept_", intercept, (n_rows,), reason)


def read_classes(model: Any) -> Array:
    """Return `classes_` of a model, (n_classes,), at least two."""
    classes = as_array("classes_", model.classes_)
    is_right = classes.ndim == 1 and len(classes) > 1
    expect(is_right, "classes_", "hold at least two classes in one dimension", classes)
    if classes.dtype.kind == "U" and classes.tobytes() and np.array(classes, "=U").view(np.uint32).max() > 0x10FFFF:
        raise ValueError("classes_ must hold texts of Unicode, got a character beyond its last one")
    return classes


def _count_features(model):
    """Return how many columns `coef_` of a model must have, after a check of `categories_` and `n_features_in_`."""
    if not hasattr(model, "categories_"):
        return read_count("n_features_in_", model.n_features_in_)
    return sum(1 if levels is None else len(levels) for levels in read_categories(model))


def read_categories(model: Any) -> list[Array | None]:
    """Return `categories_` of a model: for each column of X None or its levels, at least one, (n_levels,)."""
    categories, n_columns = model.categories_, read_count("n_features_in_", model.n_features_in_)
    is_right = isinstance(categories, (list, tuple)) and len(categories) == n_columns
    expect(is_right, "categories_", f"be a list with an entry for each of {n_columns} columns", categories)
    for place, levels in enumerate(categories):
        is_right = levels is None or (isinstance(levels, np.ndarray) and levels.ndim == 1 and len(levels))
        expect(is_right, f"categories_[{place}]", "be None or an array of levels in one dimension", levels)
    return list(categories)
