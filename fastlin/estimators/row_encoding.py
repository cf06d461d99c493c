"""Encoding of the rows that `Inference.predict` receives, after the training data and the model are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.columns import validate_matrix
from fastlin.estimators.labels import prefix_error_messages, validate_offset
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.inference.predictions import NewRows
from fastlin.matrices import CategoricalColumn, TableMatrix
from fastlin.typing import IntArray, MatrixLike

# The attributes of a fitted model that determine how X is read.
FEATURE_ATTRIBUTES = "n_features_in_", "feature_names_in_", "categories_"


@dataclass(frozen=True, eq=False)
class RowEncoder:
    """A function that validates rows like a fitted model, and returns them as `NewRows`. It can be pickled.

    `features` is an estimator with only the FEATURE_ATTRIBUTES of the model. `columns` are the indices of the features
    of an inference in the matrix of the model. `unused_categories` are the indices of categories without coefficients,
    except reference categories.
    """

    features: LogisticRegression
    columns: IntArray
    unused_categories: IntArray
    n_classes: int

    @classmethod
    def from_model(cls, model: Any, columns: IntArray, unused_categories: IntArray) -> Self:
        """Return the encoder for a fitted model."""
        features = LogisticRegression(missing_as_category=model.missing_as_category)
        vars(features).update({name: value for name, value in vars(model).items() if name in FEATURE_ATTRIBUTES})
        return cls(features, columns, unused_categories, len(model.classes_))

    def __call__(self, X: MatrixLike, offset: ArrayLike | None) -> NewRows:
        """Return rows and their offsets. Raise an error if they do not match the model."""
        if isinstance(X, Blocks):
            raise TypeError("X_new must be in memory, got Blocks. Call predict for the rows of each block.")
        with prefix_error_messages("X_new"):
            matrix = validate_matrix(self.features, X, reset=False)
        if isinstance(matrix, TableMatrix):
            self._check_categories(matrix)
        return NewRows(matrix, self.columns, validate_offset(offset, matrix.shape[0], self.n_classes, rows="X_new"))

    def _check_categories(self, matrix):
        """Raise a ValueError if a row has a category without a coefficient."""
        names = getattr(self.features, "feature_names_in_", range(len(matrix.columns)))
        for name, first, column in zip(names, matrix.first_columns, matrix.columns, strict=True):
            if isinstance(column, CategoricalColumn):
                codes = column.recode_missing()
                is_unknown = (codes < 0) | np.isin(codes + first, self.unused_categories)
                if is_unknown.any():
                    raise ValueError(
                        f"Column {name!r} of X_new has, in row {int(is_unknown.argmax())}, a category without training "
                        "rows of positive weight, so its coefficients are unknown. Remove such rows."
                    )
