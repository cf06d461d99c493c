"""Blocks of arrays, mapped files and sparse pieces."""

import os
import pickle

import numpy as np
import pytest
from scipy import sparse

import fastlin
from fastlin.blocks import from_arrays, from_csr
from fastlin.blocks.blocks import find_map
from fastlin.exceptions import DataChangedError


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((100, 3)).astype(np.float32)
    return X, (X[:, 0] + generator.logistic(size=100) > 0).astype(int)


def test_rows_come_as_they_are_and_again(data):
    X, y = data
    weights = np.arange(100.0)
    blocks = from_arrays(X, y, weights, rows_per_block=30)
    assert len(blocks) == 4 and blocks.shape == (100, 3) and blocks.dtype == np.float32
    assert blocks.nbytes == X.nbytes and "4 blocks of 100 x 3 float32" in repr(blocks)
    for _ in range(2):
        parts = [np.concatenate(each) for each in zip(*blocks, strict=True)]
        for found, expected in zip(parts, (X, y, weights), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert [block[1:] for block in from_arrays(X)] == [(None, None)]


def test_several_arrays_are_one(data):
    X, y = data
    blocks = from_arrays([X[:10], X[10:]], y, rows_per_block=50)
    assert blocks.borders.tolist() == [0, 10, 60, 100]
    np.testing.assert_array_equal(np.concatenate(list(blocks.read())), X)


def test_types_that_fits_do_not_read_become_float64():
    X = np.arange(6).reshape(3, 2)
    blocks = from_arrays(X, rows_per_block=2)
    assert blocks.dtype == np.float64
    assert all(block.dtype == np.float64 for block in blocks.read())
    pieces = from_csr([sparse.csr_array(X), sparse.coo_array(X)])
    assert pieces.dtype == np.float64 and pieces.is_sparse and pieces.n_entries == 10 and pieces.longest_row == 2
    np.testing.assert_array_equal(np.vstack([piece.toarray() for piece in pieces.read()]), np.vstack([X, X]))


def test_mapped_files_of_any_order_and_part(data, tmp_path):
    X, y = data
    expected = fastlin.LogisticRegression().fit(from_arrays(X, y, rows_per_block=16))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    with open(tmp_path / "raw", "wb") as file:
        file.write(b"header" + X.tobytes())
    raw = np.memmap(tmp_path / "raw", np.float32, "r", 6, (100, 3))
    for mapped in (np.load(tmp_path / "X.npy", mmap_mode="r"), np.load(tmp_path / "F.npy", mmap_mode="r"), raw):
        assert find_map(mapped[5:].view(np.ndarray)) is not None
        fitted = fastlin.LogisticRegression().fit(from_arrays(mapped, y, rows_per_block=16))
        np.testing.assert_array_equal(fitted.coef_, expected.coef_)
    assert find_map(X) is None


@pytest.mark.parametrize("change", ["write", "cut", "delete"])
def test_a_file_that_changes_is_named(data, tmp_path, change):
    X, y = data
    path = tmp_path / "X.npy"
    np.save(path, X)
    blocks = from_arrays(np.load(path, mmap_mode="r"), y)
    list(blocks.read())
    if change == "write":
        os.utime(path, ns=(0, 0))
    elif change == "cut":
        os.truncate(path, 200)
    else:
        path.unlink()
    model = fastlin.LogisticRegression()
    with pytest.raises(ValueError, match=r"X\.npy (has changed|cannot be read)"):
        model.fit(blocks)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("kind", ["one array", "two arrays", "csr"])
def test_a_file_that_is_cut_in_a_pass_is_found_before_the_next_block(data, tmp_path, kind):
    X, _ = data
    for name in ("first.npy", "second.npy"):
        np.save(tmp_path / name, X.ravel() if kind == "csr" else X)
    first, second = (np.load(tmp_path / name, mmap_mode="r") for name in ("first.npy", "second.npy"))
    if kind == "csr":
        places = np.tile(np.arange(3), 100), np.arange(0, 301, 3)
        blocks = from_csr([sparse.csr_array((values, *places), shape=X.shape) for values in (first, second)])
    else:
        blocks = from_arrays(second, rows_per_block=50) if kind == "one array" else from_arrays([first, second])
    assert len(blocks) == 2
    coming = blocks.read()
    assert next(coming).shape[1] == 3
    os.truncate(tmp_path / "second.npy", 200)
    # Whoever read the block would end with SIGBUS.
    with pytest.raises(DataChangedError, match=r"second\.npy has changed while it was in use"):
        next(coming)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: from_arrays([]), "X is an empty list"),
        (lambda X: from_arrays(X[:, 0]), "X is a 1-D ndarray of float32"),
        (lambda X: from_arrays(X.astype(complex)), "of complex64|of complex128"),
        (lambda X: from_arrays("X.npy"), "X is a str"),
        (lambda X: from_arrays(sparse.csr_array(X)), "from_csr takes sparse rows"),
        (
            lambda X: from_arrays([X, X[:, :2]]),
            "array 1 is dense float32 with 2 columns, but the first is .* 3 columns",
        ),
        (lambda X: from_arrays([X, X.astype(float)]), "array 1 is dense float64"),
        (lambda X: from_arrays(X, [1, 2]), r"y must have one entry for each of the 100 rows .* shape \(2,\)"),
        (lambda X: from_arrays(X, None, [[1]]), "sample_weight must have one entry"),
        (lambda X: from_arrays(X, rows_per_block=0), "rows_per_block must be a whole number of at least 1, got 0"),
        (lambda X: from_arrays(X, rows_per_block=1.5), "rows_per_block"),
        (lambda X: from_csr([]), "X is an empty list"),
        (lambda X: from_csr([X]), "from_arrays takes dense arrays"),
        (lambda X: from_csr([sparse.csr_array(X), sparse.csr_array(X[:, :1])]), "piece 1 is sparse float32 with 1 col"),
    ],
)
def test_bad_arrays_are_named(data, make, message):
    with pytest.raises(ValueError, match=message):
        make(data[0])


