"""The data of a fit from X, y and weights: rows in a type that kernels take, classes from 0 and one weight a row."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import assert_all_finite, validate_data

from fastlin.blocks.blocks import Blocks
from fastlin.budget import Budget
from fastlin.estimators.features import check_features, read_table, read_table_to_fit, reads_table, remember_features
from fastlin.estimators.labels import choose_labels, number_rows, read_labels, read_offset
from fastlin.fitted import read_count
from fastlin.tensors import DTYPES, has_finite_sum, read_in_place, widen
from fastlin.typing import Array, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.matrices import BlockMatrix, Matrix
    from fastlin.matrices.matrix import Columns
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.rows import Rows

# Fits of five tables with this part of their entries or more took 1.15 to 7 times as long by sparse passes.
FILLED = 1 / 3


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The matrix, labels and weights of a fit, checked except for finite X, which the measurement of columns checks."""

    matrix: Matrix
    y: np.ndarray  # the labels as they were given
    classes: np.ndarray  # those that occur, sorted
    labels: np.ndarray  # int32, the number of each row's class
    # Sample weight times class weight, float64, divided by `weight_unit`, a power of two near the largest of them; None
    # where every row counts alike.
    weights: np.ndarray | None
    weight_unit: float
    offsets: np.ndarray | None = None  # as `make_samples` takes them, as are targets
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
    estimator: LinearEstimator, X: Any, y: Any, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of a fit, whose `Problem` finds out whether X is finite."""
    check_dual(estimator)
    matrix, labels, sample_weight = read_rows(estimator, X, y, sample_weight)
    return make_training_data(estimator, matrix, labels, sample_weight, offset, classes)


def read_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, reset: bool = True
) -> tuple[Any, Array, ArrayLike | None]:
    """Return X as a matrix, the labels, and the weights as they are given; the matrix need not be finite yet."""
    if isinstance(X, Blocks):
        matrix: Any = read_blocks(estimator, X, reset)
        y, sample_weight = choose_labels(X, y, sample_weight)
    else:
        matrix = read_matrix(estimator, X, reset=reset, ensure_all_finite=False)
    return matrix, read_labels(estimator, y, matrix.shape[0]), sample_weight


def make_training_data(
    estimator: LinearEstimator, matrix: Matrix, y: Array, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of rows with labels that have been read, as `read_training_data` does."""
    classes, labels, weights, unit, targets = number_rows(estimator, y, sample_weight, classes)
    offsets = None if offset is None else read_offset(offset, len(labels), len(classes))
    return TrainingData(choose_form(matrix), y, classes, labels, weights, unit, offsets=offsets, targets=targets)


def choose_form(matrix: Matrix) -> Matrix:
    """Return a matrix in its fastest form: a sparse one that is FILLED becomes dense, within X or 64 MB."""
    from fastlin.matrices import DenseMatrix, SparseMatrix

    n_numbers = math.prod(matrix.shape)
    if not isinstance(matrix, SparseMatrix) or matrix.n_entries < FILLED * n_numbers:
        return matrix
    is_held = Budget.beside(matrix.budget_bytes).holds(n_numbers * matrix.dtype.itemsize)
    return DenseMatrix(matrix.csr.toarray()) if is_held else matrix


def check_dual(estimator: LinearEstimator) -> None:
    """Raise a ValueError where the estimator asks for the dual problem of a solver that has none."""
    # FirthLogisticRegression has no such parameter.
    if getattr(estimator, "dual", False) and estimator.solver != "liblinear":
        raise ValueError(f"Solver {estimator.solver} supports only dual=False, got dual={estimator.dual}")


def choose_dtype(matrix: Matrix, solver: str) -> FloatType:
    """Return the type of coefficients: float32 for float32 data, but not by liblinear, which has no float32."""
    from fastlin.kernels.machine.arrays import compute_type

    return np.float64 if solver == "liblinear" else compute_type(matrix)


def read_matrix(estimator: Any, X: Any, *, reset: bool = True, ensure_all_finite: bool = True) -> Any:
    """Return X as a matrix, after scikit-learn's checks by `validate_data` and our own of sparse containers."""
    from fastlin.matrices import DenseMatrix, SparseMatrix, TableMatrix

    if isinstance(X, Blocks):
        raise TypeError(f"{type(estimator).__name__} takes arrays and sparse matrices; linear classifiers fit blocks.")
    if isinstance(X, (DenseMatrix, SparseMatrix, TableMatrix)):
        # Rows whose reader has checked them.
        return X
    X = read_in_place(X)
    if not reset:
        read_count("n_features_in_", getattr(estimator, "n_features_in_", 0))
    if reads_table(estimator, X, reset):
        return read_table_to_fit(estimator, X) if reset else read_table(estimator, X)
    return _read_numbers(estimator, X, reset, ensure_all_finite)


def _read_numbers(estimator, X, reset, ensure_all_finite):
    """Return X without categorical columns as a matrix; valid data bypass scikit-learn's checks, which take time."""
    from fastlin.matrices import as_matrix

    names = _name_columns(X)
    plain = X if names is None else X.to_numpy()
    is_plain = type(plain) is np.ndarray and plain.ndim == 2 and plain.size > 0 and plain.dtype in DTYPES
    is_known = is_plain and (reset or _are_columns_of(estimator, plain, names))
    if is_known and (not ensure_all_finite or plain.dtype.kind != "f" or has_finite_sum(plain)):
        if reset:
            remember_features(estimator, plain.shape[1], names)
        return as_matrix(plain)
    checks = {"reset": reset, "ensure_all_finite": ensure_all_finite, "accept_sparse": "csr"}
    if sparse.issparse(X):
        # Our checks come first, since scikit-learn converts a broken container without looking.
        matrix = as_matrix(X)
        validate_data(estimator, matrix.X, dtype=None, **checks)
        return matrix
    return as_matrix(validate_data(estimator, widen(X), dtype=DTYPES, **checks))


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


def read_blocks(estimator: Any, blocks: Blocks, reset: bool = True) -> BlockMatrix:
    """Return Blocks as a matrix, whose columns the estimator remembers, or is to know without reset."""
    from fastlin.matrices import BlockMatrix

    if not reset:
        if hasattr(estimator, "categories_"):
            raise ValueError("The model was fitted to a table with categorical columns, which blocks do not have.")
        check_features(estimator, blocks.shape[1], blocks.feature_names, "the blocks have")
        return BlockMatrix(blocks)
    refuse_categories(estimator, "blocks")
    name = type(estimator).__name__
    for n, what in zip(blocks.shape, ("sample(s)", "feature(s)"), strict=True):
        if not n:
            raise ValueError(f"Found blocks with 0 {what} (shape={blocks.shape}); {name} requires a minimum of 1.")
    remember_features(estimator, blocks.shape[1], blocks.feature_names)
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
