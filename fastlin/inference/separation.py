"""Separation: decide whether the maximum of the likelihood exists, and name the columns that separate the classes.

A direction v separates the classes if no row has a larger score x v_k for another class than for its own class, and
some row has a smaller score for another class (Albert and Anderson 1984). The separation is complete if every row has a
larger score for its own class than for all others, and quasi-complete otherwise.

`has_certified_maximum` proves from standard errors that the maximum exists. If it cannot, `find_separation` tries
single columns, the directions in which the fit moves, and a linear program (Konis 2007, chapter 4), and verifies a
direction with all rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastlin.exceptions import SeparationError, SeparationWarning
from fastlin.inference.hessian import (
    MAX_CG_STEPS,
    RELATIVE_SUM_ERROR,
    HessianOperator,
    InformationMatrix,
    find_active_columns,
)
from fastlin.inference.optimum import OPTIMUM_DISTANCE_TOL, approach_optimum
from fastlin.matrices import Passes
from fastlin.matrices.matrix import SCORE_BATCH_BYTES
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point
from fastlin.objective.self_concordance import bound_row_entries
from fastlin.typing import Array, BoolArray, FloatArray

# Differences of scores may be rounding error if they are at most ZERO_TOL, relative to the largest possible difference.
# Differences above NONZERO_TOL are not rounding error.
ZERO_TOL, NONZERO_TOL = 1e-9, 1e-7
# The maximum exists if the Newton decrement times the largest standard error of a score is below 1; 0.5 allows for
# rounding error.
MAXIMUM_EXISTENCE_THRESHOLD = 0.5
# If the Hessian is only available as an operator, this number of rows with the largest margins is examined.
N_LARGEST_MARGIN_ROWS = 3
# Maximum number K (d + 1) of variables, and maximum number of entries of the constraint matrix, of a linear program
# (docs/benchmarks/design-choices.md: separation program).
MAX_PROGRAM_VARIABLES, MAX_PROGRAM_ENTRIES = 1_000, 8_000_000
# With more coefficients, a separation along a fitted direction is reported, without a program that searches for fewer
# columns (docs/benchmarks/design-choices.md: separation program).
MAX_COLUMN_SEARCH_COEFFICIENTS = 200
# The strictest tolerance that HiGHS accepts, and the largest objective that is treated as zero.
LP_TOL, OBJECTIVE_TOL = 1e-10, 1e-9
# Minimum number of rows in the first program, and the factor by which each further program is larger.
MIN_PROGRAM_ROWS, PROGRAM_ROW_GROWTH = 500, 8
# Iteration limit for HiGHS, which may not terminate if columns are nearly collinear
# (docs/benchmarks/design-choices.md: separation program).
MAX_ITERATIONS_PER_VARIABLE = 30
# Maximum number of columns that a message names.
MAX_NAMED_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Separation:
    """A direction that separates the classes, or columns that each separate classes on their own.

    `features` are the columns of the separation. If they separate only together, `pairs` are the separated pairs of
    classes and `direction` is (K, d + 1). Otherwise `sides` contains, for each column, the classes below and above, the
    largest value below and the smallest value above.
    """

    is_complete: bool
    features: Sequence[int]
    pairs: Sequence[tuple[int, int]] = ()
    direction: FloatArray | None = None
    sides: Sequence[tuple[list[int], list[int], float, float]] = ()

    def describe(self, names: Array, labels: Array) -> str:
        """Return a sentence that names the columns and the classes that they separate."""
        kind = "Complete" if self.is_complete else "Quasi-complete"
        if self.sides:
            separation_clauses = [
                f"{names[j]!s} <= {largest:.6g} in all rows of {_format_classes(labels, lower_classes)}, and "
                f"{names[j]!s} >= {smallest:.6g} in all rows of {_format_classes(labels, upper_classes)}"
                for j, (lower_classes, upper_classes, largest, smallest) in zip(self.features, self.sides, strict=False)
            ]
            separation_clauses, n_more = (
                separation_clauses[:MAX_NAMED_COLUMNS],
                len(separation_clauses) - MAX_NAMED_COLUMNS,
            )
            more = f"; likewise for {n_more} more column{'s' * (n_more > 1)}" if n_more > 0 else ""
            if self.is_complete and all(smallest <= largest for _, _, largest, smallest in self.sides):
                kind = "All columns together separate the classes completely. Quasi-complete"
            return f"{kind} separation: {'; '.join(separation_clauses)}{more}."
        n_more = len(self.features) - MAX_NAMED_COLUMNS
        columns = ", ".join(str(names[j]) for j in self.features[:MAX_NAMED_COLUMNS])
        columns += f" and {n_more} more" if n_more > 0 else ""
        subject = f"columns {columns} together separate" if len(self.features) > 1 else f"column {columns} separates"
        rest = "." if self.is_complete else "; the remaining rows lie on the boundary."
        return f"{kind} separation: the {subject} {_describe_class_pairs(labels, self.pairs)}{rest}"


def check_separation(
    point: Point, names: Array, labels: Array, step: FloatArray | None = None, stacklevel: int | None = None
) -> None:
    """Raise a SeparationError if the maximum of the likelihood does not exist, and warn if that is undecided.

    `step` (K, d + 1) is the Newton step from a point near the maximum, if it is known. No warning is issued if
    `stacklevel` is None.
    """
    separation = find_separation(point.objective, point.parameters, step)
    if isinstance(separation, Separation):
        raise SeparationError(
            f"{separation.describe(names, labels)} The likelihood has no maximum, so coefficients have no finite "
            "estimates and no standard errors. Remove the columns, merge classes or categories, fit "
            "FirthLogisticRegression, or use a finite C with penalized='laplace'."
        )
    if separation is not None and stacklevel is not None:
        warnings.warn(
            f"Could not decide whether the classes are separated: {separation}. If they are, some coefficients have no "
            "finite estimates and their standard errors are meaningless. FirthLogisticRegression has finite estimates.",
            SeparationWarning,
            stacklevel=stacklevel + 1,
        )


def has_certified_maximum(curvature: HessianOperator) -> bool:
    """Return whether standard errors prove that the maximum of the likelihood exists.

    Let e be the largest standard error of a difference between two scores of a row. Along a step of unit length, the
    third derivative of the loss is at most e times the second (Bach 2010). If the Newton decrement is below 1 / e, the
    loss eventually increases in every direction.
    """
    point, is_active, newton_decrement = curvature.point, curvature.is_active, curvature.newton_decrement
    objective, coordinates = point.objective, point.objective.coordinates
    if not isinstance(curvature, InformationMatrix):
        return _has_likely_maximum(curvature)
    variances = curvature.variances
    if not (np.isfinite(variances).all() and (variances[:, is_active] > 0).all() and np.isfinite(newton_decrement)):
        return False
    errors, longest = np.sqrt(np.where(is_active, variances, 0.0)), bound_row_entries(coordinates)
    # Rounding errors of scores change the gradient through the Hessian. Rounding errors of residuals and of their sums
    # change it directly. Both are larger if the values of a column are far from zero.
    shift = np.append(np.abs(coordinates.shift), 0.0)
    score_error = float((np.abs(point.parameters) * (longest + shift)).sum(axis=1).max())
    sum_rounding_error = float((errors * (np.sqrt(coordinates.mean_squares) + shift)).sum())
    distance = (1 if len(errors) == 1 else 2) * (
        newton_decrement + RELATIVE_SUM_ERROR * (score_error + sum_rounding_error)
    )
    # The sum of the standard errors bounds the standard error of a score. The bound is loose if columns are nearly
    # collinear. In this case the linear program may not terminate, so the standard errors for all rows are tried first.
    if float((errors * longest).sum(axis=1).max()) * distance < MAXIMUM_EXISTENCE_THRESHOLD:
        return True
    return (
        objective.rows.has_labels
        and _find_largest_score_error(objective, curvature.inverse) * distance < MAXIMUM_EXISTENCE_THRESHOLD
    )


def _has_likely_maximum(curvature):
    """Return whether the maximum seems to exist, from the standard errors of the rows with the largest margins."""
    point, newton_decrement = curvature.point, curvature.newton_decrement
    objective, K = point.objective, len(point.parameters)
    if not (objective.rows.has_labels and np.isfinite(newton_decrement)):
        return newton_decrement * np.sqrt(objective.rows.total_weight) <= OPTIMUM_DISTANCE_TOL
    for row, classes in zip(
        *find_smallest_margin_rows(objective, -point.parameters, N_LARGEST_MARGIN_ROWS), strict=True
    ):
        unit = row[None] if K == 1 else (classes / classes.sum() - 1 / K)[:, None] * row
        solution, has_converged = curvature.solve(unit, MAX_CG_STEPS)
        if not (
            has_converged and newton_decrement * np.sqrt(float(np.sum(unit * solution))) < MAXIMUM_EXISTENCE_THRESHOLD
        ):
            return False
    return True


def _find_largest_score_error(objective, inverse):
    """Return the largest standard error of any score, including rounding error. `inverse` is the inverse Hessian."""
    (K, size), largest = objective.shape, 0.0
    blocks = [inverse[first : first + size, first : first + size] for first in range(0, K * size, size)]
    for part in _split_rows(objective):
        dense_rows = part.read_rows()
        for block in blocks:
            rows = dense_rows * (np.diagonal(block) > 0)
            square = _evaluate_quadratic_form(rows, block) + RELATIVE_SUM_ERROR * _evaluate_quadratic_form(
                np.abs(rows), np.abs(block)
            )
            largest = max(largest, float(square.max()))
    return float(np.sqrt(largest))


def _evaluate_quadratic_form(rows, matrix):
    """Return x' A x for each row x. This uses einsum, because BLAS results depend on the number of threads."""
    return np.einsum("ij,ij->i", np.einsum("ij,jk->ik", rows, matrix), rows)


