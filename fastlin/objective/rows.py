"""The weighted rows that the sums of an objective run over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.matrices.pieces import multiply_probabilities
from fastlin.objective.rounding import Roundings
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.null_model import NullModel
    from fastlin.objective.point import Point

# Rows whose labels are counted together: NumPy makes a copy of them in eight bytes each.
ROWS_PER_BATCH = 1_000_000
N_SKETCHES = 4
# If the largest square of most columns is this many times the mean one, few rows may have much of the curvature. Of
# 240,000 x 100 where one row in a hundred is not zero L-BFGS came to no end in 1,000 iterations, and now takes 103.
# Normal numbers have 10 to 30, and MNIST 25: there it gained a quarter with 60,000 rows and C = 100, and lost as much
# with 20,000.
UNEVEN = 50.0

# Numbers that are looked at together.
NUMBERS_PER_BATCH = 1 << 20
# More than the roundings of a mean over the classes and of a difference from it.
OFFSET_ROUNDING = 2.0**-48


class OffsetRange(NamedTuple):
    """How far offsets lie from each other, for certificates (docs/derivations.md, section 4)."""

    mean: np.ndarray  # (n_classes,), c, about the weighted mean of each class
    standard_deviation: float  # an upper bound of max_k (o_ik - c_k) - min_k (o_ik - c_k) over the rows
    root_mean_square: float  # the root of the weighted mean of the squared norm of a row

    @classmethod
    def of(cls, offsets: FloatArray, weights: FloatArray, total_weight: float) -> Self:
        """Return the range of offsets (n, K); weights (n,) without entries are ones."""
        n, K = offsets.shape
        total, square, magnitude = np.zeros(K), 0.0, 0.0
        # Of rows of weight above zero, each less its mean over the classes where there are three or more.
        smallest, largest = np.full(K, np.inf), np.full(K, -np.inf)
        together = max(1, NUMBERS_PER_BATCH // K)
        for first in range(0, n, together):
            part = offsets[first : first + together]
            own = weights[first : first + together] if len(weights) else np.ones(len(part))
            part, own = part[own > 0], own[own > 0]
            centered = part - part.mean(axis=1, keepdims=True) if K > 1 else part
            total += np.einsum("i,ik->k", own, centered)
            square += float(np.einsum("i,ik,ik->", own, part, part))
            magnitude = max(magnitude, float(np.abs(part).max(initial=0.0)))
            smallest = np.minimum(smallest, centered.min(axis=0, initial=np.inf))
            largest = np.maximum(largest, centered.max(axis=0, initial=-np.inf))
        mean = total / total_weight
        farthest = np.sort(np.maximum(largest - mean, mean - smallest))[-2:]
        standard_deviation = float(farthest.sum()) * (1 + OFFSET_ROUNDING) + OFFSET_ROUNDING * K * magnitude
        mean = np.append(0.0, mean) if K == 1 else mean
        return cls(mean, standard_deviation, float(np.sqrt(square / total_weight)) * (1 + OFFSET_ROUNDING))

    @property
    def reach(self) -> float:
        """By how much the dual objective may change, at most, for each unit that classes exchange."""
        return self.standard_deviation + 2 * float(np.abs(self.mean).max())


class Rows:
    """Rows of X with labels and weights, samples of `make_samples`, and sums over them, divided by the total weight S.

    A sum is zero where the intercept has no part in J. `tally` counts the passes over X, where a
    pass over a tenth of the rows is a tenth.

    `matrix` is all rows of X, or the facts about rows that lie elsewhere, and the sums run over `n_rows` of them.
    `n_classes` is at least 2; `n_rows_coef` is K, one for two classes. `class_weights` (n_classes,) are parts of S, and
    `min_fraction` is the least of them. `gains_from_float32` says that passes in float32 are faster and the columns
    allow them.

    `error_weight` (d,) is how much a unit of each column's parameter can perturb a score, relative to its rounding, as a root mean
    square over the rows, and `gradient_error_weights` how much a unit of the residuals can perturb the column's slope likewise.
    `offset_size` is the root mean square of the offsets.
    """

    def __init__(
        self, matrix: Matrix, samples: Samples, n_classes: int, coordinates: Coordinates, fit_intercept: bool
    ) -> None:
        self.matrix, self.n_classes, self.n_rows_coef = matrix, n_classes, count_rows_coef(n_classes)
        self.coordinates, self.fit_intercept = coordinates, fit_intercept
        self.numbers, self.labels, self.weights, self.offsets, self.targets = samples
        scaling = coordinates.scaling
        self.passes = passes = matrix.passes(samples, scaling, self.n_rows_coef)
        self.n_rows = len(self.numbers) or matrix.shape[0]
        own = self.own_samples()
        self.total_weight = float(own.weights.sum()) if len(own.weights) else float(self.n_rows)
        self.has_targets = len(own.targets) > 0
        if self.has_targets:
            by_class = weigh_targets(own.targets, own.weights)
        else:
            by_class = weigh_classes(own.labels, own.weights, n_classes)
        self.class_weights = by_class / self.total_weight
        self.min_fraction = float(np.minimum.reduce(self.class_weights))
        self.offset_range: OffsetRange | None = None
        if len(own.offsets):
            self.offset_range = OffsetRange.of(own.offsets, own.weights, self.total_weight)
        self.offset_size = 0.0 if self.offset_range is None else self.offset_range.root_mean_square
        self.gains_from_float32 = coordinates.allows_float32 and matrix.gains_from_float32(self.n_rows_coef)
        self.roundings = Roundings.of(passes.longest_sum, passes.longest_row, self.n_rows_coef, self.has_targets)
        self.error_weight, self.gradient_error_weights = passes.measure_error_weights(
            np.sqrt(coordinates.mean_squares[:-1])
        )
        # A list, which all parts of the same rows share.
        self.tally, self._n_all = [0.0], matrix.shape[0]
        self._class_features: FloatArray | None = None
        # What `find_null_model` has found last, by the coefficients.
        self.null_models: dict[bytes, NullModel] = {}

    def own_samples(self) -> Samples:
        """Return the samples of these rows alone."""
        samples = self.passes.samples
        return samples.take(samples.rows) if len(samples.rows) else samples

    def curved_at(self, point: Point) -> FloatArray:
        """Return the source of Hessians at a Point: its probabilities (K, n_rows), or elsewhere its parameters."""
        return point.probabilities if self.has_labels else point.parameters.astype(point.objective.fast_precision)

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, total: FloatArray) -> float:
        """Return the mean loss, and fill total (K, d + 1), float64, with S times its gradient, and the probabilities.

        Products are computed in the type of the parameters, float64 or float32.
        """
        loss = self.passes.evaluate(parameters, probabilities, total)
        self.count_pass()
        self._clean(total)
        if parameters.dtype == np.float64:
            self.note_sums(parameters, total)
        return loss / self.total_weight

    def evaluate_without_offsets(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return what `evaluate` does in float64 where the rows had no offsets."""
        total = np.empty(parameters.shape)
        loss = self.passes.without_offsets().evaluate(parameters, None, total)
        self.count_pass()
        return loss / self.total_weight, self._clean(total)

    def note_sums(self, parameters: FloatArray, total: FloatArray) -> None:
        """Take note of S times the gradient at parameters, in float64: those without features tell `class_features`."""
        if self._class_features is None and self.offset_range is None and not parameters[:, :-1].any():
            self._class_features = self._find_class_features(parameters, total)

    def hessian_product(self, direction: FloatArray, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss times direction (K, d + 1), for what `curved_at` returns."""
        product = self.passes.hessian_product(direction, curved)
        self.count_pass()
        product = self._clean(product)
        product /= self.total_weight
        return product

    def hessian(self, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss, (K (d + 1), K (d + 1)), by classes, for what `curved_at` returns."""
        self.count_pass()
        return self.average_pairs(self.passes.class_pair_gram(curved))

    def sum_by_pairs(self, term: Callable[..., FloatArray], parameters: FloatArray, *arguments: Any) -> FloatArray:
        """Return (1 / S) times the sum of a term of `Passes.sum_curvature` over the rows, (K (d + 1), K (d + 1))."""
        self.count_pass(2)
        return self.average_pairs(self.passes.sum_curvature(term, parameters, *arguments))

    def average_pairs(self, total: FloatArray) -> FloatArray:
        """Return sums by pairs of parameters, (K (d + 1), K (d + 1)), divided by S, as `_clean` leaves them."""
        size = self.matrix.shape[1] + 1
        total /= self.total_weight
        by_columns = total.reshape(len(total), -1, size)
        self._clean(by_columns)
        self._clean(by_columns.reshape(-1, size, len(total)).transpose(0, 2, 1))
        return total

    def sum_probability_products(
        self, parameters: FloatArray, precision: FloatType, kept: FloatArray | None = None
    ) -> FloatArray:
        """Return (1 / S) sum over i of s_i [p_i, 1] [p_i, 1]', (K + 1, K + 1); a pass computes p that are not kept."""
        if kept is not None:
            return multiply_probabilities(self.passes, kept) / self.total_weight
        self.count_pass()
        return self.passes.sum_curvature(multiply_probabilities, parameters.astype(precision)) / self.total_weight

    def class_features(self) -> FloatArray:
        """Return (1 / S) times the sum of s_i x~_i over the rows of each class, (n_classes, d), in float64."""
        if self._class_features is None:
            parameters = np.zeros((self.n_rows_coef, self.matrix.shape[1] + 1))
            _, total = self.evaluate_without_offsets(parameters)
            self._class_features = self._find_class_features(parameters, total)
        assert self._class_features is not None
        return self._class_features

    def _find_class_features(self, parameters, total):
        """Return the sums by class from the gradient at the intercepts alone, where rows are alike."""
        scores = np.zeros(self.n_classes)
        scores[-len(parameters) :] = parameters[:, -1]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        mean = self.coordinates.mean
        features = probabilities[-len(parameters) :, None] * mean - total[:, :-1] / self.total_weight
        if len(features) == 1:
            features = np.concatenate([mean - features, features])
        return features

    def _clean(self, total):
        """Return sums over the rows (..., d + 1), with zeros where the intercept has no part in J."""
        if not self.fit_intercept:
            total[..., -1] = 0
        return total

    @property
    def has_labels(self) -> bool:
        """Whether the rows and their probabilities are at hand, not with workers."""
        return self.matrix.keeps_probabilities

    def count_pass(self, n_passes: float = 1) -> None:
        """Take note of passes over the rows."""
        self.tally[0] += n_passes * self.n_rows / self._n_all

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

        N_SKETCHES random directions estimate it (Achlioptas 2003) in a pass, unless no row is far longer than others.
        """
        if not self.are_uneven:
            return 1.0
        coordinates = self.coordinates
        seen = coordinates.mean_squares[:-1] > 0
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_SKETCHES, len(seen))) * seen
        directions = np.column_stack([signs, np.zeros(N_SKETCHES)])
        parts = chain.from_iterable(piece.score_parts(directions) for piece in self.passes.split(self.n_rows))
        with np.errstate(over="ignore"):
            squares = np.concatenate([np.einsum("ik,ik->i", scores, scores).astype(np.float32) for _, scores in parts])
        self.count_pass()
        # A row without weight may lie anywhere, and has no part in the mean; nor has one whose square overflows.
        is_weighty = np.broadcast_to(self.weights_of(self.numbers) > 0, squares.shape)
        squares[~is_weighty | (squares == np.inf)] = 0
        mean = squares.sum(dtype=np.float64) / np.count_nonzero(is_weighty)
        squares *= 0.5 / max(mean, np.finfo(np.float64).tiny)
        squares += 0.5
        return squares

    def take(self, numbers: IntArray) -> Rows:
        """Return some of the rows, by their numbers (int64) in X; they count passes together with these."""
        matrix, samples = self.matrix, self.passes.samples
        if matrix.extracts(numbers):
            matrix, samples = matrix.take(numbers), samples.take(numbers)
        else:
            samples = samples._replace(rows=numbers)
        rows = Rows(matrix, samples, self.n_classes, self.coordinates, self.fit_intercept)
        rows.tally, rows._n_all = self.tally, self._n_all
        return rows

    def with_targets(self, targets: FloatArray) -> Rows:
        """Return the same rows with targets (K, n_rows) as their labels; they count passes together with these."""
        samples, positions = self.passes.samples, self.numbers if len(self.numbers) else slice(None)
        by_row = np.zeros((self.matrix.shape[0], self.n_rows_coef))
        by_row[positions] = targets.T
        samples = samples._replace(targets=by_row)
        rows = Rows(self.matrix, samples, self.n_classes, self.coordinates, self.fit_intercept)
        rows.tally, rows._n_all = self.tally, self._n_all
        return rows

    def sample(self, n_rows: int) -> Rows:
        """Return about n_rows of the rows that have some weight, evenly spread."""
        numbers = self.numbers
        if len(self.weights):
            weighty = np.flatnonzero(self.weights_of(numbers) > 0)
            numbers = numbers[weighty] if len(numbers) else weighty
        positions = draw_positions(len(numbers) or self.n_rows, n_rows)
        return self.take(numbers[positions] if len(numbers) else positions)

    def weights_of(self, numbers: IntArray) -> FloatArray | float:
        """Return s_i of the given row numbers (all where there are none), as an array or the number one."""
        if not len(self.weights):
            return 1.0
        return self.weights[numbers] if len(numbers) else self.weights

    def gram(self, numbers: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return (1 / S) sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]' over numbered rows, (C, d + 1, d + 1)."""
        size = self.matrix.shape[1] + 1
        if not row_weights.shape[1]:
            return np.zeros((len(row_weights), size, size), precision)
        grams = self.passes.gram(numbers, row_weights / self.total_weight, precision)
        self.count_pass((len(numbers) or self.matrix.shape[0]) / self.n_rows)
        self._clean(grams)
        self._clean(grams.transpose(0, 2, 1))
        return grams


def weigh_classes(labels: IntArray, weights: FloatArray, n_classes: int) -> FloatArray:
    """Return the weight of each class; weights (n,) without entries are ones."""
    total = np.zeros(n_classes)
    for first in range(0, len(labels), ROWS_PER_BATCH):
        part = slice(first, first + ROWS_PER_BATCH)
        total += np.bincount(labels[part], weights[part] if len(weights) else None, minlength=n_classes)
    return total


def weigh_targets(targets: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weight of each class by targets (n, K), as Samples has them; weights (n,) without entries are ones."""
    weights = weights if len(weights) else np.ones(len(targets))
    totals = np.einsum("i,ik->k", weights, targets)
    return np.append(weights.sum() - totals, totals) if len(totals) == 1 else totals


def weigh_by_counts(numbers: IntArray, weights: FloatArray | None, n: int) -> FloatArray:
    """Return (n,): the weight of each row times how often it is named. weights (n,) may be None for ones."""
    counts = np.bincount(numbers, minlength=n).astype(np.float64)
    return counts if weights is None else counts * weights


def make_samples(
    labels: IntArray,
    weights: FloatArray | None = None,
    numbers: IntArray | None = None,
    offsets: FloatArray | None = None,
    targets: FloatArray | None = None,
) -> Samples:
    """Return the Samples of rows of X: labels (n,), 0 to n_classes - 1, with weights (n,) s_i >= 0, None for ones.

    Sums run over the row numbers (m,), int64, None for all; the other arrays are of all rows of X. offsets (n, K) are
    finite numbers that are added to the scores, None for zeros. targets (n, K) are the probabilities of the classes,
    for two classes of the second, and labels then the most probable classes. They are at least zero and sum to
    about one.
    """
    return Samples(
        NO_ROWS if numbers is None else numbers,
        writable_view(labels.astype(np.int32, copy=False)),
        np.empty(0) if weights is None else weights.astype(np.float64, copy=False),
        *(
            NO_DOUBLE if each is None else writable_view(np.ascontiguousarray(each, np.float64))
            for each in (offsets, targets)
        ),
    )


def count_rows_coef(n_classes: int) -> int:
    """Return K, the number of rows of coefficients for n_classes classes."""
    return 1 if n_classes == 2 else n_classes


def draw_positions(n: int, n_rows: int) -> IntArray:
    """Return the ascending places of about n_rows of n rows: one of each of n_rows equal stretches."""
    n_rows = min(n_rows, n)
    return ((np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (n / n_rows)).astype(np.int64)


def split_positions(positions: IntArray, counts: Sequence[int]) -> list[IntArray]:
    """Return the ascending places in each part of the rows, counted from its first row; counts are the parts' rows."""
    ends = np.cumsum(counts)
    fractions = np.split(positions, np.searchsorted(positions, ends[:-1]))
    return [fraction - (end - count) for fraction, end, count in zip(fractions, ends, counts, strict=True)]
