"""Rows and columns as kernels take them, with the names of columns and their levels.

Levels of a categorical column of pandas, polars, Arrow or NumPy are those of its type, in their order, or else the
sorted values of its rows. Columns of text or bytes are categorical where the types of columns decide. Dates and times
are numbers nowhere.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import assert_all_finite, validate_data

from fastlin.blocks.blocks import Blocks
from fastlin.budget import Budget
from fastlin.coefficient_names import CoefficientName
from fastlin.estimators.table_columns import are_times, as_numbers, describe_values, is_categorical, read_levels
from fastlin.extras import needs
from fastlin.fitted import expect, read_count
from fastlin.tensors import DTYPES, has_finite_sum, read_in_place, widen
from fastlin.typing import Array, FloatType, MatrixLike

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.matrices.table_matrix import TableMatrix

# Fits of five tables with this part of their entries or more took 1.15 to 7 times as long by sparse passes.
FILLED = 1 / 3

ACCEPTED = "a table of pandas, polars or Arrow, or an array of two dimensions"


def choose_form(matrix: Matrix) -> Matrix:
    """Return a matrix in its fastest form: a sparse one that is FILLED becomes dense, within X or 64 MB."""
    from fastlin.matrices import DenseMatrix, SparseMatrix

    if isinstance(matrix, SparseMatrix) and matrix.n_entries >= FILLED * math.prod(matrix.shape):
        n_bytes = math.prod(matrix.shape) * matrix.dtype.itemsize
        if Budget.for_data(matrix.budget_bytes).holds(n_bytes):
            return DenseMatrix(matrix.csr.toarray())
    return matrix


def choose_dtype(matrix: Matrix, solver: str) -> FloatType:
    """Return the type of coefficients: float32 for float32 data, but not by liblinear, which has no float32."""
    from fastlin.kernels.machine.arrays import compute_type

    return np.float64 if solver == "liblinear" else compute_type(matrix)


def read_matrix(
    estimator: Any, X: Any, *, reset: bool = True, ensure_all_finite: bool = True, takes_blocks: bool = False
) -> Any:
    """Return X as a matrix, after scikit-learn's checks by `validate_data` and our own of sparse containers.

    With reset the estimator remembers the columns, and otherwise it is to know them. Blocks need not be finite yet.
    """
    from fastlin.matrices import Matrix, as_matrix

    if isinstance(X, Blocks):
        if not takes_blocks:
            name = type(estimator).__name__
            raise TypeError(f"{name} takes arrays and sparse matrices; linear classifiers fit blocks.")
        return _read_blocks(estimator, X, reset)
    if isinstance(X, Matrix):
        # Rows whose reader has checked them.
        return X
    X = read_in_place(X)
    if not reset:
        read_count("n_features_in_", getattr(estimator, "n_features_in_", 0))
    if _reads_table(estimator, X, reset):
        return read_table(estimator, X, reset)
    names = _name_columns(X)

    def bypasses(rows, numbers):
        """Say whether rows with these entries need none of scikit-learn's checks, which take time."""
        is_read = rows.dtype in DTYPES or rows.dtype.kind in "iu"
        is_known = is_read and all(rows.shape) and (reset or _are_columns_of(estimator, rows, names))
        return is_known and (not ensure_all_finite or rows.dtype.kind != "f" or has_finite_sum(numbers))

    if sparse.issparse(X):
        # Our checks come first, since scikit-learn converts a broken container without looking.
        matrix = as_matrix(X)
        if not bypasses(matrix.X, matrix.X.data):
            given = {"dtype": None, "reset": reset, "ensure_all_finite": ensure_all_finite, "accept_sparse": "csr"}
            validate_data(estimator, matrix.X, **given)
        elif reset:
            remember_features(estimator, matrix.shape[1], None)
        return matrix
    plain = X if names is None else X.to_numpy()
    if type(plain) is np.ndarray and plain.ndim == 2 and bypasses(plain, plain):
        if reset:
            remember_features(estimator, plain.shape[1], names)
        return as_matrix(plain)
    # A frame of sparse columns becomes a sparse matrix here.
    given = {"dtype": DTYPES, "reset": reset, "ensure_all_finite": ensure_all_finite, "accept_sparse": "csr"}
    if _may_hold_others(X):
        _refuse_columns(estimator, X, reset)
    try:
        return as_matrix(validate_data(estimator, widen(X), **given))
    except (TypeError, ValueError) as error:
        # What else is wrong scikit-learn names itself.
        if "could not convert string" in str(error) or "float() argument" in str(error):
            _refuse_columns(estimator, X, reset)
        raise