def find_separation(
    objective: Objective, parameters: FloatArray, step: FloatArray | None = None
) -> Separation | str | None:
    """Return a separation of the classes by unpenalized columns, or None if there is none.

    Return a string with the reason if neither a separation nor a maximum of the likelihood could be established.
    """
    directions = [parameters] if step is None else [parameters, step]
    candidates = [_check_separating_direction(objective, direction) for direction in directions]
    if step is not None and not any(candidates):
        # Newton steps may have diverged, because they have no line search.
        parameters = approach_optimum(objective, []).parameters
        candidates = [_check_separating_direction(objective, parameters)]
    fitted = max(filter(None, candidates), key=lambda separation: separation.is_complete, default=None)
    if not objective.rows.has_labels:
        return fitted or "the rows are in Dask collections, for which only the directions of the fit are tried"
    is_complete = fitted is not None and fitted.is_complete
    column_separation = find_separating_columns(objective, is_complete)
    if column_separation is not None:
        return column_separation
    if fitted is not None and objective.n_parameters > MAX_COLUMN_SEARCH_COEFFICIENTS:
        return fitted
    result = _solve_linear_programs(objective, parameters)
    if isinstance(result, Separation):
        return replace(result, is_complete=is_complete or result.is_complete)
    return fitted or result


def is_free(objective: Objective) -> BoolArray:
    """Return a mask (d + 1,) of the columns that are unpenalized and not all zero.

    Their coefficients may be infinite.
    """
    return find_active_columns(objective) & (objective.penalty.curvatures == 0)


