"""A few kernels beside NumPy: what tells whether they work with a version of Numba that fastlin was not tested with.

It runs in a process of its own, since what LLVM does not know may end the process. The passes over dense and sparse
rows reach the instructions that differ most between releases of LLVM: masked loads, gathers, conversions, exponentials.
"""

import numpy as np

from fastlin.kernels.linear import dense_rows, sparse_rows
from fastlin.kernels.linear.operands import BlockSums, Chunk, Compressed, Kept, Parameters, Samples, TableParameters
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.tiles import Scaling
from fastlin.typing import Array

# Rows and columns that fill no whole vectors; classes below and above those that a loop takes together.
N_ROWS, N_FEATURES, CLASSES = 23, 37, (1, 3, 7)
NO_ROWS = np.empty(0, np.int64)


def check_kernels() -> None:
    """Compare kernels with NumPy.

    Raises
    ------
    ArithmeticError
        A result differs by more than rounding.
    """
    generator = np.random.default_rng(0)
    X = generator.integers(0, 2, (N_ROWS, N_FEATURES)) * generator.integers(1, 9, (N_ROWS, N_FEATURES))
    for n_classes in CLASSES:
        labels = generator.integers(0, max(2, n_classes), N_ROWS).astype(np.int32)
        samples = Samples(NO_ROWS, labels, generator.uniform(0, 2, N_ROWS))
        coef = generator.normal(size=(n_classes, N_FEATURES)) / 16
        intercept = generator.normal(size=n_classes)
        expected = _evaluate(X, samples, coef, intercept)
        for dtype, kind in (("float64", "float64"), ("uint8", "float32")):
            parameters = Parameters(coef.astype(kind), intercept.astype(kind))
            found = _pass_over_dense_rows(X.astype(dtype), samples, parameters)
            compare(f"dense {dtype}, {n_classes} rows of coefficients", found, expected, kind)
        found = _pass_over_sparse_rows(X.astype(float), samples, coef, intercept)
        compare(f"sparse, {n_classes} rows of coefficients", found, (expected[0], expected[2]), "float64")


def compare(name: str, found: tuple[Array, ...], expected: tuple[Array, ...], kind: str) -> None:
    """Raise an ArithmeticError where numbers differ by more than a thousand roundings of the largest of them."""
    for value, right in zip(found, expected, strict=True):
        error, bound = np.abs(value - right).max(), 1e3 * np.finfo(kind).eps * max(1.0, np.abs(right).max())
        # What is no number is no smaller than the bound either.
        if not error <= bound:
            raise ArithmeticError(f"{name}: kernels differ from NumPy by {error:.3g}, and rounding by {bound:.3g}")


def _evaluate(X, samples, coef, intercept):
    """Return the loss, its derivatives by coef and by intercept, by NumPy."""
    scores = X @ coef.T + intercept
    # One row of coefficients is softmax with a score of 0 for the other class.
    scores = np.column_stack([np.zeros(N_ROWS), scores]) if len(coef) == 1 else scores
    exponentials = np.exp(scores)
    totals, present = exponentials.sum(axis=1), np.eye(scores.shape[1])[samples.labels]
    loss = samples.weights @ (np.log(totals) - (scores * present).sum(axis=1))
    slopes = (samples.weights[:, None] * (exponentials / totals[:, None] - present))[:, -len(coef) :]
    return loss, slopes.T @ X, slopes.sum(axis=0)


def _pass_over_dense_rows(X, samples, parameters):
    """Return what `_evaluate` does, by the kernel."""
    n_classes, kind = len(parameters.coef), parameters.coef.dtype
    scaling = Scaling(np.ones(N_FEATURES, kind), np.zeros(N_FEATURES, kind))
    losses, sums = np.zeros(1), BlockSums(np.zeros((1, n_classes, N_FEATURES)), np.zeros((1, n_classes)))
    kept = Kept.of(np.zeros((n_classes, N_ROWS), kind))
    dense_rows.fill_block_loss_and_gradient(0, 1, any_layout(X), samples, scaling, parameters, 8, losses, sums, kept)
    return losses[0], sums.coef[0], sums.intercept[0]


def _pass_over_sparse_rows(X, samples, coef, intercept):
    """Return the loss and its derivative by intercept, by the kernels."""
    n_classes = len(coef)
    rows, columns = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(N_ROWS + 1)).astype(np.int32)
    compressed = Compressed(X[rows, columns], columns.astype(np.int32), indptr)
    table, shifts = gather.zeros_table(N_FEATURES, n_classes), np.zeros((1, n_classes))
    scaling = Scaling(np.ones(N_FEATURES), np.zeros(N_FEATURES))
    sparse_rows.fill_block_table(0, 1, coef, scaling, table, shifts)
    residuals, losses, sums = Chunk(0, gather.zeros_table(N_ROWS, n_classes)), np.zeros(1), np.zeros((1, n_classes))
    borders, kept = np.array([0, N_ROWS]), Kept.of(np.zeros((n_classes, N_ROWS)))
    parameters = TableParameters(table, intercept)
    arguments = compressed, samples, borders, parameters, 8, residuals, losses, sums, kept
    sparse_rows.fill_block_residuals(0, 1, *arguments)
    return losses[0], sums[0]
