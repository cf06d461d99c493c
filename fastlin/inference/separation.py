"""Separation: whether the maximum of the likelihood exists, and which columns and classes send it to infinity.

A direction v separates the classes if no row has a larger score x v_k for another class than for its own, and some row
a smaller one (Albert and Anderson 1984); completely, if every row has a larger score for its own class.

`certifies_maximum` tells from standard errors that the maximum exists. Otherwise `find_separation` tries single columns,
then the directions in which the fit moves, then a linear program (Konis 2007, chapter 4), and checks all rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastlin.exceptions import SeparationError, SeparationWarning
from fastlin.inference.hessian import MAX_STEPS, SUM_ERROR, Curvature, Information, find_parts
from fastlin.inference.optimum import NEAR_ENOUGH, come_near
from fastlin.matrices import Passes
from fastlin.matrices.matrix import SCORE_BYTES
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point
from fastlin.objective.self_concordance import bound_rows
from fastlin.typing import Array, BoolArray, FloatArray

# Parts of the largest difference of scores: up to the first it is rounding, and from the second on it is none.
ZERO, CLEAR = 1e-9, 1e-7
# The product of the decrement and the largest error of a score proves the maximum below 1; the rest is for rounding.
CERTIFIED = 0.5
# The rows whose scores lead most that are looked at where the Hessian is known by its products alone.
N_ROWS = 3
# The largest number K (d + 1) of variables, and of entries of the constraints, that a linear program may have. With
# 900 variables and 20,000 rows it took a minute.
MAX_VARIABLES, MAX_ENTRIES = 1_000, 8_000_000
# Of more coefficients than this the program is not solved for the sake of fewer columns: with 400 it took 8 seconds.
MAX_NAMED_APART = 200
# The strictest tolerance that HiGHS takes. A maximum below the other one is zero.
TOLERANCE, NOTHING = 1e-10, 1e-9
# The rows of the first program, and how many times more each further one has.
FEWEST_ROWS, GROWTH = 500, 8
# Iterations for each variable. Programs of thousands of rows take up to 7; where columns nearly depend on each other
# HiGHS came to no end in six minutes.
MAX_ITERATIONS_PER_VARIABLE = 30
# A message names no more columns than this.
MAX_NAMED = 5


@dataclass(frozen=True, eq=False)
class Separation:
    """A direction that separates the classes, or columns that do so each by itself.

    `features` are the columns with a part in it. `pairs` are the pairs of classes and `direction` (K, d + 1) where they
    separate together. Otherwise `sides` has, for each column, the classes below and above, the largest number of the
    former and the smallest of the latter.
    """

    is_complete: bool
    features: Sequence[int]
    pairs: Sequence[tuple[int, int]] = ()
    direction: FloatArray | None = None
    sides: Sequence[tuple[list[int], list[int], float, float]] = ()

    def describe(self, names: Array, labels: Array) -> str:
        """Return which columns separate which classes, by the names of features and the labels of classes."""
        kind = "Complete" if self.is_complete else "Quasi-complete"
        if self.sides:
            found = [
                f"{names[j]!s} <= {largest:.6g} in all rows of {_list(labels, below)}, and "
                f"{names[j]!s} >= {smallest:.6g} in all rows of {_list(labels, above)}"
                for j, (below, above, largest, smallest) in zip(self.features, self.sides, strict=False)
            ]
            found, n_more = found[:MAX_NAMED], len(found) - MAX_NAMED
            more = f"; and so for {n_more} more column{'s' * (n_more > 1)}" if n_more > 0 else ""
            if self.is_complete and all(smallest <= largest for _, _, largest, smallest in self.sides):
                kind = "All columns together separate the classes completely. Quasi-complete"
            return f"{kind} separation: {'; '.join(found)}{more}."
        n_more = len(self.features) - MAX_NAMED
        columns = ", ".join(str(names[j]) for j in self.features[:MAX_NAMED])
        columns += f" and {n_more} more" if n_more > 0 else ""
        who = f"columns {columns} together tell" if len(self.features) > 1 else f"column {columns} tells"
        rest = "." if self.is_complete else ", and the remaining rows lie on the border."
        return f"{kind} separation: the {who} {_contrast(labels, self.pairs)}{rest}"


def check_separation(
    point: Point, names: Array, labels: Array, step: FloatArray | None = None, stacklevel: int | None = None
) -> None:
    """Raise a SeparationError if the maximum of the likelihood does not exist, and warn if that is undecided.

    step (K, d + 1) is Newton's from a point near the maximum, if known; stacklevel None leaves the warning out.
    """
    found = find_separation(point.objective, point.parameters, step)
    if isinstance(found, Separation):
        raise SeparationError(
            f"{found.describe(names, labels)} The likelihood grows without end as coefficients do, so that these have "
            "no finite estimates and no standard errors. Leave the columns out, join classes or levels, fit "
            "FirthLogisticRegression, or take a finite C and penalized='laplace'."
        )
    if found is not None and stacklevel is not None:
        warnings.warn(
            f"It was not decided whether the classes are separated: {found}. If they are, some coefficients "
            "have no finite estimates, and their standard errors mean nothing.",
            SeparationWarning,
            stacklevel=stacklevel + 1,
        )


def certifies_maximum(curvature: Curvature) -> bool:
    """Say whether the maximum of the likelihood is proven to exist, by numbers that an inference has anyway.

    Let e be the largest standard error of a difference of two scores of a row. The third derivative of the loss is at
    most e times the second along a step of unit length (Bach 2010), so with a Newton decrement below 1 / e the loss
    rises in every direction in the end.
    """
    point, is_part, decrement = curvature.point, curvature.is_part, curvature.decrement
    objective, coordinates = point.objective, point.objective.coordinates
    if not isinstance(curvature, Information):
        return _expects_maximum(curvature)
    variances = curvature.variances
    if not (np.isfinite(variances).all() and (variances[:, is_part] > 0).all() and np.isfinite(decrement)):
        return False
    errors, longest = np.sqrt(np.where(is_part, variances, 0.0)), bound_rows(coordinates)
    # The rounding of scores moves the gradient by way of the Hessian. The rounding of residuals and of their sums moves
    # it whatever the curvature of the rows. Both are more where columns lie far from zero.
    shift = np.append(np.abs(coordinates.shift), 0.0)
    of_scores = float((np.abs(point.parameters) * (longest + shift)).sum(axis=1).max())
    of_sums = float((errors * (np.sqrt(coordinates.mean_squares) + shift)).sum())
    away = (1 if len(errors) == 1 else 2) * (decrement + SUM_ERROR * (of_scores + of_sums))
    # A standard error of a sum is no more than the sum of the standard errors. For the scores of a row it is far less
    # if columns nearly depend on each other, where the linear program may come to no end.
    if float((errors * longest).sum(axis=1).max()) * away < CERTIFIED:
        return True
    return objective.rows.has_labels and _find_largest_error(objective, curvature.inverse) * away < CERTIFIED


def _expects_maximum(curvature):
    """Say whether the maximum seems to exist, by the standard errors of the rows whose scores lead most."""
    point, decrement = curvature.point, curvature.decrement
    objective, K = point.objective, len(point.parameters)
    if not (objective.rows.has_labels and np.isfinite(decrement)):
        return decrement * np.sqrt(objective.rows.total_weight) <= NEAR_ENOUGH
    for row, classes in zip(*find_violated(objective, -point.parameters, N_ROWS), strict=True):
        unit = row[None] if K == 1 else (classes / classes.sum() - 1 / K)[:, None] * row
        solution, is_solved = curvature.solve(unit, MAX_STEPS)
        if not (is_solved and decrement * np.sqrt(float(np.sum(unit * solution))) < CERTIFIED):
            return False
    return True


def _find_largest_error(objective, inverse):
    """Return the largest standard error of a score of a row, from the inverse of the Hessian, with its rounding."""
    (K, size), largest = objective.shape, 0.0
    blocks = [inverse[first : first + size, first : first + size] for first in range(0, K * size, size)]
    for part in _read(objective):
        read = part.read_rows()
        for block in blocks:
            rows = read * (np.diagonal(block) > 0)
            square = _multiply(rows, block) + SUM_ERROR * _multiply(np.abs(rows), np.abs(block))
            largest = max(largest, float(square.max()))
    return float(np.sqrt(largest))


def _multiply(rows, matrix):
    """Return x' A x of each row (m, d + 1); einsum, not BLAS, whose bits depend on its threads."""
    return np.einsum("ij,ij->i", np.einsum("ij,jk->ik", rows, matrix), rows)


