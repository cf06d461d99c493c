"""Roofline: fastlin's speed relative to the limits of the machine, which are measured in the same run.

A pass must read X once and compute the 4 n d K operations of two products. The slower of the two is the limit.
"""

import os
import shutil
import tempfile
import weakref
from functools import partial
from statistics import median

import numba
import numpy as np

from benchmarks import networks
from benchmarks.comparisons import FASTLIN, N_REPETITIONS, Case, measure_interleaved_calls
from benchmarks.passes import N_CLASSES, make_pass
from fastlin.benchmarking.timing import summarize_ratios
from fastlin.blocks import from_arrays
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import run_blocks
from fastlin.matrices import BlockMatrix

N_ROWS, N_FEATURES = 60_000, 784
N_CALLS = 3
# A file of 1.6 GB in uint8.
N_FILE_ROWS, READ_CHUNK_BYTES = 2_000_000, 8 << 20
N_BLOCKS = 32
# Length of a chain of multiply-adds on one number. Lengths from 8 to 32 reach the maximum rate.
CHAIN_LENGTH = 16
# Number of chains. Their values fit in the L1 cache.
N_CHAINS = 1024


@numba.njit(nogil=True, error_model="numpy")
def sum_block(block, n_blocks, values, block_sums):
    """Set block_sums[block] to the sum of a block of integers. Only memory reads limit the speed."""
    n = values.shape[0]
    chunk = values[block * n // n_blocks : (block + 1) * n // n_blocks]
    total = np.int64(0)
    for i in range(chunk.shape[0]):
        total += chunk[i]
    block_sums[block] = total


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def multiply_add_block(block, n_blocks, starts, factor, added_term, n_rounds, block_sums):
    """Set block_sums[block] to `n_rounds` times the sum of the starts after CHAIN_LENGTH multiply-adds in registers."""
    total = starts.dtype.type(0)
    for _ in range(n_rounds):
        for i in range(starts.shape[0]):
            value = starts[i]
            for _ in range(CHAIN_LENGTH):
                value = value * factor + added_term
            total += value
    block_sums[block] = total


def make_read_function(X):
    """Return a function that reads X as 8-byte integers and returns the sum of each block."""
    flat_bytes = X.reshape(-1, order="A").view(np.uint8)
    values = flat_bytes[: flat_bytes.size // 8 * 8].view(np.int64)
    block_sums = np.empty(N_BLOCKS, np.int64)

    def read_integers():
        run_blocks(sum_block, N_BLOCKS, values, block_sums)
        return block_sums

    return read_integers


def make_arithmetic_function(n_operations, precision):
    """Return a function that runs about `n_operations` operations, and their exact number. A multiply-add is two."""
    starts = np.linspace(0, 1, N_CHAINS, dtype=precision)
    n_rounds = max(1, round(n_operations / (2 * CHAIN_LENGTH * N_CHAINS * N_BLOCKS)))
    block_sums = np.empty(N_BLOCKS, precision)
    # All chains converge to 1/2, so no number overflows.
    factor, added_term = precision(0.5), precision(0.25)

    def run_arithmetic():
        run_blocks(multiply_add_block, N_BLOCKS, starts, factor, added_term, n_rounds, block_sums)
        return block_sums

    return run_arithmetic, 2 * CHAIN_LENGTH * N_CHAINS * N_BLOCKS * n_rounds


def measure_limit(loaded_data, is_full_run):
    """Return the times of fastlin and its limits. `loaded_data` contains a description and a dict of functions."""
    data, calls = loaded_data
    repeated_seconds = measure_interleaved_calls(calls, N_REPETITIONS, N_CALLS)
    seconds = {name: median(times) for name, times in repeated_seconds.items()}
    slowest_limit = max(seconds.keys() - {FASTLIN}, key=seconds.get)
    speed_fractions = summarize_ratios(
        [
            limit / fastlin_seconds
            for limit, fastlin_seconds in zip(repeated_seconds[slowest_limit], repeated_seconds[FASTLIN], strict=True)
        ]
    )
    return {
        "data": data,
        "limit": slowest_limit,
        "libraries": {name: {"seconds": value} for name, value in seconds.items()},
        "speed_fraction": speed_fractions["ratio"],
        "speed_fraction_interval": speed_fractions["interval"],
    }


def load_pass_calls(n_rows, dtype, order="C"):
    """Return three functions to time: a pass over noise with MNIST's shape, a read of X, and the pass's arithmetic."""
    X = np.random.default_rng(0).integers(0, 256, (n_rows or N_ROWS, N_FEATURES), np.uint8)
    X = np.asarray(X if dtype == "uint8" else (X / 255).astype(dtype), order=order)
    fused_pass = make_pass(X)
    arithmetic, _ = make_arithmetic_function(4 * X.size * N_CLASSES, fused_pass.precision)
    data_description = f"{len(X):,} × {N_FEATURES}, {N_CLASSES} classes, {X.dtype}{', F order' if order == 'F' else ''}"
    return data_description, {FASTLIN: fused_pass, "reading X": make_read_function(X), "its arithmetic": arithmetic}


def load_step_calls(n_rows):
    """Return a step on a large batch, and the matrix products of the step alone, on contiguous rows."""
    X, y = networks.simulate_rows(n_rows or networks.N_ROWS_OF_LARGE_DATA, networks.N_FEATURES_OF_LARGE_DATA)
    batch_size = min(networks.LARGE_BATCH_SIZE, len(X) // 2)
    data_description = f"{batch_size:,} × {X.shape[1]:,}, {networks.N_HIDDEN_UNITS} hidden units, {X.dtype}"
    calls = {FASTLIN: networks.LargeBatchStep(X, y, batch_size)}
    return data_description, {**calls, "its products alone": networks.LargeBatchProducts(X, batch_size)}


def drop_cached_pages(path):
    """Drop the cached pages of a file, so that the next read is from the disk."""
    with open(path, "rb") as file:
        # Pages that are not yet on the disk cannot be dropped.
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_from_disk(path):
    """Read a file once from the disk."""
    drop_cached_pages(path)
    chunk = bytearray(READ_CHUNK_BYTES)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(chunk):
            pass


def run_pass_over_file(fused_pass, path):
    """Run a FusedPass over blocks of a file on disk that contains its X."""
    drop_cached_pages(path)
    rows = fused_pass.objective.rows
    samples = Samples(rows.row_indices, rows.labels, rows.weights)
    matrix = BlockMatrix(from_arrays(np.load(path, mmap_mode="r")))
    passes = matrix.passes(samples, rows.coordinates.scaling, rows.n_rows_coef)
    parameters = fused_pass.parameters.astype(fused_pass.precision)
    passes.evaluate(parameters, None, np.empty(parameters.shape))


def load_block_calls(n_rows, dtype):
    """Return a pass over blocks of an uncached file, a read of that file, and the pass in memory."""
    if not hasattr(os, "posix_fadvise"):
        raise NotImplementedError("this system cannot drop the cached pages of a file")
    values = np.random.default_rng(0).integers(0, 256, (N_ROWS, N_FEATURES), np.uint8)
    X = np.resize(values if dtype == "uint8" else values.astype(dtype), (n_rows or N_FILE_ROWS, N_FEATURES))
    folder, fused_pass = tempfile.mkdtemp(), make_pass(X)
    weakref.finalize(fused_pass, shutil.rmtree, folder)
    path = f"{folder}/X.npy"
    np.save(path, X)
    data_description = f"{len(X):,} × {N_FEATURES}, {N_CLASSES} classes, {X.dtype}, a file of {X.nbytes / 1e9:.2g} GB"
    return data_description, {
        FASTLIN: lambda: run_pass_over_file(fused_pass, path),
        "reading the file": lambda: read_from_disk(path),
        "the pass in memory": fused_pass,
    }


def _make_limit_case(title, load, rows=20_000):
    return Case("limit", title, load, measure_limit, rows)


LIMIT_CASES = {
    **{
        f"limit-pass-{dtype}": _make_limit_case("a pass for loss and gradient", partial(load_pass_calls, dtype=dtype))
        for dtype in ("float64", "float32", "uint8")
    },
    "limit-pass-float64-F": _make_limit_case(
        "a pass for loss and gradient", partial(load_pass_calls, dtype="float64", order="F")
    ),
    **{
        f"limit-blocks-{dtype}": _make_limit_case(
            "a pass over blocks of a file that is on disk alone", partial(load_block_calls, dtype=dtype)
        )
        for dtype in ("uint8", "float32")
    },
    "limit-step": _make_limit_case("a step of a network on a large batch", load_step_calls, 10_000),
}
