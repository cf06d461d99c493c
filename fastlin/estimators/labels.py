"""Labels, weights and offsets of rows, checked as fits and scores take them, and the data of a fit.

A row with soft labels counts as K copies of it, one for each class, weighted by the probabilities.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from fastlin.blocks.blocks import Blocks
from fastlin.containers import read_if_sparse
from fastlin.estimators.columns import choose_form, read_matrix
from fastlin.estimators.scikit_learn import check_sample_weight
from fastlin.estimators.table_columns import is_missing, list_kinds
from fastlin.tensors import has_finite_sum, read_in_place, to_numbers
from fastlin.typing import Array, ClassWeight, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix

# What is wanted of rows to validate on.
X_VAL_REQUIREMENT = "X_val must be rows of finite numbers with the columns of X"
# By how much the probabilities of a row may miss the sum of one, for float32; those of float16 by its rounding.
SUM_TOLERANCE = 1e-5
# Labels that are whole numbers are counted rather than sorted where they span no more than this or the number of rows.
MAX_LABEL_RANGE = 10_000
LABELS_PER_BATCH = 1_000_000
# Scores in float32 hold sums of such offsets.
MAX_OFFSET = 1e30


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

    def sum_weights(self) -> float:
        """Return the total weight of the rows."""
        return float(len(self.labels) if self.weights is None else self.weights.sum())


def read_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of a fit, whose `Problem` finds out whether X is finite."""
    matrix, labels, sample_weight = read_rows(estimator, X, y, sample_weight, are_probabilities=classes is not None)
    return make_training_data(estimator, matrix, labels, sample_weight, offset, classes)


def read_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, reset: bool = True, are_probabilities: bool = False
) -> tuple[Any, Array, ArrayLike | None]:
    """Return X as a matrix, the labels, and the weights as they are given; the matrix need not be finite yet."""
    matrix = read_matrix(estimator, X, reset=reset, ensure_all_finite=False, takes_blocks=True)
    if isinstance(X, Blocks):
        y, sample_weight = choose_labels_and_weights(X, y, sample_weight)
    return matrix, read_labels(estimator, y, matrix.shape[0], are_probabilities=are_probabilities), sample_weight