def find_separation(
    objective: Objective, parameters: FloatArray, step: FloatArray | None = None
) -> Separation | str | None:
    """Return a separation of the classes by columns that no penalty bends, None where there is none.

    A text says why neither a separation nor the maximum of the likelihood was proven.
    """
    directions = [parameters] if step is None else [parameters, step]
    judged = [_accepts(objective, each) for each in directions]
    if step is not None and not any(judged):
        # Steps without a line search may have led astray.
        parameters = come_near(objective, []).parameters
        judged = [_accepts(objective, parameters)]
    fitted = max(filter(None, judged), key=lambda each: each.is_complete, default=None)
    if not objective.rows.has_labels:
        return fitted or "the rows lie on other machines, where only the directions of the fit are tried"
    is_complete = fitted is not None and fitted.is_complete
    alone = find_separating_columns(objective, is_complete)
    if alone is not None:
        return alone
    if fitted is not None and objective.shape[0] * objective.shape[1] > MAX_NAMED_APART:
        return fitted
    found = _search(objective, parameters)
    if isinstance(found, Separation):
        return replace(found, is_complete=is_complete or found.is_complete)
    return fitted or found


def is_free(objective: Objective) -> BoolArray:
    """Return which columns, (d + 1,), may go to infinity: those without a penalty that are not zero."""
    return find_parts(objective) & (objective.penalty.curvatures == 0)


