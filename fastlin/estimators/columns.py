"""Validation of X: conversion to matrices for the kernels, column names, and categories.

The categories of a column of pandas, polars, Arrow or NumPy are those of its dtype, in the order of the dtype. If the
dtype has no categories, they are the sorted values. With "from_dtype", columns of strings or
bytes are categorical. Dates and times are never converted to numbers.
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
from fastlin.coefficient_names import CoefficientName
from fastlin.containers.fitted import require, validate_count
from fastlin.containers.tensors import KERNEL_DTYPES, has_finite_sum, view_as_numpy, widen_float16
from fastlin.environment.extras import import_extra
from fastlin.estimators.table_columns import are_times, as_numbers, describe_values, encode_categories, is_categorical
from fastlin.objective.budget import Budget
from fastlin.typing import Array, FloatType, MatrixLike

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.matrices.table_matrix import TableMatrix

# Sparse X with at least this fraction of nonzero entries is faster as a dense array
# (docs/benchmarks/design-choices.md: dense form of sparse data).
MIN_DENSITY = 1 / 3

ACCEPTED_TABLES = "a table of pandas, polars or Arrow, or an array of two dimensions"


def densify_if_faster(matrix: Matrix) -> Matrix:
    """Return a dense copy of a sparse matrix if its density is at least MIN_DENSITY, and other matrices unchanged.

    The copy must take no more memory than X, or at most 64 MB.
    """
    from fastlin.matrices import DenseMatrix, SparseMatrix

    if isinstance(matrix, SparseMatrix) and matrix.n_entries >= MIN_DENSITY * math.prod(matrix.shape):
        n_bytes = math.prod(matrix.shape) * matrix.dtype.itemsize
        if Budget.from_data_size(matrix.budget_bytes).allows_array_bytes(n_bytes):
            return DenseMatrix(matrix.csr.toarray())
    return matrix


def choose_dtype(matrix: Matrix, solver: str) -> FloatType:
    """Return the dtype of the coefficients: float32 for float32 data, except with liblinear."""
    from fastlin.kernels.machine.arrays import get_computation_type

    return np.float64 if solver == "liblinear" else get_computation_type(matrix)


def validate_matrix(
    estimator: Any, X: Any, *, reset: bool = True, ensure_all_finite: bool = True, allows_blocks: bool = False
) -> Any:
    """Return X as a matrix, validated by scikit-learn's `validate_data` and by fastlin's checks of sparse containers.

    If `reset` is true, the estimator stores the features of X; otherwise X must have the features seen in the fit.
    Blocks are not checked for NaN and infinity.
    """
    from fastlin.matrices import Matrix, as_matrix

    if isinstance(X, Blocks):
        if not allows_blocks:
            name = type(estimator).__name__
            raise TypeError(f"{name} accepts arrays and sparse matrices; only linear classifiers accept Blocks.")
        return _validate_blocks(estimator, X, reset)
    if isinstance(X, Matrix):
        # Matrices have already been validated.
        return X
    X = view_as_numpy(X)
    if not reset:
        validate_count("n_features_in_", getattr(estimator, "n_features_in_", 0))
    if _is_read_as_table(estimator, X, reset):
        return make_table_matrix(estimator, X, reset)
    names = _get_column_names(X)

    def can_skip_checks(rows, numbers):
        """Return whether rows can skip scikit-learn's checks, which are slow; `numbers` are the entries of the rows."""
        has_supported_dtype = rows.dtype in KERNEL_DTYPES or rows.dtype.kind in "iu"
        has_valid_features = (
            has_supported_dtype and all(rows.shape) and (reset or _has_fitted_features(estimator, rows, names))
        )
        return has_valid_features and (not ensure_all_finite or rows.dtype.kind != "f" or has_finite_sum(numbers))

    if sparse.issparse(X):
        # fastlin's checks come first, because scikit-learn converts sparse containers without validating their indices.
        matrix = as_matrix(X)
        if not can_skip_checks(matrix.X, matrix.X.data):
            options = {"dtype": None, "reset": reset, "ensure_all_finite": ensure_all_finite, "accept_sparse": "csr"}
            validate_data(estimator, matrix.X, **options)
        elif reset:
            set_feature_attributes(estimator, matrix.shape[1], None)
        return matrix
    plain = X if names is None else X.to_numpy()
    if type(plain) is np.ndarray and plain.ndim == 2 and can_skip_checks(plain, plain):
        if reset:
            set_feature_attributes(estimator, plain.shape[1], names)
        return as_matrix(plain)
    # A DataFrame with sparse columns becomes a sparse matrix.
    options = {"dtype": KERNEL_DTYPES, "reset": reset, "ensure_all_finite": ensure_all_finite, "accept_sparse": "csr"}
    if _may_contain_non_numbers(X):
        _check_numeric_columns(estimator, X, reset)
    try:
        return as_matrix(validate_data(estimator, widen_float16(X), **options))
    except (TypeError, ValueError) as error:
        # Other error messages of scikit-learn are clear.
        if "could not convert string" in str(error) or "float() argument" in str(error):
            _check_numeric_columns(estimator, X, reset)
        raise


