"""Objectives of random problems, and values and minima computed by the reference."""

import numpy as np
import reference
from conftest import distort_columns, make_offsets_and_targets, make_problem
from scipy import sparse

from fastlin.matrices import as_matrix
from fastlin.objective.budget import Budget
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import Objective, make_penalty_factors
from fastlin.objective.penalty import Box, Penalty
from fastlin.objective.point import Point
from fastlin.objective.rows import Rows, make_samples, multiply_weights_by_counts
from fastlin.solvers.minimization import Minimization, Start

# The penalty factors of `make_scale_free_objective`.
FACTORS = np.array([1.0, 0.5, 3.0, 1.0, 0.1, 2.0])


def build_objective(
    X,
    labels,
    n_classes,
    *,
    weights=None,
    l2=0.0,
    l1=0.0,
    penalty_factors=None,
    group_lasso=False,
    fit_intercept=True,
    row_indices=None,
    bounds=None,
    **offsets_and_targets,
):
    """Return the objective over the rows `row_indices` of X, or over all rows if `row_indices` is None.

    `offsets_and_targets` contains the offsets and targets for `make_samples`.
    """
    matrix, samples = as_matrix(X), make_samples(labels, weights, row_indices, **offsets_and_targets)
    columns = matrix.measure(
        weights if row_indices is None else multiply_weights_by_counts(row_indices, weights, matrix.shape[0])
    )
    factors = make_penalty_factors(penalty_factors, matrix.shape[1])
    coordinates = choose_coordinates(columns, l2, factors, fit_intercept)
    rows = Rows(matrix, samples, n_classes, coordinates, fit_intercept)
    box = None if bounds is None else Box.of(bounds, coordinates.scale)
    return Objective(rows, Penalty.of(rows, l2, l1, factors, group_lasso, box))


def make_objective(n, d, n_classes, dtype=np.float64, columns="plain", weighted=True, seed=0, **options):
    """Return an objective and parameters whose scores are of order one."""
    X, labels, weights, _, _ = make_problem(n, d, n_classes, dtype, seed=seed)
    X = distort_columns(X, columns)
    objective = build_objective(X, labels, n_classes, weights=weights if weighted else None, **options)
    parameters = np.random.default_rng(seed + 1).normal(size=objective.shape)
    if not objective.fit_intercept:
        parameters[:, -1] = 0
    return objective, parameters


def make_offset_objective(n, d, n_classes, size=2.0, soft=True, seed=0, make=make_objective, **options):
    """Return the result of `make` with soft or hard labels, and with offsets of a size. 0 means no offsets."""
    labels = make_problem(n, d, n_classes, seed=seed)[1]
    offsets, targets = make_offsets_and_targets(labels, n_classes, size, seed)
    options |= {"offsets": offsets if size else None, "targets": targets if soft else None}
    return make(n, *([d] if make is make_objective else []), n_classes, seed=seed, **options)


def make_scale_free_objective(n, n_classes, columns="plain", factors=FACTORS, seed=0, **options):
    """Return an objective with six features, and parameters. The penalty does not depend on the feature scales."""
    X, *_ = make_problem(n, 6, n_classes, seed=seed)
    standard_deviation = np.maximum(distort_columns(X, columns).std(axis=0), 1e-3) if columns == "badly scaled" else 1.0
    return make_objective(
        n, 6, n_classes, columns=columns, penalty_factors=factors * standard_deviation, seed=seed, **options
    )


def evaluate(objective, parameters, precision=np.float64):
    """Return the point at the parameters. It has a separate buffer if the budget allows one."""
    return objective.at(parameters, precision, out=objective.make_probability_buffer())


def begin(objective, stopping, start=None, nearby_fit=None):
    """Return the `Minimization` of a solver. `start` is an array of parameters, a `Point`, or None (the null model)."""
    fit = Minimization(objective, stopping, "auto", nearby_fit, ())
    is_start_a_point = isinstance(start, Point)
    parameters = objective.start() if start is None else start.parameters if is_start_a_point else start
    fit.start = Start(parameters, start if is_start_a_point else None, is_null_model=start is None)
    return fit


def replace_budget(objective, n_bytes):
    """Return the objective with another budget. With 0 bytes, only X stays in memory."""
    return Objective(objective.rows, objective.penalty, Budget(n_bytes))


def get_data(objective):
    """Return dense X, the labels and the weights of an objective's rows. Soft labels are class probabilities."""
    rows, X = objective.rows, objective.matrix.X
    X = X.toarray() if sparse.issparse(X) else X
    weights = rows.weights if len(rows.weights) else np.ones(len(X))
    row_indices = rows.row_indices if len(rows.row_indices) else slice(None)
    labels = rows.labels
    if len(rows.targets):
        labels = rows.targets if rows.n_classes > 2 else np.column_stack([1 - rows.targets, rows.targets])
    return X[row_indices], labels[row_indices], weights[row_indices]


def get_row_offsets(objective):
    """Return the offsets of an objective's rows, with shape (n, K). Without offsets, return zeros."""
    rows = objective.rows
    offsets = rows.offsets if len(rows.offsets) else np.zeros((objective.matrix.shape[0], rows.n_rows_coef))
    return offsets[rows.row_indices] if len(rows.row_indices) else offsets


def get_penalty_arguments(objective):
    """Return the penalty of an objective as keyword arguments for the reference functions."""
    return {name: getattr(objective.penalty, name) for name in ("l2", "l1", "factors", "group_lasso")}


def value_of(objective, coef, intercept):
    """Return J in extended precision, computed by the reference."""
    X, labels, weights = get_data(objective)
    options = {"offsets": get_row_offsets(objective), **get_penalty_arguments(objective)}
    return reference.objective(X, labels, coef, intercept, weights=weights, **options)


def compute_largest_subgradient_entry(objective, coef, intercept):
    """Return the largest entry of the minimum-norm subgradient of J, computed by the reference."""
    X, labels, weights = get_data(objective)
    options = {
        "fit_intercept": objective.fit_intercept,
        "offsets": get_row_offsets(objective),
        **get_penalty_arguments(objective),
    }
    return reference.violation(X, labels, coef, intercept, weights=weights, **options)


def find_reference_minimum(objective):
    """Return the minimum of J in extended precision, and its coef and intercept, computed by the reference."""
    X, labels, weights = get_data(objective)
    options = {"weights": weights, "fit_intercept": objective.fit_intercept, "offsets": get_row_offsets(objective)}
    n_classes, penalty = len(objective.class_weights), objective.penalty
    if penalty.is_smooth and (penalty.factors == 1).all():
        return reference.minimum(X, labels, n_classes, penalty.l2, **options)
    return reference.sparse_minimum(X, labels, n_classes, **options, **get_penalty_arguments(objective))
