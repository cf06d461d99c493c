"""Valid sparse containers are read without modification. Invalid containers raise an error that names the defect."""

import copy

import numpy as np
import pytest
from conftest import assert_raises, make_sparse
from damages import CONTAINER_DAMAGES
from scipy import sparse

from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.matrices import as_matrix

N, D = 60, 13
CONTAINERS = [getattr(sparse, f"{form}_{kind}") for form in CONTAINER_DAMAGES for kind in ("array", "matrix")]
# Messages from fastlin; the other messages are from SciPy.
MESSAGES = {"fractions": "integer", "more columns than values": "more columns than values"}


def make_csr(**options):
    return sparse.csr_array(make_sparse(N, D, **options), shape=(N, D))


@pytest.mark.parametrize("make", CONTAINERS, ids=lambda make: make.__name__)
def test_every_container_is_read_without_changes(make):
    dense = make_csr().toarray()
    X = make(dense)
    before = copy.deepcopy(vars(X))
    matrix = as_matrix(X)
    np.testing.assert_array_equal(matrix.X.toarray(), dense)
    np.testing.assert_array_equal(matrix.csc.toarray(), dense)
    np.testing.assert_equal(vars(X), before)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8", ">f4", ">i4"])
def test_other_types_of_numbers_and_indices_are_read(dtype):
    X = make_csr()
    expected = X.toarray().astype(dtype).astype(np.float64)
    X.indices, X.indptr = X.indices.astype(np.uint16), X.indptr.astype(">i8")
    for form in (X, sparse.csc_array(make_csr())):
        form.data = form.data.astype(dtype)
        matrix = as_matrix(form)
        assert matrix.dtype == np.float64
        np.testing.assert_array_equal(matrix.X.toarray(), expected)


@pytest.mark.parametrize(
    ("form", "damage"),
    [(form, damage) for form, damages_of_form in CONTAINER_DAMAGES.items() for damage in damages_of_form],
)
def test_broken_containers_raise_an_error(form, damage):
    X = getattr(sparse, f"{form}_array")(make_csr().toarray())
    CONTAINER_DAMAGES[form][damage](X, np.random.default_rng(0))
    words = next((message for word, message in MESSAGES.items() if word in damage), "")
    message = rf"^X is an invalid {form.upper()} matrix.*({words})"
    if damage in ("complex values", "values of objects"):
        message = "data not supported"
    assert_raises(message.replace("X is", "y_val is"), validate_if_sparse, X, "y_val")
    assert_raises(message, as_matrix, X)


def test_one_dimensional_containers_raise_an_error():
    assert_raises("Expected 2D", as_matrix, sparse.coo_array(np.ones(3)))
    for X in (np.ones(3), make_csr()):
        assert validate_if_sparse(X) is X
