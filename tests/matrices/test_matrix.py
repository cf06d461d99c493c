"""What every form of X answers in the same way."""

import numpy as np
from scipy import sparse

from fastlin.blocks import from_arrays
from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix


def test_scores_of_some_rows_at_a_time_are_those_of_all(monkeypatch):
    # Twelve rows at a time for two classes, and four pieces.
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BYTES", 200)
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 6)) * (generator.random((40, 6)) < 0.5)
    coef, intercept = generator.normal(size=(2, 6)), generator.normal(size=2)
    expected = ((X @ coef.T + intercept) ** 2).sum(axis=1)
    # Each entry in two halves, of which the later columns come first.
    row, column = X.nonzero()
    halves = sparse.csr_array(sparse.coo_array((X[row, column] / 2, (row, column)), shape=X.shape))
    indices = np.concatenate([np.tile(columns[::-1], 2) for columns in np.split(halves.indices, halves.indptr[1:-1])])
    data = np.concatenate([np.tile(values[::-1], 2) for values in np.split(halves.data, halves.indptr[1:-1])])
    twice = sparse.csr_array((data, indices, 2 * halves.indptr), shape=X.shape)
    forms = X, np.asfortranarray(X), sparse.csr_array(X), sparse.csc_array(X), twice
    for matrix in (*map(as_matrix, forms), TableMatrix(list(X.T)), BlockMatrix(from_arrays(X, rows_per_block=7))):
        np.testing.assert_allclose(matrix.sum_squared_scores(coef, intercept), expected, rtol=1e-6)
    # What one place has several entries of is one in the rows and in the columns.
    ordered = as_matrix(twice)
    for found in (ordered.csr, ordered.csc):
        assert found.nnz == len(row)
        np.testing.assert_allclose(found.toarray(), X, rtol=1e-15)
    assert as_matrix(sparse.csc_array(X)).csr.nnz == len(row)