def _check_separating_direction(objective, direction):
    """Return the Separation along a direction (K, d + 1), restricted to unpenalized columns, or None."""
    if not np.isfinite(direction).all():
        return None
    rows, direction = objective.rows, direction * is_free(objective)
    direction = direction - (direction.mean(axis=0) if len(direction) > 1 else 0.0)
    tolerances = _choose_tolerances(objective, direction)
    counts = rows.passes.sum_with_probabilities(
        count_margins, np.zeros(objective.shape), direction, rows.n_classes, *tolerances
    )
    n_violated_rows, n_tied_rows, n_separated_rows = counts[0], counts[1], counts[2:].reshape(rows.n_classes, -1)
    if n_violated_rows or not n_separated_rows.any():
        return None
    effects = np.ptp(np.concatenate([np.zeros_like(direction[:1]), direction]), axis=0)[:-1]
    effects *= bound_row_entries(objective.coordinates)[:-1]
    features = np.flatnonzero(effects > ZERO_TOL * effects.max(initial=0.0))
    # The columns are in descending order of their effects.
    features = features[np.argsort(-effects[features], kind="stable")]
    pairs = np.argwhere(np.triu(n_separated_rows + n_separated_rows.T))
    return Separation(n_tied_rows == 0, features.tolist(), [(k, other) for k, other in pairs.tolist()], direction)


