"""Preconditioners: approximate Hessians that are cheap to build and to invert.

Let h_ik = s_i p_ik (1 - p_ik) / S. The Hessian of the loss with respect to the parameters of class k is
sum_i h_ik x~_i x~_i'. Each builder takes a Point and returns a preconditioner: one block per class, one block for all
classes, the diagonal, or the full Hessian of all pairs of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastlin.kernels.machine.cholesky import (
    count_interleaved_rows,
    factorize_block,
    fill_mirrored_factor_block,
    solve_block,
    solve_interleaved_block,
)
from fastlin.kernels.machine.threads import MAX_PARTIAL_SUM_BYTES, READ_NUMBER_WORK, count_work_blocks, run_blocks
from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point
from fastlin.solvers.tuning import (
    EXPENSIVE_REFRESH_ITERATIONS,
    MAX_CHEAP_BUILD_WORK,
    N_CHEAP_STEPS,
    REFRESH_ITERATIONS,
    RIDGE,
    ROWS_PER_COLUMN,
    SAMPLE_REFRESH_ITERATIONS,
    SAMPLED_CURVATURE_FRACTION,
    SLOW_OPERATION_WORK,
    SWITCH_THRESHOLD,
)
from fastlin.typing import FloatArray, FloatType, IntArray

# With more classes than this, a pass does about twice as many multiply-adds per second as the sums and factorizations
# of blocks.
MANY_CLASSES = 4 * SLOW_OPERATION_WORK
# If a factor has at most this size, right-hand sides are solved one at a time, because batches are not faster.
MAX_SINGLE_SOLVE_SIZE = 64


class Preconditioner:
    """A block-diagonal matrix M, stored as Cholesky factors.

    Gradients are split into rows of `size` entries. Each row has its own block, or all rows use the same block, scaled
    by `fractions` (K, 1). `n_effective_directions` is the effective number of directions in which the first block has
    curvature.
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
                self.n_effective_directions = float(np.trace(matrices[0], dtype=np.float64) ** 2 / squares)
        factors = self._factors[first : first + len(matrices)]
        ridge = RIDGE[factors.dtype.type] if ridge is None else ridge
        run_blocks(factorize_block, len(matrices), matrices, ridge, factors)

    def unpack(self) -> FloatArray:
        """Return the factors as upper triangular matrices of shape (n_matrices, size, size) and dtype float64."""
        factors, is_upper_triangle = (
            np.zeros((len(self._factors), self._size, self._size)),
            np.tri(self._size, dtype=bool).T,
        )
        for factor, packed_factor in zip(factors, self._factors, strict=True):
            factor[is_upper_triangle] = packed_factor
        return factors

    def compute_column_squares(self) -> FloatArray:
        """Return the squared norms (size,) of the columns of the first factor. The factor is upper triangular."""
        factor = self.unpack()[0]
        return np.einsum("ij,ij->j", factor, factor)

    @cached_property
    def _mirrored_factor(self):
        """The factor, if there is only one, in the layout that `solve_interleaved_block` requires."""
        mirrored_factor = np.empty((self._size, self._size), self._factors.dtype)
        run_blocks(
            fill_mirrored_factor_block,
            count_work_blocks(READ_NUMBER_WORK * mirrored_factor.size, self._size),
            self._factors[0],
            mirrored_factor,
        )
        return mirrored_factor

    def divide_by(self, number: float) -> Preconditioner:
        """Return M divided by a number. The result shares the factors."""
        other = copy(self)
        other.fractions = self.fractions / number
        return other

    def solve(self, gradient: FloatArray, reference_batch_size: int = 0) -> FloatArray:
        """Return M^-1 gradient, in the shape of `gradient`.

        The result is bitwise the same as in a batch of `reference_batch_size` rows.
        """
        # The gradient is normalized, so that it is within the range of float32.
        largest = np.abs(gradient).max()
        if not largest > 0:
            return gradient.copy()
        solution = gradient.reshape(-1, self._size) / largest
        n_rows, batch_size = len(solution), count_interleaved_rows(self._factors.itemsize)
        if (
            len(self._factors) == 1
            and max(n_rows, reference_batch_size) > batch_size // 4
            and self._size > MAX_SINGLE_SOLVE_SIZE
        ):
            run_blocks(solve_interleaved_block, -(-n_rows // batch_size), self._mirrored_factor, solution)
        else:
            # Each factor is read twice, for forward and backward substitution.
            n_blocks = count_work_blocks(READ_NUMBER_WORK * solution.size * self._size, n_rows)
            run_blocks(solve_block, n_blocks, self._factors, solution)
        with np.errstate(over="ignore"):
            return largest * (solution / self.fractions).reshape(gradient.shape)


class DiagonalPreconditioner:
    """A diagonal matrix M (K, d + 1). `n_effective_directions` is 1: the correlations of the columns are unknown."""

    n_effective_directions = 1.0

    def __init__(self, diagonal: FloatArray) -> None:
        self._diagonal = diagonal

    def divide_by(self, number: float) -> DiagonalPreconditioner:
        """Return M divided by a number."""
        return DiagonalPreconditioner(self._diagonal / number)

    def solve(self, gradient: FloatArray, reference_batch_size: int = 0) -> FloatArray:
        """Return M^-1 gradient, in the shape of `gradient`."""
        return gradient / self._diagonal


# The types of a preconditioner, and of a function that builds it at a point.
AnyPreconditioner: TypeAlias = Preconditioner | DiagonalPreconditioner
PreconditionerBuilder: TypeAlias = Callable[[Point], AnyPreconditioner]


def choose(objective: Objective, is_long_lived: bool = True) -> PreconditionerBuilder:
    """Return the builder of the best preconditioner within the budget.

    `is_long_lived` is true if the preconditioner is used in many iterations.
    """
    (K, size), budget = objective.shape, objective.budget
    n_bytes = count_block_bytes(objective, K)
    is_fast_to_build = (
        is_long_lived and size**2 <= 2 * objective.matrix.n_entries and is_factorization_affordable(objective)
    )
    if budget.allows_preconditioner(n_bytes) or (is_fast_to_build and budget.allows_array_bytes(n_bytes)):
        return build_class_blocks
    return build_shared_block if budget.allows_preconditioner(count_block_bytes(objective, 1)) else diagonal


def choose_shared_builder(objective: Objective) -> PreconditionerBuilder:
    """Return the function that builds one block for all classes or, if the block is too expensive, a diagonal."""
    fits = objective.budget.allows_preconditioner(count_block_bytes(objective, 1))
    return build_shared_block if fits and is_factorization_affordable(objective) else diagonal


def choose_first_builder(objective: Objective, builder: PreconditionerBuilder) -> PreconditionerBuilder:
    """Return the builder of the first preconditioner: one block for all classes instead of one block per class.

    At the start, all rows have the same curvature, and a shared block uses more rows
    (docs/benchmarks/design-choices.md: first block).
    """
    return build_shared_block if builder is build_class_blocks and objective.n_rows_coef > 1 else builder


def schedule_builders(objective: Objective, is_sampled: bool = False) -> dict[int, PreconditionerBuilder]:
    """Return the builders for L-BFGS. The key is the iteration after which a builder is called (0 for the start).

    If a builder costs as much as n passes, and n is large, it is called only after n iterations. The total cost is then
    at most twice the cost of the better choice (docs/benchmarks/design-choices.md: late blocks). If `is_sampled`, the
    fit starts from the solution of a sample, so the first preconditioner is built near the minimum.
    """
    builder = choose(objective)
    if builder is diagonal:
        return {0: diagonal}
    if is_sampled:
        sample = _find_hessian_sample(objective)
        builder = builder if sample is None else partial(factorize_sampled_hessian, sample)
        if is_factorization_affordable(objective):
            return dict.fromkeys((0, *SAMPLE_REFRESH_ITERATIONS), builder)
        return {0: diagonal, max(count_build_passes(objective, builder), SAMPLE_REFRESH_ITERATIONS[0]): builder}
    first, pending_builder, refresh_iterations = choose_first_builder(objective, builder), builder, REFRESH_ITERATIONS
    if not _is_cheap_to_build(objective, builder):
        pending_builder, refresh_iterations = first, EXPENSIVE_REFRESH_ITERATIONS
    n_passes = count_build_passes(objective, pending_builder)
    if n_passes < (REFRESH_ITERATIONS[0] if first is builder else 2 * N_CHEAP_STEPS):
        return {0: first} | dict.fromkeys(refresh_iterations, builder)
    later_iterations = [n_iter for n_iter in refresh_iterations if n_iter >= 2 * n_passes] or [2 * n_passes]
    return {0: diagonal} | dict.fromkeys((n_passes, *later_iterations), builder)


def _find_hessian_sample(objective):
    """Return a sample for a Hessian of all pairs of classes, or None if blocks of the classes take less time.

    The Hessian must be small, and the sample must contain enough rows of each class
    (docs/benchmarks/design-choices.md: hessian of a sample).
    """
    K, size = objective.shape
    if K == 1 or K * size > SMALL_HESSIAN_SIZE:
        return None
    if not (objective.stores_probabilities or _has_even_rows(objective.rows)):
        # The sampled rows would be evenly spaced, whatever their weights and values.
        return None
    sample = sample_hessian_rows(objective)
    class_sizes = np.bincount(sample.rows.select_samples().labels, minlength=K)
    return sample if class_sizes.min() >= ROWS_PER_COLUMN * size else None


def _is_cheap_to_build(objective, builder):
    """Return whether building a preconditioner is cheap, in absolute terms or relative to a pass."""
    K, size = objective.shape
    n_blocks = 1 if builder is build_shared_block else K
    work = n_blocks * min(objective.n_rows, ROWS_PER_COLUMN * size) * size**2 // 2
    return work <= max(MAX_CHEAP_BUILD_WORK, objective.n_rows * K * size // 2)


def diagonal(point: Point) -> DiagonalPreconditioner:
    """Return a Diagonal that is computed from the variances of the columns and the class weights."""
    objective = point.objective
    fraction = objective.class_weights if objective.n_rows_coef > 1 else objective.class_weights[:1]
    loss_diagonal = np.outer(fraction * (1 - fraction), objective.coordinates.mean_squares)
    return DiagonalPreconditioner(_replace_nonpositive_entries(loss_diagonal + objective.penalty.curvatures))


def build_shared_block(point: Point) -> Preconditioner:
    """Return one block for all classes, computed on a sample of the rows.

    Rows are weighted by the total curvature of all classes. For each class, the block is scaled by the square root of
    the fraction of the curvature that belongs to the class.
    """
    point = ensure_probabilities(point)
    objective = point.objective
    curvature = np.zeros(objective.n_rows)
    fractions = np.empty((objective.n_rows_coef, 1))
    for k, class_curvature in enumerate(point.curvatures()):
        curvature += class_curvature
        fractions[k] = class_curvature.sum()
    fractions = np.sqrt(_replace_nonpositive_entries(fractions / max(fractions.mean(), np.finfo(np.float64).tiny)))
    n_sampled_rows = _count_shared_rows(objective)
    generator, influence = np.random.default_rng(0), objective.rows.influence
    sample = _sample_rows(objective, curvature / len(fractions), influence, n_sampled_rows, generator)
    block = _build_blocks(objective, 1, [sample])
    block.fractions = fractions
    return block


def count_block_bytes(objective: Objective, n_matrices: int) -> int:
    """Return the number of bytes of n_matrices blocks."""
    size = objective.shape[1]
    return n_matrices * size * (size + 1) // 2 * np.dtype(objective.fast_precision).itemsize


def build_class_blocks(point: Point, sample_size_multiple: int = 1) -> Preconditioner:
    """Return one block per class, each computed on a sample of the rows with curvature.

    The sample has `sample_size_multiple` times the usual number of rows. A row is sampled with probability
    q = min(1, c h_ik), and the weight is divided by q. If the sample is too expensive, it has only as many rows as
    contain most of the curvature. If that is still too expensive, the result is that of `build_shared_block`.
    """
    point = ensure_probabilities(point)
    objective = point.objective
    K, n_affordable_rows = objective.shape[0], _count_affordable_rows(objective)
    n_sampled_rows = [sample_size_multiple * _count_class_rows(objective)] * K
    if not are_class_blocks_affordable(objective, sample_size_multiple):
        n_sampled_rows = [
            min(n_sampled_rows[0], _count_rows_with_curvature(curvature)) for curvature in point.curvatures()
        ]
        if sum(n_sampled_rows) > n_affordable_rows:
            return build_shared_block(point)
    generator = np.random.default_rng(0)
    pairs = zip(point.curvatures(), n_sampled_rows, strict=True)
    influence = objective.rows.influence
    return _build_blocks(
        objective, K, (_sample_rows(objective, curvature, influence, m, generator) for curvature, m in pairs)
    )


def count_hessian_products(objective: Objective, builder: PreconditionerBuilder, sample_size_multiple: int = 1) -> int:
    """Return how many Hessian products a preconditioner is used for."""
    return 1 + 2 * count_build_passes(objective, builder, sample_size_multiple)


def count_build_passes(objective: Objective, builder: PreconditionerBuilder, sample_size_multiple: int = 1) -> int:
    """Return the cost of a builder in passes, for rows of equal curvature. Negligible costs count as 0."""
    matrix, (K, size) = objective.matrix, objective.shape
    if builder not in (build_class_blocks, build_shared_block):
        return 0
    n_blocks, n_sampled_rows = K, sample_size_multiple * _count_class_rows(objective)
    if builder is build_shared_block or not are_class_blocks_affordable(objective, sample_size_multiple):
        n_blocks, n_sampled_rows = 1, _count_shared_rows(objective)
    fraction = objective.n_rows / matrix.shape[0]
    gram_work = min(n_sampled_rows / objective.n_rows, 1.0) * fraction * matrix.count_gram_work() / 2
    # With few classes, a pass takes as long as reading X.
    pass_work = max(1.0, 2 * fraction * matrix.n_entries * max(K, SLOW_OPERATION_WORK))
    return int(n_blocks * (gram_work + size**3 / 6) // pass_work)


def is_factorization_affordable(objective: Objective) -> bool:
    """Return whether factorizing a block costs no more than the limit. The cost is too high for wide sparse data."""
    n_entries = objective.matrix.n_entries * objective.n_rows / objective.matrix.shape[0]
    return objective.shape[1] ** 3 / 6 <= SWITCH_THRESHOLD * n_entries


def are_class_blocks_affordable(objective: Objective, sample_size_multiple: int = 1) -> bool:
    """Return whether `build_class_blocks` can use `sample_size_multiple` times the usual number of rows per class."""
    K = objective.shape[0]
    return K == 1 or K * sample_size_multiple * _count_class_rows(objective) <= _count_affordable_rows(objective)


def _count_class_rows(objective):
    """Return the number of rows that `build_class_blocks` samples per class if the cost permits."""
    (K, size), min_sampled_rows = objective.shape, _count_min_sampled_rows(objective)
    n_rows_per_class = max(ROWS_PER_COLUMN * size, min_sampled_rows)
    # With many classes, passes are cheap relative to blocks, so half the rows are enough.
    should_halve_rows = K > MANY_CLASSES and K * n_rows_per_class <= _count_affordable_rows(objective)
    return max(ROWS_PER_COLUMN // 2 * size, min_sampled_rows) if should_halve_rows else n_rows_per_class


def _count_min_sampled_rows(objective):
    """Return the number of rows that a sample has if its parameters require fewer."""
    return objective.n_rows // 32


def _count_affordable_rows(objective):
    """Return the number of rows that all blocks together may use. They cost as much as SWITCH_THRESHOLD / 2 passes."""
    K, size = objective.shape
    return 2 * SWITCH_THRESHOLD * objective.n_rows * K // size


def _count_shared_rows(objective):
    """Return the number of rows that `build_shared_block` samples: up to 4 times as many as for a class."""
    min_sampled_rows = ROWS_PER_COLUMN * objective.shape[1]
    return min(4 * min_sampled_rows, max(min_sampled_rows, _count_affordable_rows(objective) // 4))


def _count_rows_with_curvature(curvature):
    """Return the smallest number of rows that together contain SAMPLED_CURVATURE_FRACTION of the curvature."""
    sums = np.cumsum(-np.sort(-curvature, kind="stable"), dtype=np.float64)
    return 1 + int(np.searchsorted(sums, SAMPLED_CURVATURE_FRACTION * sums[-1]))


def ensure_probabilities(point: Point) -> Point:
    """Return the point if its objective stores probabilities, otherwise a Point for a sample of the rows."""
    return point if point.objective.stores_probabilities else evaluate_sample(point)


def evaluate_sample(point: Point) -> Point:
    """Return a Point at the same parameters for a sample of the rows. Its probabilities fit into the budget."""
    objective = point.objective
    sample = _sample_within_budget(objective, objective.n_rows)
    return sample.at(point.parameters, objective.fast_precision, out=sample.make_probability_buffer())


def _sample_within_budget(objective, n_rows):
    """Return the objective of about `n_rows` rows, or of as many as the budget allows."""
    copied_bytes_per_row = 0 if objective.matrix.lies_in_memory else objective.matrix.row_bytes
    n_allowed_rows = objective.budget.count_sampled_rows(objective.bytes_per_row, copied_bytes_per_row)
    return objective.sample(min(n_rows, n_allowed_rows))


class WeightedSample(NamedTuple):
    """Sampled rows. With the weights (m,), their sums are unbiased estimates of sums over all rows.

    If x_j^2 is equal in all rows, `variance` bounds the variance of the estimated sum of x_j^2, relative to the sum.
    """

    row_indices: IntArray
    weights: FloatArray
    variance: float


def _sample_rows(objective, row_weights, influence, n_sampled_rows, generator):
    """Return about `n_sampled_rows` rows, in proportion to row_weights * influence, for sums of `row_weights`."""
    probability = _find_sampling_probabilities(row_weights * influence, n_sampled_rows)
    # Generating random numbers in float32 takes half the time of float64.
    sampled_indices = np.flatnonzero(generator.random(len(probability), np.float32) < probability)
    probability = probability[sampled_indices]
    row_indices, weights = objective.rows.row_indices, row_weights[sampled_indices] / probability
    max_weight = weights.max(where=probability < 1, initial=0.0)
    variance = float(max_weight / max(row_weights.sum(dtype=np.float64), np.finfo(np.float64).tiny))
    return WeightedSample(row_indices[sampled_indices] if len(row_indices) else sampled_indices, weights, variance)


def sample_hessian_rows(objective: Objective) -> Objective:
    """Return the objective over which a Hessian of all pairs of classes is summed: a sample if there are many rows.

    If probabilities are stored, rows with large weights or rare values are sampled more often.
    """
    n_sampled_rows, rows = count_hessian_rows(objective), objective.rows
    if not objective.stores_probabilities:
        return _sample_within_budget(objective, n_sampled_rows)
    if n_sampled_rows >= objective.n_rows:
        return objective
    if _has_even_rows(rows):
        return objective.sample(n_sampled_rows)
    weights = np.broadcast_to(rows.get_weights(rows.row_indices), rows.n_rows)
    influence = rows.sketched_influence if rows.has_rare_values else 1.0
    sample = _sample_rows(objective, weights, influence, n_sampled_rows, np.random.default_rng(0))
    return Objective(rows.take(sample.row_indices).with_weights(sample.weights), objective.penalty, objective.budget)


def _has_even_rows(rows):
    """Return whether rows have equal weights and no rare values, so that evenly spaced rows represent all rows."""
    return not (len(rows.weights) or rows.has_rare_values)


def count_hessian_rows(objective: Objective) -> int:
    """Return the number of rows that a Hessian of all pairs of classes requires."""
    return max(ROWS_PER_COLUMN * objective.n_parameters, _count_min_sampled_rows(objective))


def factorize_sampled_hessian(sample: Objective, point: Point) -> Preconditioner:
    """Return the factor of the Hessian at a point. `sample` is the result of `sample_hessian_rows`."""
    if sample is not point.objective:
        point = sample.at(point.parameters, point.objective.fast_precision, out=sample.make_probability_buffer())
    return factorize_hessian(point.objective, point.hessian())


def factorize_hessian(objective: Objective, matrix: FloatArray) -> Preconditioner:
    """Return the factor of a Hessian.

    `matrix` has the shape (K (d + 1), K (d + 1)), is ordered by class, and does not change.
    """
    K, m = objective.shape
    block_diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
    before = block_diagonals.copy()
    regularize_equal_class_changes(matrix, K)
    preconditioner = Preconditioner(1, K * m, objective.fast_precision)
    preconditioner.factorize(0, matrix[None].astype(objective.fast_precision, copy=False))
    block_diagonals[...] = before
    return preconditioner


def regularize_equal_class_changes(matrix: FloatArray, n_rows_coef: int) -> None:
    """Regularize a Hessian along equal changes of all classes. `matrix` is ordered by class.

    Softmax is flat along these changes, so the matrix is singular if the penalty is flat as well. The gradient has no
    component along these changes.
    """
    K, m = n_rows_coef, len(matrix) // n_rows_coef
    block_diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
    if K > 1:
        with np.errstate(invalid="ignore"):
            block_diagonals += _replace_nonpositive_entries(np.einsum("kkj->j", block_diagonals) / K**2)


def _find_sampling_probabilities(curvature, n_sampled_rows):
    """Return the sampling probabilities min(1, c * curvature). The expected number of rows determines c."""
    if n_sampled_rows >= np.count_nonzero(curvature):
        return (curvature > 0).astype(np.float64)
    # The sum over all rows gives a lower bound on c. Each iteration distributes the rest over rows with probability
    # below 1.
    is_certainly_sampled = np.zeros(len(curvature), bool)
    for _ in range(20):
        factor = (n_sampled_rows - is_certainly_sampled.sum()) / curvature[~is_certainly_sampled].sum(dtype=np.float64)
        is_probability_one = curvature * factor >= 1
        if (is_probability_one == is_certainly_sampled).all():
            break
        is_certainly_sampled = is_probability_one
    return np.minimum(1.0, curvature * factor)


def _build_blocks(objective, n_blocks, samples):
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
        sampled_indices = np.unique(np.concatenate([sample.row_indices for sample in samples]))
        if objective.budget.allows_array_bytes(len(sampled_indices) * rows.matrix.row_bytes):
            rows = rows.take(sampled_indices)
            samples = [
                sample._replace(row_indices=np.searchsorted(sampled_indices, sample.row_indices)) for sample in samples
            ]
    fraction = rows.total_weight / objective.rows.total_weight
    # A batch contains the matrices, and the row indices and weights of the samples.
    n_sampled_rows = max(_count_class_rows(objective), _count_shared_rows(objective))
    n_bytes = size**2 * np.dtype(precision).itemsize + 16 * min(n_sampled_rows, objective.n_rows)
    batch_size = max(1, min(n_blocks, MAX_PARTIAL_SUM_BYTES // n_bytes))
    samples = iter(samples)
    for first in range(0, n_blocks, batch_size):
        batch = list(islice(samples, batch_size))
        matrices = rows.grams_of_samples(
            np.concatenate([sample.row_indices for sample in batch]),
            np.cumsum([0, *(len(sample.row_indices) for sample in batch)]),
            np.concatenate([sample.weights for sample in batch]) * fraction,
            precision,
        )
        for matrix, sample in zip(matrices, batch, strict=True):
            diagonal = np.diagonal(matrix) + objective.penalty.curvatures
            missed_curvature_fraction = np.minimum(1.0, sample.variance * coordinates.peak_to_mean_ratios)
            total = sample.weights.sum(dtype=np.float64) / objective.rows.total_weight
            diagonal[:-1] += missed_curvature_fraction * total * coordinates.mean_squares[:-1]
            matrix[np.arange(size), np.arange(size)] = _replace_nonpositive_entries(diagonal)
        preconditioner.factorize(first, matrices)
    return preconditioner


def _replace_nonpositive_entries(diagonal):
    # A column of zeros without a penalty has no curvature and no gradient, so any positive number is suitable.
    return np.where(diagonal > 0, diagonal, 1.0)
