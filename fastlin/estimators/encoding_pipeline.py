"""Conversion of a linear model with categorical columns to a pipeline of scikit-learn: an encoder and a model."""

from __future__ import annotations

from copy import copy
from numbers import Real
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from fastlin.estimators.columns import validate_categories
from fastlin.estimators.summary import copy_linear_model
from fastlin.estimators.table_columns import is_missing, list_value_kinds
from fastlin.typing import Array, IntArray


def make_encoding_pipeline(model: Any, destination_class: type[Any]) -> Pipeline:
    """Return a fitted Pipeline of a ColumnTransformer and of an estimator of scikit-learn for a model with categories.

    The encoder puts the categorical columns first, so the coefficients are permuted.
    """
    check_is_fitted(model)
    columns = validate_categories(model)
    labels = list(getattr(model, "feature_names_in_", range(len(columns))))
    starts = np.cumsum([0, *(1 if categories is None else len(categories) for categories in columns)])
    numeric_columns = [j for j, categories in enumerate(columns) if categories is None]
    encodings = {
        j: _sort_categories(labels[j], categories) for j, categories in enumerate(columns) if categories is not None
    }
    encoder = _make_fitted_encoder(labels, {j: categories for j, (categories, _) in encodings.items()}, numeric_columns)
    indices = np.concatenate([*(starts[j] + order for j, (_, order) in encodings.items()), starts[numeric_columns]])
    return make_pipeline(encoder, copy_linear_model(_permute_coefficients(model, indices), destination_class))


def _sort_categories(label: object, categories: Array) -> tuple[Array, IntArray]:
    """Return the categories in the order and dtype that OneHotEncoder requires, and their indices in `categories`."""
    values = categories.tolist()
    n_known = len(values) - is_missing(values[-1])
    if all(isinstance(value, Real) for value in values[:n_known]):
        numbers = np.array(values)
        order = np.argsort(numbers)
        return numbers[order], order
    if not all(isinstance(value, (str, bytes)) for value in values[:n_known]):
        raise ValueError(
            f"Column {label!r} has categories that are {' and '.join(list_value_kinds(values))}; to_sklearn supports "
            "strings and numbers. Convert the column, for example with astype(str), before the fit."
        )
    # scikit-learn distinguishes None from NaN, so both of them get the coefficient of missing values.
    missing = [None, np.nan] if n_known < len(values) else []
    return np.array([*values[:n_known], *missing], object), np.array([*range(n_known), *(n_known for _ in missing)])


def _make_fitted_encoder(
    labels: list[Any], categories: dict[int, Array], numeric_columns: list[int]
) -> ColumnTransformer:
    """Return a ColumnTransformer that one-hot encodes the columns with categories, and unseen categories as zeros."""
    encoded_columns = list(categories)
    encoder = OneHotEncoder(categories=list(categories.values()), handle_unknown="ignore")
    transformer = ColumnTransformer(
        [("categories", encoder, encoded_columns), ("numbers", "passthrough", numeric_columns)], sparse_threshold=1.0
    )
    # The categories are parameters, so any row serves for the fit. A row of objects holds every type of value.
    row = np.zeros((1, len(labels)), object)
    for j, column_categories in categories.items():
        row[0, j] = column_categories[0]
    transformer.fit(row)
    fitted_encoder = transformer.named_transformers_["categories"]
    # The fit converts the categories to objects, which scikit-learn cannot compare with columns of numbers.
    fitted_encoder.categories_ = list(categories.values())
    if isinstance(labels[0], str):
        transformer.feature_names_in_ = np.array(labels, object)
        fitted_encoder.feature_names_in_ = transformer.feature_names_in_[encoded_columns]
    return transformer


def _permute_coefficients(model: Any, indices: IntArray) -> Any:
    """Return a copy of a model, whose features are the columns of `coef_` at these indices, without names."""
    encoded = copy(model)
    for name in ("categories_", "feature_names_in_"):
        vars(encoded).pop(name, None)
    encoded.n_features_in_ = len(indices)
    encoded.coef_ = model.coef_[:, indices]
    if hasattr(model, "coefs_paths_"):

        def permute(path):
            # The intercept, if there is one, comes last.
            return path[..., [*indices, *range(model.coef_.shape[1], path.shape[-1])]]

        paths = model.coefs_paths_
        encoded.coefs_paths_ = (
            {label: permute(path) for label, path in paths.items()} if isinstance(paths, dict) else permute(paths)
        )
    return encoded