def make_training_data(
    estimator: Any, matrix: Any, y: Array, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of rows with labels that have been read; the matrix may be None so far."""
    soft = y if y.ndim == 2 else None
    if soft is None:
        found, labels = encode_labels(y)
        classes = found if classes is None else match_classes(found, classes)
    else:
        # The most probable class, of equal ones the first.
        classes, labels = name_classes(classes, soft.shape[1]), soft.argmax(axis=1).astype(np.int32)
    check_classes(estimator, classes)
    # FirthLogisticRegression has no class_weight.
    weights, soft = compute_row_weights(labels, classes, sample_weight, getattr(estimator, "class_weight", None), soft)
    unit = 1.0
    if weights is not None:
        unit = choose_weight_unit(weights.max())
        weights /= unit
    targets = None if soft is None else to_targets(soft)
    offsets = read_offset(offset, len(labels), len(classes))
    return TrainingData(choose_form(matrix), y, classes, labels, weights, unit, offsets, targets)


@contextlib.contextmanager
def prefix_errors(argument: str) -> Iterator[None]:
    """Put the name of an argument before the message of an error that lacks it, also of another library's."""
    try:
        yield
    except Exception as error:
        if argument in str(error) or isinstance(error, Warning):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from error


def choose_labels_and_weights(
    blocks: Blocks, y: Any, sample_weight: Any, suffix: str = ""
) -> tuple[ArrayLike | None, ArrayLike | None]:
    """Return the labels and weights that are given, or that Blocks hold; the suffix ends the arguments' names."""
    pairs = {"y": (y, blocks.y), "sample_weight": (sample_weight, blocks.sample_weight)}
    for name, (given, held) in pairs.items():
        if given is not None and held is not None:
            held_too = f"the blocks of X{suffix} hold it" if suffix else f"the blocks hold {name}"
            raise ValueError(f"{name}{suffix} is given, but {held_too} too; only one of them may stand.")
    return blocks.y if y is None else y, blocks.sample_weight if sample_weight is None else sample_weight


def read_labels(
    estimator: object,
    y: Any,
    n_rows: int | None,
    suffix: str = "",
    accepts_multilabel: bool = False,
    are_probabilities: bool = False,
) -> Any:
    """Return the labels of n_rows rows: (n,), or (n, K) if they are soft, or several a row where they may be.

    Several are those of `read_label_columns`; are_probabilities says that zeros and ones in columns are soft labels. Errors
    add the suffix to names. n_rows is None for labels of rows to score, which may come in one column without a word.
    """
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    name = f"y{suffix}"
    y = read_in_place(y, name)
    if hasattr(y, "to_numpy") and isinstance(getattr(y, "dtype", None), np.dtype):
        # A column of pandas.
        y = y.to_numpy()
    # Whole numbers need no check, which takes 40 microseconds, and for a column of pandas 200.
    if not (type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iub"):
        indicators, found = read_label_columns(y, name)
        if accepts_multilabel and indicators is not None:
            found = indicators
        elif are_probabilities and isinstance(indicators, np.ndarray):
            found = read_probabilities(indicators.astype(np.float64), name)
        elif indicators is not None:
            raise ValueError(explain_multilabel(indicators, name))
        elif found is None:
            found = _read_column(y, name, warn=n_rows is not None)
            check_label_type(found, name)
            assert_all_finite(found, input_name=name)
        y = found
    if n_rows is not None and y.shape[0] != n_rows:
        found = f"{name} has {y.shape[0]} entries, but X{suffix} has {n_rows} rows"
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {found}.")
    return y


def read_scored(
    estimator: object, X: Any, y: Any, sample_weight: Any, accepts_multilabel: bool = False
) -> tuple[Any, FloatArray | None]:
    """Return the labels, several a row or not, and weights that rows are scored by: those given, or held by Blocks."""
    n_rows = None
    if isinstance(X, Blocks):
        (y, sample_weight), n_rows = choose_labels_and_weights(X, y, sample_weight), X.shape[0]
        if n_rows == 0:
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required: the blocks of X have no rows."
            )
    elif y is None:
        raise ValueError(f"{type(estimator).__name__}.score requires y, which only Blocks may hold.")
    y = read_labels(
        estimator, y, n_rows, accepts_multilabel=accepts_multilabel, are_probabilities=not accepts_multilabel
    )
    return y, read_relative_weights(sample_weight, y, are_signed=True)


def read_label_columns(y: Any, name: str = "y") -> tuple[Any, FloatArray | None]:
    """Return labels in columns (n, K): several a row, and soft labels; None for what y is not.

    Several are zeros and ones, an array or sparse columns. Soft labels are floats, some neither 0 nor 1, and come as
    float64 whose rows sum to one.
    """
    # Labels alone are not looked at: a list of a million takes 40 milliseconds.
    if isinstance(y, (list, tuple)) and len(y) and isinstance(y[0], (list, tuple, np.ndarray)):
        try:
            y = np.asarray(y)
        except ValueError:
            raise ValueError(f"{name} must be one label a row, or soft labels; its rows differ in length.") from None
    if sparse.issparse(y):
        columns = read_if_sparse(y, name).tocsc(copy=True)
        columns.sum_duplicates()
        is_binary = columns.shape[1] > 1 and columns.dtype.kind in "biuf" and np.isin(columns.data, (0, 1)).all()
        return columns if is_binary else None, None
    if len(getattr(y, "shape", ())) != 2:
        return None, None
    given = to_numbers(np.asarray(read_in_place(y, name)))
    if given.dtype.kind not in "biuf" or not given.size:
        return None, None
    if given.shape[1] > 1 and are_binary(given):
        return given, None
    if given.shape[1] > 1 and given.dtype.kind == "f":
        return None, read_probabilities(given, name)
    if given.shape[1] == 1 and ((given > 0) & (given < 1)).any():
        raise ValueError(
            f"{name} has one column of probabilities, but soft labels have a column for each class, at least two: "
            f"for instance np.column_stack([1 - {name}, {name}])."
        )
    return None, None


def explain_multilabel(indicators: Any, name: str = "y") -> str:
    """Return the message for zeros and ones in columns (n, K) where one label a row is accepted."""
    found = f"{name} holds zeros and ones in {indicators.shape[1]} columns"
    if (np.asarray(indicators.sum(axis=1)) == 1).all():
        return (
            f"{found}, a single one in each row. Accepted here is one label per row: give {name}.argmax(axis=1). As "
            "soft labels they are accepted by the `fit` of a linear model, with the argument `classes`."
        )
    return (
        f"{found}, which are several labels per row. Accepted here is one label per row; the `fit` of "
        "`fastlin.LogisticRegression` accepts several."
    )


def _read_column(y, name, warn=False):
    """Return labels that are neither several a row nor soft as one column (n,)."""
    shape: Any = getattr(y, "shape", ())
    if sparse.issparse(y):
        raise TypeError(
            f"{name} may be sparse where it has several labels a row, at least two columns of zeros and ones, got the "
            f"shape {shape} and {y.dtype}."
        )
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"{name} should be a 1d array of labels, or have at least two columns, of zeros and ones for several "
            f"labels a row or of probabilities of the classes, got an array of shape {shape} instead."
        )
    return column_or_1d(y, warn=warn)