def _accepts(objective, direction):
    """Return the Separation along a direction (K, d + 1) of columns without a penalty, or None where it is none."""
    if not np.isfinite(direction).all():
        return None
    rows, direction = objective.rows, direction * is_free(objective)
    direction = direction - (direction.mean(axis=0) if len(direction) > 1 else 0.0)
    zero, clear = _find_tolerances(objective, direction)
    counts = rows.passes.sum_curvature(count_margins, np.zeros(objective.shape), direction, rows.n_classes, zero, clear)
    n_violated, n_left, n_separated = counts[0], counts[1], counts[2:].reshape(rows.n_classes, -1)
    if n_violated or not n_separated.any():
        return None
    parts = np.ptp(np.concatenate([np.zeros_like(direction[:1]), direction]), axis=0)[:-1]
    parts *= bound_rows(objective.coordinates)[:-1]
    features = np.flatnonzero(parts > ZERO * parts.max(initial=0.0))
    # The largest part first.
    features = features[np.argsort(-parts[features], kind="stable")]
    pairs = np.argwhere(np.triu(n_separated + n_separated.T))
    return Separation(n_left == 0, features.tolist(), [(one, other) for one, other in pairs.tolist()], direction)


def count_margins(
    passes: Passes, probabilities: FloatArray, direction: FloatArray, n_classes: int, zero: float, clear: float
) -> FloatArray:
    """Return counts of rows (2 + n_classes^2,), as a term of `sum_curvature`.

    They count rows that a direction violates, those it does not separate, and for each pair of classes rows whose score
    for the other class is clearly smaller. Differences above `clear` are more than rounding.
    """
    own = find_own_classes(passes, n_classes)
    scores, lead = compare_scores(passes, direction, own)
    violation = scores.max(axis=1) - scores.min(axis=1, where=own, initial=np.inf)
    counts = [np.count_nonzero(violation > zero), np.count_nonzero(lead <= zero)]
    for k in range(n_classes):
        rows = scores[own[:, k]]
        counts.extend(np.count_nonzero(rows[:, k : k + 1] - rows > clear, axis=0))
    return np.array(counts, np.float64)


def find_own_classes(passes: Passes, n_classes: int) -> BoolArray:
    """Return which classes each row has, (m, n_classes): several by a soft label, and none without weight."""
    samples = passes.samples
    rows = samples.rows if len(samples.rows) else slice(None)
    if not len(samples.targets):
        own = samples.labels[rows][:, None] == np.arange(n_classes)
    else:
        own = samples.targets[rows] > 0
        if n_classes == 2:
            own = np.concatenate([samples.targets[rows] < 1, own], axis=1)
    return own & (samples.weigh() > 0)[:, None]


