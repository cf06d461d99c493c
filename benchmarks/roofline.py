"""The rates of the machine that limit a pass: how fast its threads read memory, and multiply and add in registers."""

import numba
import numpy as np

from fastlin.kernels.machine.threads import run_blocks

# Each measured loop is cut into so many blocks, which the threads share as they share those of a pass.
N_BLOCKS = 32
# The length of a chain of multiply-adds on one number. Chains of 8 to 32 run at the full rate: 59 GFLOP/s in float64
# and 118 in float32 on a core with 3.7 GHz and one 512-bit multiply-add a cycle. With 64 too few chains are under way
# at once, and the rate is half of that.
CHAIN = 16
# The numbers that each start a chain; so many fit into the fastest cache.
N_STARTS = 1024


@numba.njit(nogil=True, error_model="numpy")
def read_block(block, n_blocks, values, sums):
    """sums[block] = the sum of a block of whole numbers, which waits for nothing but their bytes."""
    n = values.shape[0]
    # The loop is vectorised only over a slice and from 0 on, because an index could otherwise be negative.
    part = values[block * n // n_blocks : (block + 1) * n // n_blocks]
    total = np.int64(0)
    for i in range(part.shape[0]):
        total += part[i]
    sums[block] = total


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def multiply_add_block(block, n_blocks, starts, factor, term, n_rounds, sums):
    """sums[block] = n_rounds times the sum of starts after CHAIN multiply-adds each, computed in registers.

    The compiler puts neighbouring starts into one vector. Each step of a chain waits for the one before it, so that the
    processor works on the chains of several vectors at once.
    """
    total = starts.dtype.type(0)
    for _ in range(n_rounds):
        for i in range(starts.shape[0]):
            value = starts[i]
            for _ in range(CHAIN):
                value = value * factor + term
            total += value
    sums[block] = total


def make_read(X):
    """Return a function that reads all bytes of X once, and returns the sum of each block as whole numbers."""
    flat = X.reshape(-1, order="A").view(np.uint8)
    # Whole numbers of eight bytes are read, and up to seven bytes at the end are left out.
    values = flat[: flat.size // 8 * 8].view(np.int64)
    sums = np.empty(N_BLOCKS, np.int64)

    def read():
        run_blocks(read_block, N_BLOCKS, values, sums)
        return sums

    return read


def make_arithmetic(n_operations, precision):
    """Return a function that does about n_operations, two in a multiply-add, and the number that it does.

    The function returns the sum of each block.
    """
    starts = np.linspace(0, 1, N_STARTS, dtype=precision)
    n_rounds = max(1, round(n_operations / (2 * CHAIN * N_STARTS * N_BLOCKS)))
    sums = np.empty(N_BLOCKS, precision)
    # All chains go towards a half, so that no number overflows.
    factor, term = precision(0.5), precision(0.25)

    def compute():
        run_blocks(multiply_add_block, N_BLOCKS, starts, factor, term, n_rounds, sums)
        return sums

    return compute, 2 * CHAIN * N_STARTS * N_BLOCKS * n_rounds
