"""What a fit reads from X, y and weights: rows in a type that kernels take, classes from 0 and one weight a row.

The estimators import the rooms below them when a fit or a prediction begins: Numba takes 0.3 s to import.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d, validate_data

from fastlin.blocks.blocks import Blocks
from fastlin.containers import read_if_sparse
from fastlin.estimators.features import read_table, read_table_to_fit, reads_table, remember_features
from fastlin.estimators.row_offsets import read_offset
from fastlin.estimators.scikit_learn import check_sample_weight
from fastlin.estimators.soft_labels import (
    are_soft,
    find_most_probable,
    name_classes,
    read_soft_labels,
    sort_classes,
    to_targets,
    weigh_targets,
)
from fastlin.fitted import read_count
from fastlin.tensors import DTYPES, read_in_place, widen
from fastlin.typing import Array, ClassWeight, FloatArray, FloatType, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.matrices import BlockMatrix, Matrix
    from fastlin.matrices.matrix import Columns
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.rows import Rows

# Labels that are whole numbers are counted rather than sorted where they span no more than this or the number of rows.
LABEL_RANGE = 10_000
LABELS_TOGETHER = 1_000_000
# What scikit-learn's checks take for no y.
NO_Y = "no_validation"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The matrix, labels and weights of a fit, checked but for finite X, which the measurement of columns finds out.

    y are the labels as they were given, classes those that occur, sorted, and labels the number of each row's class,
    int32. weights are sample weight times class weight, float64, divided by `weight_unit`, a power of two near the
    largest of them; None where every row counts alike. offsets and targets are as `make_samples` takes them.
    """

    matrix: Matrix
    y: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None
    weight_unit: float
    offsets: np.ndarray | None = None
    targets: np.ndarray | None = None

    def weigh(self, rows: IntArray | None = None) -> float:
        """Return the total weight of rows, by their numbers, each as often as it is named; None means all."""
        weights = self._weights_of(rows)
        return float(len(self.labels) if weights is None else weights.sum())

    def measure(self, rows: IntArray | None = None) -> Columns:
        """Return the Columns over rows, as `weigh` takes them."""
        return self.matrix.measure(self._weights_of(rows))

    def make_rows(self, coordinates: Coordinates, fit_intercept: bool, rows: IntArray | None = None) -> Rows:
        """Return the Rows of an objective in Coordinates over rows, as `weigh` takes them."""
        from fastlin.objective import Rows, make_samples

        samples = make_samples(self.labels, self.weights, rows, self.offsets, self.targets)
        return Rows(self.matrix, samples, len(self.classes), coordinates, fit_intercept)

    def _weights_of(self, rows):
        """Return the weights of all rows; those that are not named tell the columns nothing."""
        if rows is None:
            return self.weights
        from fastlin.objective import weigh_by_counts

        return weigh_by_counts(rows, self.weights, len(self.labels))


