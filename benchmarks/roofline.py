"""asv benchmarks of how near a pass over the data comes to the machine's limit, measured in the same run.

A pass for loss and gradient has to read X once and to do 4 n d K operations (two products). The limit is the longer of
the times that the same threads need for a plain read of X's bytes and for as many operations in registers.
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
# What X is: its type, and its order in memory.
LAYOUTS = {
    "float64": ("float64", "C"),
    "float32": ("float32", "C"),
    "uint8": ("uint8", "C"),
    "float64, F order": ("float64", "F"),
}
# Calls per turn, one after the other, as a solver makes passes.
N_CALLS = 3
N_TURNS, SMOKE_TURNS = 9, 1
# Blocks that each measured loop is cut into, handed out in turn as those of a pass.
N_BLOCKS = 32
# Multiply-adds in a row on one number. 8 to 32 run at the full rate (59 GFLOP/s in float64, 118 in float32 on a core
# with 3.7 GHz and one 512-bit multiply-add a cycle), 64 at half of it: then too few chains are on their way at once.
CHAIN = 16
# Numbers that each start a chain: they stay in the fastest cache.
N_STARTS = 1024


@numba.njit(nogil=True, error_model="numpy")
def read_block(block, n_blocks, values, sums):
    """sums[block] = the sum of a block of values, whole numbers: a read of their bytes and nothing else to wait for."""
    n = values.shape[0]
    # A slice that is walked from 0: otherwise the index might be negative, and the loop would not be vectorised.
    part = values[block * n // n_blocks : (block + 1) * n // n_blocks]
    total = np.int64(0)
    for i in range(part.shape[0]):
        total += part[i]
    sums[block] = total


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def multiply_add_block(block, n_blocks, starts, factor, term, n_rounds, sums):
    """sums[block] = the sum of starts after CHAIN multiply-adds each, n_rounds times: all of it in registers.

    The compiler puts neighbouring starts into one vector; a chain waits for itself, and so the processor works on the
    chains of several vectors at once.
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
    """Return a function that reads the bytes of X once."""
    flat = X.reshape(-1, order="A").view(np.uint8)
    # Whole numbers of eight bytes; up to seven bytes at the end are left out.
    values = flat[: flat.size // 8 * 8].view(np.int64)
    sums = np.empty(N_BLOCKS, np.int64)
    return lambda: run_blocks(read_block, N_BLOCKS, values, sums)


def make_arithmetic(n_operations, precision):
    """Return a function that does about n_operations operations, two in a multiply-add, and how many it does."""
    starts = np.linspace(0, 1, N_STARTS, dtype=precision)
    n_rounds = max(1, round(n_operations / (2 * CHAIN * N_STARTS * N_BLOCKS)))
    sums = np.empty(N_BLOCKS, precision)
    # Towards a half, so that no number leaves the range.
    arguments = starts, precision(0.5), precision(0.25), n_rounds, sums
    return lambda: run_blocks(multiply_add_block, N_BLOCKS, *arguments), 2 * CHAIN * N_STARTS * N_BLOCKS * n_rounds


@dataclass(frozen=True)
class Roofline:
    """Seconds of a pass, of reading X and of its arithmetic: medians, all measured in turn."""

    walk: float
    read: float
    arithmetic: float

    @property
    def limit(self):
        """The seconds that a pass needs at least."""
        return max(self.read, self.arithmetic)

    @property
    def percentage(self):
        """How much of the limit's speed a pass reaches."""
        return 100 * self.limit / self.walk


def load_layout(name, n_rows=N_ROWS):
    """Return X, labels in a layout of LAYOUTS: MNIST, or noise of its shape where it is missing."""
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
    """Return the Roofline of a pass over X, on as many threads as fastlin uses."""
    walk = FusedPass(X, labels, N_CLASSES, *draw_coef(X))
    n_operations = 4 * X.size * N_CLASSES
    arithmetic, n_done = make_arithmetic(n_operations, walk.precision)
    calls = {"walk": walk, "read": make_read(X), "arithmetic": arithmetic}
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
    return Roofline(medians["walk"], medians["read"], medians["arithmetic"] * n_operations / n_done)


# One measurement for the four figures, where asv runs them in one process.
@lru_cache(maxsize=1)
def _measure_layout(name):
    return measure(*load_layout(name))


class PassAndLimit:
    """Loss and gradient on MNIST's shape, 60,000 x 784 and 10 classes."""

    params = list(LAYOUTS)
    param_names = ("layout",)
    timeout = 120

    def track_percentage_of_limit(self, layout):
        return _measure_layout(layout).percentage

    track_percentage_of_limit.unit = "% of the machine's limit"

    def track_pass(self, layout):
        return 1e3 * _measure_layout(layout).walk

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
        times = [1e3 * seconds for seconds in (roofline.walk, roofline.read, roofline.arithmetic)]
        print(
            f"{name:18} {times[0]:7.2f} {times[1]:7.2f} {times[2]:11.2f} {roofline.walk / roofline.limit:11.2f} "
            f"{roofline.percentage:11.0f}"
        )


if __name__ == "__main__":
    main()
