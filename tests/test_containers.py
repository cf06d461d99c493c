"""Which sparse containers are read, how, and which are refused: each with an error that says what is wrong with it."""

import numpy as np
import pytest
from conftest import make_sparse
from damages import CONTAINER_DAMAGES
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


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match="Expected 2D"):
        as_matrix(sparse.coo_array(np.ones(3)))


# By a word of the name of a damage: what the error says.
MESSAGES = {
    "outside": "must be <|exceeds",
    "negative": "must be >= 0|negative",
    "fractions": "whole numbers|integer",
    "two dimensions": "1-D|has 2 dimensions|rank 1",
    "text": "whole numbers|integer|string",
    "fewer indices": "same size",
    "fewer values": "same",
    "short indptr": "pointer size",
    "indptr beyond": "should be less than",
    "begins": "should start with 0",
    "falls": "non-decreasing",
    "fewer rows": "it has 59 rows of columns",
}


@pytest.mark.parametrize(
    ("form", "damage"), [(form, damage) for form, found in CONTAINER_DAMAGES.items() for damage in found]
)
def test_broken_containers_are_refused(form, damage):
    X = getattr(sparse, f"{form}_array")(make_csr().toarray())
    CONTAINER_DAMAGES[form][damage](X, np.random.default_rng(0))
    words = next((message for word, message in MESSAGES.items() if word in damage), "")
    message = rf"^X is a broken {form.upper()} matrix.*({words})"
    if damage in ("complex values", "values of objects"):
        message = "data not supported"
    with pytest.raises(ValueError, match=message):
        as_matrix(X)


def test_what_is_broken_is_called_by_its_name_and_what_is_not_sparse_comes_back():
    X = sparse.csc_array(make_csr())
    X.indices[3] = 1_000_000_000
    with pytest.raises(ValueError, match=r"^y_val is a broken CSC matrix"):
        read_if_sparse(X, "y_val")
    dense = np.ones(3)
    assert read_if_sparse(dense) is dense
    csr = make_csr()
    assert read_if_sparse(csr) is csr
