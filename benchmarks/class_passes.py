"""Passes over many classes: their speed relative to BLAS, the fraction of softmax, and the passes of a fit.

Softmax is measured on a tile that stays in the cache, so its fraction is a lower bound. The rest of a pass is its two
products, which BLAS computes for all rows.
"""

from functools import partial
from statistics import median

import numba
import numpy as np

import fastlin
from benchmarks.comparisons import FASTLIN, N_REPETITIONS, Case, describe_data, measure_interleaved_calls
from benchmarks.fits import CHOSEN_EMBEDDING_C, EMBEDDINGS, load_embeddings
from benchmarks.passes import FusedPass, sample_coef
from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.linear.residuals import convert_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import count_tile_rows

RECORD_KIND = "class passes"
BLAS, SOFTMAX = "BLAS", "softmax"


@numba.njit(nogil=True, error_model="numpy")
def convert_tiles(scores, row_indices, samples, output, n_tiles):
    """Convert a tile of scores (K, tile rows) to residuals n_tiles times, and return the sum of the losses."""
    loss = 0.0
    for _ in range(n_tiles):
        loss += convert_scores_to_residuals(scores, row_indices, samples, output, 0)
    return loss


def make_softmax_function(problem, precision):
    """Return a function that converts as many scores to residuals as a pass, tile by tile."""
    (n, d), K = problem.X.shape, problem.n_classes
    tile_rows = count_tile_rows(d, K, np.dtype(precision).itemsize)
    scores = zeros_aligned((K, tile_rows), precision)
    scores[:] = np.random.default_rng(0).standard_normal(scores.shape)
    rows, labels = np.arange(tile_rows), np.resize(problem.y, tile_rows).astype(np.int32)
    samples = Samples(rows[:0], labels, np.empty(0), np.empty((0, 0)), np.empty((0, 0)))
    return partial(convert_tiles, scores, rows, samples, ProbabilityOutput.of(None), -(-n // tile_rows))


def make_blas_function(problem, precision):
    """Return a function that computes the two products of a pass for all rows."""
    X = problem.X.astype(precision, copy=False)
    coef, _ = sample_coef(X, problem.n_classes)
    scores, sums = np.empty((len(X), problem.n_classes), precision), np.empty(coef.shape, precision)

    def multiply():
        np.matmul(X, coef.T, out=scores)
        np.matmul(scores.T, X, out=sums)

    return multiply


def measure_class_passes(problem, is_full_run):
    """Return the seconds of a pass and its parts on one thread, and the passes of fits at two values of C."""
    fused_pass = FusedPass(
        problem.X, problem.y.astype(np.int32), problem.n_classes, *sample_coef(problem.X, problem.n_classes)
    )
    calls = {
        FASTLIN: fused_pass,
        SOFTMAX: make_softmax_function(problem, fused_pass.precision),
        BLAS: make_blas_function(problem, fused_pass.precision),
    }
    with limit_threads(1):
        repeated_seconds = measure_interleaved_calls(calls, N_REPETITIONS if is_full_run else 1)
    seconds = {name: median(times) for name, times in repeated_seconds.items()}
    n_passes = {
        f"{C:g}": float(fastlin.LogisticRegression(C=C).fit(problem.X, problem.y).n_passes_)
        for C in (problem.C, CHOSEN_EMBEDDING_C)
    }
    return {
        "threads": 1,
        "data": describe_data(problem),
        "libraries": {name: {"seconds": value} for name, value in seconds.items()},
        "n_multiply_adds": 2 * problem.X.size * problem.n_classes,
        "n_passes": n_passes,
    }


CASES = {
    f"class-passes-{name.removeprefix('probe-')}": Case(
        RECORD_KIND,
        "a pass for loss and gradient",
        partial(load_embeddings, n_all=n, n_features=d, n_classes=n_classes),
        measure_class_passes,
        2_000,
    )
    for name, (n, d, n_classes) in EMBEDDINGS.items()
}
