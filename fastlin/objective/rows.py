"""The weighted rows that the sums of an objective run over, where they can be read: some of them, and their samples."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.objective.strata import draw_places, find_rows
from fastlin.objective.sums import MeanSums, count_rows_coef
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.coordinates import Coordinates

# Rows whose labels are counted or sorted together: NumPy makes a copy of them in eight bytes each.
ROWS_TOGETHER = 1_000_000
N_SKETCHES = 4
# Where the largest square of most columns is so many times the mean one, few rows may have much of the curvature. Of
# 240,000 x 100 where one row in a hundred is not zero L-BFGS came to no end in 1,000 iterations, and now takes 103.
# Normal numbers have 10 to 30, and MNIST 25: there it gained a quarter with 60,000 rows and C = 100, and lost as much
# with 20,000.
UNEVEN = 50.0


class Rows(MeanSums):
    """Rows of X with labels and weights, and their sums.

    Parameters
    ----------
    matrix : Matrix
        All rows of X.
    labels : ndarray of shape (n,), int32
        0 to n_classes - 1, of all rows of X.
    weights : ndarray of shape (n,), float64
        s_i >= 0 of all rows of X. Without entries all are one.
    n_classes : int
        The number of classes, at least 2.
    coordinates : Coordinates
        How the columns enter.
    fit_intercept : bool
        Whether there is an intercept.
    numbers : ndarray of shape (m,), int64
        The row numbers that the sums run over. Without entries they run over all rows.
    whole : Rows or None
        Rows that these are a part of. The sums are then divided by the total weight of all of them, and the class
        weights are theirs, since the other rows enter J in another way.
    """

    has_labels = True

    def __init__(
        self,
        matrix: Matrix,
        labels: IntArray,
        weights: FloatArray,
        n_classes: int,
        coordinates: Coordinates,
        fit_intercept: bool,
        numbers: IntArray,
        whole: Rows | None = None,
    ) -> None:
        self.labels, self.weights, self.numbers = labels, weights, numbers
        n_rows = len(numbers) or matrix.shape[0]
        if whole is None:
            own_weights = weights[numbers] if len(numbers) and len(weights) else weights
            total_weight = float(own_weights.sum()) if len(weights) else float(n_rows)
            own_labels = labels[numbers] if len(numbers) else labels
            class_weights = weigh_classes(own_labels, own_weights, n_classes) / total_weight
        else:
            total_weight, class_weights = whole.total_weight, whole.class_weights
        samples = Samples(numbers, labels, weights)
        passes = matrix.passes(samples, coordinates.scaling, count_rows_coef(n_classes))
        super().__init__(
            matrix, n_classes, coordinates, fit_intercept, passes, n_rows, total_weight, class_weights, whole
        )

    @cached_property
    def smallest_weight(self) -> float:
        """The smallest s_i of the rows that is not zero."""
        if not len(self.weights):
            return 1.0
        weights = self.weights[self.numbers] if len(self.numbers) else self.weights
        return float(weights[weights > 0].min())

    @cached_property
    def are_uneven(self) -> bool:
        """Whether the columns say that a few rows are far longer than others."""
        coordinates = self.coordinates
        seen = coordinates.mean_squares[:-1] > 0
        # Most of the columns say so. A median took 40 microseconds.
        return bool(2 * np.count_nonzero(coordinates.peaks[seen] > UNEVEN) > np.count_nonzero(seen))

    @cached_property
    def influence(self) -> FloatArray | float:
        """About how much each row adds to the curvature of a loss, relative to the mean: (n_rows,), or the number one.

        That is half the square of its length in the coordinates, estimated by N_SKETCHES random directions (Achlioptas
        2003), and one half. It takes a pass, which is left out where the columns do not say that a few rows are far
        longer than others.
        """
        if not self.are_uneven:
            return 1.0
        coordinates = self.coordinates
        seen = coordinates.mean_squares[:-1] > 0
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_SKETCHES, len(seen))) * seen
        coef = (signs * coordinates.scale).astype(np.float32 if self.gains_from_float32 else np.float64)
        is_copied = len(self.numbers) > 0 and self.matrix.lies_in_memory and self.matrix.copies(len(self.numbers))
        matrix = self.matrix.take(self.numbers) if is_copied else self.matrix
        squares = matrix.sum_squared_scores(coef, np.einsum("kj,j->k", signs, coordinates.shift))
        if len(self.numbers) and not is_copied:
            squares = squares[self.numbers]
        self._count(self.n_rows)
        # A row without weight may lie anywhere, and has no part in the mean.
        is_weighty = np.broadcast_to(self.weights_of(self.numbers) > 0, squares.shape)
        squares[~is_weighty] = 0
        mean = squares.sum(dtype=np.float64) / np.count_nonzero(is_weighty)
        squares *= 0.5 / max(mean, np.finfo(np.float64).tiny)
        squares += 0.5
        return squares

    def take(self, numbers: IntArray, *, within_whole: bool = False) -> Rows:
        """Return some of the rows, by their row numbers in X.

        Parameters
        ----------
        numbers : ndarray of int64
            The row numbers, in the order of the new sums.
        within_whole : bool
            Whether sums are still divided by the weight of all of these rows.
        """
        whole = self if within_whole else None
        matrix, own_numbers = self.matrix.select(numbers)
        labels, weights = self.labels, self.weights
        if matrix is not self.matrix:
            labels, weights = labels[numbers], weights[numbers] if len(weights) else weights
        part = Rows(
            matrix,
            labels,
            weights,
            self.n_classes,
            self.coordinates,
            self.fit_intercept,
            own_numbers,
            whole,
        )
        part.count_with(self)
        return part

    def sample(self, n_rows: int) -> Rows:
        """Return about n_rows of the rows, spread evenly over the classes."""
        totals = np.zeros(self.n_classes, np.int64)
        for _, _, labels in self._weighty():
            totals += np.bincount(labels, minlength=self.n_classes)
        places, drawn = draw_places(int(totals.sum()), n_rows), []
        seen: IntArray = np.cumsum(totals) - totals
        # An order of all rows would take as much memory as labels and weights together.
        for first, numbers, labels in self._weighty():
            found, counts = find_rows(places, labels, seen)
            drawn.append(numbers[found] if len(numbers) else first + found)
            seen = seen + counts
        return self.take(np.sort(np.concatenate(drawn)))

    def _weighty(self):
        """Yield the first of the rows that have some weight, their numbers and labels, some of the rows at a time.

        Where there are no numbers, all rows from the first one on are meant.
        """
        for first in range(0, self.n_rows, ROWS_TOGETHER):
            last = min(first + ROWS_TOGETHER, self.n_rows)
            if not len(self.weights) and not len(self.numbers):
                # To read all labels by their numbers takes 3 ms for a million.
                yield first, self.numbers, self.labels[first:last]
                continue
            numbers = self.numbers[first:last] if len(self.numbers) else np.arange(first, last)
            if len(self.weights):
                numbers = numbers[self.weights[numbers] > 0]
            yield first, numbers, self.labels[numbers]

    def weights_of(self, numbers: IntArray) -> FloatArray | float:
        """Return s_i of the given row numbers (all where there are none), as an array or the number one."""
        if not len(self.weights):
            return 1.0
        return self.weights[numbers] if len(numbers) else self.weights

    def gram(self, numbers: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return (1 / S) sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Over the given row numbers (all where there are none), row_weights (C, m) in their order.
        """
        size = self.matrix.shape[1] + 1
        if not row_weights.shape[1]:
            return np.zeros((len(row_weights), size, size), precision)
        grams = self.passes.gram(numbers, row_weights / self.total_weight, precision)
        self._count(len(numbers) or self.matrix.shape[0])
        self._clean(grams)
        self._clean(grams.transpose(0, 2, 1))
        return grams


def weigh_classes(labels: IntArray, weights: FloatArray, n_classes: int) -> FloatArray:
    """Return the weight of each class; weights (n,) without entries are ones."""
    total = np.zeros(n_classes)
    for first in range(0, len(labels), ROWS_TOGETHER):
        part = slice(first, first + ROWS_TOGETHER)
        total += np.bincount(labels[part], weights[part] if len(weights) else None, minlength=n_classes)
    return total


def weigh_by_counts(numbers: IntArray, weights: FloatArray | None, n: int) -> FloatArray:
    """Return the weights (n,) of rows that count as often as they are named, and zero for all others.

    weights (n,) may be None, which means ones.
    """
    counts = np.bincount(numbers, minlength=n).astype(np.float64)
    return counts if weights is None else counts * weights
