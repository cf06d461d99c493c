"""The model file: what `fastlin fit` saves, and `fastlin predict` loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.cli.arguments import convert_errors
from fastlin.cli.evaluation import predict_codes
from fastlin.cli.preparation import Preparation
from fastlin.environment.file_system import write_atomically
from fastlin.estimators.columns import validate_categories
from fastlin.estimators.linear_predictions import check_coefficients, validate_classes
from fastlin.inference import Inference
from fastlin.typing import Array, FloatArray

# The fastlin types that a model file may contain. A file with other types was not written by `fit`.
TRUSTED_TYPES = (
    "fastlin.estimators.logistic_regression.LogisticRegression",
    "fastlin.estimators.logistic_regression_cv.LogisticRegressionCV",
    "fastlin.solvers.solution.Iteration",
    "fastlin.coefficient_names.OmittedCategories",
    "fastlin.estimators.row_encoding.RowEncoder",
    "fastlin.inference.contrasts.Contrasts",
    "fastlin.inference.inference.Inference",
    "fastlin.inference.inference.InferenceBasis",
    "fastlin.objective.coordinates.Coordinates",
)


@dataclass(frozen=True)
class TableModel:
    """A fitted model, the preparation of its rows, the threshold of its predictions, and its standard errors.

    With a `threshold`, the second of two classes is predicted if its probability is at least the threshold. Without
    one, the most probable class is predicted. `inference` is None if the fit did not compute standard errors.
    """

    model: LogisticRegression | LogisticRegressionCV
    preparation: Preparation
    threshold: float | None = None
    inference: Inference | None = None

    @property
    def categories(self) -> Mapping[str, Array | None]:
        """From each feature to its categories, or to None if the feature is numeric."""
        names, model = list(self.model.feature_names_in_), self.model
        categories = validate_categories(model) if hasattr(model, "categories_") else [None] * len(names)
        return dict(zip(names, categories, strict=True))

    def predict(self, probabilities: FloatArray) -> Array:
        """Return the predicted labels for probabilities of shape (n_rows, n_classes)."""
        return np.asarray(self.model.classes_)[predict_codes(probabilities, self.threshold)]


def write_model(name: str, table_model: TableModel) -> None:
    """Write a model file: a skops file of a dict with the fields of a TableModel."""
    import skops.io

    content = {**vars(table_model), "preparation": asdict(table_model.preparation)}
    with convert_errors(f"cannot write {name}", OSError), write_atomically(name) as part:
        skops.io.dump(content, part)


def read_model(name: str) -> TableModel:
    """Return the content of a model file. A file that contains only a model has no preparation and no threshold."""
    import skops.io

    # A file that skops did not write can raise any exception.
    with convert_errors(f"{name} is damaged or was not written by fastlin fit", Exception):
        content = skops.io.load(Path(name), trusted=list(TRUSTED_TYPES))
        content = content if isinstance(content, dict) else {"model": content}
        model, threshold, inference = (content.get(key) for key in ("model", "threshold", "inference"))
        if not isinstance(model, (LogisticRegression, LogisticRegressionCV)):
            raise TypeError(f"it contains a {type(model).__name__}")
        check_coefficients(model, classes=validate_classes(model))
        names = list(model.feature_names_in_)
        if len(names) != model.n_features_in_ or not all(isinstance(column, str) for column in names):
            raise ValueError(f"feature_names_in_ must name {model.n_features_in_} columns, got {names!r:.100}")
        if threshold is not None and not (len(model.classes_) == 2 and 0 <= threshold <= 1):
            raise ValueError(f"threshold must be None, or a probability for two classes, got {threshold!r}")
        if not isinstance(inference, Inference | None):
            raise TypeError(f"inference must be None or an Inference, got {type(inference).__name__}")
        preparation = Preparation.from_dict(content["preparation"]) if "preparation" in content else Preparation()
        table_model = TableModel(model, preparation, threshold, inference)
        # Reading the categories checks them.
        if not table_model.categories.keys() >= {*preparation.fill_values, *preparation.indicators}:
            raise ValueError("its preparation fills features that the model does not have")
    return table_model
