"""Blocks of arrays, memory-mapped files and sparse matrices."""

import os
import pickle

import numpy as np
import pytest
from conftest import assert_raises
from scipy import sparse

from fastlin import LogisticRegression
from fastlin.blocks import from_arrays, from_csr
from fastlin.blocks.blocks import find_memory_map
from fastlin.exceptions import DataChangedError

X = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
Y = (X[:, 0] + np.random.default_rng(1).logistic(size=100) > 0).astype(int)
CSR_ROWS = sparse.csr_array(X)
FILE_CHANGES = {
    "write": lambda path: os.utime(path, ns=(0, 0)),
    "cut": lambda path: os.truncate(path, 200),
    "delete": os.remove,
}


def test_blocks_yield_the_same_rows_each_time():
    weights = np.arange(100.0)
    blocks = from_arrays(X, Y, weights, rows_per_block=30)
    assert len(blocks) == 4 and blocks.shape == (100, 3) and blocks.dtype == np.float32
    assert blocks.nbytes == X.nbytes and "4 blocks of 100 x 3 float32" in repr(blocks)
    for _ in range(2):
        for result, expected in zip(map(np.concatenate, zip(*blocks, strict=True)), (X, Y, weights), strict=True):
            np.testing.assert_array_equal(result, expected)
    assert [block[1:] for block in from_arrays(X)] == [(None, None)]
    blocks_of_pieces = from_arrays([X[:10], X[10:]], Y, rows_per_block=50)
    assert blocks_of_pieces.borders.tolist() == [0, 10, 60, 100]
    np.testing.assert_array_equal(np.concatenate(list(blocks_of_pieces.read())), X)
    assert_raises("cannot be copied or pickled", pickle.dumps, blocks, error=TypeError)


def test_unsupported_dtypes_become_float64():
    integers = np.arange(6).reshape(3, 2)
    blocks = from_arrays(integers, rows_per_block=2)
    assert [blocks.dtype, *(block.dtype for block in blocks.read())] == [np.float64] * 3
    pieces = from_csr([sparse.csr_array(integers), sparse.coo_array(integers)])
    assert pieces.dtype == np.float64 and pieces.is_sparse and pieces.n_entries == 10 and pieces.longest_row == 2
    np.testing.assert_array_equal(sparse.vstack(list(pieces.read())).toarray(), np.vstack([integers, integers]))


def test_blocks_of_mapped_files_in_any_memory_order(tmp_path):
    expected = LogisticRegression().fit(from_arrays(X, Y, rows_per_block=16))
    for name, array in (("C", X), ("F", np.asfortranarray(X))):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "raw").write_bytes(b"header" + X.tobytes())
    raw_array = np.memmap(tmp_path / "raw", np.float32, "r", 6, (100, 3))
    for mapped in (*(np.load(tmp_path / name, mmap_mode="r") for name in ("C.npy", "F.npy")), raw_array):
        assert find_memory_map(mapped[5:].view(np.ndarray)) is not None
        fitted = LogisticRegression().fit(from_arrays(mapped, Y, rows_per_block=16))
        np.testing.assert_array_equal(fitted.coef_, expected.coef_)
    assert find_memory_map(X) is None


@pytest.mark.parametrize("change", FILE_CHANGES.values(), ids=FILE_CHANGES)
def test_the_error_names_a_file_that_changes(tmp_path, change):
    np.save(tmp_path / "X.npy", X)
    blocks = from_arrays(np.load(tmp_path / "X.npy", mmap_mode="r"), Y)
    list(blocks.read())
    change(tmp_path / "X.npy")
    assert_raises(r"X\.npy (has changed|can no longer be read)", LogisticRegression().fit, blocks)


@pytest.mark.parametrize("kind", ["one array", "two arrays", "csr"])
def test_a_file_truncated_during_a_pass_raises_an_error(tmp_path, kind):
    for name in ("first.npy", "second.npy"):
        np.save(tmp_path / name, CSR_ROWS.data.astype(np.float64) if kind == "csr" else X)
    first, second = (np.load(tmp_path / name, mmap_mode="r") for name in ("first.npy", "second.npy"))
    if kind == "csr":
        blocks = from_csr(
            [sparse.csr_array((data, CSR_ROWS.indices, CSR_ROWS.indptr), X.shape) for data in (first, second)]
        )
    else:
        blocks = from_arrays(second, rows_per_block=50) if kind == "one array" else from_arrays([first, second])
    assert len(blocks) == 2
    LogisticRegression().fit(blocks, np.arange(blocks.shape[0]) % 2)
    block_iterator = blocks.read()
    assert next(block_iterator).shape[1] == 3
    os.truncate(tmp_path / "second.npy", 200)
    # Reading the block would kill the process with SIGBUS.
    assert_raises(r"second\.npy has changed while it was in use", next, block_iterator, error=DataChangedError)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (from_arrays, [[]], "X is an empty list"),
        (from_arrays, [X[:, 0]], "X is a 1-D ndarray of float32"),
        (from_arrays, [X.astype(complex)], "of complex64|of complex128"),
        (from_arrays, ["X.npy"], "X is a str"),
        (from_arrays, [CSR_ROWS], "is sparse, but from_arrays accepts dense arrays. Use blocks.from_csr"),
        (from_arrays, [[X, X[:, :2]]], "array 1 of X is 100 x 2 float32, dense, but .* array 0 is 100 x 3 float32"),
        (from_arrays, [[X, X.astype(float)]], "array 1 of X is 100 x 3 float64, dense"),
        (from_arrays, [X, [1, 2]], r"y must have one entry for each of the 100 rows .* shape \(2,\)"),
        (from_arrays, [X, None, [[1]]], "sample_weight must have one entry"),
        (from_arrays, [X, None, None, 0], "rows_per_block must be an integer of at least 1, got 0"),
        (from_arrays, [X, None, None, 1.5], "rows_per_block"),
        (from_csr, [[]], "X is an empty list"),
        (from_csr, [[X]], "from_csr accepts sparse containers. Use blocks.from_arrays for dense arrays"),
        (from_csr, [[CSR_ROWS, CSR_ROWS[:, :1]]], "piece 1 of X is 100 x 1 float32, sparse"),
    ],
)
def test_the_error_names_an_invalid_array(make, arguments, message):
    assert_raises(message, make, *arguments)


def test_the_error_names_the_block_with_invalid_entries():
    broken_rows, other = CSR_ROWS.copy(), X.copy()
    broken_rows.indices[3], other[3] = 99, np.nan
    for blocks, message in (
        (from_csr([CSR_ROWS, broken_rows]), "piece 1: X is an invalid CSR"),
        (from_arrays([X, other]), "rows 0 to 99 of array 1 of X contains NaN"),
    ):
        assert_raises(message, LogisticRegression().fit, blocks, np.append(Y, Y))


@pytest.mark.parametrize("form", ["csc", "coo", "bsr"])
def test_invalid_sparse_matrices_raise_an_error_before_conversion(form):
    piece = sparse.csr_array(X).asformat(form)
    blocks = from_csr([CSR_ROWS, piece], np.append(Y, Y))
    indices = piece.row if form == "coo" else piece.indices
    # The caller changes the indices after they were checked for the first time.
    indices[3] = 100_000_000
    assert_raises(f"piece 1 is an invalid {form.upper()} matrix", LogisticRegression().fit, blocks)
    assert_raises(f"piece 0 is an invalid {form.upper()} matrix", from_csr, [piece])
