"""The one place that decides how much memory a fit may take in addition to X.

A decision follows from the shape of the problem and the bytes of X alone, never from the number of threads: otherwise
another machine would find other bits.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from fastlin.typing import FloatType

MEGABYTE = 1 << 20
# What a fit may take in addition to a small X; for a larger one it is four times X.
SMALLEST = 256 * MEGABYTE
# On MNIST in float32 (188 MB) the blocks of ten classes take 12 MB, and the fit 21 iterations; the one block for all
# classes takes 1.2 MB, and the fit 73 iterations.
SMALLEST_PRECONDITIONER = 14 * MEGABYTE
# The probabilities of a sample of the rows, if not all probabilities fit. With 1,000 classes 512 columns need
# 8,000 rows: of half as many the first step ends 13 % higher.
SAMPLE = 32 * MEGABYTE
# Pairs of steps and gradient changes that L-BFGS keeps. Fewer than FEWEST_PAIRS in float64 are kept in float32 instead,
# and so are pairs beyond the caches: a step reads all of them four times and more, from memory at half the time.
MAX_PAIRS = 40
FEWEST_PAIRS = 20
CACHED_PAIRS = 16 * MEGABYTE
# A whole Hessian of so few parameters takes next to no time. As a preconditioner it takes Letter (16,000 x 16, 26
# classes) to 1e-6 in 0.07 s, a block for each class in 0.15 s; digits (650 parameters) take 0.11 and 0.03 s.
SMALL_HESSIAN = 600
# The most parameters of a larger one, and the most multiply-adds of its sums over the rows: some ten seconds of one
# processor.
LARGEST_HESSIAN = 4096
MAX_HESSIAN_WORK = 400_000_000_000
# Fits that run at once hold together no more than one of them may for a large X, or than this for a small one.
BATCH_SIZE = 1024 * MEGABYTE
# Vectors of all parameters that a solver holds in addition to its pairs.
OWN_VECTORS = 10


@dataclass(frozen=True)
class Budget:
    """The bytes that a fit may take in addition to X; `count_at_once` says how many fits run at once."""

    bytes: int

    @classmethod
    def beside(cls, n_bytes: int) -> Self:
        """Return the budget of a fit of an X of n_bytes: four times X, and at least 256 MB."""
        return cls(max(SMALLEST, 4 * n_bytes))

    def holds(self, n_bytes: int) -> bool:
        """Say whether one kind of kept arrays may take n_bytes: a quarter of the budget, X or 64 MB."""
        return n_bytes <= self.bytes // 4

    def holds_sample(self, n_bytes: int) -> bool:
        """Say whether rows copied for a first solution may take n_bytes: the whole budget, as yet unused."""
        return n_bytes <= self.bytes

    def holds_preconditioner(self, n_bytes: int) -> bool:
        """Say whether a preconditioner may take n_bytes: a twentieth of the budget, a fifth of a large X."""
        return n_bytes <= max(SMALLEST_PRECONDITIONER, self.bytes / 20)

    def holds_hessian(self, n_parameters: int, work: int) -> bool:
        """Say whether a Hessian may be built, by its number of parameters and the work of its sums over the rows."""
        is_small = n_parameters <= LARGEST_HESSIAN and 8 * n_parameters**2 <= self.bytes
        return is_small and work <= MAX_HESSIAN_WORK

    def count_sampled_rows(self, bytes_a_row: int, copied_bytes: int = 0) -> int:
        """Return how many rows a sample has, by the bytes of a row's probabilities and of its copy."""
        n_rows = min(SAMPLE, self.bytes // 8) // bytes_a_row
        return max(1, min(n_rows, self.bytes // 8 // copied_bytes) if copied_bytes else n_rows)

    def choose_pairs(self, n_parameters: int) -> tuple[int, FloatType]:
        """Return how many pairs of vectors of n_parameters L-BFGS keeps, and their type: float32 takes half."""
        bytes_a_pair = 2 * 8 * n_parameters
        in_float64 = self.bytes // bytes_a_pair
        if in_float64 >= FEWEST_PAIRS and MAX_PAIRS * bytes_a_pair <= CACHED_PAIRS:
            return min(in_float64, MAX_PAIRS), np.float64
        return int(np.clip(2 * in_float64, 4, MAX_PAIRS)), np.float32

    def count_at_once(self, n_rows: int, shape: tuple[int, int], is_smooth: bool) -> int:
        """Return how many fits with n_rows rows and parameters of a shape (K, d + 1) may run at once, at least one.

        A fit counts as if it kept all that it may: weights, numbers and probabilities of rows, and pairs or a Hessian.
        """
        K, size = shape
        n_parameters = K * size
        n_pairs, kind = self.choose_pairs(n_parameters)
        of_rows = 8 * n_rows * (2 + K * (1 if is_smooth else 4))
        of_vectors = (2 * n_pairs + OWN_VECTORS) * np.dtype(kind).itemsize * n_parameters
        if is_smooth and n_rows < size:
            of_vectors = max(of_vectors, 4 * 8 * n_rows * K * self.count_row_pairs(n_rows * K))
        of_curvature = min(4 * K * size**2, self.bytes // 4)
        if not is_smooth and n_parameters <= LARGEST_HESSIAN:
            of_curvature = 16 * n_parameters**2
        return int(max(1, max(BATCH_SIZE, self.bytes) // min(of_rows + of_vectors + of_curvature, self.bytes)))

    def count_row_pairs(self, n_numbers: int) -> int:
        """Return how many pairs L-BFGS keeps in the row space, by the multipliers and scores of a pair."""
        return int(min(self.bytes // (4 * 8 * max(1, n_numbers)), MAX_PAIRS))