def _may_contain_non_numbers(X):
    """Return whether X may contain values that are not numbers, judging by its dtypes or the first row of a list."""
    if _is_dataframe(X):
        types = X.dtypes.tolist()
    elif _is_arrow_stream(X):
        empty_table = X[:0]
        types = [
            np.asarray(column).dtype for column in getattr(empty_table, "get_columns", lambda: empty_table.columns)()
        ]
    else:
        try:
            rows = np.asarray(X[:1]) if isinstance(X, (list, tuple)) else X
        except ValueError:
            # The rows have different lengths.
            return False
        types = [rows.dtype] if isinstance(rows, np.ndarray) and rows.ndim == 2 else []
    return any(getattr(dtype, "kind", "O") not in "biufc" for dtype in types)


def _check_numeric_columns(estimator, X, is_fitting):
    """Raise a ValueError that names the first column of X that is not numeric, if any."""
    names, columns = _split_into_columns(estimator, X)
    is_table = _is_dataframe(X) or _is_arrow_stream(X)
    for label, column in zip(range(len(columns)) if names is None else names, columns, strict=True):
        numbers = as_numbers(column)
        # scikit-learn raises a clear error for other objects in an array.
        needs_own_message = is_table or are_times(numbers) or describe_values(numbers).startswith("strings")
        if numbers.dtype.kind not in "biufc" and needs_own_message:
            raise ValueError(_explain_non_numeric_column(estimator, label, numbers, is_fitting))


def _explain_non_numeric_column(estimator, label, values, is_fitting):
    """Return the error message for a column that is not numeric, with advice."""
    description = describe_values(values)
    are_strings, has_categorical_features_parameter = (
        description.startswith("strings"),
        hasattr(estimator, "categorical_features"),
    )
    if not is_fitting:
        remedy = "It was numeric in the training data."
    elif are_times(values):
        remedy = "Convert it to numbers, for example days since a date"
        remedy += ", or include it in categorical_features." if has_categorical_features_parameter else "."
    elif not are_strings:
        remedy = "Convert it to numbers or strings."
    elif not has_categorical_features_parameter:
        remedy = "Encode it, for example with scikit-learn's OneHotEncoder."
    else:
        remedy = "Encode it, set categorical_features='from_dtype', or include the column in categorical_features."
    return f"Column {label!r} of X contains {description}; columns that are not categorical must be numeric. {remedy}"


def _get_column_names(X):
    """Return the column names of a pandas DataFrame if they are strings and all dtypes are NumPy's, or else None."""
    pandas = sys.modules.get("pandas")
    if pandas is None or type(X) is not pandas.DataFrame:
        return None
    names = X.columns.tolist()
    are_strings = all(type(name) is str for name in names)
    return names if are_strings and all(isinstance(dtype, np.dtype) for dtype in X.dtypes.tolist()) else None


def _has_fitted_features(estimator, X, names):
    """Return whether X has the same number of features as the fitted estimator, and the same names, if any."""
    expected = getattr(estimator, "feature_names_in_", None)
    has_matching_names = expected is None if names is None else _are_names_equal(expected, names)
    return has_matching_names and X.shape[1] == getattr(estimator, "n_features_in_", -1)


def _are_names_equal(expected, names):
    return isinstance(expected, np.ndarray) and expected.tolist() == names


def _validate_blocks(estimator, blocks, reset):
    from fastlin.matrices import BlockMatrix

    n_rows, n_columns = blocks.shape
    if reset:
        check_no_categories(estimator, "blocks")
        if not (n_rows and n_columns):
            missing = f"{'feature' if n_rows else 'sample'}(s) (shape={blocks.shape})"
            raise ValueError(f"Found blocks with 0 {missing}; {type(estimator).__name__} requires a minimum of 1.")
        set_feature_attributes(estimator, n_columns, blocks.feature_names)
    else:
        if hasattr(estimator, "categories_"):
            raise ValueError("The model was fitted to a table with categorical columns, which Blocks do not support.")
        check_features(estimator, n_columns, blocks.feature_names, "the blocks have")
    return BlockMatrix(blocks)


