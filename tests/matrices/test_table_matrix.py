"""Tables, compared with NumPy on equal columns: statistics, scores, passes, Gram matrices and columns."""

import numpy as np
import pytest
import reference

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import CategoricalColumn, TableMatrix, table_matrix

# A sum of n numbers has at most n rounding errors in any order. The partial sums here are below 1e3.
EXACT_TOLERANCES = {"rtol": 1e-11, "atol": 1e-11}
ALL_ROWS = np.empty(0, np.int64)


def make_table(n=700, seed=0, *, numbers=True, codes=True):
    """Return a table with codes and numbers of every dtype, and its dense X. Missing codes may have a category."""
    generator = np.random.default_rng(seed)
    columns = []
    if codes:
        for n_categories, dtype, missing in ((3, np.int8, "category"), (200, np.int16, None), (40, np.int32, "none")):
            actual = generator.integers(0, n_categories, n).astype(dtype)
            if missing:
                actual[generator.random(n) < 0.1] = -1
            columns.append(CategoricalColumn(actual, n_categories + (missing == "category"), missing == "category"))
    if numbers:
        for dtype in (np.float64, np.float32, np.int64, np.int32, np.int16, np.int8, np.uint8, bool):
            columns.append((1 + 20 * generator.random(n)).astype(dtype))
        columns[-1][::3] = False
        wide = generator.normal(size=(n, 3)) + 5
        # This column is a strided view of another array.
        columns.insert(1, np.repeat(wide, 2, axis=0)[::2, 1])
    return TableMatrix(columns), encode_one_hot(columns)


def encode_one_hot(columns):
    """Return the columns of a table as dense X. Loops compute an independent one-hot encoding."""
    X = []
    for column in columns:
        if not isinstance(column, CategoricalColumn):
            X.append(np.array([float(x) for x in column]))
            continue
        for category in range(column.n_categories):
            category_code = -1 if column.has_missing_category and category == column.n_categories - 1 else category
            X.append(np.array([float(code == category_code) for code in column.codes]))
    return np.column_stack(X)


@pytest.fixture(params=["both", "codes", "numbers"])
def table(request):
    return make_table(numbers=request.param != "codes", codes=request.param != "numbers")


def check_pass_sums(table, X, K, *, rows=ALL_ROWS, weighted=False, stored_dtype=np.float64):
    """Compare all sums of passes with NumPy sums over the rows [scale x + shift, 1], mostly in extended precision."""
    generator, (n, d) = np.random.default_rng(1), X.shape
    labels, weights = generator.integers(0, max(2, K), n), generator.random(n)
    samples = Samples(rows, labels.astype(np.int32), weights if weighted else np.empty(0))
    scaling = Scaling(2.0 ** generator.integers(-2, 2, d), generator.normal(size=d))
    parameters, direction = generator.normal(size=(2, K, d + 1)) * [[[0.1]], [[1.0]]]
    passes, numbers = table.passes(samples, scaling, K), rows if len(rows) else np.arange(n)
    x = np.column_stack([X.astype(np.longdouble) * scaling.scale + scaling.shift, np.ones(n)])[numbers]
    s = weights[numbers] if weighted else np.ones(len(numbers))
    losses, p, residuals = reference.evaluate_losses(x @ parameters.T, labels[numbers])
    gradient, stored = np.empty(parameters.shape), np.empty((K, len(numbers)), stored_dtype)
    np.testing.assert_allclose(passes.evaluate(parameters, stored, gradient), float(s @ losses), rtol=1e-12)
    np.testing.assert_allclose(gradient, (residuals.T * s @ x).astype(float), **EXACT_TOLERANCES)
    tolerance = {"rtol": 1e-12, "atol": 1e-15} if stored_dtype is np.float64 else {"rtol": 1e-6}
    np.testing.assert_allclose(stored, p.T.astype(stored_dtype), **tolerance)

    p = stored.astype(np.float64)
    slopes = direction @ x.T
    slopes -= (p * slopes).sum(axis=0)
    product = passes.hessian_product(direction, p)
    np.testing.assert_allclose(product, (s * p * slopes @ x).astype(float), **EXACT_TOLERANCES)
    if K <= 4:
        x, row_weights = x.astype(float), generator.random((2, len(x)))
        grams = [(x.T * weight_set) @ x for weight_set in row_weights]
        np.testing.assert_allclose(passes.gram(rows, row_weights, np.float64), grams, **EXACT_TOLERANCES)
        np.testing.assert_allclose(passes.class_pair_gram(p), reference.hessian(x, s, p.T), **EXACT_TOLERANCES)