def _may_hold_others(X):
    """Say whether X may hold anything but numbers, by its types, or by the first row of a list."""
    if _is_dataframe(X):
        types = X.dtypes.tolist()
    elif _is_stream(X):
        head = X[:0]
        types = [np.asarray(column).dtype for column in getattr(head, "get_columns", lambda: head.columns)()]
    else:
        try:
            rows = np.asarray(X[:1]) if isinstance(X, (list, tuple)) else X
        except ValueError:
            # A row of several lengths.
            return False
        types = [rows.dtype] if isinstance(rows, np.ndarray) and rows.ndim == 2 else []
    return any(getattr(each, "kind", "O") not in "biufc" for each in types)


def _refuse_columns(estimator, X, is_fit):
    """Raise an error that names the first column of X that holds no numbers, if any."""
    names, columns = _split(estimator, X)
    is_table = _is_dataframe(X) or _is_stream(X)
    for label, column in zip(range(len(columns)) if names is None else names, columns, strict=True):
        numbers = as_numbers(column)
        # Other objects in an array scikit-learn names itself.
        is_ours = is_table or are_times(numbers) or describe_values(numbers).startswith("text")
        if numbers.dtype.kind not in "biufc" and is_ours:
            raise ValueError(_explain_numbers(estimator, label, numbers, is_fit))


def _explain_numbers(estimator, label, values, is_fit):
    """Return the message for a column that holds no numbers, with what to do."""
    found = describe_values(values)
    is_text, takes_levels = found.startswith("text"), hasattr(estimator, "categorical_features")
    if not is_fit:
        remedy = "The fit found numbers there."
    elif are_times(values):
        remedy = "Convert it to numbers, for instance days since a date"
        remedy += ", or list it in categorical_features." if takes_levels else "."
    elif not is_text:
        remedy = "Convert it to numbers or text."
    elif not takes_levels:
        remedy = "Encode it, for instance by scikit-learn's OneHotEncoder."
    else:
        remedy = "Encode it, set categorical_features='from_dtype', or name the column in categorical_features."
    return f"Column {label!r} of X holds {found}; columns that are not categorical must hold numbers. {remedy}"


def _name_columns(X):
    """Return the names of the columns of a table of pandas that holds NumPy's numbers alone, or None."""
    pandas = sys.modules.get("pandas")
    if pandas is None or type(X) is not pandas.DataFrame:
        return None
    names = X.columns.tolist()
    are_text = all(type(name) is str for name in names)
    return names if are_text and all(isinstance(dtype, np.dtype) for dtype in X.dtypes.tolist()) else None


def _are_columns_of(estimator, X, names):
    """Say whether X has as many columns as an estimator was fitted to, of these names, or of none."""
    known = getattr(estimator, "feature_names_in_", None)
    has_names = known is None if names is None else isinstance(known, np.ndarray) and known.tolist() == names
    return has_names and X.shape[1] == getattr(estimator, "n_features_in_", -1)


