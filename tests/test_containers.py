"""Which sparse containers are read, how, and which are refused: each with an error that says what is wrong with it."""

import numpy as np
import pytest
from conftest import make_sparse
from scipy import sparse

from fastlin.containers import read_if_sparse
from fastlin.matrices import as_matrix

N, D = 60, 13
CONTAINERS = [
    getattr(sparse, f"{name}_{kind}")
    for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
    for kind in ("array", "matrix")
]


def make_csr(**options):
    return sparse.csr_array(make_sparse(N, D, **options), shape=(N, D))


@pytest.mark.parametrize("make", CONTAINERS, ids=lambda make: make.__name__)
def test_every_container_is_read_and_left_alone(make):
    dense = make_csr().toarray()
    X = make(dense)
    before = {name: np.copy(value) for name, value in vars(X).items() if isinstance(value, np.ndarray)}
    attributes = set(vars(X))
    matrix = as_matrix(X)
    np.testing.assert_array_equal(matrix.X.toarray(), dense)
    np.testing.assert_array_equal(matrix.csc.toarray(), dense)
    assert set(vars(X)) == attributes
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(X, name), value)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8", ">f4", ">i4"])
def test_other_real_types_become_float64(dtype):
    X = make_csr()
    X.data = X.data.astype(dtype)
    for form in (X, sparse.csc_array(make_csr())):
        form.data = form.data.astype(dtype)
        matrix = as_matrix(form)
        assert matrix.dtype == np.float64
        np.testing.assert_array_equal(matrix.X.toarray(), make_csr().toarray().astype(dtype).astype(np.float64))


def test_other_types_of_indices():
    X = make_csr()
    X.indices, X.indptr = X.indices.astype(np.uint16), X.indptr.astype(">i8")
    np.testing.assert_array_equal(as_matrix(X).X.toarray(), make_csr().toarray())


@pytest.mark.parametrize("dtype", [np.complex128, object])
def test_what_is_not_a_real_number_is_refused(dtype):
    X = make_csr()
    X.data = X.data.astype(dtype)
    with pytest.raises(ValueError, match="data not supported"):
        as_matrix(X)


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match="Expected 2D"):
        as_matrix(sparse.coo_array(np.ones(3)))


def broken(form, what):
    X = make_csr().asformat(form)
    if form == "coo":
        match what:
            case "index too large":
                X.coords[1][3] = D
            case "negative index":
                X.coords[0][3] = -1
            case "fewer values":
                X.data = X.data[:-1]
            case "fractions":
                X.coords = X.coords[0] + 0.5, X.coords[1]
        return X
    match what:
        case "index too large":
            X.indices[3] = 1_000_000_000
        case "negative index":
            X.indices[3] = -5
        case "fewer values":
            X.data = X.data[:-1]
        case "fractions":
            X.indices = X.indices + 0.5
        case "falling indptr":
            X.indptr[1] = X.indptr[2] + 1
        case "indptr starts late":
            X.indptr[0] = 1
        case "indptr beyond the end":
            X.indptr[-1] += 5
        case "short indptr":
            X.indptr = X.indptr[:-1]
        case "fewer indices":
            X.indices = X.indices[:-1]
        case "data of two dimensions":
            X.data = np.zeros((len(X.data), 1))
    return X


BROKEN = {
    "index too large": "must be <|exceeds",
    "negative index": "negative|must be >= 0|must be >=",
    "fewer values": "same",
    "fractions": "whole numbers",
}
BROKEN_COMPRESSED = BROKEN | {
    "falling indptr": "non-decreasing",
    "indptr starts late": "should start with 0",
    "indptr beyond the end": "should be less than",
    "short indptr": "pointer size",
    "fewer indices": "same",
    "data of two dimensions": "data",
}


@pytest.mark.parametrize(
    ("form", "what", "message"),
    [(form, *case) for form in ("csr", "csc", "bsr") for case in BROKEN_COMPRESSED.items()]
    + [("coo", *case) for case in BROKEN.items()],
)
def test_broken_index_arrays_are_refused(form, what, message):
    with pytest.raises(ValueError, match=rf"X is a (broken )?{form.upper()} matrix.*({message})"):
        as_matrix(broken(form, what))


def test_what_is_broken_is_called_by_its_name_and_what_is_not_sparse_comes_back():
    X = broken("csc", "index too large")
    with pytest.raises(ValueError, match=r"^y_val is a broken CSC matrix"):
        read_if_sparse(X, "y_val")
    dense = np.ones(3)
    assert read_if_sparse(dense) is dense
    csr = make_csr()
    assert read_if_sparse(csr) is csr


def test_other_broken_containers_are_refused():
    X = sparse.lil_array(make_csr())
    X.rows[3] = [0, 99]
    X.data[3] = [1.0, 2.0]
    with pytest.raises(ValueError, match=r"LIL.*must be < 13"):
        as_matrix(X)
    X.rows[3] = [0]
    with pytest.raises(ValueError, match="LIL"):
        as_matrix(X)
    X.rows[3], X.data[3] = [0, 2**40], [1.0, 2.0]
    with pytest.raises(ValueError, match=r"^X is a broken LIL matrix"):
        as_matrix(X)
    X.rows[3], X.data[3] = [0], ["x"]
    with pytest.raises(ValueError, match=r"^X is a broken LIL matrix"):
        as_matrix(X)
    X.rows, X.data = X.rows[:-1], X.data[:-1]
    with pytest.raises(ValueError, match="it has 59 rows of columns"):
        as_matrix(X)
    X = sparse.bsr_array(make_csr())
    X.data = X.data[:, :0]
    with pytest.raises(ValueError, match="BSR"):
        as_matrix(X)
    X = sparse.dia_array(make_csr())
    X.offsets = X.offsets[1:]
    with pytest.raises(ValueError, match="DIA"):
        as_matrix(X)
