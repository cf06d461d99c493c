"""Validation of labels, sample weights and offsets, and the validated training data of a fit.

A row with soft labels stands for K copies, one per class, weighted by the probabilities.
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
from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.containers.tensors import convert_to_float, has_finite_sum, view_as_numpy
from fastlin.estimators.columns import densify_if_faster, validate_matrix
from fastlin.estimators.scikit_learn import check_sample_weight
from fastlin.estimators.table_columns import is_missing, list_value_kinds
from fastlin.typing import Array, ClassWeight, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix

X_VAL_REQUIREMENT = "X_val must be rows of finite numbers with the columns of X"
# Tolerance for the sum of the probabilities of a row. For float16, the tolerance is the machine epsilon.
PROBABILITY_SUM_TOL = 1e-5
# Integer labels are counted instead of sorted if their range is at most this number or at most the number of rows.
MAX_LABEL_RANGE = 10_000
LABELS_PER_BATCH = 1_000_000
# The largest magnitude of an offset. Scores in float32 that contain such offsets do not overflow.
MAX_OFFSET = 1e30


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The validated matrix, labels and weights of a fit. X is checked for NaN when its columns are measured."""

    matrix: Matrix
    y: np.ndarray  # labels or soft labels as passed by the user
    classes: np.ndarray  # sorted
    labels: np.ndarray  # int32, the class index of each row
    # float64: sample weight times class weight, divided by `weight_unit`. None means that all weights are one.
    weights: np.ndarray | None
    weight_unit: float  # a power of two near the largest weight
    offsets: np.ndarray | None = None  # in the form of `make_samples`, like targets
    targets: np.ndarray | None = None

    def sum_weights(self) -> float:
        """Return the total weight of the rows."""
        return float(len(self.labels) if self.weights is None else self.weights.sum())