def _read_blocks(estimator, blocks, reset):
    from fastlin.matrices import BlockMatrix

    n_rows, n_columns = blocks.shape
    if reset:
        refuse_categories(estimator, "blocks")
        if not (n_rows and n_columns):
            what = f"{'feature' if n_rows else 'sample'}(s) (shape={blocks.shape})"
            raise ValueError(f"Found blocks with 0 {what}; {type(estimator).__name__} requires a minimum of 1.")
        remember_features(estimator, n_columns, blocks.feature_names)
    else:
        if hasattr(estimator, "categories_"):
            raise ValueError("The model was fitted to a table with categorical columns, which blocks do not have.")
        check_features(estimator, n_columns, blocks.feature_names, "the blocks have")
    return BlockMatrix(blocks)


def check_parts(estimator: object, matrix: Matrix) -> Iterator[Matrix]:
    """Yield the parts of a matrix, each after a check that it is finite, or scikit-learn's error."""
    for name, part in matrix.parts():
        assert_all_finite(part.X, estimator_name=type(estimator).__name__, input_name=name)
        yield part


def refuse_categories(estimator: Any, what: str) -> None:
    """Raise a ValueError where the estimator is to read categorical columns of data that have none."""
    if estimator.categorical_features is not None:
        raise ValueError(
            f"categorical_features must be None for {what}, got {estimator.categorical_features!r}: tables in memory "
            "have categorical columns."
        )
    vars(estimator).pop("categories_", None)


def remember_features(estimator: Any, n_features: int, names: Sequence[str] | None) -> None:
    """Set `n_features_in_` and `feature_names_in_` where X is no array; names (n_features,) may be None."""
    estimator.n_features_in_ = n_features
    vars(estimator).pop("feature_names_in_", None)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def check_features(estimator: Any, n_features: int, names: Sequence[str] | None, subject: str) -> None:
    """Raise a ValueError, with the subject and its verb, if the columns of X differ from the fit's."""
    if n_features != read_count("n_features_in_", estimator.n_features_in_):
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


def read_categories(model: Any) -> list[Array | None]:
    """Return `categories_` of a model: for each column of X None or its levels, at least one, (n_levels,)."""
    categories, n_columns = model.categories_, read_count("n_features_in_", model.n_features_in_)
    is_right = isinstance(categories, (list, tuple)) and len(categories) == n_columns
    expect(is_right, "categories_", f"be a list with an entry for each of {n_columns} columns", categories)
    for position, levels in enumerate(categories):
        is_right = levels is None or (isinstance(levels, np.ndarray) and levels.ndim == 1 and len(levels))
        expect(is_right, f"categories_[{position}]", "be None or an array of levels in one dimension", levels)
    return list(categories)


def keep_texts(names: list[Any]) -> list[str] | None:
    """Return the names of columns if all are text, otherwise None, as scikit-learn does."""
    return names if all(isinstance(name, str) for name in names) else None


def name_features(estimator: Any, names: Sequence[str] | Array | None) -> Array:
    """Return the names of the columns of `coef_`, an array of objects, from the names of X's columns or None."""
    found = name_coefficients(estimator, names)
    return np.array(list(map(str, found)), object) if hasattr(estimator, "categories_") else found


def name_coefficients(estimator: Any, names: Sequence[str] | Array | None = None) -> Array:
    """Return what `name_features` does, but `CoefficientName`s for the levels of categorical columns."""
    known = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(estimator.n_features_in_)] if known is None else known
    elif len(names) != estimator.n_features_in_:
        raise ValueError(f"input_features must have {estimator.n_features_in_} names, got {len(names)}")
    elif known is not None and list(names) != list(known):
        raise ValueError(f"input_features must be the names of the fit, {list(known)}, got {list(names)}")
    found = []
    for name, levels in zip(names, getattr(estimator, "categories_", [None] * len(names)), strict=True):
        if levels is None:
            found.append(name)
        else:
            found += [CoefficientName(f"{name}_{level}", name, level) for level in levels]
    return np.array(found, dtype=object)


