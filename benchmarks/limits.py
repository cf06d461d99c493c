"""How near fastlin comes to what the machine allows, which is measured in the same run.

A pass for loss and gradient has to read X once and to do 4 n d K operations, those of two products. The same threads
need one time for a plain read of the bytes of X, and another for as many operations in registers. The limit is the
longer of the two. A step of a network on a large batch cannot be faster than its products of matrices alone. A pass
over blocks of a file that lies on disk alone takes at least as long as reading the file, or as the pass over the same
rows in memory.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.intervals import describe_turns
from benchmarks.networks import (
    LARGE_BATCH_SIZE,
    N_CLASSES,
    N_HIDDEN,
    N_LARGE_FEATURES,
    N_LARGE_ROWS,
    LargeProducts,
    LargeStep,
    draw_data,
)
from benchmarks.passes import FusedPass, draw_coef
from benchmarks.races import FASTLIN, TURNS, measure_in_turn
from benchmarks.roofline import make_arithmetic, make_read
from fastlin.blocks import from_arrays
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import BlockMatrix

# The shape of MNIST.
N_ROWS, N_FEATURES = 60_000, 784
N_CALLS = 3
# A file of 1.6 GB in uint8.
N_FILE_ROWS, READ_BYTES = 2_000_000, 8 << 20


@dataclass(frozen=True)
class Limit:
    """A row of the table: what fastlin does, and what that takes at least.

    Attributes
    ----------
    title : str
        What tables call it.
    load : callable
        The function from a number of rows, or None for all, to two things: the shape in words, and a dict from
        "fastlin" and the name of each limit to the function that is timed.
    rows : int
        The number of rows of a short measurement.
    """

    title: str
    load: Callable
    rows: int


def measure_limit(limit, whole=False):
    """Return what fastlin takes and what limits it, as plain values.

    Parameters
    ----------
    limit : Limit
        What is measured.
    whole : bool
        Whether all rows are taken.
    """
    data, calls = limit.load(None if whole else limit.rows)
    turns = measure_in_turn(calls, TURNS, N_CALLS)
    seconds = {name: median(times) for name, times in turns.items()}
    longest = max(seconds.keys() - {FASTLIN}, key=seconds.get)
    parts = describe_turns([limit / own for limit, own in zip(turns[longest], turns[FASTLIN], strict=True)])
    return {
        "kind": "limit",
        "title": limit.title,
        "data": data,
        "threads": count_threads(),
        "limit": longest,
        "contenders": {name: {"seconds": value} for name, value in seconds.items()},
        "part": parts["ratio"],
        "part_interval": parts["interval"],
    }


def load_pass(n_rows, dtype, order="C"):
    """Return a pass over noise of MNIST's shape in a type and an order, a plain read of X, and its arithmetic."""
    # The values do not change what a pass takes.
    X = np.random.default_rng(0).integers(0, 256, (n_rows or N_ROWS, N_FEATURES), np.uint8)
    X = np.asarray(X if dtype == "uint8" else (X / 255).astype(dtype), order=order)
    fused_pass = FusedPass(X, np.arange(len(X)) % N_CLASSES, N_CLASSES, *draw_coef(X))
    arithmetic, _ = make_arithmetic(4 * X.size * N_CLASSES, fused_pass.precision)
    words = f"{len(X):,} × {N_FEATURES}, {N_CLASSES} classes, {X.dtype}{', F order' if order == 'F' else ''}"
    return words, {FASTLIN: fused_pass, "reading X": make_read(X), "its arithmetic": arithmetic}


def load_step(n_rows):
    """Return a step on a large batch and its products, on rows that lie together."""
    X, y = draw_data(n_rows or N_LARGE_ROWS, N_LARGE_FEATURES)
    batch_size = min(LARGE_BATCH_SIZE, len(X) // 2)
    words = f"{batch_size:,} × {N_LARGE_FEATURES:,}, {N_HIDDEN} hidden units, {X.dtype}"
    return words, {FASTLIN: LargeStep(X, y, batch_size), "its products alone": LargeProducts(X, batch_size)}


class ColdFile:
    """X in a file whose pages are thrown out of memory before each use, and the passes over its blocks.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        What is written. The file is deleted with this object.
    """

    def __init__(self, X):
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "X.npy"
        np.save(self._path, X)
        # Pages that are not on disk yet cannot be thrown out.
        with open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def read(self):
        """Read the file once, from disk."""
        self._throw_out()
        piece = bytearray(READ_BYTES)
        with open(self._path, "rb", buffering=0) as file:
            while file.readinto(piece):
                pass

    def make_pass(self, fused_pass):
        """Make the pass of a FusedPass over blocks of the file, from disk."""
        self._throw_out()
        rows = fused_pass.objective.rows
        samples = Samples(rows.numbers, rows.labels, rows.weights)
        matrix = BlockMatrix(from_arrays(np.load(self._path, mmap_mode="r")))
        passes = matrix.passes(samples, rows.coordinates.scaling, rows.n_rows_coef)
        parameters = fused_pass.parameters.astype(fused_pass.precision)
        passes.evaluate(parameters, None, np.empty(parameters.shape))

    def _throw_out(self):
        with open(self._path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load_blocks(n_rows, dtype):
    """Return a pass over blocks of a file that lies on disk alone, reading that file, and the pass in memory."""
    if not hasattr(os, "posix_fadvise"):
        raise NotImplementedError("this system does not throw pages of a file out of memory when it is asked to")
    values = np.random.default_rng(0).integers(0, 256, (N_ROWS, N_FEATURES), np.uint8)
    X = np.resize(values if dtype == "uint8" else values.astype(dtype), (n_rows or N_FILE_ROWS, N_FEATURES))
    fused_pass, file = FusedPass(X, np.arange(len(X)) % N_CLASSES, N_CLASSES, *draw_coef(X)), ColdFile(X)
    words = f"{len(X):,} × {N_FEATURES}, {N_CLASSES} classes, {X.dtype}, a file of {X.nbytes / 1e9:.2g} GB"
    cold_pass = partial(file.make_pass, fused_pass)
    return words, {FASTLIN: cold_pass, "reading the file": file.read, "the pass in memory": fused_pass}


LIMITS = {
    **{
        f"limit-pass-{dtype}": Limit("a pass for loss and gradient", partial(load_pass, dtype=dtype), 20_000)
        for dtype in ("float64", "float32", "uint8")
    },
    "limit-pass-float64-F": Limit(
        "a pass for loss and gradient", partial(load_pass, dtype="float64", order="F"), 20_000
    ),
    **{
        f"limit-blocks-{dtype}": Limit("a pass over blocks of a file that is on disk alone", load, 20_000)
        for dtype, load in ((dtype, partial(load_blocks, dtype=dtype)) for dtype in ("uint8", "float32"))
    },
    "limit-step": Limit("a step of a network on a large batch", load_step, 10_000),
}
