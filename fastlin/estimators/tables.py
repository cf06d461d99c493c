"""Tables as they come, of pandas, polars, Arrow or NumPy: categorical columns as codes, which nobody spreads out.

The levels of a column of pandas' categories, of an enum or of an Arrow dictionary are those of its type, in their
order, whether rows have them or not. Those of any other column are the values of its rows, sorted.
"""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.estimators.feature_names import check_features, remember_features

# The types of codes that kernels read, and of whole numbers whose memory they are where no number is too large.
CODE_TYPES = tuple(np.dtype(name) for name in ("int8", "int16", "int32"))
SIGNED = dict(zip((np.dtype(name) for name in ("uint8", "uint16", "uint32")), CODE_TYPES, strict=True))
ACCEPTED = "a table of pandas, polars or Arrow, or an array of two dimensions"


def reads_table(estimator, X, is_fit):
    """Say whether an estimator reads categorical columns of X: in a fit as its parameter says, later as in the fit."""
    if not is_fit:
        return hasattr(estimator, "categories_")
    vars(estimator).pop("categories_", None)
    asked = getattr(estimator, "categorical_features", None)
    if asked is None:
        return False
    if isinstance(asked, str):
        # Without them X is read as ever.
        return (_is_frame(X) or _is_stream(X)) and any(_has_levels(column) for column in _split(estimator, X)[1])
    return True


def read_table_to_fit(estimator, X):
    """Return X as a TableMatrix, and set what the estimator knows of its columns.

    Parameters
    ----------
    estimator : LogisticRegression or LogisticRegressionCV
        Its `categorical_features` and `missing_level` count.
    X : DataFrame, Table or array of shape (n, number of columns)
        The table.

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
    read, categories = [], []
    for label, column, is_categorical in zip(_label(names, columns), columns, are_categorical, strict=True):
        if not is_categorical:
            read.append(_read_numbers(label, column))
            categories.append(None)
            continue
        levels, codes, is_missing = _read_levels(estimator, label, column)
        levels = [*levels, np.nan] if is_missing else levels
        read.append(Codes(codes, len(levels), is_missing))
        categories.append(_as_objects(levels))
    remember_features(estimator, len(columns), names)
    estimator.categories_ = categories
    return TableMatrix(read, _label(names, columns))


def read_table(estimator, X):
    """Return X as a TableMatrix with the levels that the estimator was fitted to; others have no column.

    Raises
    ------
    TypeError
        X is no table.
    ValueError
        Its columns are not those of the fit, or it holds NaN, infinity or, without `missing_level`, missing values.
    """
    from fastlin.matrices import Codes, TableMatrix

    names, columns = _split(estimator, X)
    check_features(estimator, len(columns), names, "X has")
    _refuse_empty(estimator, columns)
    read = []
    for label, column, levels in zip(_label(names, columns), columns, estimator.categories_, strict=True):
        if levels is None:
            numbers = _read_numbers(label, column)
            assert_all_finite(numbers, estimator_name=type(estimator).__name__, input_name=f"Column {label!r} of X")
            read.append(numbers)
            continue
        found, codes, _ = _read_levels(estimator, label, column)
        has_missing_level = levels[-1] != levels[-1]
        if has_missing_level or found != levels.tolist():
            places = {level: place for place, level in enumerate(levels)}
            # The last entry is that of the code -1.
            of_missing = len(levels) - 1 if has_missing_level else -1
            codes = np.array([*(places.get(level, -1) for level in found), of_missing], np.int32)[codes]
        read.append(Codes(codes, len(levels)))
    return TableMatrix(read)


def _split(estimator, X):
    """Return the names of the columns of X, or None, and the columns, each of its own kind."""
    if _is_frame(X):
        return _check_names(list(X.columns)), [X.iloc[:, j] for j in range(X.shape[1])]
    if _is_stream(X):
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError(f"{type(X).__name__} is read through Arrow: install pyarrow.") from error
        table = pyarrow.table(X)
        return _check_names(table.column_names), [_join(column) for column in table.columns]
    if sparse.issparse(X) or isinstance(X, str) or not (hasattr(X, "__array__") or isinstance(X, (list, tuple))):
        raise TypeError(
            f"{type(estimator).__name__} with categorical_features takes {ACCEPTED}, got {type(X).__name__}"
        )
    rows = X if isinstance(X, np.ndarray) else np.asarray(X, None if hasattr(X, "__array__") else object)
    if rows.ndim != 2:
        raise ValueError(f"Expected 2D array, got {rows.ndim}D array instead: X must be {ACCEPTED}.")
    return None, list(rows.T)


def _is_frame(X):
    """Say whether X is a table of pandas, or of what has its methods."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _is_stream(X):
    """Say whether X is a table that comes through Arrow."""
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc")


def _check_names(names):
    """Return the names of columns where all are text, else None, as scikit-learn has it."""
    return names if all(isinstance(name, str) for name in names) else None


def _label(names, columns):
    """Return what errors call the columns."""
    return range(len(columns)) if names is None else names


