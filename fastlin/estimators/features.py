"""The features of X: how many, their names, and in tables of pandas, polars, Arrow or NumPy which are categorical.

Categorical columns are read as codes, which nobody spreads out.
The levels of a column of pandas' categories, of an enum or of an Arrow dictionary are those of its type, in their
order, whether rows have them or not. Those of any other column are the values of its rows, sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.estimators.coefficients import read_categories
from fastlin.estimators.table_columns import has_levels, read_levels, read_numbers
from fastlin.extras import needs
from fastlin.typing import Array, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.matrices.table_matrix import TableMatrix

ACCEPTED = "a table of pandas, polars or Arrow, or an array of two dimensions"


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


def keep_texts(names: list[Any]) -> list[str] | None:
    """Return the names of columns where all are text, else None, as scikit-learn has it."""
    return names if all(isinstance(name, str) for name in names) else None


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


def reads_table(estimator: Any, X: MatrixLike, is_fit: bool) -> bool:
    """Say whether an estimator reads categorical columns of X: in a fit as its parameter says, later as in the fit."""
    if not is_fit:
        return hasattr(estimator, "categories_")
    vars(estimator).pop("categories_", None)
    asked = getattr(estimator, "categorical_features", None)
    if asked is None:
        return False
    if isinstance(asked, str):
        # Without them X is read as ever.
        return (_is_frame(X) or _is_stream(X)) and any(has_levels(column) for column in _split(estimator, X)[1])
    return True


def read_table_to_fit(estimator: LinearEstimator, X: MatrixLike) -> TableMatrix:
    """Return X as a TableMatrix, and set what the estimator knows of its columns.

    Raises
    ------
    TypeError
        X is no table.
    ValueError
        It is empty, a column that is named is not there, values are missing where they are no level, or a column holds
        neither numbers nor levels.
    """
    from fastlin.matrices import Codes, TableMatrix

    names, columns = _split(estimator, X)
    _refuse_empty(estimator, columns)
    are_categorical = _choose_categorical(estimator, names, columns)
    read: list[Array | Codes] = []
    categories: list[Array | None] = []
    for label, column, is_categorical in zip(_label(names, columns), columns, are_categorical, strict=True):
        if not is_categorical:
            read.append(read_numbers(label, column))
            categories.append(None)
            continue
        levels, codes, is_missing = _read_known_levels(estimator, label, column)
        levels = [*levels, np.nan] if is_missing else levels
        read.append(Codes(codes, len(levels), is_missing))
        categories.append(_as_objects(levels))
    remember_features(estimator, len(columns), names)
    estimator.categories_ = categories
    return TableMatrix(read, _label(names, columns))


def read_table(estimator: Any, X: MatrixLike) -> TableMatrix:
    """Return X as a TableMatrix with the levels that the estimator was fitted to; others have no column.

    Raises
    ------
    TypeError
        X is no table.
    ValueError
        Its columns are not those of the fit, or it holds NaN, infinity or, without `missing_level`, missing values; or
        `categories_` holds something else than levels.
    """
    from fastlin.matrices import Codes, TableMatrix

    categories = read_categories(estimator)
    names, columns = _split(estimator, X)
    check_features(estimator, len(columns), names, "X has")
    _refuse_empty(estimator, columns)
    read: list[Array | Codes] = []
    for label, column, levels in zip(_label(names, columns), columns, categories, strict=True):
        if levels is None:
            numbers = read_numbers(label, column)
            assert_all_finite(numbers, estimator_name=type(estimator).__name__, input_name=f"Column {label!r} of X")
            read.append(numbers)
            continue
        found, codes, _ = _read_known_levels(estimator, label, column)
        has_missing_level = levels[-1] != levels[-1]
        if has_missing_level or found != levels.tolist():
            places = _number_levels(label, levels)
            # The last entry is that of the code -1.
            of_missing = len(levels) - 1 if has_missing_level else -1
            codes = np.array([*(places.get(level, -1) for level in found), of_missing], np.int32)[codes]
        read.append(Codes(codes, len(levels)))
    return TableMatrix(read)


def _split(estimator, X):
    """Return the names of the columns of X, or None, and the columns, each of its own kind."""
    if _is_frame(X):
        return keep_texts(list(X.columns)), [X.iloc[:, j] for j in range(X.shape[1])]
    if _is_stream(X):
        with needs("arrow"):
            import pyarrow
        try:
            table = pyarrow.table(X)
        except (pyarrow.ArrowInvalid, NotImplementedError) as error:
            raise TypeError(f"{type(X).__name__} has a column that Arrow cannot read: {error}") from error
        return keep_texts(table.column_names), table.columns
    if sparse.issparse(X) or isinstance(X, str) or not (hasattr(X, "__array__") or isinstance(X, (list, tuple))):
        raise TypeError(
            f"{type(estimator).__name__} with categorical_features takes {ACCEPTED}, got {type(X).__name__}"
        )
    rows = np.asarray(X, None if hasattr(X, "__array__") else object)
    if rows.ndim != 2:
        raise ValueError(f"Expected 2D array, got {rows.ndim}D array instead: X must be {ACCEPTED}.")
    return None, list(rows.T)


def _is_frame(X):
    """Say whether X is a table of pandas, or of what has its methods."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _is_stream(X):
    """Say whether X is a table that comes through Arrow, and can be read again."""
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc") and len(getattr(X, "shape", ())) == 2


