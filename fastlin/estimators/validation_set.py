"""One given validation set in place of folds: what is read of it, and the training data of all rows together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.metrics import get_scorer

from fastlin.blocks.blocks import Blocks, from_arrays, from_csr
from fastlin.budget import Budget
from fastlin.estimators.labels import (
    ROWS,
    are_soft,
    choose_labels,
    make_certain,
    named,
    read_labels,
    read_offset,
    read_ratios,
)
from fastlin.estimators.linear_predictions import ScoredRows, name_row_scores
from fastlin.estimators.parameters import read_scoring
from fastlin.estimators.training_data import TrainingData, check_parts, make_training_data, read_blocks, read_matrix
from fastlin.tensors import choose_type
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegressionCV
    from fastlin.matrices import Matrix


def read_validation_set(
    estimator: LogisticRegressionCV,
    X: Any,
    data: TrainingData,
    X_val: Any,
    y_val: Any,
    sample_weight_val: Any,
    offset_val: Any,
) -> ScoredRows:
    """Return the validation rows of a fit whose training rows X have been read, for any metadata."""
    classes = data.classes
    if isinstance(X_val, Blocks):
        y_val, sample_weight_val = choose_labels(X_val, y_val, sample_weight_val, "_val")
    if y_val is None:
        raise ValueError("X_val and y_val must be given together, got only X_val; only Blocks may hold their labels.")
    with named(ROWS):
        matrix = _read_rows(estimator, X_val)
        if (expected := _name_kind(X)) != (found_kind := _name_kind(X_val)):
            raise ValueError(f"they must be {expected}, as X is, got {found_kind}")
    with named("y_val must be one label for each row of X_val"):
        y = read_labels(estimator, y_val, matrix.shape[0], suffix="_val")
        if are_soft(y) and y.shape[1] != len(classes):
            raise ValueError(f"y has {len(classes)} classes, but y_val the shape {y.shape}.")
        found = None if are_soft(y) else np.unique(y).tolist()
    unknown = [] if found is None else _find_other_labels(estimator, found, classes)
    if (data.offsets is None) != (offset_val is None):
        given = "offset" if offset_val is None else "offset_val"
        raise ValueError(f"offset and offset_val must be given together, got only {given}.")
    offsets = read_offset(offset_val, len(y), len(classes), "offset_val", "X_val")
    name_row_scores(read_scoring(estimator.scoring), y, offsets)
    with named("sample_weight_val must be one finite number of at least 0 for each row of X_val, not all 0"):
        weights = read_ratios(sample_weight_val, y)
        if weights is not None and not weights.any():
            raise ValueError("all of them are 0")
    if unknown:
        classes = np.union1d(classes, y)
    elif not are_soft(y):
        y = y.astype(classes.dtype, copy=False)
    rows = matrix.blocks if isinstance(X_val, Blocks) else matrix.X
    return ScoredRows(rows, y, classes, offsets, {}, matrix, weights)


def join_data(
    estimator: LogisticRegressionCV, data: TrainingData, sample_weight: FloatArray | None, validation: ScoredRows
) -> TrainingData:
    """Return the TrainingData of training and validation rows together; rows without weights have ones."""
    given = sample_weight, validation.weights
    weights = None
    if any(each is not None for each in given):
        lengths = len(data.labels), len(validation.y)
        weights = np.concatenate([np.ones(n) if w is None else w for n, w in zip(lengths, given, strict=True)])
    classes, offsets = data.classes, None
    if data.offsets is not None and validation.offsets is not None:
        offsets = np.concatenate([data.offsets, validation.offsets])
    matrix = join_matrices(data.matrix, validation.matrix)
    if are_soft(data.y) or are_soft(validation.y):
        soft = [y if are_soft(y) else make_certain(y, classes) for y in (data.y, validation.y)]
        return make_training_data(estimator, matrix, np.concatenate(soft), weights, offsets, classes)
    y = np.concatenate([data.y.astype(classes.dtype, copy=False), validation.y])
    return make_training_data(estimator, matrix, y, weights, offsets)


def refuse_without_rows(refit: bool | str, y_val: Any, sample_weight_val: Any, offset_val: Any) -> None:
    """Raise a ValueError for what is of no use without X_val."""
    for name, given in (("y_val", y_val), ("sample_weight_val", sample_weight_val), ("offset_val", offset_val)):
        if given is not None:
            raise ValueError(f"X_val and y_val must be given together, got only {name}")
    if refit == "train":
        raise ValueError("refit must be True or False with folds, whose training rows differ; 'train' is for X_val.")


def refuse_beside_rows(cv: Any, params: Mapping[str, Any]) -> None:
    """Raise a ValueError for what has no meaning with X_val: folds, and metadata, which are those of the rows of X."""
    if cv is not None:
        raise ValueError(f"cv must be None with X_val, which takes the place of folds, got {cv!r}")
    if params:
        raise ValueError(f"fit takes no metadata but weights with X_val, got {', '.join(params)}")


def _find_other_labels(estimator, found, classes):
    """Return which labels of validation rows are none of the classes, once they may be scored."""
    known = set(classes.tolist())
    unknown = [label for label in found if label not in known]
    response = getattr(get_scorer(read_scoring(estimator.scoring)), "_response_method", "predict")
    # These take predictions alone, and no fit has the rows.
    are_met = response == "predict" and estimator.refit in (False, "train")
    if len(unknown) == len(found) or (unknown and not are_met):
        raise ValueError(
            f"y_val holds {unknown[0]!r}, which is no label of y; its labels are {classes.tolist()!r:.200}. Leave "
            "these rows out, or add such rows to X; with scoring='accuracy' and refit='train' or False they count as "
            "wrong."
        )
    return unknown


def _name_kind(X):
    """Return in words what kind of rows X is."""
    if isinstance(X, Blocks):
        return f"{'sparse' if X.is_sparse else 'dense'} blocks"
    return f"{'sparse' if sparse.issparse(X) else 'dense'} rows"


def _read_rows(estimator, X_val):
    """Return X_val as a matrix, after the checks of its columns and of its numbers."""
    if not isinstance(X_val, Blocks):
        return read_matrix(estimator, X_val, reset=False)
    matrix = read_blocks(estimator, X_val, reset=False)
    if not X_val.shape[0]:
        raise ValueError("the blocks have 0 rows")
    for _ in check_parts(estimator, matrix):
        pass
    return matrix


def join_matrices(first: Matrix, second: Matrix) -> Matrix:
    """Return a matrix with the rows of the first and then those of the second, both of one kind.

    Rows of two types get the one that holds both. Tables are copied, and others if the copy takes no more than a
    quarter of a fit's budget for the first.
    """
    from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix

    if isinstance(first, TableMatrix) and isinstance(second, TableMatrix):
        return first.append(second)
    if second.is_sparse and not first.is_sparse:
        first = as_matrix(sparse.csr_array(first.X))
    dtype = choose_type(np.result_type(first.dtype, second.dtype))
    lie_in_memory = first.lies_in_memory and second.lies_in_memory
    n_bytes = sum(each.shape[0] * each.row_bytes for each in (first, second))
    if lie_in_memory and Budget.beside(first.budget_bytes).holds(n_bytes):
        if first.is_sparse:
            return as_matrix(sparse.vstack([first.X, second.X], format="csr", dtype=dtype))
        return as_matrix(np.concatenate([first.X, second.X], dtype=dtype))
    joined = BlockMatrix(_chain(_as_blocks(first), _as_blocks(second), dtype))
    if lie_in_memory:
        # A fit may take as much in addition to them as to one array.
        joined.budget_bytes = first.budget_bytes + second.budget_bytes
    return joined


def _as_blocks(matrix: Any) -> Blocks:
    from fastlin.matrices import BlockMatrix

    if isinstance(matrix, BlockMatrix):
        return matrix.blocks
    return from_csr(matrix.X) if matrix.is_sparse else from_arrays(matrix.X)


def _chain(first: Blocks, second: Blocks, dtype: np.dtype[Any]) -> Blocks:
    """Return the blocks of the first and then of the second, all in one type."""

    def read() -> Iterator[Any]:
        for blocks in (first, second):
            for X in blocks.read():
                yield X.astype(dtype, copy=False)

    borders = np.concatenate([first.borders, first.borders[-1] + second.borders[1:]])
    names = [*first.names, *(f"validation {name}" for name in second.names)]
    shape = first.shape[0] + second.shape[0], first.shape[1]
    row_lengths = None
    if first.is_sparse:
        row_lengths = first.n_entries + second.n_entries, max(first.longest_row, second.longest_row)
    return Blocks(read, borders, names, shape, dtype, row_lengths=row_lengths)