def validate_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of a fit; the `Problem` of the fit checks that X is finite."""
    matrix, labels, sample_weight = validate_rows(estimator, X, y, sample_weight, are_probabilities=classes is not None)
    return make_training_data(estimator, matrix, labels, sample_weight, offset, classes)


def validate_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, reset: bool = True, are_probabilities: bool = False
) -> tuple[Any, Array, ArrayLike | None]:
    """Return X as a matrix (without a check for NaN and infinity), the labels, and the unvalidated weights."""
    matrix = validate_matrix(estimator, X, reset=reset, ensure_all_finite=False, allows_blocks=True)
    if isinstance(X, Blocks):
        y, sample_weight = choose_labels_and_weights(X, y, sample_weight)
    return matrix, validate_labels(estimator, y, matrix.shape[0], are_probabilities=are_probabilities), sample_weight


def make_training_data(
    estimator: Any, matrix: Any, y: Array, sample_weight: Any, offset: Any = None, classes: Any = None
) -> TrainingData:
    """Return the TrainingData of rows with validated labels; the matrix may be None."""
    soft_labels = y if y.ndim == 2 else None
    if soft_labels is None:
        classes_of_y, labels = encode_labels(y)
        classes = classes_of_y if classes is None else match_classes(classes_of_y, classes)
    else:
        # The label is the most probable class; ties go to the first class.
        classes, labels = name_classes(classes, soft_labels.shape[1]), soft_labels.argmax(axis=1).astype(np.int32)
    check_class_count(estimator, classes)
    # FirthLogisticRegression has no class_weight.
    weights, soft_labels = compute_row_weights(
        labels, classes, sample_weight, getattr(estimator, "class_weight", None), soft_labels
    )
    unit = 1.0
    if weights is not None:
        unit = choose_weight_unit(weights.max())
        weights /= unit
    targets = None if soft_labels is None else make_targets(soft_labels)
    offsets = validate_offset(offset, len(labels), len(classes))
    return TrainingData(densify_if_faster(matrix), y, classes, labels, weights, unit, offsets, targets)


@contextlib.contextmanager
def prefix_error_messages(argument: str) -> Iterator[None]:
    """Prepend the name of an argument to the messages of errors in the ``with`` block, unless they contain it."""
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
    """Return the labels and weights from the arguments or from Blocks; errors append `suffix` to argument names."""
    pairs = {"y": (y, blocks.y), "sample_weight": (sample_weight, blocks.sample_weight)}
    for name, (argument, values_from_blocks) in pairs.items():
        if argument is not None and values_from_blocks is not None:
            raise ValueError(
                f"{name}{suffix} was passed, but the blocks of X{suffix} also contain {name}; provide only one of them."
            )
    return blocks.y if y is None else y, blocks.sample_weight if sample_weight is None else sample_weight


def validate_labels(
    estimator: object,
    y: Any,
    n_rows: int | None,
    suffix: str = "",
    allows_multilabel: bool = False,
    are_probabilities: bool = False,
) -> Any:
    """Return the validated labels of `n_rows` rows.

    Their shape is (n,), or (n, K) for soft labels and multilabel y. `parse_label_columns` defines multilabel y, which
    requires `allows_multilabel`; if `are_probabilities` is true, such y is read as soft labels. Errors append `suffix`
    to argument names. `n_rows` is None for test data, whose labels may be a single column without a warning.
    """
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    name = f"y{suffix}"
    y = view_as_numpy(y, name)
    if hasattr(y, "to_numpy") and isinstance(getattr(y, "dtype", None), np.dtype):
        # y is a pandas Series.
        y = y.to_numpy()
    # Integers are not validated, because this would take a large fraction of the time of a prediction for one row
    # (docs/benchmarks/design-choices.md: validation of labels).
    if not (type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iub"):
        indicators, labels = parse_label_columns(y, name)
        if allows_multilabel and indicators is not None:
            labels = indicators
        elif are_probabilities and isinstance(indicators, np.ndarray):
            labels = validate_probabilities(indicators.astype(np.float64), name)
        elif indicators is not None:
            raise ValueError(explain_multilabel(indicators, name))
        elif labels is None:
            labels = _read_column(y, name, warn=n_rows is not None)
            check_label_type(labels, name)
            assert_all_finite(labels, input_name=name)
        y = labels
    if n_rows is not None and y.shape[0] != n_rows:
        lengths = f"{name} has {y.shape[0]} entries, but X{suffix} has {n_rows} rows"
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {lengths}.")
    return y


def validate_test_labels(
    estimator: object, X: Any, y: Any, sample_weight: Any, allows_multilabel: bool = False
) -> tuple[Any, FloatArray | None]:
    """Return the labels and weights of test data, from the arguments or from Blocks."""
    n_rows = None
    if isinstance(X, Blocks):
        (y, sample_weight), n_rows = choose_labels_and_weights(X, y, sample_weight), X.shape[0]
        if n_rows == 0:
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required: the blocks of X have no rows."
            )
    elif y is None:
        raise ValueError(f"{type(estimator).__name__}.score requires y, unless X is Blocks that contain labels.")
    y = validate_labels(
        estimator, y, n_rows, allows_multilabel=allows_multilabel, are_probabilities=not allows_multilabel
    )
    return y, validate_relative_weights(sample_weight, y, may_be_negative=True)


def parse_label_columns(y: Any, name: str = "y") -> tuple[Any, FloatArray | None]:
    """Return a pair: a label indicator matrix (n, K) or None, and soft labels (n, K) or None.

    An indicator matrix contains zeros and ones; it is an array or a sparse CSC matrix. Soft labels are floats, and
    some are neither 0 nor 1. They are returned as float64, with rows that sum to one.
    """
    # A list of plain labels is not converted, because the conversion would be slow.
    if isinstance(y, (list, tuple)) and len(y) and isinstance(y[0], (list, tuple, np.ndarray)):
        try:
            y = np.asarray(y)
        except ValueError:
            raise ValueError(
                f"{name} must be one label per row or soft labels, but its rows differ in length."
            ) from None
    if sparse.issparse(y):
        columns = validate_if_sparse(y, name).tocsc(copy=True)
        columns.sum_duplicates()
        is_binary = columns.shape[1] > 1 and columns.dtype.kind in "biuf" and np.isin(columns.data, (0, 1)).all()
        return columns if is_binary else None, None
    if len(getattr(y, "shape", ())) != 2:
        return None, None
    values = convert_to_float(np.asarray(view_as_numpy(y, name)))
    if values.dtype.kind not in "biuf" or not values.size:
        return None, None
    if values.shape[1] > 1 and are_binary(values):
        return values, None
    if values.shape[1] > 1 and values.dtype.kind == "f":
        return None, validate_probabilities(values, name)
    if values.shape[1] == 1 and ((values > 0) & (values < 1)).any():
        raise ValueError(
            f"{name} has one column of probabilities, but soft labels need a column for each class, at least two; "
            f"for example, use np.column_stack([1 - {name}, {name}])."
        )
    return None, None


def explain_multilabel(indicators: Any, name: str = "y") -> str:
    """Return the error message for a label indicator matrix (n, K) if one label per row is required."""
    description = f"{name} has {indicators.shape[1]} columns of zeros and ones"
    if (np.asarray(indicators.sum(axis=1)) == 1).all():
        return (
            f"{description}, with exactly one 1 in each row, but must have one label per row; use "
            f"{name}.argmax(axis=1). The `fit` of a linear model accepts them as soft labels with the argument "
            "`classes`."
        )
    return (
        f"{description}, i.e. multilabel targets, but must have one label per row; "
        "`fastlin.LogisticRegression.fit` accepts multilabel y."
    )


def _read_column(y, name, warn=False):
    """Return labels that are neither multilabel nor soft as an array (n,)."""
    shape: Any = getattr(y, "shape", ())
    if sparse.issparse(y):
        raise TypeError(
            f"{name} may be sparse only if it is multilabel, with at least two columns of zeros and ones, got shape "
            f"{shape} and dtype {y.dtype}."
        )
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"{name} should be a 1d array of labels, or have at least two columns of zeros and ones (multilabel) or of "
            f"class probabilities (soft labels), got an array of shape {shape} instead."
        )
    return column_or_1d(y, warn=warn)


def take_label_column(indicators: Any, k: int) -> Array:
    """Return column k of a label indicator matrix from `parse_label_columns`, as uint8."""
    if not sparse.issparse(indicators):
        return indicators[:, k].astype(np.uint8)
    column = np.zeros(indicators.shape[0], np.uint8)
    entries = slice(indicators.indptr[k], indicators.indptr[k + 1])
    column[indicators.indices[entries]] = indicators.data[entries]
    return column


def are_soft_labels(y: Any) -> bool:
    """Return whether labels from `validate_labels` are soft; other labels need not be arrays."""
    return isinstance(y, np.ndarray) and y.ndim == 2


def are_binary(soft_labels: Array) -> bool:
    """Return whether all probabilities are 0 or 1."""
    return bool(((soft_labels == 0) | (soft_labels == 1)).all())


def validate_probabilities(soft_labels: Array, name: str) -> FloatArray:
    """Return soft labels as float64 (n, K); raise a ValueError if a row does not sum to one."""
    tolerance = max(PROBABILITY_SUM_TOL, float(np.finfo(soft_labels.dtype).eps))
    soft_labels = soft_labels.astype(np.float64, copy=False)
    sums = soft_labels.sum(axis=1)
    is_valid = (np.abs(sums - 1) <= tolerance) & (soft_labels.min(axis=1) >= 0)
    if not is_valid.all():
        # An invalid entry is more informative in an error message than a row whose sum is not one.
        is_invalid = ~((soft_labels >= 0) & (soft_labels <= 1 + tolerance))
        i, k = (
            np.unravel_index(np.argmax(is_invalid), soft_labels.shape)
            if is_invalid.any()
            else (np.argmin(is_valid), None)
        )
        problem = f"sums to {sums[i]:.6g}" if k is None else f"contains {soft_labels[i, k]:g}"
        raise ValueError(
            f"{name} has {soft_labels.shape[1]} columns. These must be all 0 or 1 (multilabel), or class probabilities "
            f"that are nonnegative and sum to one within {tolerance:.2g} in each row, but row {i} {problem}."
        )
    return soft_labels if (sums == 1).all() else soft_labels / sums[:, None]


def make_targets(soft_labels: FloatArray) -> FloatArray:
    """Return soft labels (n, K) as targets in C order; for two classes, the targets are the second column only."""
    return np.ascontiguousarray(soft_labels[:, 1:] if soft_labels.shape[1] == 2 else soft_labels)


def encode_labels(y: Array) -> tuple[Array, IntArray]:
    """Return the sorted classes, and the class index of each row as int32; y must have one label per row."""
    if y.dtype.kind in "iub" and y.size:
        smallest, largest = int(np.minimum.reduce(y)), int(np.maximum.reduce(y))
        if largest - smallest < max(MAX_LABEL_RANGE, len(y)) and largest < 2**63:
            # Counting is faster than sorting (docs/benchmarks/design-choices.md: encoding of labels).
            labels, counts = np.empty(len(y), np.int32), np.zeros(largest - smallest + 1, np.int64)
            # Labels are encoded in batches of rows, because the labels of data larger than memory may be large
            # themselves.
            for first in range(0, len(y), LABELS_PER_BATCH):
                part = slice(first, first + LABELS_PER_BATCH)
                codes = np.subtract(y[part], smallest, dtype=np.int64)
                counts += np.bincount(codes, minlength=len(counts))
                labels[part] = codes
            occurring_codes = counts.nonzero()[0]
            if len(occurring_codes) <= len(y) // 2:
                if len(occurring_codes) < len(counts):
                    labels = ((counts > 0).cumsum() - 1).astype(np.int32)[labels]
                return (occurring_codes + smallest).astype(y.dtype), labels
    check_label_type(y)
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    return classes, labels.astype(np.int32)


def check_label_type(y: Array, name: str = "y") -> None:
    """Raise a ValueError if labels (n,) of dtype object are not all strings, or if dates contain NaT."""
    if y.dtype.kind == "M" and np.isnat(y).any():
        row = int(np.argmax(np.isnat(y)))
        raise ValueError(f"{name} contains NaT in row {row}. Remove the rows without a label.")
    if y.dtype.kind != "O" or all(issubclass(kind, str) for kind in set(map(type, y))):
        return
    if any(map(is_missing, y)):
        remedy = "Remove the rows without a label."
    else:
        remedy = "Convert the labels, for example with np.asarray(y).astype(str)."
    # scikit-learn's estimator checks compare the first words of the message.
    raise ValueError(
        f"Unknown label type: {name} is an array of objects with {' and '.join(list_value_kinds(y))}. Labels must be "
        f"strings, or an array of integers, booleans or NumPy dates. {remedy}"
    )


def name_classes(classes: ArrayLike | None, n_classes: int) -> Array:
    """Return the class labels of the columns of soft labels: the labels passed by the user, or 0, 1, ..."""
    if classes is None:
        return np.arange(n_classes)
    names = np.asarray(classes)
    if names.shape != (n_classes,) or not np.array_equal(_sort_classes(names), names):
        requirement = f"{n_classes} different labels in ascending order, one for each column of y"
        raise ValueError(f"classes must be {requirement}, got {names.tolist()!r:.200}")
    return names


def match_classes(classes_of_y: Array, classes: ArrayLike) -> Array:
    """Return the sorted classes that occur in y; raise a ValueError unless they equal the user's classes."""
    expected = _sort_classes(classes)
    unknown_classes, missing = np.setdiff1d(classes_of_y, expected), np.setdiff1d(expected, classes_of_y)
    if len(unknown_classes):
        raise ValueError(
            f"y contains the label {unknown_classes.tolist()[0]!r}, which is not one of classes={expected}."
        )
    if len(missing):
        raise ValueError(f"No row of y has the class {missing.tolist()[0]!r}, which is one of classes={expected}.")
    return classes_of_y