def test_a_table_has_the_shape_and_entries_of_its_encoding(table):
    table, X = table
    assert table.shape == X.shape
    assert len(table) == len(X)
    np.testing.assert_array_equal(table.encode_one_hot_rows(slice(None)).X.toarray(), X)
    rows = np.array([5, 3, 3, 699])
    np.testing.assert_array_equal(table[rows].encode_one_hot_rows(slice(None)).X.toarray(), X[rows])


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_agree_with_the_one_hot_encoding(table, weighted):
    table, X = table
    weights = np.random.default_rng(2).random(len(X)) if weighted else None
    if weighted:
        weights[X[:, 0] == X[0, 0]] = 0
    actual, exact = table.measure(weights), X.astype(np.longdouble)
    mean = np.average(exact, axis=0, weights=weights)
    standard_deviation = np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=weights))
    largest_magnitudes, largest_deviations = abs(X).max(axis=0), abs(exact - mean).max(axis=0)
    for statistic, right in zip(
        (actual.mean, actual.standard_deviation, actual.largest_magnitudes, actual.largest_deviations),
        (mean, standard_deviation, largest_magnitudes, largest_deviations),
        strict=True,
    ):
        np.testing.assert_allclose(statistic, right.astype(float), rtol=1e-12, atol=1e-14)
    assert actual.is_finite


@pytest.mark.parametrize("K", [1, 3, 5, 9, 40])
def test_passes_agree_with_numpy(table, K):
    check_pass_sums(*table, K)


@pytest.mark.parametrize("K", [1, 4])
@pytest.mark.parametrize("rows", [np.arange(3, 690), np.r_[0:20, 400:100:-3, 7, 7]], ids=["stretch", "any order"])
def test_passes_over_some_weighted_rows_agree_with_numpy(K, rows):
    check_pass_sums(*make_table(), K, rows=rows, weighted=True, stored_dtype=np.float32)


def test_gram_matrices_of_numbers_far_from_zero_are_accurate():
    codes, numbers = (
        CategoricalColumn(np.arange(700, dtype=np.int32) % 5, 5),
        1e9 + np.random.default_rng(8).integers(0, 9, 700),
    )
    table = TableMatrix([codes, numbers])
    scale, shift = table.measure().choose_coordinates()
    samples = Samples(ALL_ROWS, np.zeros(700, np.int32), np.empty(0))
    (actual,) = table.passes(samples, Scaling(scale, shift), 1).gram(samples.rows, np.ones((1, 700)), np.float64)
    X = np.column_stack([encode_one_hot([codes, numbers]) * scale + shift, np.ones(700)])
    # Products of uncentered numbers are near 1e18, where the spacing of float64 is about a hundred.
    np.testing.assert_allclose(actual, X.T @ X, rtol=1e-9, atol=1e-6)


def test_sums_of_several_blocks_are_bitwise_equal_on_any_number_of_threads(monkeypatch, cut_into_blocks):
    cut_into_blocks(100_000)
    n, generator, n_blocks, actual = 3_000, np.random.default_rng(0), [], set()
    monkeypatch.setattr(
        table_matrix, "run_blocks", lambda *arguments: n_blocks.append(arguments[1]) or run_blocks(*arguments)
    )
    codes = [CategoricalColumn(generator.integers(-1, 30, n).astype(np.int8), 30) for _ in range(3)]
    columns, weights = [*codes, generator.normal(size=n)], generator.random((1, n))
    table, parameters = TableMatrix(columns), 0.1 * generator.normal(size=(3, 92))
    samples = Samples(ALL_ROWS, generator.integers(0, 3, n).astype(np.int32), np.empty(0))
    passes = table.passes(samples, Scaling(np.ones(91), np.zeros(91)), 3)
    for limit in (1, 2, 3):
        with limit_threads(limit):
            gradient = np.empty(parameters.shape)
            loss, gram = passes.evaluate(parameters, None, gradient), passes.gram(samples.rows, weights, np.float64)
            actual.add((loss, gradient.tobytes(), table.measure().mean.tobytes(), gram.tobytes()))
    assert len(actual) == 1
    assert min(n_blocks) > 1 and len(passes._categorical.sums) > 2
    x = np.column_stack([encode_one_hot(columns), np.ones(n)])
    expected = (x.T * weights) @ x
    np.testing.assert_allclose(gram[0], expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_columns_are_centered_or_stored_as_entries(table, precision):
    table, X = table
    actual = table.transposed(precision, None)
    for j in range(X.shape[1]):
        expected = X[:, j] * actual.scale[j] + actual.shift[j]
        column = np.zeros(len(X))
        if actual.positions[j] >= 0:
            column = actual.panel[actual.positions[j]]
            # The column is centered, and the standard deviation is near one.
            assert abs(column.mean()) < 1e-6
            assert column.std() < 2
        else:
            entries = slice(actual.starts[j], actual.starts[j + 1])
            assert (np.diff(actual.indices[entries]) > 0).all()
            column[actual.indices[entries]] = actual.values[entries]
        np.testing.assert_allclose(column, expected, rtol=0, atol=4 * np.finfo(precision).eps * 40)


def test_only_few_rows_are_copied():
    table, X = make_table()
    few = np.array([3, 9])
    assert table.should_extract_rows(few) and table.take(few).shape == (2, X.shape[1])
    assert not table.should_extract_rows(np.arange(600))


@pytest.mark.parametrize("columns", [[np.ones(3), np.ones(4)], [np.ones((3, 1)), np.ones((3, 1))]])
def test_columns_of_different_shapes_raise(columns):
    with pytest.raises(ValueError, match="columns of a table must be one-dimensional and of equal length"):
        TableMatrix(columns)