def take_label_column(indicators: Any, k: int) -> Array:
    """Return column k of several labels a row, as `read_label_columns` returns them, (n,) uint8."""
    if not sparse.issparse(indicators):
        return indicators[:, k].astype(np.uint8)
    column = np.zeros(indicators.shape[0], np.uint8)
    own = slice(indicators.indptr[k], indicators.indptr[k + 1])
    column[indicators.indices[own]] = indicators.data[own]
    return column


def are_soft(y: Any) -> bool:
    """Say whether labels are soft, once `read_label_columns` has found out; others may be no array yet."""
    return isinstance(y, np.ndarray) and y.ndim == 2


def are_binary(soft: Array) -> bool:
    """Say whether all of some probabilities are 0 or 1."""
    return bool(((soft == 0) | (soft == 1)).all())


def read_probabilities(soft: Array, name: str) -> FloatArray:
    """Return floats in at least two columns as float64 (n, K) whose rows sum to one."""
    tolerance = max(SUM_TOLERANCE, float(np.finfo(soft.dtype).eps))
    soft = soft.astype(np.float64, copy=False)
    sums = soft.sum(axis=1)
    fits = (np.abs(sums - 1) <= tolerance) & (soft.min(axis=1) >= 0)
    if not fits.all():
        # An entry that nothing accepts is what the user looks for, not the first row of several labels.
        is_wrong = ~((soft >= 0) & (soft <= 1 + tolerance))
        i, k = np.unravel_index(np.argmax(is_wrong), soft.shape) if is_wrong.any() else (np.argmin(fits), None)
        found = f"sums to {sums[i]:.6g}" if k is None else f"holds {soft[i, k]:g}"
        raise ValueError(
            f"{name} has {soft.shape[1]} columns, which are several labels a row where all entries are 0 or 1, else "
            f"probabilities of the classes. These must be finite, at least 0 and sum to one within {tolerance:.2g} in "
            f"each row, but row {i} {found}."
        )
    return soft if (sums == 1).all() else soft / sums[:, None]


def to_targets(soft: FloatArray) -> FloatArray:
    """Return soft labels as fits take them, in C order: (n, K), or those of the second of two classes, (n, 1)."""
    return np.ascontiguousarray(soft[:, 1:] if soft.shape[1] == 2 else soft)


def encode_labels(y: Array) -> tuple[Array, IntArray]:
    """Return the classes in order and the number of each row's class, int32, for y with one label a row."""
    if y.dtype.kind in "iub" and y.size:
        smallest, largest = int(np.minimum.reduce(y)), int(np.maximum.reduce(y))
        if largest - smallest < max(MAX_LABEL_RANGE, len(y)) and largest < 2**63:
            # Counting takes a tenth of sorting: 6 against 60 ms for a million labels.
            labels, counts = np.empty(len(y), np.int32), np.zeros(largest - smallest + 1, np.int64)
            # Some rows at a time: of data that do not fit into memory the labels alone are large.
            for first in range(0, len(y), LABELS_PER_BATCH):
                part = slice(first, first + LABELS_PER_BATCH)
                codes = np.subtract(y[part], smallest, dtype=np.int64)
                counts += np.bincount(codes, minlength=len(counts))
                labels[part] = codes
            found = counts.nonzero()[0]
            if len(found) <= len(y) // 2:
                if len(found) < len(counts):
                    labels = ((counts > 0).cumsum() - 1).astype(np.int32)[labels]
                return (found + smallest).astype(y.dtype), labels
    check_label_type(y)
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    return classes, labels.astype(np.int32)


def check_label_type(y: Array, name: str = "y") -> None:
    """Raise a ValueError where labels (n,) without a type are not all strings, or a date is missing."""
    if y.dtype.kind == "M" and np.isnat(y).any():
        row = int(np.argmax(np.isnat(y)))
        raise ValueError(f"{name} has no label in row {row}: it is NaT. Leave out the rows without a label.")
    if y.dtype.kind != "O" or all(issubclass(kind, str) for kind in set(map(type, y))):
        return
    if any(map(is_missing, y)):
        remedy = "Leave out the rows without a label."
    else:
        remedy = "Convert the labels, for instance by np.asarray(y).astype(str)."
    # scikit-learn's checks look for the first words.
    raise ValueError(
        f"Unknown label type: {name} is an array of objects that holds {' and '.join(list_kinds(y))}. Accepted are "
        f"strings, or an array of integers, booleans or NumPy's dates. {remedy}"
    )


