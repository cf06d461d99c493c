"""Blocks that a function returns."""

import itertools

import numpy as np
import pytest
from conftest import assert_raises
from scipy import sparse

from fastlin import LogisticRegression
from fastlin.blocks import from_arrays, from_batches

X = np.random.default_rng(0).standard_normal((60, 3))
Y = (X[:, 0] > 0).astype(int)
WEIGHTS = np.linspace(1, 2, 60)


def cut(*arrays, size=20):
    return lambda: (tuple(array[i : i + size] for array in arrays) for i in range(0, 60, size))


def assert_same_model(blocks, expected, *data):
    result, expected = LogisticRegression().fit(blocks, *data), LogisticRegression().fit(expected)
    np.testing.assert_array_equal(result.coef_, expected.coef_)
    return result


def test_batches_give_the_models_of_blocks():
    blocks, expected = from_batches(cut(X, Y, WEIGHTS)), from_arrays(X, Y, WEIGHTS, rows_per_block=20)
    assert len(blocks) == 3 and blocks.shape == (60, 3)
    assert_same_model(blocks, expected)
    assert_same_model(from_batches(lambda: (X[i : i + 20] for i in range(0, 60, 20))), expected, Y, WEIGHTS)
    blocks = from_batches(lambda: [(X, np.full(60, "a")), (X + 1, np.full(60, "longer"))])
    assert LogisticRegression().fit(blocks).classes_.tolist() == ["a", "longer"]
    rows = np.column_stack([X, Y])
    assert from_batches(lambda: [(rows[:, :3], rows[:, 3])]).y.base is not rows


def test_integer_and_sparse_batches():
    integers = from_batches(cut((10 * X).astype(np.int64), Y))
    assert integers.dtype == np.float64 and next(integers.read()).dtype == np.float64
    # LIL arrays have 64-bit indices, for which there are separate kernels.
    containers = sparse.coo_array, sparse.csr_array, sparse.dok_array, sparse.lil_array
    rows, narrow_index_blocks = (
        from_batches(lambda containers=used: [(container(X), Y) for container in containers])
        for used in (containers, containers[:3])
    )
    assert rows.is_sparse and rows.n_entries == 720
    for part in rows.read():
        np.testing.assert_array_equal(part.toarray(), X)
    assert LogisticRegression().fit(narrow_index_blocks).score(narrow_index_blocks) > 0.9


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no batch"),
        ([(X, Y, WEIGHTS, Y)], "batch 0 has 4 elements"),
        ([(X, Y), (X[:, :2], Y)], "batch 1 of X is 60 x 2 float64, dense, but batch 0 is 60 x 3 float64"),
        ([(X, Y), (X.astype(np.float32), Y)], "batch 1 of X is 60 x 3 float32"),
        ([(X, Y), (sparse.csr_array(X), Y)], "batch 1 of X is 60 x 3 float64, sparse"),
        ([(X, Y), (X, Y[:5])], r"y of batch 1 must have one entry for each of the 60 rows .* \(5,\)"),
        ([(X, Y), X], "batch 1 has no y"),
        ([(X, Y, WEIGHTS), (X, Y)], "batch 1 has no weights"),
        (["abc"], "batch 0 is a str"),
    ],
)
def test_the_error_names_an_invalid_batch(batches, message):
    assert_raises(message, from_batches, lambda: batches)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([(X, Y), (X, 1 - Y)], "batch 1 has different labels"),
        ([(X, Y), (X, np.full(60, 7))], "batch 1 has different labels"),
        ([(X, Y), (2 * X, Y)], "batch 1 has different rows"),
        ([(X, Y), ("abc", Y)], "batch 1 is a str"),
        ([(X, Y), (X[:10], Y)], "batch 1 was 60 x 3 float64, dense and is 10 x 3"),
        ([(X, Y)], "it was 2 .* and is 1 now"),
        ([(X, Y), (X, Y), (X, Y)], "it was 2 .* and is 3 now"),
    ],
)
def test_the_error_names_a_batch_that_changes_between_passes(later, message):
    passes = itertools.count()
    blocks = from_batches(lambda: later if next(passes) >= 3 else [(X, Y), (X, Y)])
    assert_raises(message, LogisticRegression().fit, blocks)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_invalid_sparse_batches_raise_an_error_in_any_pass(form):
    passes, broken = itertools.count(), sparse.csr_array(X).asformat(form)
    broken.indices[3] = 100_000_000

    def make_batches():
        return [(broken if next(passes) else sparse.csr_array(X).asformat(form), Y)]

    message = f"batch 0 is an invalid {form.upper()} matrix"
    assert_raises(message, LogisticRegression().fit, from_batches(make_batches))
    assert_raises(message, from_batches, make_batches)


@pytest.mark.thorough
def test_a_batch_may_be_empty():
    blocks = from_batches(lambda: [(X, Y), (X[:0], Y[:0]), (X + 1, Y)])
    model = assert_same_model(blocks, from_batches(lambda: [(X, Y), (X + 1, Y)]))
    assert [len(predictions) for predictions in model.predict(blocks)] == [60, 0, 60]


def test_make_batches_must_be_a_function_that_returns_batches():
    assert_raises(r"must be a function .* got generator", from_batches, cut(X, Y)(), error=TypeError)
    with pytest.raises(TypeError, match="make_batches must return an iterable of batches, got NoneType"):
        from_batches(lambda: None)