def _label(names, columns):
    """Return what errors call the columns."""
    return range(len(columns)) if names is None else names


def _choose_categorical(estimator, names, columns):
    """Return whether each column is categorical, as `categorical_features` says."""
    asked, n = estimator.categorical_features, len(columns)
    if isinstance(asked, str):
        return [has_levels(column) for column in columns]
    try:
        chosen = np.asarray(asked, object if len(asked) == 0 else None)
    except ValueError:
        # Lists of several lengths.
        chosen = np.empty((0, 0))
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "biuUO"):
        raise ValueError(
            "categorical_features must be 'from_dtype' or names of columns, their numbers or a mask, in one dimension, "
            f"got {asked!r}"
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n:
            raise ValueError(
                f"categorical_features as a mask must have {n} entries, as X has columns, got {len(chosen)}"
            )
        return chosen.tolist()
    known = range(n) if names is None or chosen.dtype.kind in "iu" else names
    unknown = [each for each in chosen.tolist() if each not in known]
    if unknown:
        has = f"the {n} columns of X have no names" if names is None else f"X has the columns {list(names)}"
        raise ValueError(f"categorical_features names {unknown[0]!r}, but {has}: names or numbers from 0 to {n - 1}.")
    wanted = set(chosen.tolist())
    return [each in wanted for each in known]


def _refuse_empty(estimator, columns):
    if not columns or not len(columns[0]):
        what = "sample(s)" if columns else "feature(s)"
        raise ValueError(f"Found a table with 0 {what} while a minimum of 1 is required by {type(estimator).__name__}.")


def _read_known_levels(estimator, label, column):
    """Return what `read_levels` does, and whether values are missing, which is an error where they are no level."""
    levels, codes = read_levels(label, column)
    is_missing = bool(codes.min() < 0)
    if is_missing and not estimator.missing_level:
        raise ValueError(
            f"Column {label!r} of X has missing values: {type(estimator).__name__} takes them as a level of their own "
            "with missing_level=True."
        )
    return levels, codes, is_missing


def _number_levels(label, levels):
    """Return the number of each level by its value."""
    try:
        places = {level: place for place, level in enumerate(levels)}
    except TypeError as error:
        raise ValueError(f"categories_ of column {label!r} must hold single values: {error}") from error
    if len(places) != len(levels):
        raise ValueError(f"categories_ of column {label!r} must hold each level once, got {levels.tolist()!r:.100}")
    return places


def _as_objects(levels):
    """Return levels as an array of objects: tuples among them stay what they are."""
    array = np.empty(len(levels), object)
    array[:] = levels
    return array
