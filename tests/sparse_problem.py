"""A sparse problem as the kernels take it, for the tests of rows and of columns: a pass needs both."""

import numpy as np
from conftest import make_sparse
from reference import losses_of
from scipy import sparse

from fastlin.kernels.linear import sparse_columns, sparse_rows
from fastlin.kernels.linear.operands import Chunk, Compressed, Kept, Losses, Samples, TableParameters
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

NONE = np.empty(0, np.int64)


class SparseProblem:
    """A sparse matrix by rows and by columns, and random parameters, labels, weights, scale and shift."""

    def __init__(self, n, d, n_classes, dtype=np.float64, index_dtype=np.int32, seed=0):
        self.generator = generator = np.random.default_rng(seed)
        data, *places = make_sparse(n, d, dtype, index_dtype, seed=seed)
        if np.issubdtype(dtype, np.unsignedinteger):
            data = np.abs(data.astype(np.int8)).astype(dtype)
        self.rows = Compressed(data, *places)
        csc = sparse.csr_array(tuple(self.rows), shape=(n, d)).tocsc()
        self.columns = Compressed(csc.data, csc.indices.astype(index_dtype), csc.indptr.astype(index_dtype))
        self.dense = csc.astype(np.float64).toarray()
        self.n, self.d, self.K = n, d, n_classes
        self.labels = generator.integers(0, max(2, n_classes), n).astype(np.int32)
        self.weights = generator.uniform(0, 2, n)
        self.scaling = Scaling(2.0 ** generator.integers(-3, 1, d), generator.normal(size=d))
        self.coef = generator.normal(size=(n_classes, d))
        self.intercept = generator.normal(size=n_classes)
        self.scaled = self.dense * self.scaling.scale + self.scaling.shift

    def fill_table(self, coef, intercept, n_blocks=2):
        table, shifts = gather.zeros_table(self.d, self.K), np.full((n_blocks, self.K), np.nan)
        run_blocks(sparse_rows.fill_block_table, n_blocks, coef, self.scaling, table, shifts)
        return TableParameters(table, intercept + shifts.sum(axis=0))

    def multiply_columns(self, chunk, sums, adds, product, borders=None):
        borders = np.array([0, self.d // 3, self.d]) if borders is None else borders
        arguments = self.columns, borders, chunk, sums, self.scaling, adds, product
        run_blocks(sparse_columns.fill_block_product, len(borders) - 1, *arguments)

    def evaluate(self, chunks=((0, None),), rows=NONE, borders=None):
        """Return loss, gradient, intercept gradient and probabilities, of ranges of rows one after the other."""
        parameters = self.fill_table(self.coef, self.intercept)
        samples = Samples(rows, self.labels, self.weights)
        gradient = np.full((self.K, self.d + 1), np.nan)
        probabilities = np.full((self.K, len(rows) or self.n), np.nan)
        loss, totals = 0.0, np.zeros(self.K)
        for number, (first, last) in enumerate(chunks):
            last = self.n if last is None else last
            residuals = Chunk(first, gather.zeros_table(last - first, self.K))
            begin, end = np.searchsorted(rows, (first, last)) if len(rows) else (first, last)
            cuts = np.array([begin, (begin + end) // 2, end])
            losses, sums = np.full(2, np.nan), np.full((2, self.K), np.nan)
            arguments = self.rows, rows, cuts, parameters, 8, residuals, sums
            turn = Losses(samples, losses, Kept.of(probabilities)), None
            run_blocks(sparse_rows.fill_block_chunk, 2, *arguments, *turn)
            self.multiply_columns(residuals, sums.sum(axis=0), number > 0, gradient, borders)
            loss, totals = loss + losses.sum(), totals + sums.sum(axis=0)
        return loss, gradient[:, :-1], totals, probabilities

    def probabilities(self, rows=slice(None)):
        """Return the probabilities of rows, (K, m), by NumPy."""
        scores = self.scaled[rows] @ self.coef.T + self.intercept
        return np.ascontiguousarray(losses_of(scores, self.labels[rows])[1].T)


def assert_close(found, expected):
    """Fail where a number differs by more than 1e-11 of itself and of the largest: some 10^4 roundings of float64."""
    for value, right in zip(found, expected, strict=True):
        right = np.asarray(right)
        np.testing.assert_allclose(value, right, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(right).max()))