def count_margins(
    passes: Passes,
    probabilities: FloatArray,
    direction: FloatArray,
    n_classes: int,
    zero_tol: float,
    nonzero_tol: float,
) -> FloatArray:
    """Return counts of rows (2 + n_classes^2,), as a term of `Passes.sum_with_probabilities`.

    The first count is the number of rows that violate the direction, by a difference of scores above
    `zero_tol`. The second is the number of rows that the direction does not separate. For each pair of classes,
    another count is the number of rows of the first class whose score for the second class is smaller by
    more than `nonzero_tol`.
    """
    is_label = find_row_classes(passes, n_classes)
    scores, margins = compute_margins(passes, direction, is_label)
    margin_violation = scores.max(axis=1) - scores.min(axis=1, where=is_label, initial=np.inf)
    counts = [np.count_nonzero(margin_violation > zero_tol), np.count_nonzero(margins <= zero_tol)]
    for k in range(n_classes):
        rows = scores[is_label[:, k]]
        counts.extend(np.count_nonzero(rows[:, k : k + 1] - rows > nonzero_tol, axis=0))
    return np.array(counts, np.float64)


def find_row_classes(passes: Passes, n_classes: int) -> BoolArray:
    """Return the classes of each row as a mask (m, n_classes): several for soft labels, none for weight zero."""
    samples = passes.samples
    rows = samples.rows if len(samples.rows) else slice(None)
    if not len(samples.targets):
        is_label = samples.labels[rows][:, None] == np.arange(n_classes)
    else:
        is_label = samples.targets[rows] > 0
        if n_classes == 2:
            is_label = np.concatenate([samples.targets[rows] < 1, is_label], axis=1)
    return is_label & (samples.get_row_weights() > 0)[:, None]


