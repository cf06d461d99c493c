"""The memory budget of a fit in addition to X.

Decisions depend only on the shape of the problem and the bytes of X, never on the number of threads, so that results
are bitwise the same on other machines.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from fastlin.typing import FloatType

MEGABYTE = 1 << 20
# The budget for a small X; for a larger X it is four times X.
MIN_BYTES = 256 * MEGABYTE
# Enough for one block per class on data of moderate size (docs/benchmarks/design-choices.md: memory of blocks).
MIN_PRECONDITIONER_BYTES = 14 * MEGABYTE
# The probabilities of a sample of the rows, if those of all rows do not fit
# (docs/benchmarks/design-choices.md: sampled probabilities).
SAMPLE_BYTES = 32 * MEGABYTE
# Pairs of steps and gradient changes that L-BFGS keeps. If fewer than MIN_PAIRS in float64 fit, or the pairs exceed the
# caches, they are kept in float32: a step reads all of them at least four times, which takes half the time then.
MAX_PAIRS = 40
MIN_PAIRS = 20
MAX_CACHED_PAIR_BYTES = 16 * MEGABYTE
# Up to this number of parameters, a whole Hessian is a better preconditioner than a block per class
# (docs/benchmarks/design-choices.md: small hessian).
SMALL_HESSIAN = 600
# The largest Hessian: its number of parameters, and the multiply-adds of its sums over the rows, about ten seconds of
# one core.
MAX_HESSIAN_PARAMETERS = 4096
MAX_HESSIAN_WORK = 400_000_000_000
# Concurrent fits together may use the budget of one fit, and at least this.
MIN_CONCURRENT_BYTES = 1024 * MEGABYTE
# Vectors of the length of the parameters that a solver holds in addition to its pairs.
N_SOLVER_VECTORS = 10


@dataclass(frozen=True)
class Budget:
    """The bytes that a fit may take in addition to X."""

    bytes: int

    @classmethod
    def for_data(cls, n_bytes: int) -> Self:
        """Return the budget of a fit for an X of n_bytes: four times X, at least 256 MB."""
        return cls(max(MIN_BYTES, 4 * n_bytes))

    def holds(self, n_bytes: int) -> bool:
        """Return whether arrays of one kind may take n_bytes: up to a quarter of the budget, that is X or 64 MB."""
        return n_bytes <= self.bytes // 4

    def holds_sample(self, n_bytes: int) -> bool:
        """Return whether rows copied for a first solution may take n_bytes: up to the whole budget, still unused."""
        return n_bytes <= self.bytes

    def holds_preconditioner(self, n_bytes: int) -> bool:
        """Return whether a preconditioner may take n_bytes: up to a twentieth of the budget, a fifth of a large X."""
        return n_bytes <= max(MIN_PRECONDITIONER_BYTES, self.bytes / 20)

    def holds_hessian(self, n_parameters: int, work: int) -> bool:
        """Return whether a Hessian may be built, given its number of parameters and the work of its sums."""
        is_small = n_parameters <= MAX_HESSIAN_PARAMETERS and 8 * n_parameters**2 <= self.bytes
        return is_small and work <= MAX_HESSIAN_WORK

    def count_sampled_rows(self, bytes_per_row: int, copied_bytes: int = 0) -> int:
        """Return the number of rows of a sample, given the bytes per row of its probabilities and of its copy."""
        n_rows = min(SAMPLE_BYTES, self.bytes // 8) // bytes_per_row
        return max(1, min(n_rows, self.bytes // 8 // copied_bytes) if copied_bytes else n_rows)

    def choose_pairs(self, n_parameters: int) -> tuple[int, FloatType]:
        """Return the number of pairs of vectors of n_parameters that L-BFGS keeps, and their type."""
        bytes_per_pair = 2 * 8 * n_parameters
        in_float64 = self.bytes // bytes_per_pair
        if in_float64 >= MIN_PAIRS and MAX_PAIRS * bytes_per_pair <= MAX_CACHED_PAIR_BYTES:
            return min(in_float64, MAX_PAIRS), np.float64
        return int(np.clip(2 * in_float64, 4, MAX_PAIRS)), np.float32

    def count_concurrent_fits(self, n_rows: int, shape: tuple[int, int], is_smooth: bool) -> int:
        """Return how many fits with n_rows rows and parameters of a shape (K, d + 1) may run at a time, at least one.

        Each fit is assumed to use all it may: weights, indices and probabilities of rows, and pairs or a Hessian.
        """
        K, size = shape
        n_parameters = K * size
        n_pairs, kind = self.choose_pairs(n_parameters)
        row_bytes = 8 * n_rows * (2 + K * (1 if is_smooth else 4))
        vector_bytes = (2 * n_pairs + N_SOLVER_VECTORS) * np.dtype(kind).itemsize * n_parameters
        if is_smooth and n_rows < size:
            vector_bytes = max(vector_bytes, 4 * 8 * n_rows * K * self.count_row_pairs(n_rows * K))
        curvature_bytes = min(4 * K * size**2, self.bytes // 4)
        if not is_smooth and n_parameters <= MAX_HESSIAN_PARAMETERS:
            curvature_bytes = 16 * n_parameters**2
        return int(
            max(1, max(MIN_CONCURRENT_BYTES, self.bytes) // min(row_bytes + vector_bytes + curvature_bytes, self.bytes))
        )

    def count_row_pairs(self, n_multipliers: int) -> int:
        """Return the number of L-BFGS pairs to store in the row space, for vectors of n_multipliers entries."""
        return int(min(self.bytes // (4 * 8 * max(1, n_multipliers)), MAX_PAIRS))