def iterate_finite_parts(estimator: object, matrix: Matrix) -> Iterator[Matrix]:
    """Yield the parts of a matrix, or raise scikit-learn's error for a part that is not finite."""
    for name, part in matrix.parts():
        assert_all_finite(part.X, estimator_name=type(estimator).__name__, input_name=name)
        yield part


def check_no_categories(estimator: Any, data_kind: str) -> None:
    """Raise a ValueError if `categorical_features` is set for a container that does not support it."""
    if estimator.categorical_features is not None:
        raise ValueError(
            f"categorical_features must be None for {data_kind}, got {estimator.categorical_features!r}. Categorical "
            "columns are only supported for tables in memory."
        )
    vars(estimator).pop("categories_", None)


def set_feature_attributes(estimator: Any, n_features: int, names: Sequence[str] | None) -> None:
    """Set `n_features_in_`, and set `feature_names_in_` unless `names` is None."""
    estimator.n_features_in_ = n_features
    vars(estimator).pop("feature_names_in_", None)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def check_features(estimator: Any, n_features: int, names: Sequence[str] | None, subject: str) -> None:
    """Raise a ValueError if the features of X differ from those of the fit.

    In the message, `subject` (such as "X has") precedes the names.
    """
    if n_features != validate_count("n_features_in_", estimator.n_features_in_):
        raise ValueError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
            "features as input."
        )
    expected = getattr(estimator, "feature_names_in_", None)
    if names is not None and expected is not None and list(names) != list(expected):
        raise ValueError(
            f"The feature names should match those that were passed during fit: {subject} {list(names)}, the model has "
            f"{list(expected)}."
        )


def validate_categories(model: Any) -> list[Array | None]:
    """Return the validated `categories_` of a model: an array for each categorical column of X, None for the others."""
    categories, n_columns = model.categories_, validate_count("n_features_in_", model.n_features_in_)
    is_valid = isinstance(categories, (list, tuple)) and len(categories) == n_columns
    require(is_valid, "categories_", f"be a list with an entry for each of {n_columns} columns", categories)
    for j, column_categories in enumerate(categories):
        is_valid = column_categories is None or (
            isinstance(column_categories, np.ndarray) and column_categories.ndim == 1 and len(column_categories)
        )
        require(is_valid, f"categories_[{j}]", "be None or a non-empty one-dimensional array", column_categories)
    return list(categories)


def keep_string_names(names: list[Any]) -> list[str] | None:
    """Return the column names if all of them are strings, and otherwise None, as in scikit-learn."""
    return names if all(isinstance(name, str) for name in names) else None


def name_coef_columns(estimator: Any, names: Sequence[str] | Array | None) -> Array:
    """Return the names of the columns of `coef_` as an array of objects; `names` are the column names of X, or None."""
    coefficients = name_coefficients(estimator, names)
    return np.array(list(map(str, coefficients)), object) if hasattr(estimator, "categories_") else coefficients


def name_coefficients(estimator: Any, names: Sequence[str] | Array | None = None) -> Array:
    """Return the names from `name_coef_columns`, with a `CoefficientName` for each category of a categorical column."""
    fitted_names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(estimator.n_features_in_)] if fitted_names is None else fitted_names
    elif len(names) != estimator.n_features_in_:
        raise ValueError(f"input_features must have {estimator.n_features_in_} names, got {len(names)}")
    elif fitted_names is not None and list(names) != list(fitted_names):
        raise ValueError(f"input_features must equal feature_names_in_, {list(fitted_names)}, got {list(names)}")
    coefficients = []
    for name, categories in zip(names, getattr(estimator, "categories_", [None] * len(names)), strict=True):
        if categories is None:
            coefficients.append(name)
        else:
            coefficients += [CoefficientName(f"{name}_{category}", name, category) for category in categories]
    return np.array(coefficients, dtype=object)


def find_columns(argument: str, labels: Sequence[Any], names: Sequence[str] | Array, others: str) -> list[int]:
    """Return the indices of the columns of X with these labels.

    Raise a ValueError unless exactly one column of X has each label; the message suggests the alternative `others`.
    """
    indices: dict[Any, list[int]] = {}
    for j, name in enumerate(names):
        indices.setdefault(name, []).append(j)
    for name in labels:
        matches = indices.get(name, [])
        if not matches:
            raise ValueError(
                f"{argument} contains {name!r}, but the columns of X are {list(names)}. Use these names or {others}."
            )
        if len(matches) > 1:
            matching_indices = ", ".join(map(str, matches))
            raise ValueError(
                f"{argument} contains {name!r}, the name of several columns of X ({matching_indices}). Use {others}."
            )
    return [indices[name][0] for name in labels]


