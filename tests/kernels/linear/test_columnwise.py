"""Passes over a column-wise copy of X, compared with the reference implementation."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import reference
from conftest import JIT_ENABLED, make_problem, mark_params

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine import threads
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import as_matrix, dense
from fastlin.matrices.dense import ColumnPasses

ALL_ROWS = np.empty(0, np.int64)


def make_passes(X, labels, weights, n_classes, rows=ALL_ROWS):
    """Return ColumnPasses over scaled and centered X, and the scale and shift of the columns."""
    scale, shift = as_matrix(X).measure().choose_coordinates()
    samples = Samples(rows, labels.astype(np.int32), weights)
    passes = as_matrix(X).passes(samples, Scaling(scale, shift), 1 if n_classes == 2 else n_classes)
    assert isinstance(passes, ColumnPasses)
    return passes, scale, shift


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, *mark_params(pytest.mark.slow, np.bool_)])
def test_passes_agree_with_the_reference(dtype):
    # The numbers of columns are close to multiples of a loop's step, 4. The rows fill one tile or three tiles.
    for (n, d), n_classes in product([(3, 1), (70, 3), (90, 6), (600, 5)], (2, 3, 5)):
        X, labels, weights, coef, intercept = make_problem(n, d, n_classes, seed=n)
        X = (X > 0) if dtype == np.bool_ else np.abs(4 * X).astype(dtype)
        for layout, row_weights, rows in (
            (X, weights, ALL_ROWS),
            (np.asfortranarray(X), np.empty(0), ALL_ROWS),
            (X[::-1], weights, np.array([2, 0, 2])),
        ):
            passes, scale, shift = make_passes(layout, labels, row_weights, n_classes, rows)
            taken = rows if len(rows) else np.arange(n)
            x = layout[taken].astype(np.float64) * scale + shift
            s = row_weights[taken] if len(row_weights) else np.ones(len(taken))
            parameters = np.column_stack([coef, intercept])
            gradient, probabilities = np.empty_like(parameters), np.empty((len(coef), len(taken)))
            loss = passes.evaluate(parameters, probabilities, gradient)
            expected = reference.loss_and_gradient(x, labels[taken], s, coef, intercept)
            assert loss == pytest.approx(expected[0], rel=1e-13)
            np.testing.assert_allclose(gradient[:, :-1], expected[1], rtol=0, atol=1e-12 * np.abs(x).max() * s.sum())
            np.testing.assert_allclose(gradient[:, -1], expected[2], rtol=0, atol=1e-12 * s.sum())
            _, right, _ = reference.evaluate_losses(x @ coef.T + intercept, labels[taken])
            np.testing.assert_allclose(probabilities, right.T, atol=1e-13)


@pytest.mark.parametrize(
    ("n_classes", "rows"), [(2, np.arange(3_000)[::-1].repeat(2)[:2_900]), (3, ALL_ROWS)], ids=["selected", "all"]
)
def test_passes_over_tiles_are_bitwise_equal_for_any_number_of_threads(n_classes, rows, monkeypatch, cut_into_blocks):
    monkeypatch.setattr(dense, "MAX_COPIED_ENTRIES", 0 if n_classes > 2 else 1 << 17)
    n, n_blocks = 3_000, []
    X, labels, weights, coef, intercept = make_problem(n, 3, n_classes)
    # The weight of some tiles is zero.
    weights[:1_200] = 0

    def run(kernel, n, *arguments):
        n_blocks.append(n)
        run_blocks(kernel, n, *arguments)

    monkeypatch.setattr(dense, "run_blocks", run)
    parameters, actual = np.column_stack([coef, intercept]), []
    # The passes use one block, and then several blocks.
    for work, n_threads in ((threads.MIN_BLOCK_WORK, 1), (100_000, 1), (100_000, 3)):
        cut_into_blocks(work)
        n_blocks.clear()
        passes, *_ = make_passes(X, labels, weights, n_classes, rows)
        gradient, probabilities = np.empty_like(parameters), np.empty((len(coef), len(rows) or n))
        with limit_threads(n_threads):
            actual.append((passes.evaluate(parameters, probabilities, gradient), gradient, probabilities))
            assert passes.evaluate(parameters, None, gradient.copy()) == actual[-1][0]
        assert (max(n_blocks) > 1) == (work == 100_000)
    whole, one, three = actual
    assert one[0] == three[0] == pytest.approx(whole[0], rel=1e-12)
    for expected, first, second in zip(whole[1:], one[1:], three[1:], strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, expected, atol=1e-12 * weights.sum())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_copy_uses_no_more_memory_than_documented(dtype):
    n, d = 80_000 if JIT_ENABLED else 10_000, 19
    X = np.abs(8 * np.random.default_rng(0).normal(size=(n, d))).astype(dtype)
    labels, no_weights = (np.arange(n) % 3).astype(np.int32), np.empty(0)
    warm, *_ = make_passes(X[:9_000], labels[:9_000], no_weights, 3)
    # Kernels are compiled before memory is measured.
    assert warm.tile().values.nbytes > 0
    passes, *_ = make_passes(X, labels, no_weights, 3)
    tracemalloc.start()
    assert passes.tile().n_rows == n
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The limit is that of docs/logistic-regression.md, plus the padding of the last tile.
    assert n * (d + 1) * 8 < peak_bytes <= (16 << 20) + 16 * n + 1_000_000