def _join(column):
    """Return a column of an Arrow table in one piece, its memory where it is one already."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return joined.combine_chunks() if isinstance(joined, pyarrow.ChunkedArray) else joined


def _is_arrow(column):
    return hasattr(column, "to_pylist")


def _has_levels(column):
    """Say whether the type of a column has levels."""
    if _is_arrow(column):
        return hasattr(column, "dictionary")
    return hasattr(column, "cat")


def _choose_categorical(estimator, names, columns):
    """Return whether each column is categorical, as `categorical_features` says."""
    asked, n = estimator.categorical_features, len(columns)
    if isinstance(asked, str):
        return [_has_levels(column) for column in columns]
    chosen = np.asarray(asked, object if len(asked) == 0 else None)
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


def _read_numbers(label, column):
    """Return a column of numbers as an array of a type that kernels read: the same memory where it has one."""
    if _is_arrow(column):
        column = column.to_numpy(zero_copy_only=False)
    elif getattr(getattr(column, "dtype", None), "na_value", None) is not None and not _has_levels(column):
        column = _fill_missing(label, column)
    numbers = np.asarray(column)
    if numbers.dtype.kind == "b" or numbers.dtype in _number_types():
        return numbers
    if numbers.dtype.kind in "fiuO":
        try:
            return numbers.astype(np.float64)
        except (TypeError, ValueError):
            pass
    raise ValueError(
        f"Column {label!r} of X holds {_describe(numbers)} rather than numbers: encode it, or name it in "
        "categorical_features."
    )


def _fill_missing(label, column):
    """Return a column of pandas' types that know missing values as numbers, with NaN for those."""
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return column.to_numpy(object)


def _number_types():
    from fastlin.kernels.linear.operands import NUMBER_TYPES

    return NUMBER_TYPES


def _describe(values):
    """Return what a column holds, for an error."""
    if values.dtype.kind != "O":
        return "text" if values.dtype.kind in "US" else f"values of type {values.dtype}"
    wrong = next((value for value in values if not isinstance(value, (int, float))), None)
    return "text" if isinstance(wrong, str) else f"values such as {wrong!r}"


def _read_levels(estimator, label, column):
    """Return the levels of a column, a list, the code of each row, -1 where its value is missing, and whether some are.

    Raises
    ------
    ValueError
        Values are missing where they are no level, levels cannot be sorted, or codes are beyond the levels.
    """
    if _is_arrow(column):
        levels, codes = _read_dictionary(column)
    elif hasattr(column, "iloc"):
        categories = (column if _has_levels(column) else column.astype("category")).array
        levels, codes = categories.categories.tolist(), categories.codes
    else:
        levels, codes = _find_levels(label, np.asarray(column))
    codes = _as_codes(codes, len(levels))
    # Kernels trust the codes, and not every reader has looked at them.
    smallest, largest = codes.min(), codes.max()
    if not -1 <= smallest <= largest < len(levels):
        raise ValueError(
            f"Column {label!r} of X is broken: its codes run from {smallest} to {largest}, and it has {len(levels)} "
            "levels."
        )
    is_missing = bool(smallest < 0)
    if is_missing and not estimator.missing_level:
        raise ValueError(
            f"Column {label!r} of X has missing values: {type(estimator).__name__} takes them as a level of their own "
            "with missing_level=True."
        )
    return levels, codes, is_missing


def _find_levels(label, values):
    """Return the values of an array without a type for levels, sorted, and the number of each, -1 for None and NaN."""
    is_missing = values != values if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if values.dtype.kind == "O":
        is_missing = np.array([value is None or value != value for value in values], bool)
    try:
        levels, codes = np.unique(values[~is_missing], return_inverse=True)
    except TypeError:
        raise ValueError(
            f"Column {label!r} of X has levels that cannot be sorted, as text and numbers cannot."
        ) from None
    found = np.full(len(values), -1, np.min_scalar_type(-max(1, len(levels))))
    found[~is_missing] = codes
    return levels.tolist(), found


def _read_dictionary(column):
    """Return the levels and codes of an Arrow array; the memory of its codes where nothing is missing."""
    is_plain = not hasattr(column, "dictionary")
    column = column.dictionary_encode() if is_plain else column
    levels, codes = column.dictionary.to_pylist(), column.indices
    missing = np.asarray(codes.is_null()) if codes.null_count else None
    codes = (codes.fill_null(0) if codes.null_count else codes).to_numpy(zero_copy_only=False)
    is_odd = None in levels or len(set(levels)) < len(levels)
    if is_odd or is_plain:
        # Values that come twice, or none: a dictionary may hold them.
        distinct = dict.fromkeys(level for level in levels if level is not None)
        distinct = sorted(distinct) if is_plain else list(distinct)
        places = {level: place for place, level in enumerate(distinct)}
        lookup = np.array([places.get(level, -1) for level in levels], np.int32)
        levels, codes = distinct, lookup[codes] if len(lookup) else np.full(len(codes), -1, np.int32)
    codes = _as_codes(codes, len(levels))
    return levels, codes if missing is None else np.where(missing, codes.dtype.type(-1), codes)


def _as_codes(codes, n_levels):
    """Return codes in a type that kernels read: the same memory where one of its size does."""
    if codes.dtype in CODE_TYPES:
        return codes
    signed = SIGNED.get(codes.dtype)
    if signed is not None and n_levels <= np.iinfo(signed).max:
        return codes.view(signed)
    return codes.astype(np.int32)


def _as_objects(levels):
    """Return levels as an array of objects: tuples among them stay what they are."""
    array = np.empty(len(levels), object)
    array[:] = levels
    return array