def _is_read_as_table(estimator: Any, X: MatrixLike, is_fitting: bool) -> bool:
    """Return whether X is read as a table with categorical columns.

    In a fit, this depends on `categorical_features`; in predictions, it depends on the fitted model.
    """
    if not is_fitting:
        return hasattr(estimator, "categories_")
    vars(estimator).pop("categories_", None)
    categorical_features = getattr(estimator, "categorical_features", None)
    if isinstance(categorical_features, str):
        # X without categorical columns is read as a numeric matrix.
        return _may_contain_strings(X) and any(map(is_categorical, _split_into_columns(estimator, X)[1]))
    return categorical_features is not None


def _may_contain_strings(X):
    """Return whether X is a table, or an array or list of objects; raise a ValueError if X is an array of strings."""
    if _is_dataframe(X) or _is_arrow_stream(X):
        return True
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "US":
        raise ValueError(
            f"X is an array of strings (dtype {X.dtype}), whose dtype does not determine the categorical columns. With "
            "categorical_features='from_dtype' X must be a DataFrame or an array of objects; otherwise list the "
            "categorical columns in categorical_features."
        )
    try:
        rows = np.asarray(X) if isinstance(X, (list, tuple)) else X
    except ValueError:
        # The rows have different lengths.
        return False
    return isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "OUS"


def make_table_matrix(estimator: Any, X: MatrixLike, is_fitting: bool) -> TableMatrix:
    """Return X as a TableMatrix; a fit sets `categories_`, and predictions ignore unseen categories."""
    from fastlin.matrices import CategoricalColumn, TableMatrix

    fitted_categories = None if is_fitting else validate_categories(estimator)
    names, columns = _split_into_columns(estimator, X)
    if fitted_categories is not None:
        check_features(estimator, len(columns), names, "X has")
    labels = _get_column_labels(estimator, names, columns)
    if fitted_categories is None:
        are_categorical = _choose_categorical_columns(estimator, names, columns)
    else:
        are_categorical = [categories is not None for categories in fitted_categories]
    read: list[Array | CategoricalColumn] = []
    categories: list[Array | None] = []
    for label, column, is_categorical_column in zip(labels, columns, are_categorical, strict=True):
        column_categories: Any = None
        has_missing_category = False
        if not is_categorical_column:
            numbers = as_numbers(column)
            if numbers.dtype.kind not in "biuf":
                raise ValueError(_explain_non_numeric_column(estimator, label, numbers, is_fitting))
            read.append(numbers)
        else:
            observed_categories, codes, is_missing = _encode_column(estimator, label, column)
            if fitted_categories is None:
                has_missing_category = is_missing
                # Categories may be tuples, and only an assignment to an array of objects preserves tuples.
                column_categories = np.empty(len(observed_categories) + is_missing, object)
                column_categories[:] = [*observed_categories, np.nan] if is_missing else observed_categories
            else:
                column_categories = fitted_categories[len(categories)]
                codes = _convert_codes(label, codes, observed_categories, column_categories)
            read.append(CategoricalColumn(codes, len(column_categories), has_missing_category))
        categories.append(column_categories)
    matrix = TableMatrix(read, labels)
    if fitted_categories is None:
        set_feature_attributes(estimator, len(columns), names)
        estimator.categories_ = categories
    else:
        for _ in iterate_finite_parts(estimator, matrix):
            pass
    return matrix


def _convert_codes(label, codes, column_categories, fitted_categories):
    """Convert the codes of a column to indices of the categories seen in the fit; other categories become -1."""
    has_missing_category = fitted_categories[-1] != fitted_categories[-1]
    if not has_missing_category and column_categories == fitted_categories.tolist():
        return codes
    indices = _index_categories(label, fitted_categories)
    # The last entry corresponds to the code -1 of missing values.
    missing_code = len(fitted_categories) - 1 if has_missing_category else -1
    return np.array([*(indices.get(category, -1) for category in column_categories), missing_code], np.int32)[codes]