def find_columns(argument: str, wanted: Sequence[Any], names: Sequence[str] | Array, others: str) -> list[int]:
    """Return the numbers of the columns of X that an argument names; others is what it may hold in place of names.

    ValueError: X has no column of a name, or several.
    """
    numbers: dict[Any, list[int]] = {}
    for number, name in enumerate(names):
        numbers.setdefault(name, []).append(number)
    for name in wanted:
        found = numbers.get(name, [])
        if not found:
            raise ValueError(f"{argument} names {name!r}, but X has the columns {list(names)}. Give names or {others}.")
        if len(found) > 1:
            shared = ", ".join(map(str, found))
            raise ValueError(f"{argument} names {name!r}, but columns {shared} of X all have this name. Give {others}.")
    return [numbers[name][0] for name in wanted]


def _reads_table(estimator: Any, X: MatrixLike, is_fit: bool) -> bool:
    """Say whether an estimator reads categorical columns of X: in a fit as its parameter says, later as in the fit."""
    if not is_fit:
        return hasattr(estimator, "categories_")
    vars(estimator).pop("categories_", None)
    asked = getattr(estimator, "categorical_features", None)
    if isinstance(asked, str):
        # Without them X is read as ever.
        return _may_hold_text(X) and any(map(is_categorical, _split(estimator, X)[1]))
    return asked is not None


def _may_hold_text(X):
    """Return whether X is a table, or an array or a list of objects; ValueError: all of an array is text."""
    if _is_dataframe(X) or _is_stream(X):
        return True
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "US":
        raise ValueError(
            f"X is an array of text, {X.dtype}, whose type does not say which columns are categorical. For "
            "categorical_features='from_dtype' give a table, or an array of objects; or name the categorical columns."
        )
    try:
        rows = np.asarray(X) if isinstance(X, (list, tuple)) else X
    except ValueError:
        # Rows of several lengths.
        return False
    return isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "OUS"


def read_table(estimator: Any, X: MatrixLike, is_fit: bool) -> TableMatrix:
    """Return X as a TableMatrix; a fit sets `categories_`, which tell the levels later. Other levels have no column."""
    from fastlin.matrices import Codes, TableMatrix

    known = None if is_fit else read_categories(estimator)
    names, columns = _split(estimator, X)
    if known is not None:
        check_features(estimator, len(columns), names, "X has")
    labels = _label(estimator, names, columns)
    if known is None:
        are_categorical = _choose_categorical(estimator, names, columns)
    else:
        are_categorical = [levels is not None for levels in known]
    read: list[Array | Codes] = []
    categories: list[Array | None] = []
    for label, column, has_codes in zip(labels, columns, are_categorical, strict=True):
        levels: Any = None
        has_missing_category = False
        if not has_codes:
            numbers = as_numbers(column)
            if numbers.dtype.kind not in "biuf":
                raise ValueError(_explain_numbers(estimator, label, numbers, is_fit))
            read.append(numbers)
        else:
            found, codes, is_missing = _read_known_levels(estimator, label, column)
            if known is None:
                has_missing_category = is_missing
                # Tuples among the levels stay what they are.
                levels = np.empty(len(found) + is_missing, object)
                levels[:] = [*found, np.nan] if is_missing else found
            else:
                levels = known[len(categories)]
                codes = _renumber(label, codes, found, levels)
            read.append(Codes(codes, len(levels), has_missing_category))
        categories.append(levels)
    matrix = TableMatrix(read, labels)
    if known is None:
        remember_features(estimator, len(columns), names)
        estimator.categories_ = categories
    else:
        for _ in check_parts(estimator, matrix):
            pass
    return matrix


def _renumber(label, codes, found, levels):
    """Return codes of levels that were found as the numbers of the known ones, -1 where there is none."""
    has_missing_category = levels[-1] != levels[-1]
    if not has_missing_category and found == levels.tolist():
        return codes
    positions = _number_levels(label, levels)
    # The last entry belongs to the code -1.
    of_missing = len(levels) - 1 if has_missing_category else -1
    return np.array([*(positions.get(level, -1) for level in found), of_missing], np.int32)[codes]


