"""Preconditioners: approximate Hessians that are cheap to build and to invert.

Let h_ik = s_i p_ik (1 - p_ik) / S. The Hessian of the loss with respect to the parameters of class k is
sum_i h_ik x~_i x~_i'. Each builder takes a Point and returns a preconditioner: one block per class, one block for all
classes, the diagonal, or the full Hessian of all pairs of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.kernels.machine.cholesky import (
    count_solved_per_batch,
    factorize_block,
    fill_mirrored_block,
    solve_block,
    solve_group,
)
from fastlin.kernels.machine.threads import MAX_PARTIAL_BYTES, READ_WORK, cut_work, run_blocks
from fastlin.objective.point import Point
from fastlin.solvers.tuning import (
    CURVATURE_FRACTION,
    EXPENSIVE_REFRESHES,
    MAX_CHEAP_WORK,
    REFRESHES,
    RIDGE,
    ROUNDS,
    ROWS_PER_COLUMN,
    SLOW_OPERATION_WORK,
    SWITCH_AFTER,
)
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective

# If a factor has at most this size, right-hand sides are solved one at a time, because batches are not faster.
MAX_SIZE_OF_SINGLE_SOLVES = 64


class Preconditioner:
    """A block-diagonal matrix M, stored as Cholesky factors.

    Gradients are split into rows of `size` entries. Each row has its own block, or all rows use the same block, scaled
    by `fractions` (K, 1). `n_directions` is the effective number of directions in which the first block has curvature.
    """

    def __init__(self, n_matrices: int, size: int, precision: FloatType) -> None:
        self._size = size
        self.fractions: Any = 1.0
        self._factors = np.empty((n_matrices, size * (size + 1) // 2), precision)

    def factorize(self, first: int, matrices: FloatArray, ridge: float | None = None) -> None:
        """Factorize blocks (m, size, size), and store the factors from index `first`.

        `ridge` is relative to the diagonals of the blocks.
        """
        if first == 0:
            squares = np.einsum("ij,ij->", matrices[0], matrices[0], dtype=np.float64)
            # If squares overflow or underflow, the result is infinite or NaN.
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                self.n_directions = float(np.trace(matrices[0], dtype=np.float64) ** 2 / squares)
        factors = self._factors[first : first + len(matrices)]
        ridge = RIDGE[factors.dtype.type] if ridge is None else ridge
        run_blocks(factorize_block, len(matrices), matrices, ridge, factors)

    def unpack(self) -> FloatArray:
        """Return the factors as upper triangular matrices of shape (n_matrices, size, size) and dtype float64."""
        factors, is_above = np.zeros((len(self._factors), self._size, self._size)), np.tri(self._size, dtype=bool).T
        for factor, packed in zip(factors, self._factors, strict=True):
            factor[is_above] = packed
        return factors

    def square_columns(self) -> FloatArray:
        """Return the squared norms (size,) of the columns of the first factor. The factor is upper triangular."""
        factor = self.unpack()[0]
        return np.einsum("ij,ij->j", factor, factor)

    @cached_property
    def _mirrored(self):
        """The factor, if there is only one, in the layout that `solve_group` requires."""
        mirrored = np.empty((self._size, self._size), self._factors.dtype)
        run_blocks(fill_mirrored_block, cut_work(READ_WORK * mirrored.size, self._size), self._factors[0], mirrored)
        return mirrored

    def divided(self, number: float) -> Preconditioner:
        """Return M divided by a number. The result shares the factors."""
        other = copy(self)
        other.fractions = self.fractions / number
        return other

    def solve(self, gradient: FloatArray, n_like: int = 0) -> FloatArray:
        """Return M^-1 gradient, in the shape of `gradient`.

        The result is bitwise the same as in a batch of `n_like` rows.
        """
        # The gradient is normalized, so that it is within the range of float32.
        largest = np.abs(gradient).max()
        if not largest > 0:
            return gradient.copy()
        solution = gradient.reshape(-1, self._size) / largest
        n_rows, batch_size = len(solution), count_solved_per_batch(self._factors.itemsize)
        if len(self._factors) == 1 and max(n_rows, n_like) > batch_size // 4 and self._size > MAX_SIZE_OF_SINGLE_SOLVES:
            run_blocks(solve_group, -(-n_rows // batch_size), self._mirrored, solution)
        else:
            # Each factor is read twice, for forward and backward substitution.
            n_blocks = cut_work(READ_WORK * solution.size * self._size, n_rows)
            run_blocks(solve_block, n_blocks, self._factors, solution)
        with np.errstate(over="ignore"):
            return largest * (solution / self.fractions).reshape(gradient.shape)


class Diagonal:
    """A diagonal matrix M (K, d + 1). `n_directions` is 1, because the correlations of the columns are unknown."""

    n_directions = 1.0

    def __init__(self, diagonal: FloatArray) -> None:
        self._diagonal = diagonal

    def divided(self, number: float) -> Diagonal:
        """Return M divided by a number."""
        return Diagonal(self._diagonal / number)

    def solve(self, gradient: FloatArray, n_like: int = 0) -> FloatArray:
        """Return M^-1 gradient, in the shape of `gradient`."""
        return gradient / self._diagonal


# The types of a preconditioner, and of a function that builds it at a point.
AnyPreconditioner: TypeAlias = Preconditioner | Diagonal
Build: TypeAlias = Callable[[Point], AnyPreconditioner]


def choose(objective: Objective, is_kept: bool = True) -> Build:
    """Return the builder of the best preconditioner within the budget.

    `is_kept` is true if the preconditioner is used in many iterations.
    """
    K, size = objective.shape
    if 1 < K and K * size <= SMALL_HESSIAN:
        return sampled_hessian
    budget, n_bytes = objective.budget, count_bytes(objective, K)
    is_quick = is_kept and size**2 <= 2 * objective.matrix.n_entries and affords_factors(objective)
    if budget.holds_preconditioner(n_bytes) or (is_quick and budget.holds(n_bytes)):
        return class_blocks
    return shared_block if budget.holds_preconditioner(count_bytes(objective, 1)) else diagonal


def choose_shared(objective: Objective) -> Build:
    """Return the builder of one block for all classes or, if it costs too much, the builder of the diagonal."""
    fits = objective.budget.holds_preconditioner(count_bytes(objective, 1))
    return shared_block if fits and affords_factors(objective) else diagonal


def choose_first(objective: Objective, build: Build) -> Build:
    """Return the builder of the first preconditioner: one block for all classes instead of one block per class.

    At the start, all rows have the same curvature, and a shared block uses more rows
    (docs/benchmarks/design-choices.md: first block).
    """
    return shared_block if build is class_blocks and objective.n_rows_coef > 1 else build


def schedule(objective: Objective, is_sampled: bool = False) -> dict[int, Build]:
    """Return the builders for L-BFGS. The key is the iteration after which a builder is called (0 for the start).

    If a builder costs as much as n passes, and n is large, it is called only after n iterations. The total cost is then
    at most twice the cost of the better choice (docs/benchmarks/design-choices.md: late blocks).
    """
    build = choose(objective)
    if build is diagonal:
        return {0: diagonal}
    if is_sampled:
        later = [2 * n_iter for n_iter in EXPENSIVE_REFRESHES]
        if affords_factors(objective):
            return dict.fromkeys((0, *later), build)
        return {0: diagonal, max(count_passes(objective, build), later[0]): build}
    first, waiting, refreshes = choose_first(objective, build), build, REFRESHES
    if not _is_cheap(objective, build):
        waiting, refreshes = first, EXPENSIVE_REFRESHES
        if first is not build and affords_class_blocks(objective):
            n_passes = max(count_passes(objective, build), REFRESHES[0])
            refreshes = min(n_passes, refreshes[0]), *refreshes[1:]
    n_passes = count_passes(objective, waiting)
    if n_passes < (REFRESHES[0] if first is build else 2 * ROUNDS):
        return {0: first} | dict.fromkeys(refreshes, build)
    later = [n_iter for n_iter in refreshes if n_iter >= 2 * n_passes] or [2 * n_passes]
    return {0: diagonal} | dict.fromkeys((n_passes, *later), build)


def _is_cheap(objective, build):
    """Return whether building a preconditioner is cheap, in absolute terms or relative to a pass."""
    K, size = objective.shape
    n_blocks, block = (1, K * size) if build is sampled_hessian else (1 if build is shared_block else K, size)
    work = n_blocks * min(objective.n_rows, ROWS_PER_COLUMN * block) * block**2 // 2
    return work <= max(MAX_CHEAP_WORK, objective.n_rows * K * size // 2)


def diagonal(point: Point) -> Diagonal:
    """Return a Diagonal that is computed from the variances of the columns and the class weights."""
    objective = point.objective
    fraction = objective.class_weights if objective.n_rows_coef > 1 else objective.class_weights[:1]
    loss_diagonal = np.outer(fraction * (1 - fraction), objective.coordinates.mean_squares)
    return Diagonal(_positive(loss_diagonal + objective.penalty.curvatures))


def shared_block(point: Point) -> Preconditioner:
    """Return one block for all classes, computed on a sample of the rows.

    Rows are weighted by the total curvature of all classes. For each class, the block is scaled by the square root of
    the fraction of the curvature that belongs to the class.
    """
    point = with_probabilities(point)
    objective = point.objective
    curvature = np.zeros(objective.n_rows)
    fractions = np.empty((objective.n_rows_coef, 1))
    for k, class_curvature in enumerate(point.curvatures()):
        curvature += class_curvature
        fractions[k] = class_curvature.sum()
    fractions = np.sqrt(_positive(fractions / max(fractions.mean(), np.finfo(np.float64).tiny)))
    n_drawn = _count_shared_rows(objective)
    block = _blocks(objective, 1, [_draw(objective, curvature / len(fractions), n_drawn, np.random.default_rng(0))])
    block.fractions = fractions
    return block


def count_bytes(objective: Objective, n_matrices: int) -> int:
    """Return the number of bytes of n_matrices blocks."""
    size = objective.shape[1]
    return n_matrices * size * (size + 1) // 2 * np.dtype(objective.fast_precision).itemsize


def class_blocks(point: Point, row_multiple: int = 1) -> Preconditioner:
    """Return one block per class, each computed on a sample of the rows with curvature.

    The sample has `row_multiple` times the usual number of rows. A row is sampled with probability
    q = min(1, c h_ik), and the weight is divided by q. If the sample is too expensive, it has only as many rows as
    contain most of the curvature. If that is still too expensive, the result is that of `shared_block`.
    """
    point = with_probabilities(point)
    objective = point.objective
    K, affordable = objective.shape[0], _count_affordable_rows(objective)
    n_drawn = [row_multiple * _count_class_rows(objective)] * K
    if not affords_class_blocks(objective, row_multiple):
        n_drawn = [min(n_drawn[0], _count_rows_with_curvature(curvature)) for curvature in point.curvatures()]
        if sum(n_drawn) > affordable:
            return shared_block(point)
    generator = np.random.default_rng(0)
    pairs = zip(point.curvatures(), n_drawn, strict=True)
    return _blocks(objective, K, (_draw(objective, curvature, m, generator) for curvature, m in pairs))


def count_products(objective: Objective, build: Build, row_multiple: int = 1) -> int:
    """Return how many Hessian products a preconditioner is used for. For a small Hessian the number is 0."""
    return 0 if build is sampled_hessian else 1 + 2 * count_passes(objective, build, row_multiple)


def count_passes(objective: Objective, build: Build, row_multiple: int = 1) -> int:
    """Return the cost of a builder in passes, for rows of equal curvature. Negligible costs count as 0."""
    matrix, (K, size) = objective.matrix, objective.shape
    if build not in (class_blocks, shared_block):
        return 0
    n_blocks, n_drawn = K, row_multiple * _count_class_rows(objective)
    if build is shared_block or not affords_class_blocks(objective, row_multiple):
        n_blocks, n_drawn = 1, _count_shared_rows(objective)
    fraction = objective.n_rows / matrix.shape[0]
    gram_work = min(n_drawn / objective.n_rows, 1.0) * fraction * matrix.count_gram_work() / 2
    # With few classes, a pass takes as long as reading X.
    pass_work = max(1.0, 2 * fraction * matrix.n_entries * max(K, SLOW_OPERATION_WORK))
    return int(n_blocks * (gram_work + size**3 / 6) // pass_work)


def affords_factors(objective: Objective) -> bool:
    """Return whether factorizing a block costs no more than the limit. The cost is too high for wide sparse data."""
    n_entries = objective.matrix.n_entries * objective.n_rows / objective.matrix.shape[0]
    return objective.shape[1] ** 3 / 6 <= SWITCH_AFTER * n_entries


def affords_class_blocks(objective: Objective, row_multiple: int = 1) -> bool:
    """Return whether `class_blocks` can use `row_multiple` times the usual number of rows for each class."""
    K = objective.shape[0]
    return K == 1 or K * row_multiple * _count_class_rows(objective) <= _count_affordable_rows(objective)


def _count_class_rows(objective):
    """Return the number of rows that `class_blocks` samples per class if the cost permits."""
    (K, size), min_rows = objective.shape, objective.n_rows // 32
    n_per_class = max(ROWS_PER_COLUMN * size, min_rows)
    # With many classes, a pass does as many multiply-adds per second as the sums of blocks. Half the rows are enough.
    is_halved = K > 4 * SLOW_OPERATION_WORK and K * n_per_class <= _count_affordable_rows(objective)
    return max(ROWS_PER_COLUMN // 2 * size, min_rows) if is_halved else n_per_class


def _count_affordable_rows(objective):
    """Return the number of rows that all blocks together may use. They cost as much as SWITCH_AFTER / 2 passes."""
    K, size = objective.shape
    return 2 * SWITCH_AFTER * objective.n_rows * K // size


def _count_shared_rows(objective):
    """Return the number of rows that `shared_block` samples: up to 4 times as many as for the block of a class."""
    min_rows = ROWS_PER_COLUMN * objective.shape[1]
    return min(4 * min_rows, max(min_rows, _count_affordable_rows(objective) // 4))


def _count_rows_with_curvature(curvature):
    """Return the smallest number of rows that together contain CURVATURE_FRACTION of the curvature."""
    sums = np.cumsum(-np.sort(-curvature, kind="stable"), dtype=np.float64)
    return 1 + int(np.searchsorted(sums, CURVATURE_FRACTION * sums[-1]))


def with_probabilities(point: Point) -> Point:
    """Return the point if its objective stores probabilities, otherwise a Point for a sample of the rows."""
    return point if point.objective.keeps_probabilities else evaluate_sample(point)


def evaluate_sample(point: Point) -> Point:
    """Return a Point at the same parameters for a sample of the rows. Its probabilities fit into the budget."""
    objective = point.objective
    copied = 0 if objective.matrix.lies_in_memory else objective.matrix.row_bytes
    sample = objective.sample(objective.budget.count_sampled_rows(objective.bytes_per_row, copied))
    return sample.at(point.parameters, objective.fast_precision, out=sample.make_buffer())


class WeightedSample(NamedTuple):
    """Sampled rows. With the weights (1, m), their sums are unbiased estimates of sums over all rows.

    If x_j^2 is equal in all rows, `variance` bounds the variance of the estimated sum of x_j^2, relative to the sum.
    """

    row_indices: IntArray
    weights: FloatArray
    variance: float


def _draw(objective, curvature, n_drawn, generator):
    probability = _find_probabilities(curvature * objective.rows.influence, n_drawn)
    # Generating random numbers in float32 takes half the time of float64.
    drawn = np.flatnonzero(generator.random(len(probability), np.float32) < probability)
    probability = probability[drawn]
    row_indices, weights = objective.rows.row_indices, curvature[drawn] / probability
    heaviest = weights.max(where=probability < 1, initial=0.0)
    variance = float(heaviest / max(curvature.sum(dtype=np.float64), np.finfo(np.float64).tiny))
    return WeightedSample(row_indices[drawn] if len(row_indices) else drawn, weights[None], variance)


def sampled_hessian(point: Point) -> Preconditioner:
    """Return the factor of the Hessian of all pairs of classes, over a sample if there are many rows."""
    return hessian_of(sample_for_hessian(point.objective), point)


def sample_for_hessian(objective: Objective) -> Objective:
    """Return the objective over which `sampled_hessian` is summed: a sample if there are many rows."""
    K, m = objective.shape
    n_drawn = ROWS_PER_COLUMN * K * m
    is_sampled = n_drawn < objective.n_rows or not objective.keeps_probabilities
    return objective.sample(n_drawn) if is_sampled else objective


def hessian_of(sample: Objective, point: Point) -> Preconditioner:
    """Return the factor of the Hessian at a point. `sample` is the result of `sample_for_hessian`."""
    if sample is not point.objective:
        point = sample.at(point.parameters, point.objective.fast_precision, out=sample.make_buffer())
    return factorize_hessian(point.objective, point.hessian())


def factorize_hessian(objective: Objective, matrix: FloatArray) -> Preconditioner:
    """Return the factor of a Hessian.

    `matrix` has the shape (K (d + 1), K (d + 1)), is ordered by class, and does not change.
    """
    K, m = objective.shape
    diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
    before = diagonals.copy()
    regularize_equal_changes(matrix, K)
    preconditioner = Preconditioner(1, K * m, objective.fast_precision)
    preconditioner.factorize(0, matrix[None].astype(objective.fast_precision, copy=False))
    diagonals[...] = before
    return preconditioner


def regularize_equal_changes(matrix: FloatArray, n_rows_coef: int) -> None:
    """Regularize a Hessian along equal changes of all classes. `matrix` is ordered by class.

    Softmax is flat along these changes, so the matrix is singular if the penalty is flat as well. The gradient has no
    component along these changes.
    """
    K, m = n_rows_coef, len(matrix) // n_rows_coef
    diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
    if K > 1:
        with np.errstate(invalid="ignore"):
            diagonals += _positive(np.einsum("kkj->j", diagonals) / K**2)


def _find_probabilities(curvature, n_drawn):
    """Return the sampling probabilities min(1, c * curvature). The expected number of rows determines c."""
    if n_drawn >= np.count_nonzero(curvature):
        return (curvature > 0).astype(np.float64)
    # The sum over all rows gives a lower bound on c. Each iteration distributes the rest over rows with probability
    # below 1.
    certain = np.zeros(len(curvature), bool)
    for _ in range(20):
        factor = (n_drawn - certain.sum()) / curvature[~certain].sum(dtype=np.float64)
        reaches_one = curvature * factor >= 1
        if (reaches_one == certain).all():
            break
        certain = reaches_one
    return np.minimum(1.0, curvature * factor)


def _blocks(objective, n_blocks, samples):
    """Return a Preconditioner with `n_blocks` blocks, one for each of the samples.

    The diagonal is increased by a bound on the curvature of the rows that are not in the sample. This is important for
    columns with few nonzero entries.
    """
    size, precision = objective.shape[1], objective.fast_precision
    preconditioner, rows = Preconditioner(n_blocks, size, precision), objective.rows
    coordinates = objective.coordinates
    if not rows.matrix.lies_in_memory:
        # The sampled rows are read once, because otherwise each class would read all blocks of rows.
        samples = list(samples)
        drawn = np.unique(np.concatenate([sample.row_indices for sample in samples]))
        if objective.budget.holds(len(drawn) * rows.matrix.row_bytes):
            rows = rows.take(drawn)
            samples = [sample._replace(row_indices=np.searchsorted(drawn, sample.row_indices)) for sample in samples]
    fraction = rows.total_weight / objective.rows.total_weight
    batch_size = max(1, min(n_blocks, MAX_PARTIAL_BYTES // (size**2 * np.dtype(precision).itemsize)))
    matrices, samples = np.empty((batch_size, size, size), precision), iter(samples)
    for first in range(0, n_blocks, batch_size):
        batch = matrices[: n_blocks - first]
        for matrix, sample in zip(batch, samples, strict=False):
            matrix[:] = rows.gram(sample.row_indices, sample.weights * fraction, precision)[0]
            diagonal = np.diagonal(matrix) + objective.penalty.curvatures
            missed = np.minimum(1.0, sample.variance * coordinates.peaks)
            total = sample.weights.sum(dtype=np.float64) / objective.rows.total_weight
            diagonal[:-1] += missed * total * coordinates.mean_squares[:-1]
            matrix[np.arange(size), np.arange(size)] = _positive(diagonal)
        preconditioner.factorize(first, batch)
    return preconditioner


def _positive(diagonal):
    # A column of zeros without a penalty has no curvature and no gradient, so any positive number is suitable.
    return np.where(diagonal > 0, diagonal, 1.0)