def test_sparse_pieces_may_be_mapped_and_are_checked(data, tmp_path):
    X, y = data
    rows = sparse.csr_array(X)
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(rows, name))
    arrays = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr"))
    blocks = from_csr([sparse.csr_array(tuple(arrays), shape=X.shape)], y)
    fastlin.LogisticRegression().fit(blocks)
    os.truncate(tmp_path / "data.npy", 200)
    with pytest.raises(ValueError, match=r"data\.npy has changed"):
        fastlin.LogisticRegression().fit(blocks)


def test_what_is_wrong_with_a_part_has_its_name(data):
    X, y = data
    broken = sparse.csr_array(X)
    broken.indices[3] = 99
    with pytest.raises(ValueError, match="piece 1: X is a broken CSR"):
        fastlin.LogisticRegression().fit(from_csr([sparse.csr_array(X), broken]), np.append(y, y))
    other = X.copy()
    other[3] = np.nan
    with pytest.raises(ValueError, match="rows 0 to 99 of array 1 of X contains NaN"):
        fastlin.LogisticRegression().fit(from_arrays([X, other]), np.append(y, y))


@pytest.mark.parametrize("form", ["csc", "coo", "bsr"])
def test_pieces_that_are_broken_are_refused_before_they_are_converted(data, form):
    X, y = data
    piece = sparse.csr_array(X).asformat(form)
    blocks = from_csr([sparse.csr_array(X), piece], np.append(y, y))
    indices = piece.row if form == "coo" else piece.indices
    # By the caller, after the first look at them.
    indices[3] = 100_000_000
    with pytest.raises(ValueError, match=f"piece 1 is a broken {form.upper()} matrix"):
        fastlin.LogisticRegression().fit(blocks)
    with pytest.raises(ValueError, match=f"piece 0 is a broken {form.upper()} matrix"):
        from_csr([piece])


def test_blocks_are_not_pickled(data):
    with pytest.raises(TypeError, match="cannot be copied nor pickled"):
        pickle.dumps(from_arrays(*data))