def _sort_classes(classes: ArrayLike) -> Array:
    """Return the sorted unique values of classes."""
    try:
        return np.unique(np.asarray(classes))
    except TypeError as error:
        raise ValueError(f"classes must be labels that can be sorted, got {classes!r:.200}: {error}") from error


def check_class_count(estimator: object, classes: Array) -> None:
    """Raise a ValueError if there is a single class, or if there are more classes than the solver supports."""
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
    """Return a power of two near the largest weight, or one for zero. Weights divided by it have a finite sum."""
    return float(2.0 ** np.floor(np.log2(largest))) if largest > 0 else 1.0


def validate_relative_weights(sample_weight: Any, labels: Any, may_be_negative: bool = False) -> FloatArray | None:
    """Return validated weights or None; weights whose sum overflows are scaled down, because only ratios matter."""
    if sample_weight is None:
        return None
    weights = validate_weights(sample_weight, labels, may_be_negative)
    if may_be_negative:
        check_nonzero_weights(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        return weights if np.isfinite(weights.sum()) else weights / choose_weight_unit(np.abs(weights).max())


def check_nonzero_weights(weights: FloatArray) -> None:
    """Raise a ValueError if all weights of test data are zero."""
    if not np.any(weights):
        raise ValueError("Sample weights must contain at least one non-zero number, but all of them are 0.")


def compute_row_weights(
    labels: IntArray,
    classes: Array,
    sample_weight: Any,
    class_weight: ClassWeight,
    soft_labels: FloatArray | None = None,
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return the row weights (sample weight times class weight) and the soft labels.

    The row weights are float64, or None if there are no weights. `labels` contains class indices. The class weights are
    also applied to the probabilities in `soft_labels`, which has shape (n, n_classes).
    """
    if sample_weight is None and class_weight is None:
        return None, soft_labels
    # Copy the validated weights, because they may be read-only or share the user's memory.
    weights = np.array(validate_weights(sample_weight, labels))
    if class_weight is not None:
        # The weights are scaled, because the totals might overflow, and only the ratios matter.
        fractions = weights / choose_weight_unit(weights.max(initial=0.0))
        totals: Any = np.bincount(labels, fractions, len(classes)) if soft_labels is None else fractions @ soft_labels
        class_weights = compute_class_weights(class_weight, classes, totals)
        if soft_labels is None:
            factors = class_weights[labels]
        else:
            factors, soft_labels = apply_class_weights(soft_labels, class_weights)
        with np.errstate(over="ignore"):
            weights *= factors
    largest = weights.max(initial=0.0)
    if not largest > 0:
        raise ValueError("All rows have weight zero; sample_weight times class_weight must be positive for some rows.")
    if largest == np.inf:
        raise ValueError("sample_weight times class_weight overflows: the largest product must be below 1.8e308.")
    return weights, soft_labels


def validate_weights(sample_weight: Any, labels: Any, may_be_negative: bool = False) -> FloatArray:
    """Return the validated sample weights as float64; None means ones."""
    with prefix_error_messages("sample_weight"):
        weights = view_as_numpy(sample_weight, "sample_weight")
        # Plain arrays do not need scikit-learn's checks, which are slow.
        is_plain = type(weights) is np.ndarray and weights.dtype == np.float64 and weights.shape == np.shape(labels)[:1]
        if is_plain and has_finite_sum(weights) and (may_be_negative or weights.min(initial=0.0) >= 0):
            return weights
        dtype = None if weights is None else np.asarray(weights).dtype
        if dtype is not None and dtype.kind in "mM":
            # scikit-learn would convert dates to a number of time units.
            raise ValueError(f"sample_weight has dtype {dtype}, but must contain numbers; convert it to numbers.")
        return check_sample_weight(weights, labels, dtype=np.float64, ensure_non_negative=not may_be_negative)


def apply_class_weights(soft_labels: FloatArray, class_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return float64 row weights and soft labels that together have the effect of the class weights.

    The loss sum_k w_k y_ik l_k equals the row weight sum_k w_k y_ik times the loss of the normalized labels w_k y_ik.
    """
    # The class weights are divided by the largest class weight, because sums may overflow.
    largest = class_weights.max() or 1.0
    fractions = soft_labels @ (class_weights / largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = soft_labels * (class_weights / largest) / fractions[:, None]
    targets[fractions == 0] = soft_labels[fractions == 0]
    with np.errstate(over="ignore"):
        return fractions * largest, targets


def compute_class_weights(class_weight: ClassWeight, classes: Array, totals: FloatArray) -> FloatArray:
    """Return the weight of each class; `totals` contains the sum of the sample weights of each class."""
    if not isinstance(class_weight, str):
        class_weights = compute_class_weight(class_weight, classes=classes, y=classes)
        if not (np.isfinite(class_weights).all() and (class_weights >= 0).all()):
            raise ValueError(f"class_weight must contain finite numbers of at least 0, got {class_weight!r}")
        return class_weights
    # scikit-learn up to 1.7 uses numbers of rows instead of sums of weights.
    with np.errstate(divide="ignore"):
        class_weights = totals.sum() / (len(classes) * totals)
    if not np.isfinite(class_weights).all():
        empty_class = classes[~np.isfinite(class_weights)][0]
        raise ValueError(
            f"class_weight='balanced' requires rows of positive weight in each class, but class {empty_class} has none"
        )
    return class_weights


def validate_offset(
    offset: Any, n_rows: int, n_classes: int, name: str = "offset", rows: str = "X"
) -> FloatArray | None:
    """Return the validated offsets as float64 (n_rows, K) in C order, where K is 1 for two classes, or None."""
    if offset is None:
        return None
    offsets = validate_offset_values(offset, name)
    check_offset_shape(offsets.shape, n_rows, n_classes, name, rows)
    return offsets.reshape(n_rows, 1 if n_classes == 2 else n_classes)


def validate_offset_values(offset: ArrayLike, name: str = "offset") -> FloatArray:
    """Return offsets of any shape as float64 in C order."""
    try:
        values: Any = np.asarray(view_as_numpy(offset, name))
        if values.dtype.kind not in "fiubO":
            raise TypeError(f"got an array of {values.dtype}")
        offsets = np.require(values, np.float64, ["C", "A", "E"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must contain numbers: {error}") from error
    is_valid = np.abs(offsets) <= MAX_OFFSET
    if not is_valid.all():
        index = np.unravel_index(np.argmin(is_valid), offsets.shape)
        raise ValueError(
            f"{name} must contain finite numbers with an absolute value of at most {MAX_OFFSET:g}, but row "
            f"{index[0] if index else 0} has {offsets[index]}."
        )
    return offsets


def check_offset_shape(
    shape: tuple[int, ...], n_rows: int | float, n_classes: int, name: str = "offset", rows: str = "X"
) -> None:
    """Raise a ValueError if the shape of offsets does not match the rows; an unknown number of rows is NaN."""
    is_single_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if n_classes == 2:
        requirement, is_valid = "one number for each row, (n_samples,)", is_single_column
    else:
        requirement, is_valid = (
            f"one number for each row and class, (n_samples, {n_classes})",
            shape[1:] == (n_classes,),
        )
    if not is_valid:
        reason = " Adding the same number for all classes of a row has no effect." if is_single_column else ""
        raise ValueError(f"{name} must have {requirement}, for {n_classes} classes, got the shape {shape}.{reason}")
    if shape[0] != n_rows and n_rows == n_rows and shape[0] == shape[0]:
        raise ValueError(f"{name} has {shape[0]} rows, but {rows} has {n_rows}: inconsistent numbers of samples.")