def _split(estimator, X):
    """Return the names of the columns of X, or None, and the columns, each of its own kind."""
    if _is_dataframe(X):
        return keep_texts(list(X.columns)), [X.iloc[:, j] for j in range(X.shape[1])]
    if _is_stream(X):
        with needs("arrow", "pyarrow"):
            import pyarrow
        try:
            table = pyarrow.table(X)
        except (pyarrow.ArrowInvalid, NotImplementedError) as error:
            raise TypeError(f"{type(X).__name__} has a column that Arrow cannot read: {error}") from error
        columns = table.columns
        for j, dtype in enumerate(getattr(X, "dtypes", ())):
            if str(dtype) == "Object":
                # Of polars, for whose Python objects Arrow gets addresses.
                columns[j] = X[:, j].to_numpy()
        return keep_texts(table.column_names), columns
    if sparse.issparse(X) or isinstance(X, str) or not (hasattr(X, "__array__") or isinstance(X, (list, tuple))):
        raise TypeError(f"{type(estimator).__name__} with categories takes {ACCEPTED}, got {type(X).__name__}")
    rows = np.asarray(X, None if hasattr(X, "__array__") else object)
    if rows.ndim != 2:
        raise ValueError(f"Expected 2D array, got {rows.ndim}D array instead: X must be {ACCEPTED}.")
    return None, list(rows.T)


def _is_dataframe(X):
    """Say whether X is a table of pandas, or has the methods of one."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _is_stream(X):
    """Say whether X is a table that comes through Arrow, and can be read again."""
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc") and len(getattr(X, "shape", ())) == 2


def _label(estimator, names, columns):
    """Return what errors call the columns, of which there is at least one, with rows."""
    if not columns or not len(columns[0]):
        what = "sample(s)" if columns else "feature(s)"
        raise ValueError(f"Found a table with 0 {what} while a minimum of 1 is required by {type(estimator).__name__}.")
    return range(len(columns)) if names is None else names


def _choose_categorical(estimator, names, columns):
    """Return whether each column is categorical, as `categorical_features` says."""
    asked, n = estimator.categorical_features, len(columns)
    if isinstance(asked, str):
        return list(map(is_categorical, columns))
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
            raise ValueError(f"categorical_features as a mask must have {n} entries, one a column, got {len(chosen)}")
        return chosen.tolist()
    wanted = chosen.tolist()
    if names is not None and chosen.dtype.kind not in "iu":
        wanted = find_columns("categorical_features", wanted, names, f"numbers from 0 to {n - 1} or a mask")
    unknown = [each for each in wanted if each not in range(n)]
    if unknown:
        has = f"the {n} columns of X have no names" if names is None else f"X has {n} columns"
        raise ValueError(f"categorical_features names {unknown[0]!r}, but {has}: give numbers from 0 to {n - 1}.")
    return np.isin(np.arange(n), wanted).tolist()


def _read_known_levels(estimator, label, column):
    """Return what `read_levels` does, and whether values are missing, which is an error where they are no level."""
    levels, codes = read_levels(label, column)
    is_missing = bool(codes.min() < 0)
    if is_missing and not estimator.missing_as_category:
        raise ValueError(
            f"Column {label!r} of X has missing values: {type(estimator).__name__} takes them as a level of their own "
            "with missing_as_category=True."
        )
    return levels, codes, is_missing


def _number_levels(label, levels):
    """Return the number of each level by its value."""
    try:
        positions = {level: position for position, level in enumerate(levels)}
    except TypeError as error:
        raise ValueError(f"categories_ of column {label!r} must hold single values: {error}") from error
    if len(positions) != len(levels):
        raise ValueError(f"categories_ of column {label!r} must hold each level once, got {levels.tolist()!r:.100}")
    return positions