def name_classes(classes: ArrayLike | None, n_classes: int) -> Array:
    """Return the classes that the columns of soft labels stand for: those that are given, or numbers from 0 on."""
    if classes is None:
        return np.arange(n_classes)
    names = np.asarray(classes)
    if names.shape != (n_classes,) or not np.array_equal(_sort_classes(names), names):
        wanted = f"{n_classes} different labels in ascending order, one for each column of y"
        raise ValueError(f"classes must be {wanted}, got {names.tolist()!r:.200}")
    return names


def match_classes(found: Array, classes: ArrayLike) -> Array:
    """Return the classes that were found in y, sorted, once they are those that are given."""
    expected = _sort_classes(classes)
    unknown, missing = np.setdiff1d(found, expected), np.setdiff1d(expected, found)
    if len(unknown):
        raise ValueError(f"y has the label {unknown.tolist()[0]!r}, which is not one of classes={expected}.")
    if len(missing):
        raise ValueError(f"No row of y has the class {missing.tolist()[0]!r}, which is one of classes={expected}.")
    return found


def _sort_classes(classes: ArrayLike) -> Array:
    """Return the different ones of classes that a user gives, sorted."""
    try:
        return np.unique(np.asarray(classes))
    except TypeError as error:
        raise ValueError(f"classes must be labels that can be sorted, got {classes!r:.200}: {error}") from error


def check_classes(estimator: object, classes: Array) -> None:
    """Raise a ValueError where there is one class, or more than the solver of the estimator takes."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes in y, but y contains only one class: "
            f"{classes[0]}"
        )
    if len(classes) > 2 and getattr(estimator, "solver", "") == "liblinear":
        raise ValueError(
            "The 'liblinear' solver does not support multiclass classification (n_classes >= 3), as in "
            "scikit-learn 1.8 and later; use solver='auto', or wrap the estimator in a OneVsRestClassifier."
        )


def choose_weight_unit(largest: float) -> float:
    """Return the power of two by which weights are divided, from the largest; one if that is zero. Sums stay finite."""
    return float(2.0 ** np.floor(np.log2(largest))) if largest > 0 else 1.0


def read_relative_weights(sample_weight: Any, labels: Any, are_signed: bool = False) -> FloatArray | None:
    """Return sample weights of which only ratios count, also below zero, or None; smaller ones if the sum overflows."""
    if sample_weight is None:
        return None
    weights = read_weights(sample_weight, labels, are_signed)
    if are_signed:
        check_nonzero_weights(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        return weights if np.isfinite(weights.sum()) else weights / choose_weight_unit(np.abs(weights).max())


def check_nonzero_weights(weights: FloatArray) -> None:
    """Raise a ValueError where all weights of rows to score are zero."""
    if not np.any(weights):
        raise ValueError("Sample weights must contain at least one non-zero number, but all rows weigh 0.")


def compute_row_weights(
    labels: IntArray, classes: Array, sample_weight: Any, class_weight: ClassWeight, soft: FloatArray | None = None
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return sample weight times class weight per row, float64, or None where every row counts alike, and soft labels.

    labels number the classes. With soft labels (n, n_classes) the row counts as weighted copies would.
    """
    if sample_weight is None and class_weight is None:
        return None, soft
    # A copy of our own, since scikit-learn may return what nobody may write to.
    weights = np.array(read_weights(sample_weight, labels))
    if class_weight is not None:
        # Only ratios of the totals count, which themselves might overflow.
        fractions = weights / choose_weight_unit(weights.max(initial=0.0))
        totals: Any = np.bincount(labels, fractions, len(classes)) if soft is None else fractions @ soft
        class_weights = compute_class_weights(class_weight, classes, totals)
        if soft is None:
            factors = class_weights[labels]
        else:
            factors, soft = apply_class_weights(soft, class_weights)
        with np.errstate(over="ignore"):
            weights *= factors
    largest = weights.max(initial=0.0)
    if not largest > 0:
        raise ValueError("Every row has weight zero: sample_weight and class_weight must leave some rows above zero.")
    if largest == np.inf:
        raise ValueError("sample_weight times class_weight overflows: the largest product must be below 1.8e308.")
    return weights, soft


