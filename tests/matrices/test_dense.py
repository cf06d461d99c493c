"""Dense matrices, compared with NumPy. The tests of the objective and of sparse matrices cover passes."""

import numpy as np
import pytest
import reference
from conftest import mark_params

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import DenseMatrix, as_matrix, dense
from fastlin.objective.rows import make_samples

N, D = 40, 7


def make(dtype=np.float64):
    return (np.random.default_rng(0).normal(3, 40, (N, D)) % 100).astype(dtype)


def test_rows_are_copied_only_if_needed():
    X, out = make(), np.empty((3, D))
    matrix = as_matrix(X)
    assert matrix.take_rows(np.array([9, 2, 2]), out) is out
    np.testing.assert_array_equal(out, X[[9, 2, 2]])
    assert np.shares_memory(matrix.take_rows(slice(4, 7), out), X)
    for other in (make(np.float32), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        actual = as_matrix(other).take_rows(slice(4, 7), out)
        assert actual is out
        np.testing.assert_array_equal(actual, other[4:7])
    X.flags.writeable = False
    matrix = as_matrix(X)
    assert isinstance(matrix, DenseMatrix) and as_matrix(matrix) is matrix
    assert np.shares_memory(matrix.X, X)
    assert (matrix.shape, matrix.dtype, matrix.budget_bytes) == ((N, D), X.dtype, X.nbytes)


@pytest.mark.parametrize(
    "dtype", [np.float64, np.uint8, *mark_params(pytest.mark.thorough, np.float32, np.float16, np.int32)]
)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_columns_are_stored_unchanged_or_scaled_and_shifted(dtype, precision):
    X = make(dtype)
    matrix = as_matrix(X)
    transposed = matrix.transposed(precision, None)
    assert matrix.transposed(precision, None) is transposed
    assert transposed.panel.dtype == (np.uint8 if dtype == np.uint8 else precision)
    expected = X * transposed.scale + transposed.shift
    np.testing.assert_allclose(transposed.panel, expected.T, atol=1e-12 if precision == np.float64 else 1e-5)
    np.testing.assert_array_equal(transposed.positions, np.arange(D))
    assert len(transposed.values) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_columns_with_few_nonzeros_are_stored_as_entries(dtype):
    generator = np.random.default_rng(0)
    X = generator.integers(1, 9, size=(40, 6)).astype(dtype)
    # Columns 1, 3 and 5 have at most one nonzero value per eight rows. The other columns have more.
    for j, n_entries in enumerate((40, 5, 6, 0, 40, 1)):
        X[generator.permutation(40)[n_entries:], j] = 0
    actual = DenseMatrix(X).transposed(np.float64, None)
    assert (actual.positions < 0).tolist() == [False, True, False, True, False, True]
    for j in range(6):
        if actual.positions[j] >= 0:
            column = actual.panel[actual.positions[j]].astype(float)
        else:
            entries, column = slice(actual.starts[j], actual.starts[j + 1]), np.zeros(40)
            column[actual.indices[entries]] = actual.values[entries]
        np.testing.assert_allclose((column - actual.shift[j]) / actual.scale[j], X[:, j], rtol=0, atol=1e-13)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_gram_matrices_are_accurate_for_any_number_of_row_blocks(precision, monkeypatch):
    generator = np.random.default_rng(0)
    X, weights = generator.normal(size=(50, 90)), generator.uniform(size=50)
    ones = np.column_stack([X, np.ones(50)])
    expected = ones.T @ (weights[:, None] * ones)
    bound = 60 * np.finfo(precision).eps * (np.abs(ones).T @ (weights[:, None] * np.abs(ones)))
    for n_parts in (1, 3):
        monkeypatch.setattr(dense, "count_blocks", lambda *arguments, n_parts=n_parts, **named: n_parts)
        gram = DenseMatrix(X).gram(weights, precision)
        assert gram.dtype == precision
        assert (np.abs(gram - expected) <= bound).all()


@pytest.mark.parametrize("offset", [0.0, 50.0, 1e6])
def test_two_classes_are_read_in_place_if_that_is_accurate(monkeypatch, offset):
    monkeypatch.setattr(dense, "MAX_COPIED_ENTRIES", 0)
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, D)) + offset
    labels, weights = generator.integers(0, 2, 60).astype(np.int32), generator.uniform(0.5, 2, 60)
    scale, shift = as_matrix(X).measure().choose_coordinates()
    parameters = generator.normal(size=(1, D + 1))
    x = np.column_stack([X.astype(np.longdouble) * scale + shift, np.ones(60)])
    losses, p, residuals = reference.evaluate_losses(x @ parameters.T, labels)
    # X has contiguous rows, contiguous columns or neither, or rows of X are selected.
    layouts = X, np.asfortranarray(X), np.repeat(np.repeat(X, 2, axis=1), 2, axis=0)[::2, ::2]
    for layout, rows in [*((layout, np.empty(0, np.int64)) for layout in layouts), (X, np.arange(60))]:
        passes = as_matrix(layout).passes(Samples(rows, labels, weights), Scaling(scale, shift), 1)
        is_read_in_place = offset < 1e6 and layout is not layouts[2] and not len(rows)
        assert passes.relative_shift_errors == (2 if is_read_in_place else 0)
        gradient, probabilities = np.empty((1, D + 1)), np.empty((1, 60))
        tolerance = 1e-14 * (1 + passes.relative_shift_errors * offset)
        loss = passes.evaluate(parameters, probabilities, gradient)
        assert loss == pytest.approx(float(weights @ losses), rel=tolerance)
        np.testing.assert_allclose(gradient, (residuals.T * weights @ x).astype(float), atol=100 * tolerance)
        np.testing.assert_allclose(probabilities, p.T.astype(float), atol=10 * tolerance)


@pytest.mark.parametrize(("n", "d", "n_classes"), [(256, 50, 30), (8192, 50, 30), (8192, 200, 6)])
def test_rounding_errors_of_scores_are_bounded_by_the_longest_row(n, d, n_classes):
    # Each term is lost if it is added to the first term alone: in a copy, in transposed tiles, and in vector lanes.
    unit, scaling = np.finfo(np.float64).eps / 2, Scaling(np.ones(d), np.zeros(d))
    X, coef = np.full((n, d), unit), np.zeros((n_classes, d + 1))
    X[:, 0], coef[0, :-1] = 1, 2.0**20
    samples = make_samples(np.full(n, n_classes - 1, np.int32), (np.arange(n) == 0).astype(float))
    passes = as_matrix(X).passes(samples, scaling, n_classes)
    score = passes.evaluate(coef, None, np.empty(coef.shape))
    assert 1 + (d - 1) * unit - score / 2**20 <= (passes.longest_row + 4) * unit
    assert passes.max_additions_per_sum < max(n / 4, 300)