def read_training_data(
    estimator: LinearEstimator,
    X: MatrixLike | Blocks,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    offset: ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> TrainingData:
    """Return the TrainingData of a fit.

    Raises
    ------
    ValueError
        For wrong shapes, one class, continuous labels, three classes with liblinear, dual with another solver, weights
        that are negative, not finite or all zero, offsets that are not finite, and classes that are not those of y.
    """
    check_dual(estimator)
    if isinstance(X, Blocks):
        matrix, y, sample_weight = read_blocks(estimator, X, y, sample_weight)
    elif _is_whole_labels(y) or (soft := read_soft_labels(y)) is None:
        # The numbers of X need not be finite yet.
        matrix, y = read_matrix(estimator, X, y, ensure_all_finite=False)
    else:
        # scikit-learn's checks of rows and labels together take one label a row.
        matrix, _ = read_matrix(estimator, X, find_most_probable(soft), ensure_all_finite=False)
        y = soft
    return make_training_data(estimator, matrix, y, sample_weight, offset, classes)


def make_training_data(
    estimator: LinearEstimator,
    matrix: Matrix,
    y: Array,
    sample_weight: ArrayLike | None,
    offset: ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> TrainingData:
    """Return the TrainingData of rows with labels that have been read, as `read_training_data` does."""
    from fastlin.matrices import choose_form

    targets, class_weight = None, getattr(estimator, "class_weight", None)
    if are_soft(y):
        classes, labels = name_classes(classes, y.shape[1]), find_most_probable(y)
        check_classes(estimator, classes)
        weights, targets = weigh_soft_rows(y, classes, sample_weight, class_weight)
    else:
        found, labels = encode_labels(y, np.int32)
        check_classes(estimator, found)
        classes = found if classes is None else match_classes(found, classes)
        weights = weigh_rows(y, classes, labels, sample_weight, class_weight)
    weights, unit = (None, 1.0) if weights is None else share_unit(weights)
    offsets = None if offset is None else read_offset(offset, len(labels), len(classes))
    return TrainingData(choose_form(matrix), y, classes, labels, weights, unit, offsets=offsets, targets=targets)


def match_classes(found: Array, classes: ArrayLike) -> Array:
    """Return the classes that were found in y, sorted, once they are those that are given.

    Raises
    ------
    ValueError
        y has other labels, or lacks one.
    """
    expected = sort_classes(classes)
    unknown, missing = (np.setdiff1d(*each) for each in ((found, expected), (expected, found)))
    if len(unknown):
        raise ValueError(f"y has the label {unknown.tolist()[0]!r}, which is not one of classes={expected}.")
    if len(missing):
        raise ValueError(f"classes holds {missing.tolist()[0]!r}, which no row of y has; leave it out.")
    return found


def share_unit(weights: FloatArray) -> tuple[FloatArray, float]:
    """Return weights, divided in place by a power of two near the largest of them, and this unit."""
    unit = choose_unit(weights.max())
    weights /= unit
    return weights, unit


def choose_unit(largest: float) -> float:
    """Return the power of two by which weights are divided, for the largest of them; one where that is zero.

    Only their ratios count. Weights of order one survive float32, and their sum does not overflow.
    """
    return float(2.0 ** np.floor(np.log2(largest))) if largest > 0 else 1.0


def keep_sum_finite(sample_weight: ArrayLike | None) -> ArrayLike | None:
    """Return sample weights of which only ratios count: those given, or smaller ones where their sum overflows.

    What is no array of finite numbers is returned as it is, for those who check it.
    """
    sample_weight = read_in_place(sample_weight, "sample_weight")
    weights = np.asarray(sample_weight)
    if weights.dtype.kind != "f" or not weights.size:
        return sample_weight
    with np.errstate(over="ignore"):
        if np.isfinite(weights.sum(dtype=np.float64)) or not np.isfinite(weights).all():
            return sample_weight
    return weights / choose_unit(weights.max())


def check_dual(estimator: LinearEstimator) -> None:
    """Raise a ValueError where the estimator asks for the dual problem of a solver that has none."""
    # FirthLogisticRegression has neither this parameter nor class_weight.
    if getattr(estimator, "dual", False) and estimator.solver != "liblinear":
        raise ValueError(f"Solver {estimator.solver} supports only dual=False, got dual={estimator.dual}")


def check_classes(estimator: object, classes: Array) -> None:
    """Raise a ValueError where there is one class, or more than the solver of the estimator takes."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes in y, but y contains only one class: "
            f"{classes[0]}"
        )
    if getattr(estimator, "solver", "") == "liblinear" and len(classes) > 2:
        raise ValueError(
            "The 'liblinear' solver does not support multiclass classification (n_classes >= 3), as in "
            "scikit-learn 1.8 and later; use solver='auto', or wrap the estimator in a OneVsRestClassifier."
        )


def choose_dtype(matrix: Matrix, solver: str) -> FloatType:
    """Return the type of coefficients: float32 for float32 data, but not by liblinear, which has no float32."""
    from fastlin.kernels.machine.arrays import compute_type

    return np.float64 if solver == "liblinear" else compute_type(matrix)


def read_matrix(estimator: Any, X: Any, y: Any = NO_Y, **checks: Any) -> Any:
    """Return X as a matrix, and y where it is given, after scikit-learn's checks and our own of sparse containers."""
    from fastlin.matrices import DenseMatrix, SparseMatrix, TableMatrix, as_matrix

    if isinstance(X, Blocks):
        raise TypeError(
            f"{type(estimator).__name__} takes arrays and sparse matrices; LogisticRegression and "
            "LogisticRegressionCV fit blocks."
        )
    if isinstance(X, (DenseMatrix, SparseMatrix, TableMatrix)):
        # Rows whose reader has checked them.
        return X
    is_fit = y is not NO_Y
    X, y = read_in_place(X), read_in_place(y, "y")
    if not checks.get("reset", True):
        read_count("n_features_in_", getattr(estimator, "n_features_in_", 0))
    if reads_table(estimator, X, is_fit):
        if not is_fit:
            return read_table(estimator, X)
        table = read_table_to_fit(estimator, X)
        return table, check_labels(estimator, y, table.shape[0], "X has")
    names = _name_columns(X)
    if y is NO_Y and checks == {"reset": False} and _has_names(estimator, names):
        plain = X if names is None else X.to_numpy()
        if _is_plain(plain, DTYPES) and _is_ready(estimator, plain):
            return as_matrix(plain)
    if checks == {"ensure_all_finite": False} and _is_whole_labels(y):
        plain = X if names is None else X.to_numpy()
        if _is_plain(plain, DTYPES) and y.shape == plain.shape[:1]:
            remember_features(estimator, plain.shape[1], names)
            return as_matrix(plain), np.asarray(y)
    # Our checks come first, since scikit-learn converts a broken container without looking.
    y = read_if_sparse(y, "y")
    matrix = as_matrix(X) if sparse.issparse(X) else None
    if matrix is None:
        checks["dtype"] = DTYPES
    else:
        X, checks["dtype"] = matrix.X, None
    checked = validate_data(estimator, widen(X), y, accept_sparse="csr", **checks)
    if isinstance(checked, tuple):
        return matrix or as_matrix(checked[0]), checked[1]
    return matrix or as_matrix(checked)


def refuse_categories(estimator: Any, what: str) -> None:
    """Raise a ValueError where the estimator is to read categorical columns of data that have none."""
    if estimator.categorical_features is not None:
        raise ValueError(
            f"categorical_features must be None for {what}, got {estimator.categorical_features!r}: tables in memory "
            "have categorical columns."
        )
    vars(estimator).pop("categories_", None)


def check_labels(estimator: object, y: ArrayLike | None, n_rows: int, subject: str) -> Array:
    """Return y beside n_rows rows, after scikit-learn's checks; the subject is what has the rows, with its verb.

    Soft labels, of two dimensions, come as `read_soft_labels` returns them.

    Raises
    ------
    ValueError
        y is None, has missing values or another shape than (n_rows,), or soft labels are wrong.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; only Blocks hold labels."
        )
    y = read_in_place(y, "y")
    soft = read_soft_labels(y)
    if soft is None:
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
    else:
        y = soft
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} entries, but {subject} {n_rows} rows: inconsistent numbers of samples.")
    return y


def read_blocks(
    estimator: LinearEstimator, blocks: Blocks, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[BlockMatrix, Array, ArrayLike | None]:
    """Return Blocks as a matrix, with the labels and weights that they hold or that are given.

    Raises
    ------
    ValueError
        There are no rows or columns, labels or weights are missing, given twice, or of another length.
    """
    from fastlin.matrices import BlockMatrix

    name = type(estimator).__name__
    refuse_categories(estimator, "blocks")
    for n, what in zip(blocks.shape, ("sample(s)", "feature(s)"), strict=True):
        if not n:
            raise ValueError(
                f"Found blocks with 0 {what} (shape={blocks.shape}) while a minimum of 1 is required by {name}."
            )
    y, sample_weight = choose_labels(estimator, blocks, y, sample_weight)
    remember_features(estimator, blocks.shape[1], blocks.feature_names)
    return BlockMatrix(blocks), y, sample_weight


def choose_labels(
    estimator: object, blocks: Blocks, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[Array, ArrayLike | None]:
    """Return the labels and weights that Blocks hold, or those that are given beside them.

    Raises
    ------
    ValueError
        Labels are missing, one of them is given twice, or the labels are not one for each row.
    """
    for argument, given, held in (("y", y, blocks.y), ("sample_weight", sample_weight, blocks.sample_weight)):
        if given is not None and held is not None:
            raise ValueError(f"{argument} is given, but the blocks hold {argument} too; only one of them may stand.")
    y = check_labels(estimator, blocks.y if y is None else y, blocks.shape[0], "the blocks have")
    return y, blocks.sample_weight if sample_weight is None else sample_weight


def read_scored(
    estimator: object, X: Any, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[Any, ArrayLike | None]:
    """Return the labels and weights that rows are scored by: those that are given, or that Blocks hold."""
    if isinstance(X, Blocks):
        y, sample_weight = choose_labels(estimator, X, y, sample_weight)
    elif y is None:
        raise ValueError(f"{type(estimator).__name__}.score requires y, which only Blocks may hold.")
    else:
        y = read_in_place(y, "y")
        soft = read_soft_labels(y)
        if soft is not None:
            y = soft
        elif isinstance(y, np.ndarray) and y.ndim == 2:
            y = column_or_1d(y)
    return y, keep_sum_finite(sample_weight)


def _is_plain(X, dtypes):
    """Say whether an array is one that scikit-learn's checks would return as it is, if all of it is finite.

    They take 150 microseconds for X, of the 205 that the prediction of a row took, and 400 for X and y.
    """
    return type(X) is np.ndarray and X.ndim == 2 and X.size > 0 and X.dtype in dtypes


def _name_columns(X):
    """Return the names of the columns of a table of pandas that holds NumPy's numbers alone, or None.

    scikit-learn's checks of it take 500 microseconds.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or type(X) is not pandas.DataFrame:
        return None
    names = X.columns.tolist()
    are_text = all(type(name) is str for name in names)
    return names if are_text and all(isinstance(dtype, np.dtype) for dtype in X.dtypes.tolist()) else None


def _has_names(estimator, names):
    """Say whether the columns that an estimator was fitted to have these names, or none where they are None."""
    known = getattr(estimator, "feature_names_in_", None)
    return known is None if names is None else isinstance(known, np.ndarray) and known.tolist() == names


def _is_ready(estimator, X):
    """Say whether a plain X has as many columns as the fit, and is finite."""
    if X.shape[1] != getattr(estimator, "n_features_in_", -1):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum that overflows leaves the answer to scikit-learn.
        return X.dtype.kind != "f" or isfinite(np.add.reduce(X, axis=None))


def _is_whole_labels(y):
    """Say whether y is an array or a column of pandas that holds whole numbers, or bools, of NumPy."""
    pandas = sys.modules.get("pandas")
    is_column = type(y) is np.ndarray or (pandas is not None and type(y) is pandas.Series)
    return is_column and isinstance(y.dtype, np.dtype) and y.dtype.kind in "iub"


def encode_labels(y: Array, dtype: type[np.integer] = np.int64) -> tuple[Array, IntArray]:
    """Return the classes in order and the number of each row's class in a type, for y with one label a row."""
    if y.dtype.kind in "iub" and y.size:
        smallest, largest = int(np.minimum.reduce(y)), int(np.maximum.reduce(y))
        if largest - smallest < max(LABEL_RANGE, len(y)) and largest < 2**63:
            # Counting takes a tenth of sorting: 6 against 60 ms for a million labels.
            # Some rows at a time: of data that do not fit into memory the labels alone are large.
            parts = [slice(first, first + LABELS_TOGETHER) for first in range(0, len(y), LABELS_TOGETHER)]
            counts = np.zeros(largest - smallest + 1, np.int64)
            for part in parts:
                counts += np.bincount(y[part].astype(np.int64) - smallest, minlength=len(counts))
            classes = (counts.nonzero()[0] + smallest).astype(y.dtype)
            if len(classes) <= len(y) // 2:
                numbers = None if len(classes) == len(counts) else (counts > 0).cumsum() - 1
                labels = np.empty(len(y), dtype)
                for part in parts:
                    codes = y[part].astype(np.int64) - smallest
                    labels[part] = codes if numbers is None else numbers[codes]
                return classes, labels
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    return classes, labels.astype(dtype, copy=False)


@contextlib.contextmanager
def named(argument: str) -> Iterator[None]:
    """Put the name of an argument before the message of an error that does not have it, also of another library's."""
    try:
        yield
    except Exception as error:
        if argument in str(error) or isinstance(error, Warning):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from error


def weigh_rows(
    y: Array, classes: Array, labels: IntArray, sample_weight: ArrayLike | None, class_weight: ClassWeight
) -> FloatArray | None:
    """Return sample weight times class weight per row, float64, or None where every row counts alike."""
    if sample_weight is None and class_weight is None:
        return None
    with named("sample_weight"):
        sample_weight = read_in_place(sample_weight, "sample_weight")
        # A copy of our own: nullable columns of pandas are copied by scikit-learn into what nobody may write to.
        weights = np.array(check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True))
    if class_weight is not None:
        # Only ratios of the totals count, which themselves might overflow.
        largest = weights.max(initial=0.0)
        shares = weights / choose_unit(largest)
        totals: FloatArray = np.bincount(labels, shares, len(classes)).astype(np.float64)
        with np.errstate(over="ignore"):
            weights *= weigh_classes(class_weight, classes, totals)[labels]
    check_largest(weights.max(initial=0.0))
    return weights


def weigh_soft_rows(
    soft: FloatArray, classes: Array, sample_weight: ArrayLike | None, class_weight: ClassWeight
) -> tuple[FloatArray | None, FloatArray]:
    """Return what `weigh_rows` does for rows with soft labels (n, n_classes), and what they are to the fit.

    A class weight goes with the probability of the class: the row counts as weighted copies of it would.
    """
    weights = weigh_rows(soft, classes, np.empty(0, np.int32), sample_weight, None)
    if class_weight is None:
        return weights, to_targets(soft)
    weights = np.ones(len(soft)) if weights is None else weights
    totals = weights / choose_unit(weights.max()) @ soft
    factors, targets = weigh_targets(soft, weigh_classes(class_weight, classes, totals))
    with np.errstate(over="ignore"):
        weights *= factors
    check_largest(weights.max())
    return weights, to_targets(targets)


def check_largest(weight: float) -> None:
    """Raise a ValueError where the largest product of a sample weight and a class weight is zero, or overflows."""
    if not weight > 0:
        raise ValueError("Every row has weight zero: sample_weight and class_weight must leave some rows above zero.")
    if weight == np.inf:
        raise ValueError(
            "sample_weight times class_weight overflows: the largest product must be below 1.8e308, got inf."
        )


def weigh_classes(class_weight: ClassWeight, classes: Array, totals: FloatArray) -> FloatArray:
    """Return what class_weight says that each class weighs, (n_classes,), where its rows have a total weight so far.

    Raises
    ------
    ValueError
        It names other classes, holds numbers that are negative or not finite, or balances a class without weight.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if not isinstance(class_weight, str):
        class_weights = compute_class_weight(class_weight, classes=classes, y=classes)
        if not (np.isfinite(class_weights).all() and (class_weights >= 0).all()):
            raise ValueError(f"class_weight must hold finite numbers of at least 0, got {class_weight!r}")
        return class_weights
    # Up to version 1.7 scikit-learn counts rows, whatever their weights.
    with np.errstate(divide="ignore"):
        class_weights = totals.sum() / (len(classes) * totals)
    if not np.isfinite(class_weights).all():
        raise ValueError(
            f"class_weight='balanced' needs rows of weight above zero in every class, but sample_weight leaves "
            f"none in class {classes[~np.isfinite(class_weights)][0]}"
        )
    return class_weights


def check_penalty_factors(penalty_factors: ArrayLike, matrix: Matrix) -> FloatArray:
    """Return the penalty factors as an array (d,) of float64.

    Those of a table may be one for each of its columns: then all levels of a column have its factor.

    Raises
    ------
    ValueError
        Where they are not one finite number of at least 0 for each feature.
    """
    n_features = matrix.shape[1]
    widths = getattr(matrix, "widths", np.ones(n_features, np.int64))
    penalty_factors = read_in_place(penalty_factors, "penalty_factors")
    try:
        factors = np.asarray(penalty_factors, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"penalty_factors must be numbers, one for each feature, got {penalty_factors!r}") from None
    if factors.shape not in ((n_features,), widths.shape):
        columns = f", or of the {len(widths)} columns" if len(widths) < n_features else ""
        raise ValueError(
            f"penalty_factors must hold one number for each of the {n_features} features{columns}, got the shape "
            f"{factors.shape}"
        )
    wrong = ~(np.isfinite(factors) & (factors >= 0))
    if wrong.any():
        j = int(np.argmax(wrong))
        raise ValueError(f"penalty_factors must be finite and at least 0, got {factors[j]} for feature {j}")
    return factors if len(factors) == n_features else np.repeat(factors, widths)
