"""The number and the names of the columns of X, of those that an estimator was fitted to and of those that follow."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlin.typing import Array


def remember_features(estimator: Any, n_features: int, names: Sequence[str] | None) -> None:
    """Set `n_features_in_` and `feature_names_in_` where X is no array; names (n_features,) may be None."""
    estimator.n_features_in_ = n_features
    vars(estimator).pop("feature_names_in_", None)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def check_features(estimator: Any, n_features: int, names: Sequence[str] | None, subject: str) -> None:
    """Raise a ValueError where the columns of X, whose names may be None, are not those of the fit.

    The subject is what has the names, with its verb.
    """
    if n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
            "features as input."
        )
    expected = getattr(estimator, "feature_names_in_", None)
    if names is not None and expected is not None and list(names) != list(expected):
        raise ValueError(
            f"The feature names should match those that were passed during fit: {subject} {list(names)}, the model "
            f"{list(expected)}."
        )


def name_features(estimator: Any, names: Sequence[str] | Array | None) -> Array:
    """Return the names of the columns of `coef_`, an array of objects, for the names of those of X or None.

    Raises
    ------
    ValueError
        The names are not one for each column of X, or not those of the fit.
    """
    known = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(estimator.n_features_in_)] if known is None else known
    elif len(names) != estimator.n_features_in_:
        raise ValueError(f"input_features must have {estimator.n_features_in_} names, got {len(names)}")
    elif known is not None and list(names) != list(known):
        raise ValueError(f"input_features must be the names of the fit, {list(known)}, got {list(names)}")
    found = []
    for name, levels in zip(names, getattr(estimator, "categories_", [None] * len(names)), strict=True):
        found.extend([name] if levels is None else [f"{name}_{level}" for level in levels])
    return np.array(found, dtype=object)
