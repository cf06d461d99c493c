"""asv benchmarks of how near a pass over X comes to the limit of the machine, which is measured in the same run.

A pass for loss and gradient has to read X once and to do 4 n d K operations, those of two products. The same threads
need one time for a plain read of the bytes of X, and another for as many operations in registers. The limit is the
longer of the two.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from time import perf_counter

import numba
import numpy as np

from benchmarks.common import load_data
from benchmarks.kernels import N_CLASSES, FusedPass, draw_coef
from fastlin.kernels.machine.threads import count_threads, run_blocks

N_ROWS, N_FEATURES = 60_000, 784
# The type of X and its order in memory.
LAYOUTS = {
    "float64": ("float64", "C"),
    "float32": ("float32", "C"),
    "uint8": ("uint8", "C"),
    "float64, F order": ("float64", "F"),
}
# A turn makes so many calls one after the other, as a solver does.
N_CALLS = 3
N_TURNS, SMOKE_TURNS = 9, 1
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


@dataclass(frozen=True)
class Roofline:
    """The seconds of a pass and of what limits it, as medians of measurements in turn.

    Attributes
    ----------
    fused_pass : float
        The seconds of a pass.
    read : float
        The seconds of reading X.
    arithmetic : float
        The seconds of the operations of a pass in registers.
    """

    fused_pass: float
    read: float
    arithmetic: float

    @property
    def limit(self):
        """The seconds that a pass needs at least."""
        return max(self.read, self.arithmetic)

    @property
    def percentage(self):
        """The speed of a pass in per cent of the limit."""
        return 100 * self.limit / self.fused_pass


def load_layout(name, n_rows=N_ROWS):
    """Return X and labels in a layout of LAYOUTS: MNIST, or noise of its shape where that is missing."""
    dtype, order = LAYOUTS[name]
    try:
        data = load_data("mnist", n_rows, dtype)
        X, labels = data.X_train, data.y_train
    except NotImplementedError:
        generator = np.random.default_rng(0)
        X = generator.integers(0, 256, (n_rows, N_FEATURES), np.uint8)
        X = X if dtype == "uint8" else (X / 255).astype(dtype)
        labels = np.arange(n_rows) % N_CLASSES
    return np.asarray(X, order=order), labels


def measure(X, labels, n_turns=N_TURNS):
    """Return the Roofline of a pass over X on as many threads as fastlin uses."""
    fused_pass = FusedPass(X, labels, N_CLASSES, *draw_coef(X))
    n_operations = 4 * X.size * N_CLASSES
    arithmetic, n_done = make_arithmetic(n_operations, fused_pass.precision)
    calls = {"pass": fused_pass, "read": make_read(X), "arithmetic": arithmetic}
    seconds = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(n_turns):
        for name, call in calls.items():
            begin = perf_counter()
            for _ in range(N_CALLS):
                call()
            seconds[name].append((perf_counter() - begin) / N_CALLS)
    medians = {name: median(times) for name, times in seconds.items()}
    return Roofline(medians["pass"], medians["read"], medians["arithmetic"] * n_operations / n_done)


# One measurement serves all four tracks where asv runs them in one process.
@lru_cache(maxsize=1)
def _measure_layout(name):
    return measure(*load_layout(name))


class PassAndLimit:
    """Loss and gradient on the shape of MNIST, 60,000 x 784 and 10 classes."""

    params = list(LAYOUTS)
    param_names = ("layout",)
    timeout = 120

    def track_percentage_of_limit(self, layout):
        return _measure_layout(layout).percentage

    track_percentage_of_limit.unit = "% of the machine's limit"

    def track_pass(self, layout):
        return 1e3 * _measure_layout(layout).fused_pass

    track_pass.unit = "ms"

    def track_read(self, layout):
        return 1e3 * _measure_layout(layout).read

    track_read.unit = "ms"

    def track_arithmetic(self, layout):
        return 1e3 * _measure_layout(layout).arithmetic

    track_arithmetic.unit = "ms"


def main():
    """Print the table of all layouts."""
    print(f"60,000 x 784, 10 classes, {count_threads()} threads; milliseconds")
    print(f"{'X':18} {'pass':>7} {'read':>7} {'arithmetic':>11} {'pass/limit':>11} {'% of limit':>11}")
    for name in LAYOUTS:
        roofline = measure(*load_layout(name))
        times = [1e3 * seconds for seconds in (roofline.fused_pass, roofline.read, roofline.arithmetic)]
        print(
            f"{name:18} {times[0]:7.2f} {times[1]:7.2f} {times[2]:11.2f} {roofline.fused_pass / roofline.limit:11.2f} "
            f"{roofline.percentage:11.0f}"
        )


if __name__ == "__main__":
    main()