def compute_margins(passes: Passes, direction: FloatArray, is_label: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the scores (m, n_classes) of a direction (K, d + 1), and the margin (m,) of each row.

    The margin is the smallest score of the row's classes minus the largest score of the other classes. It is inf for
    rows with weight zero, which have no class, and -inf for rows that have all classes.
    """
    scores = passes.compute_scores(direction)
    if len(direction) == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    margins = scores.min(axis=1, where=is_label, initial=np.inf) - scores.max(axis=1, where=~is_label, initial=-np.inf)
    margins[is_label.all(axis=1)] = -np.inf
    return scores, margins


def _choose_tolerances(objective, direction):
    """Return the largest difference of scores that may be rounding error, and the smallest difference that is not."""
    sizes = np.abs(direction).max(axis=0)
    size = float(np.sum(sizes * bound_row_entries(objective.coordinates)))
    # Scores lose digits to cancellation if the values of a column are far from zero.
    cancelled_score_size = float(np.sum(sizes[:-1] * np.abs(objective.coordinates.shift)))
    return (
        ZERO_TOL * size + RELATIVE_SUM_ERROR * cancelled_score_size,
        NONZERO_TOL * size + 100 * RELATIVE_SUM_ERROR * cancelled_score_size,
    )


def find_separating_columns(objective: Objective, is_complete: bool = False) -> Separation | None:
    """Return the columns that each separate some classes from the others.

    This is exact, because it only compares entries.
    """
    class_minima, class_maxima = _find_class_ranges(objective)
    order = np.lexsort((class_maxima, class_minima), axis=0)
    starts = np.take_along_axis(class_minima, order, axis=0)[1:]
    ends = np.maximum.accumulate(np.take_along_axis(class_maxima, order, axis=0), axis=0)[:-1]
    is_separating_cut = (
        (ends <= starts) & (class_minima.min(axis=0) < class_maxima.max(axis=0)) & is_free(objective)[:-1]
    )
    if not objective.fit_intercept:
        is_separating_cut &= (ends <= 0) & (starts >= 0)
    columns, sides = np.flatnonzero(is_separating_cut.any(axis=0)).tolist(), []
    for j in columns:
        cut_positions, low, high = (
            np.flatnonzero(is_separating_cut[:, j]),
            class_minima[:, j].min(),
            class_maxima[:, j].max(),
        )
        # The chosen cut has the fewest classes on its sides. A side on which the column is constant is not counted.
        sizes = (cut_positions + 1) * (low < ends[cut_positions, j]) + (len(ends) - cut_positions) * (
            high > starts[cut_positions, j]
        )
        cut = cut_positions[np.argmin(sizes)]
        largest, smallest = float(ends[cut, j]), float(starts[cut, j])
        has_class_gap = smallest > largest if objective.fit_intercept else smallest > 0 > largest
        is_complete |= has_class_gap and len(order) == 2
        sides.append((sorted(order[: cut + 1, j].tolist()), sorted(order[cut + 1 :, j].tolist()), largest, smallest))
    return Separation(is_complete, columns, sides=sides) if columns else None


def _find_class_ranges(objective):
    """Return the minimum (n_classes, d) and the maximum (n_classes, d) of each column within each class."""
    n_classes, d = objective.rows.n_classes, objective.matrix.shape[1]
    class_minima, class_maxima = np.full((n_classes, d), np.inf), np.full((n_classes, d), -np.inf)
    for part in _split_rows(objective):
        is_label = find_row_classes(part, n_classes)
        for k in range(n_classes):
            positions = np.flatnonzero(is_label[:, k])
            if len(positions):
                smallest, largest = part.take(positions).find_column_ranges()
                np.minimum(class_minima[k], smallest, out=class_minima[k])
                np.maximum(class_maxima[k], largest, out=class_maxima[k])
    return class_minima, class_maxima


def _split_rows(objective: Objective) -> Iterator[Passes]:
    """Yield the `Passes` over consecutive chunks of rows whose scores fit into SCORE_BATCH_BYTES."""
    row_bytes = 8 * (objective.matrix.row_bytes // objective.matrix.dtype.itemsize + objective.rows.n_classes + 1)
    return objective.rows.passes.split(max(1, SCORE_BATCH_BYTES // row_bytes))


def _solve_linear_programs(objective, parameters):
    """Return the Separation found by linear programs, None if there is none, or the reason if this is undecided.

    The first program contains the rows with the smallest margins. If its direction violates other rows, the next
    program contains more rows.
    """
    rows, (K, size) = objective.rows, objective.shape
    if K * size > MAX_PROGRAM_VARIABLES:
        return f"the search is limited to {MAX_PROGRAM_VARIABLES:,} coefficients, and the model has {K * size:,}"
    features = rows.class_features()
    sums = np.column_stack([features, rows.class_weights])
    gain = (sums[1:] - sums[:1] if K == 1 else K * sums - sums.sum(axis=0)) * is_free(objective)
    max_rows = min(MAX_PROGRAM_ENTRIES // (2 * K * size * (rows.n_classes - 1)), rows.n_rows)
    n_rows = max(MIN_PROGRAM_ROWS, 2 * K * size)
    while True:
        dense_rows, is_label = find_smallest_margin_rows(objective, parameters, min(n_rows, max_rows))
        direction = _solve_linear_program(gain, dense_rows, is_label)
        if direction is None or isinstance(direction, str):
            return direction
        separation = _check_separating_direction(objective, direction)
        if separation is not None:
            return separation
        if n_rows >= max_rows:
            return f"a linear program over {len(dense_rows):,} rows was not conclusive"
        n_rows *= PROGRAM_ROW_GROWTH


def _solve_linear_program(gain, rows, is_label):
    """Return the direction (K, d + 1) of the largest gain that violates no row, or None if the gain is zero.

    The absolute values of the direction sum to at most one. `is_label` (m, n_classes) marks the classes of `rows` (m, d
    + 1). Return a string with the reason if HiGHS did not solve the program.
    """
    from scipy import optimize, sparse

    (K, size), n_classes = gain.shape, is_label.shape[1]
    gain = gain / max(np.abs(gain).max(initial=0.0), np.finfo(np.float64).tiny)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows = rows / np.maximum(lengths, np.finfo(np.float64).tiny)[:, None]
    # Row k selects the coefficients of class k. With two classes, the first class has none.
    class_selectors = np.eye(K) if K > 1 else np.array([[0.0], [1.0]])
    numbers, k, other = np.nonzero(is_label[:, :, None] & ~np.eye(n_classes, dtype=bool))
    margins = np.einsum("mk,mj->mkj", class_selectors[k] - class_selectors[other], rows[numbers]).reshape(
        len(numbers), -1
    )
    # A direction is the difference between two nonnegative vectors, whose sum is bounded.
    costs = np.concatenate([-gain.ravel(), gain.ravel()])
    constraints = sparse.csr_array(np.vstack([np.hstack([-margins, margins]), np.ones(len(costs))]))
    limits = np.append(np.zeros(len(margins)), 1.0)
    options = dict.fromkeys(("primal_feasibility_tolerance", "dual_feasibility_tolerance"), LP_TOL)
    result = optimize.linprog(
        costs,
        constraints,
        limits,
        method="highs",
        options={**options, "maxiter": MAX_ITERATIONS_PER_VARIABLE * len(costs)},
    )
    if result.status != 0:
        return f"HiGHS did not solve the linear program ({result.message.strip()})"
    if not -result.fun > OBJECTIVE_TOL:
        return None
    direction = result.x[: K * size] - result.x[K * size :]
    direction[np.abs(direction) <= LP_TOL * np.abs(direction).max()] = 0
    return direction.reshape(K, size)


def find_smallest_margin_rows(
    objective: Objective, direction: FloatArray, max_rows: int
) -> tuple[FloatArray, BoolArray]:
    """Return the rows [x~, 1] (m, d + 1) with the smallest margins in a direction, and their classes."""
    classes, margins = [], []
    for part in _split_rows(objective):
        classes.append(find_row_classes(part, objective.rows.n_classes))
        margins.append(compute_margins(part, direction, classes[-1])[1])
    is_label, margin = np.concatenate(classes), np.concatenate(margins)
    positions = np.flatnonzero(is_label.any(axis=1))
    positions = np.sort(positions[np.argsort(margin[positions], kind="stable")[:max_rows]])
    return objective.rows.take(positions).passes.read_rows() * is_free(objective), is_label[positions]


def _format_classes(labels, numbers):
    """Return the labels of some classes as a phrase."""
    *names, last = (str(labels[number]) for number in numbers)
    return f"the classes {', '.join(names)} and {last}" if names else f"class {last}"


def _describe_class_pairs(labels, pairs):
    """Return a phrase for the rows that pairs of classes separate."""
    classes = sorted({k for pair in pairs for k in pair})
    common = sorted(set.intersection(*map(set, pairs)))[:1]
    if not common:
        return f"rows of {_format_classes(labels, classes)} from each other"
    others = [k for k in classes if k not in common]
    return f"rows of {_format_classes(labels, common)} from those of {_format_classes(labels, others)}"