def read_weights(sample_weight: Any, labels: Any, are_signed: bool = False) -> FloatArray:
    """Return sample weights of rows with labels as float64 (n,), all ones where they are None."""
    with prefix_errors("sample_weight"):
        given = read_in_place(sample_weight, "sample_weight")
        # These need no check, which takes 90 microseconds.
        is_plain = type(given) is np.ndarray and given.dtype == np.float64 and given.shape == np.shape(labels)[:1]
        if is_plain and has_finite_sum(given) and (are_signed or given.min(initial=0.0) >= 0):
            return given
        found = None if given is None else np.asarray(given).dtype
        if found is not None and found.kind in "mM":
            # scikit-learn would count their units.
            raise ValueError(
                f"sample_weight holds values of type {found}, but must hold numbers; convert it to numbers."
            )
        return check_sample_weight(given, labels, dtype=np.float64, ensure_non_negative=not are_signed)


def apply_class_weights(soft: FloatArray, class_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weights of rows (n,), float64, and soft labels that have the class weights (K,) in them.

    The loss sum_k w_k y_ik l_k is the row's weight sum_k w_k y_ik times that of soft labels w_k y_ik, scaled.
    """
    # Relative to the largest, since sums may overflow.
    largest = class_weights.max() or 1.0
    fractions = soft @ (class_weights / largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = soft * (class_weights / largest) / fractions[:, None]
    targets[fractions == 0] = soft[fractions == 0]
    with np.errstate(over="ignore"):
        return fractions * largest, targets


def compute_class_weights(class_weight: ClassWeight, classes: Array, totals: FloatArray) -> FloatArray:
    """Return what class_weight says that each class weighs, (n_classes,), where its rows have a total weight so far."""
    if not isinstance(class_weight, str):
        class_weights = compute_class_weight(class_weight, classes=classes, y=classes)
        if not (np.isfinite(class_weights).all() and (class_weights >= 0).all()):
            raise ValueError(f"class_weight must hold finite numbers of at least 0, got {class_weight!r}")
        return class_weights
    # Up to version 1.7 scikit-learn counts rows, whatever their weights.
    with np.errstate(divide="ignore"):
        class_weights = totals.sum() / (len(classes) * totals)
    if not np.isfinite(class_weights).all():
        empty = classes[~np.isfinite(class_weights)][0]
        raise ValueError(f"class_weight='balanced' needs rows of weight in every class, but class {empty} has none")
    return class_weights


def read_offset(offset: Any, n_rows: int, n_classes: int, name: str = "offset", rows: str = "X") -> FloatArray | None:
    """Return the offsets of some rows, (n_rows, K) float64 in C order with K = 1 for two classes, or None."""
    if offset is None:
        return None
    offsets = read_offset_numbers(offset, name)
    check_offset_shape(offsets.shape, n_rows, n_classes, name, rows)
    return offsets.reshape(n_rows, 1 if n_classes == 2 else n_classes)


def read_offset_numbers(offset: ArrayLike, name: str = "offset") -> FloatArray:
    """Return offsets of any shape as float64 in C order."""
    try:
        given: Any = np.asarray(read_in_place(offset, name))
        if given.dtype.kind not in "fiubO":
            raise TypeError(f"got an array of {given.dtype}")
        offsets = np.require(given, np.float64, ["C", "A", "E"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    fits = np.abs(offsets) <= MAX_OFFSET
    if not fits.all():
        position = np.unravel_index(np.argmin(fits), offsets.shape)
        raise ValueError(
            f"{name} must hold finite numbers of a magnitude up to {MAX_OFFSET:g}, but row "
            f"{position[0] if position else 0} has {offsets[position]}."
        )
    return offsets


def check_offset_shape(
    shape: tuple[int, ...], n_rows: int | float, n_classes: int, name: str = "offset", rows: str = "X"
) -> None:
    """Raise a ValueError where offsets of a shape do not fit rows, whose number may be NaN where it is not known."""
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if n_classes == 2:
        accepted, fits = "one number for each row, (n_samples,)", is_column
    else:
        accepted, fits = f"one number for each row and class, (n_samples, {n_classes})", shape[1:] == (n_classes,)
    if not fits:
        reason = " The same number for all classes of a row changes nothing." if is_column else ""
        raise ValueError(f"{name} must have {accepted}, for {n_classes} classes, got the shape {shape}.{reason}")
    if shape[0] != n_rows and n_rows == n_rows and shape[0] == shape[0]:
        raise ValueError(f"{name} has {shape[0]} rows, but {rows} has {n_rows}: inconsistent numbers of samples.")