def compare_scores(passes: Passes, direction: FloatArray, own: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the scores (m, n_classes) of a direction (K, d + 1), and the lead (m,) of each row.

    The lead is the least own score less the largest other one: infinite where a row has no class, since it has no
    weight and nothing can go wrong with it, and minus infinity where it has all.
    """
    scores = passes.compute_scores(direction)
    if len(direction) == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    lead = scores.min(axis=1, where=own, initial=np.inf) - scores.max(axis=1, where=~own, initial=-np.inf)
    lead[own.all(axis=1)] = -np.inf
    return scores, lead


def _find_tolerances(objective, direction):
    """Return the differences of a direction's scores up to which they may be rounding, and from which they are real."""
    sizes = np.abs(direction).max(axis=0)
    size = float(np.sum(sizes * bound_rows(objective.coordinates)))
    # Columns far from zero lose digits where their shift is taken out of a score.
    lost = float(np.sum(sizes[:-1] * np.abs(objective.coordinates.shift)))
    return ZERO * size + SUM_ERROR * lost, CLEAR * size + 100 * SUM_ERROR * lost


def find_separating_columns(objective: Objective, is_complete: bool = False) -> Separation | None:
    """Return the columns each of which separates some classes from the others, from comparisons without rounding."""
    lows, highs = _find_ranges(objective)
    order = np.lexsort((highs, lows), axis=0)
    starts = np.take_along_axis(lows, order, axis=0)[1:]
    ends = np.maximum.accumulate(np.take_along_axis(highs, order, axis=0), axis=0)[:-1]
    is_cut = (ends <= starts) & (lows.min(axis=0) < highs.max(axis=0)) & is_free(objective)[:-1]
    if not objective.fit_intercept:
        is_cut &= (ends <= 0) & (starts >= 0)
    columns, sides = np.flatnonzero(is_cut.any(axis=0)).tolist(), []
    for j in columns:
        cuts, low, high = np.flatnonzero(is_cut[:, j]), lows[:, j].min(), highs[:, j].max()
        # The cut whose sides have the fewest classes, not counting a side where the column is constant.
        sizes = (cuts + 1) * (low < ends[cuts, j]) + (len(ends) - cuts) * (high > starts[cuts, j])
        cut = cuts[np.argmin(sizes)]
        largest, smallest = float(ends[cut, j]), float(starts[cut, j])
        has_gap = smallest > largest if objective.fit_intercept else smallest > 0 > largest
        is_complete |= has_gap and len(order) == 2
        sides.append((sorted(order[: cut + 1, j].tolist()), sorted(order[cut + 1 :, j].tolist()), largest, smallest))
    return Separation(is_complete, columns, sides=sides) if columns else None


def _find_ranges(objective):
    """Return the smallest and the largest number of each column in the rows of each class, (n_classes, d) each."""
    n_classes, d = objective.rows.n_classes, objective.matrix.shape[1]
    lows, highs = np.full((n_classes, d), np.inf), np.full((n_classes, d), -np.inf)
    for part in _read(objective):
        own = find_own_classes(part, n_classes)
        for k in range(n_classes):
            positions = np.flatnonzero(own[:, k])
            if len(positions):
                smallest, largest = part.take(positions).find_ranges()
                np.minimum(lows[k], smallest, out=lows[k])
                np.maximum(highs[k], largest, out=highs[k])
    return lows, highs


def _read(objective: Objective) -> Iterator[Passes]:
    """Yield passes over the rows one after the other, of few bytes each."""
    row_bytes = 8 * (objective.matrix.row_bytes // objective.matrix.dtype.itemsize + objective.rows.n_classes + 1)
    return objective.rows.passes.split(max(1, SCORE_BYTES // row_bytes))


def _search(objective, parameters):
    """Return the Separation by a linear program, None where there is none, or why that is undecided.

    The program begins with the rows that are least sure, and takes more where its direction violates others.
    """
    rows, (K, size) = objective.rows, objective.shape
    if K * size > MAX_VARIABLES:
        return f"{K * size:,} coefficients are more than the {MAX_VARIABLES:,} that are searched through"
    features = rows.class_features()
    sums = np.column_stack([features, rows.class_weights])
    gain = (sums[1:] - sums[:1] if K == 1 else K * sums - sums.sum(axis=0)) * is_free(objective)
    most = min(MAX_ENTRIES // (2 * K * size * (rows.n_classes - 1)), rows.n_rows)
    n_rows = max(FEWEST_ROWS, 2 * K * size)
    while True:
        read, own = find_violated(objective, parameters, min(n_rows, most))
        direction = _solve_program(gain, read, own)
        if direction is None or isinstance(direction, str):
            return direction
        found = _accepts(objective, direction)
        if found is not None:
            return found
        if n_rows >= most:
            return f"a linear program over {len(read):,} rows did not tell"
        n_rows *= GROWTH


def _solve_program(gain, rows, own):
    """Return the direction (K, d + 1) of the largest gain that violates no row, or None where none gains anything.

    The magnitudes of a direction sum to one at most. rows (m, d + 1) have their own classes own (m, n_classes). A text
    says that HiGHS has not solved the program.
    """
    from scipy import optimize, sparse

    (K, size), n_classes = gain.shape, own.shape[1]
    gain = gain / max(np.abs(gain).max(initial=0.0), np.finfo(np.float64).tiny)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows = rows / np.maximum(lengths, np.finfo(np.float64).tiny)[:, None]
    # What a row's score for a class is made of, by the coefficients of all classes; of two classes the first has none.
    of_class = np.eye(K) if K > 1 else np.array([[0.0], [1.0]])
    numbers, k, other = np.nonzero(own[:, :, None] & ~np.eye(n_classes, dtype=bool))
    leads = np.einsum("mk,mj->mkj", of_class[k] - of_class[other], rows[numbers]).reshape(len(numbers), -1)
    # A direction is the difference of two without signs, whose sum is bounded.
    costs = np.concatenate([-gain.ravel(), gain.ravel()])
    constraints = sparse.csr_array(np.vstack([np.hstack([-leads, leads]), np.ones(len(costs))]))
    limits = np.append(np.zeros(len(leads)), 1.0)
    options = dict.fromkeys(("primal_feasibility_tolerance", "dual_feasibility_tolerance"), TOLERANCE)
    found = optimize.linprog(
        costs,
        constraints,
        limits,
        method="highs",
        options={**options, "maxiter": MAX_ITERATIONS_PER_VARIABLE * len(costs)},
    )
    if found.status != 0:
        return f"HiGHS did not solve the linear program ({found.message.strip()})"
    if not -found.fun > NOTHING:
        return None
    direction = found.x[: K * size] - found.x[K * size :]
    direction[np.abs(direction) <= TOLERANCE * np.abs(direction).max()] = 0
    return direction.reshape(K, size)


def find_violated(objective: Objective, direction: FloatArray, n_wanted: int) -> tuple[FloatArray, BoolArray]:
    """Return the rows [x~, 1] that a direction violates most, (m, d + 1), and their classes (m, n_classes)."""
    owns, leads = [], []
    for part in _read(objective):
        owns.append(find_own_classes(part, objective.rows.n_classes))
        leads.append(compare_scores(part, direction, owns[-1])[1])
    own, lead = np.concatenate(owns), np.concatenate(leads)
    positions = np.flatnonzero(own.any(axis=1))
    positions = np.sort(positions[np.argsort(lead[positions], kind="stable")[:n_wanted]])
    return objective.rows.take(positions).passes.read_rows() * is_free(objective), own[positions]


def _list(labels, numbers):
    """Return the names of some classes in a sentence."""
    *names, last = (str(labels[number]) for number in numbers)
    return f"the classes {', '.join(names)} and {last}" if names else f"class {last}"


def _contrast(labels, pairs):
    """Return which rows are told from which others, for pairs of classes."""
    classes = sorted({k for pair in pairs for k in pair})
    common = sorted(set.intersection(*map(set, pairs)))[:1]
    if not common:
        return f"rows of {_list(labels, classes)} from each other"
    others = [k for k in classes if k not in common]
    return f"rows of {_list(labels, common)} from those of {_list(labels, others)}"
