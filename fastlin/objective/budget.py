"""The memory that a fit may use in addition to X.

Decisions depend only on the shape of the problem and the bytes of X, and not on the number of threads. So the results
are bitwise the same on other machines.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from fastlin.typing import FloatType

MEGABYTE = 1 << 20
# The budget for a small X. For a larger X, the budget is four times the size of X.
MIN_BUDGET_BYTES = 256 * MEGABYTE
# This is enough for one block per class on data of moderate size (docs/benchmarks/design-choices.md: memory of blocks).
MIN_PRECONDITIONER_BYTES = 14 * MEGABYTE
# The bytes for the probabilities of a sample of the rows, if the probabilities of all rows exceed the budget
# (docs/benchmarks/design-choices.md: sampled probabilities).
MAX_SAMPLE_BYTES = 32 * MEGABYTE
# The limits of the pairs of steps and gradient changes that L-BFGS stores. If the budget is too small for
# MIN_FLOAT64_LBFGS_PAIRS pairs in float64, or the pairs exceed the caches, they are stored in float32. A step reads all
# pairs at least four times, so float32 halves the time.
MAX_LBFGS_PAIRS = 40
MIN_FLOAT64_LBFGS_PAIRS = 20
MAX_CACHED_LBFGS_BYTES = 16 * MEGABYTE
# Up to this number of parameters, the full Hessian is a better preconditioner than a block per class
# (docs/benchmarks/design-choices.md: small hessian).
SMALL_HESSIAN_SIZE = 600
# The limits of a Hessian: the number of parameters, and the number of multiply-adds for the sums over the rows (about
# ten seconds on one CPU core).
MAX_HESSIAN_PARAMETERS = 4096
MAX_HESSIAN_WORK = 400_000_000_000
# All concurrent fits together may use the budget of one fit or, if it is larger, this number of bytes.
MIN_CONCURRENT_FIT_BYTES = 1024 * MEGABYTE
# The number of vectors of parameters that a solver stores in addition to its L-BFGS pairs.
N_SOLVER_VECTORS = 10


@dataclass(frozen=True)
class Budget:
    """The number of bytes that a fit may use in addition to X."""

    bytes: int

    @classmethod
    def from_data_size(cls, n_bytes: int) -> Self:
        """Return the budget of a fit if X has `n_bytes` bytes: four times as many, but at least 256 MB."""
        return cls(max(MIN_BUDGET_BYTES, 4 * n_bytes))

    def allows_array_bytes(self, n_bytes: int) -> bool:
        """Return whether `n_bytes` is at most a quarter of the budget, which is the limit for arrays of one kind."""
        return n_bytes <= self.bytes // 4

    def allows_sample_bytes(self, n_bytes: int) -> bool:
        """Return whether a copy of sampled rows may use `n_bytes`. It may use the whole budget."""
        return n_bytes <= self.bytes

    def allows_preconditioner(self, n_bytes: int) -> bool:
        """Return whether a preconditioner may use `n_bytes`: up to 1/20 of the budget or, if it is more, 14 MB."""
        return n_bytes <= max(MIN_PRECONDITIONER_BYTES, self.bytes / 20)

    def allows_hessian(self, n_parameters: int, n_multiply_adds: int) -> bool:
        """Return whether a Hessian may be computed, given the numbers of parameters and of multiply-adds."""
        has_few_parameters = n_parameters <= MAX_HESSIAN_PARAMETERS and 8 * n_parameters**2 <= self.bytes
        return has_few_parameters and n_multiply_adds <= MAX_HESSIAN_WORK

    def count_sampled_rows(self, bytes_per_row: int, copied_bytes_per_row: int = 0) -> int:
        """Return the number of rows of a sample, given the bytes per row of probabilities and of copied rows."""
        n_rows = min(MAX_SAMPLE_BYTES, self.bytes // 8) // bytes_per_row
        return max(1, min(n_rows, self.bytes // 8 // copied_bytes_per_row) if copied_bytes_per_row else n_rows)

    def choose_lbfgs_pair_storage(self, n_parameters: int) -> tuple[int, FloatType]:
        """Return the number of pairs that L-BFGS stores, and their dtype. A pair has two vectors (n_parameters,)."""
        bytes_per_lbfgs_pair = 2 * 8 * n_parameters
        n_float64_lbfgs_pairs = self.bytes // bytes_per_lbfgs_pair
        if (
            n_float64_lbfgs_pairs >= MIN_FLOAT64_LBFGS_PAIRS
            and MAX_LBFGS_PAIRS * bytes_per_lbfgs_pair <= MAX_CACHED_LBFGS_BYTES
        ):
            return min(n_float64_lbfgs_pairs, MAX_LBFGS_PAIRS), np.float64
        return int(np.clip(2 * n_float64_lbfgs_pairs, 4, MAX_LBFGS_PAIRS)), np.float32

    def count_concurrent_fits(self, n_rows: int, shape: tuple[int, int], is_smooth: bool) -> int:
        """Return how many fits may run at once, at least one. `shape` (K, d + 1) is that of the parameters.

        Each fit is assumed to use the maximum: row weights, indices and probabilities, and L-BFGS pairs or a Hessian.
        """
        K, size = shape
        n_parameters = K * size
        n_pairs, kind = self.choose_lbfgs_pair_storage(n_parameters)
        row_bytes = 8 * n_rows * (2 + K * (1 if is_smooth else 4))
        solver_vector_bytes = (2 * n_pairs + N_SOLVER_VECTORS) * np.dtype(kind).itemsize * n_parameters
        if is_smooth and n_rows < size:
            solver_vector_bytes = max(
                solver_vector_bytes, 4 * 8 * n_rows * K * self.count_row_space_lbfgs_pairs(n_rows * K)
            )
        hessian_bytes = min(4 * K * size**2, self.bytes // 4)
        if not is_smooth and n_parameters <= MAX_HESSIAN_PARAMETERS:
            hessian_bytes = 16 * n_parameters**2
        return int(
            max(
                1,
                max(MIN_CONCURRENT_FIT_BYTES, self.bytes)
                // min(row_bytes + solver_vector_bytes + hessian_bytes, self.bytes),
            )
        )

    def count_row_space_lbfgs_pairs(self, n_row_multipliers: int) -> int:
        """Return the number of L-BFGS pairs to store in the row space. A vector has `n_row_multipliers` multipliers."""
        return int(min(self.bytes // (4 * 8 * max(1, n_row_multipliers)), MAX_LBFGS_PAIRS))
