"""The objective over some of its rows: samples, and rows of negligible curvature that enter by their tangent."""

from dataclasses import dataclass, replace

import numpy as np

from fastlin.objective.rows import ROWS_TOGETHER

# A row is decided where its curvature is below this part of the mean. Leaving the decided rows out pays where no more
# than the second part of all rows are left.
DECIDED = 3e-3
WORTH_LEAVING_OUT = 0.7


@dataclass(frozen=True, eq=False)
class Linearisation:
    """What left-out rows add to the mean loss near an anchor: a value and a slope.

    Attributes
    ----------
    anchor : ndarray of shape (K, d + 1)
        The parameters at which value and slope are exact.
    value : float
        The mean loss that the rows add at the anchor.
    slopes : ndarray of shape (K, d + 1)
        Its gradient there.
    """

    anchor: np.ndarray
    value: float
    slopes: np.ndarray

    def at(self, parameters):
        """Return the value and the slopes at parameters (K, d + 1)."""
        return self.value + float(np.sum(self.slopes * (parameters - self.anchor))), self.slopes


def sample(objective, n_rows):
    """Return J over about n_rows rows spread evenly over the classes, in the same coordinates with the same penalty.

    Its lower bounds are estimates, since the mean of the columns stays that of all rows.
    """
    rows = objective.rows
    counts = sum(np.bincount(rows.labels[numbers], minlength=rows.n_classes) for numbers in _weighty(rows))
    total = int(counts.sum())
    n_rows = min(n_rows, total)
    # One row of each of n_rows equal stretches of the rows by class, so that each class has its share.
    places = (np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (total / n_rows)
    drawn = _draw(rows, places.astype(np.int64), np.cumsum(counts) - counts)
    return replace(objective, rows=rows.take(np.sort(drawn)), linearisation=None)


def _draw(rows, places, seen):
    """Return the numbers of the rows at ascending places, where rows of some weight are ordered by class.

    seen (n_classes,) are the places where the classes begin. An order of all rows would take as much memory as labels
    and weights together.
    """
    drawn = []
    for numbers in _weighty(rows):
        labels = rows.labels[numbers]
        order, counts = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=len(seen))
        starts = np.cumsum(counts) - counts
        first, last = np.searchsorted(places, seen), np.searchsorted(places, seen + counts)
        drawn += [
            numbers[order[starts[k] + places[first[k] : last[k]] - seen[k]]] for k in np.flatnonzero(last > first)
        ]
        seen = seen + counts
    return np.concatenate(drawn)


def _weighty(rows):
    """Yield the numbers of the rows that have some weight, some at a time."""
    for first in range(0, rows.n_rows, ROWS_TOGETHER):
        last = min(first + ROWS_TOGETHER, rows.n_rows)
        numbers = rows.numbers[first:last] if len(rows.numbers) else np.arange(first, last)
        yield numbers[rows.weights[numbers] > 0] if len(rows.weights) else numbers


def linearise_decided_rows(point):
    """Return J near a point with the rows of negligible curvature replaced by their linearisation there.

    A row whose probabilities are nearly 0 and 1 hardly bends J: on MNIST with a weak penalty these are three rows in
    four. Value and gradient at the point are those of J. Where too few rows are decided, or the point never
    had room for probabilities, the objective itself is returned.
    """
    objective = point.objective
    if point.tenancy is None:
        return objective
    curvature = np.zeros(objective.n_rows)
    for class_curvature in point.curvatures():
        curvature += class_curvature
    undecided = np.flatnonzero(curvature > DECIDED * curvature.mean())
    rows = objective.rows
    n_bytes = 0 if rows.matrix.lies_in_memory else len(undecided) * rows.matrix.row_bytes
    if len(undecided) > WORTH_LEAVING_OUT * objective.n_rows or not objective.budget.holds_copies(n_bytes):
        return objective
    part = rows.take(rows.numbers[undecided] if len(rows.numbers) else undecided, within_whole=True)
    loss, total = part.evaluate(point.parameters, point.precision)
    slopes = point.gradient - objective.penalty.curvatures * point.parameters - total / rows.total_weight
    return replace(objective, rows=part, linearisation=Linearisation(point.parameters, point.loss - loss, slopes))