def _split_into_columns(estimator, X):
    """Return the names of the columns of X, or None, and the columns with their own dtypes."""
    if _is_dataframe(X):
        return keep_string_names(list(X.columns)), [X.iloc[:, j] for j in range(X.shape[1])]
    if _is_arrow_stream(X):
        with import_extra("arrow", "pyarrow"):
            import pyarrow
        try:
            table = pyarrow.table(X)
        except (pyarrow.ArrowInvalid, NotImplementedError) as error:
            raise TypeError(f"{type(X).__name__} has a column that cannot be converted to Arrow: {error}") from error
        columns = table.columns
        for j, dtype in enumerate(getattr(X, "dtypes", ())):
            if str(dtype) == "Object":
                # polars converts columns of Python objects here, because it would export their addresses to Arrow.
                columns[j] = X[:, j].to_numpy()
        return keep_string_names(table.column_names), columns
    if sparse.issparse(X) or isinstance(X, str) or not (hasattr(X, "__array__") or isinstance(X, (list, tuple))):
        raise TypeError(
            f"{type(estimator).__name__} with categorical_features accepts {ACCEPTED_TABLES}, got {type(X).__name__}"
        )
    rows = np.asarray(X, None if hasattr(X, "__array__") else object)
    if rows.ndim != 2:
        raise ValueError(f"Expected 2D array, got {rows.ndim}D array instead: X must be {ACCEPTED_TABLES}.")
    return None, list(rows.T)


def _is_dataframe(X):
    """Return whether X is a pandas DataFrame or has the interface of one."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _is_arrow_stream(X):
    """Return whether X is a table with Arrow's PyCapsule interface that can be read repeatedly."""
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc") and len(getattr(X, "shape", ())) == 2


def _get_column_labels(estimator, names, columns):
    """Return the column labels for error messages; raise a ValueError if there are no columns or no rows."""
    if not columns or not len(columns[0]):
        unit = "sample(s)" if columns else "feature(s)"
        raise ValueError(f"Found a table with 0 {unit} while a minimum of 1 is required by {type(estimator).__name__}.")
    return range(len(columns)) if names is None else names


def _choose_categorical_columns(estimator, names, columns):
    """Return whether each column is categorical according to `categorical_features`."""
    categorical_parameter, n = estimator.categorical_features, len(columns)
    if isinstance(categorical_parameter, str):
        return list(map(is_categorical, columns))
    try:
        selection = np.asarray(categorical_parameter, object if len(categorical_parameter) == 0 else None)
    except ValueError:
        # The lists have different lengths.
        selection = np.empty((0, 0))
    if selection.ndim != 1 or (selection.size and selection.dtype.kind not in "biuUO"):
        raise ValueError(
            "categorical_features must be 'from_dtype', or a one-dimensional array of column names, column indices or "
            f"booleans, got {categorical_parameter!r}"
        )
    if selection.dtype.kind == "b":
        if len(selection) != n:
            raise ValueError(
                f"categorical_features as a boolean mask must have {n} entries, one per column, got {len(selection)}"
            )
        return selection.tolist()
    selected_columns = selection.tolist()
    if names is not None and selection.dtype.kind not in "iu":
        selected_columns = find_columns(
            "categorical_features", selected_columns, names, f"indices from 0 to {n - 1} or a mask"
        )
    unknown_columns = [column for column in selected_columns if column not in range(n)]
    if unknown_columns:
        reason = f"the {n} columns of X have no names" if names is None else f"X has {n} columns"
        raise ValueError(
            f"categorical_features contains {unknown_columns[0]!r}, but {reason}; use indices from 0 to {n - 1}."
        )
    return np.isin(np.arange(n), selected_columns).tolist()


def _encode_column(estimator, label, column):
    """Return the categories and codes of `encode_categories`, and whether values are missing.

    Raise a ValueError if values are missing and the estimator does not accept missing values.
    """
    categories, codes = encode_categories(label, column)
    is_missing = bool(codes.min() < 0)
    if is_missing and not estimator.missing_as_category:
        raise ValueError(
            f"Column {label!r} of X contains missing values; set missing_as_category=True in "
            f"{type(estimator).__name__} to treat them as their own category."
        )
    return categories, codes, is_missing


def _index_categories(label, categories):
    """Return a dict from each category to its index."""
    try:
        indices = {category: index for index, category in enumerate(categories)}
    except TypeError as error:
        raise ValueError(f"categories_ of column {label!r} must contain hashable values: {error}") from error
    if len(indices) != len(categories):
        raise ValueError(
            f"categories_ of column {label!r} must contain each category once, got {categories.tolist()!r:.100}"
        )
    return indices
