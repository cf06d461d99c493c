"""Tables beside NumPy on the same columns: statistics, scores, passes, Gram matrices and columns."""

import numpy as np
import pytest

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import Codes, TableMatrix, table_matrix

# A sum of n numbers, each rounded, in any order: n units of rounding, here of sums below 1e3.
EXACT = {"rtol": 1e-11, "atol": 1e-11}


def make_table(n=700, seed=0, *, numbers=True, codes=True):
    """Return a table with codes of every width, missing ones with and without a level, and numbers of every type."""
    generator = np.random.default_rng(seed)
    columns = []
    if codes:
        for n_levels, dtype, missing in ((3, np.int8, "level"), (200, np.int16, None), (40, np.int32, "none")):
            found = generator.integers(0, n_levels, n).astype(dtype)
            if missing:
                found[generator.random(n) < 0.1] = -1
            columns.append(Codes(found, n_levels + (missing == "level"), missing == "level"))
    if numbers:
        for dtype in (np.float64, np.float32, np.int64, np.int32, np.int16, np.int8, np.uint8, bool):
            columns.append((1 + 20 * generator.random(n)).astype(dtype))
        columns[-1][::3] = False
        wide = generator.normal(size=(n, 3)) + 5
        # Every other row and column of another array.
        columns.insert(1, np.repeat(wide, 2, axis=0)[::2, 1])
    return TableMatrix(columns), spread(columns)


def spread(columns):
    """Return the dense X of a table's columns: an independent one-hot encoding, with loops."""
    X = []
    for column in columns:
        if not isinstance(column, Codes):
            X.append(np.array([float(x) for x in column]))
            continue
        for level in range(column.n_levels):
            wanted = -1 if column.has_missing_level and level == column.n_levels - 1 else level
            X.append(np.array([float(code == wanted) for code in column.codes]))
    return np.column_stack(X)


@pytest.fixture(params=["both", "codes", "numbers"])
def table(request):
    return make_table(numbers=request.param != "codes", codes=request.param != "numbers")


class PlainSums:
    """The sums of passes by NumPy, mostly in extended precision, over the rows [scale x + shift, 1] of a dense X."""

    def __init__(self, X, samples, scaling, n_rows_coef):
        rows, labels, weights = samples[:3]
        self.all_rows = np.column_stack([X.astype(np.longdouble) * scaling.scale + scaling.shift, np.ones(len(X))])
        rows = rows if len(rows) else np.arange(len(X))
        self.rows, self.labels = self.all_rows[rows], labels[rows]
        self.weights = weights[rows] if len(weights) else np.ones(len(rows))
        self.K = n_rows_coef

    def evaluate(self, parameters):
        """Return the loss, the probabilities (K, m) and the gradient."""
        scores = self.rows @ parameters.T
        # Two classes have one row of scores, that of the second class; the first one's are zero.
        scores = np.column_stack([np.zeros(len(scores)), scores]) if self.K == 1 else scores
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        own = self.labels[:, None] == np.arange(len(probabilities.T))
        residuals = self.weights[:, None] * (probabilities - own)
        kept = slice(1, None) if self.K == 1 else slice(None)
        loss = -(self.weights * np.log(probabilities[own])).sum()
        return loss, probabilities.T[kept], residuals.T[kept] @ self.rows

    def hessian_product(self, direction, probabilities):
        by_scores = self.rows @ direction.T
        mean = (probabilities.T * by_scores).sum(axis=1, keepdims=True)
        return (self.weights[:, None] * probabilities.T * (by_scores - mean)).T @ self.rows

    def gram(self, rows, row_weights):
        X = (self.all_rows[rows] if len(rows) else self.all_rows).astype(float)
        return np.array([(X.T * own) @ X for own in row_weights])

    def class_pair_gram(self, probabilities):
        X, shares = self.rows.astype(float), self.weights * probabilities
        pairs = [[(k == j) * shares[k] - shares[k] * probabilities[j] for j in range(self.K)] for k in range(self.K)]
        return np.block([[(X.T * own) @ X for own in row] for row in pairs])


def make_passes(table, X, K, *, rows=None, weighted=False, scaled=True):
    """Return the passes over a table, the same sums by NumPy, and parameters."""
    generator = np.random.default_rng(1)
    n, d = X.shape
    rows, labels = np.empty(0, np.int64) if rows is None else rows, generator.integers(0, max(2, K), n)
    samples = Samples(rows, labels.astype(np.int32), generator.random(n) if weighted else np.empty(0))
    scale = 2.0 ** generator.integers(-2, 2, d) if scaled else np.ones(d)
    given = samples, Scaling(scale, generator.normal(size=d) if scaled else np.zeros(d)), K
    parameters = generator.normal(size=(K, d + 1)) * 0.1
    return table.passes(*given), PlainSums(X, *given), parameters


def test_shape_and_entries(table):
    table, X = table
    assert table.shape == X.shape
    assert len(table) == len(X)
    np.testing.assert_array_equal(table.expand(slice(None)).X.toarray(), X)
    rows = np.array([5, 3, 3, 699])
    np.testing.assert_array_equal(table[rows].expand(slice(None)).X.toarray(), X[rows])


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_the_spread_columns(table, weighted):
    table, X = table
    weights = np.random.default_rng(2).random(len(X)) if weighted else None
    if weighted:
        weights[X[:, 0] == X[0, 0]] = 0
    found, exact = table.measure(weights), X.astype(np.longdouble)
    mean = np.average(exact, axis=0, weights=weights)
    expected = {
        "mean": mean,
        "spread": np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=weights)),
        "magnitude": abs(X).max(axis=0),
        "farthest": abs(exact - mean).max(axis=0),
    }
    for name, right in expected.items():
        np.testing.assert_allclose(getattr(found, name), right.astype(float), rtol=1e-12, atol=1e-14)
    assert found.finite


@pytest.mark.parametrize("column", [0, 1])
def test_infinity_and_nan_are_noticed(column):
    numbers = [np.ones(50), np.ones(50, np.float32)]
    numbers[column][7] = [np.inf, np.nan][column]
    assert not TableMatrix([Codes(np.zeros(50, np.int8), 1), *numbers]).measure().finite


@pytest.mark.parametrize("K", [1, 3, 5, 9, 40])
def test_losses_and_gradients_are_those_of_numpy(table, K):
    passes, expected, parameters = make_passes(*table, K)
    gradient, kept = np.empty(parameters.shape), np.empty((K, 700))
    loss = passes.evaluate(parameters, kept, gradient)
    wanted_loss, wanted_kept, wanted = expected.evaluate(parameters)
    np.testing.assert_allclose(loss, float(wanted_loss), rtol=1e-12)
    np.testing.assert_allclose(gradient, wanted.astype(float), **EXACT)
    np.testing.assert_allclose(kept, wanted_kept.astype(float), rtol=1e-12, atol=1e-15)
    direction = np.random.default_rng(3).normal(size=parameters.shape)
    product = passes.hessian_product(direction, kept)
    np.testing.assert_allclose(product, expected.hessian_product(direction, kept).astype(float), **EXACT)


@pytest.mark.parametrize("K", [1, 4])
@pytest.mark.parametrize("rows", [np.arange(3, 690), np.r_[0:20, 400:100:-3, 7, 7]], ids=["stretch", "any order"])
def test_passes_over_some_weighted_rows(K, rows):
    passes, expected, parameters = make_passes(*make_table(), K, rows=rows, weighted=True)
    gradient, kept = np.empty(parameters.shape), np.empty((K, len(rows)), np.float32)
    loss = passes.evaluate(parameters, kept, gradient)
    wanted_loss, wanted_kept, wanted = expected.evaluate(parameters)
    np.testing.assert_allclose(loss, float(wanted_loss), rtol=1e-12)
    np.testing.assert_allclose(kept, wanted_kept.astype(np.float32), rtol=1e-6)
    np.testing.assert_allclose(gradient, wanted.astype(float), **EXACT)
    probabilities = kept.astype(np.float64)
    np.testing.assert_allclose(
        passes.hessian_product(parameters, probabilities),
        expected.hessian_product(parameters, probabilities).astype(float),
        **EXACT,
    )
    row_weights = np.random.default_rng(4).random((2, len(rows)))
    np.testing.assert_allclose(passes.gram(rows, row_weights, np.float64), expected.gram(rows, row_weights), **EXACT)
    np.testing.assert_allclose(passes.class_pair_gram(probabilities), expected.class_pair_gram(probabilities), **EXACT)


def test_gram_matrices_over_all_rows(table):
    passes, expected, _ = make_passes(*table, 3)
    probabilities = np.random.default_rng(5).dirichlet(np.ones(3), 700).T.copy()
    no_rows, row_weights = np.empty(0, np.int64), np.random.default_rng(4).random((2, 700))
    np.testing.assert_allclose(
        passes.gram(no_rows, row_weights, np.float64), expected.gram(no_rows, row_weights), **EXACT
    )
    np.testing.assert_allclose(passes.class_pair_gram(probabilities), expected.class_pair_gram(probabilities), **EXACT)


def test_gram_matrices_of_several_blocks(monkeypatch):
    blocks = []
    monkeypatch.setattr(table_matrix, "run_blocks", lambda *given: blocks.append(given[1]) or run_blocks(*given))
    n, generator = 40_000, np.random.default_rng(7)
    columns = [
        Codes(generator.integers(-1, 4, n).astype(np.int8), 4),
        Codes(generator.integers(0, 3, n).astype(np.int32), 3),
    ]
    columns = [*columns, generator.normal(size=n)]
    passes, expected, _ = make_passes(TableMatrix(columns), spread(columns), 1)
    no_rows, row_weights = np.empty(0, np.int64), generator.random((1, n))
    found, right = passes.gram(no_rows, row_weights, np.float64), expected.gram(no_rows, row_weights)
    assert blocks[0] > 1
    np.testing.assert_allclose(found, right, rtol=1e-11, atol=1e-11 * np.abs(right).max())


def test_gram_matrices_of_numbers_far_from_zero_keep_their_digits():
    codes, numbers = Codes(np.arange(700, dtype=np.int32) % 5, 5), 1e9 + np.random.default_rng(8).integers(0, 9, 700)
    table = TableMatrix([codes, numbers])
    scale, shift = table.measure().choose_coordinates()
    samples = Samples(np.empty(0, np.int64), np.zeros(700, np.int32), np.empty(0))
    (found,) = table.passes(samples, Scaling(scale, shift), 1).gram(samples.rows, np.ones((1, 700)), np.float64)
    X = np.column_stack([spread([codes, numbers]) * scale + shift, np.ones(700)])
    # A product of numbers that are not centred has 1e18, of which float64 keeps whole hundreds.
    np.testing.assert_allclose(found, X.T @ X, rtol=1e-9, atol=1e-6)


def test_bits_do_not_depend_on_the_number_of_threads():
    n, generator = 200_000, np.random.default_rng(0)
    codes = [Codes(generator.integers(0, 30, n).astype(np.int8), 30) for _ in range(3)]
    table = TableMatrix([*codes, generator.normal(size=n)])
    parameters = 0.1 * generator.normal(size=(3, 92))
    samples = Samples(np.empty(0, np.int64), generator.integers(0, 3, n).astype(np.int32), np.empty(0))
    passes = table.passes(samples, Scaling(np.ones(91), np.zeros(91)), 3)
    assert len(passes._levels.sums) > 2
    weights, found = generator.random((1, n)), set()
    for limit in (1, 2, 3):
        with limit_threads(limit):
            gradient = np.empty(parameters.shape)
            loss, gram = passes.evaluate(parameters, None, gradient), passes.gram(samples.rows, weights, np.float64)
            found.add((loss, gradient.tobytes(), table.measure().mean.tobytes(), gram.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("K", [1, 5])
def test_scores_and_best_classes(table, K, monkeypatch):
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BYTES", 1_000)
    table, X = table
    generator = np.random.default_rng(6)
    coef, intercept = generator.normal(size=(K, X.shape[1])), generator.normal(size=K)
    scores = np.einsum("ij,kj->ik", X, coef) + intercept
    np.testing.assert_allclose(table.compute_scores(coef, intercept), scores, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(table.sum_squared_scores(coef, intercept), (scores**2).sum(axis=1), rtol=1e-6)
    best = scores.argmax(axis=1) if K > 1 else scores[:, 0] > 0
    np.testing.assert_array_equal(table.find_best_class(coef, intercept), best)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_columns_one_by_one(table, precision):
    table, X = table
    found = table.transposed(precision, None)
    for j in range(X.shape[1]):
        expected = X[:, j] * found.scale[j] + found.shift[j]
        column = np.zeros(len(X))
        if found.places[j] >= 0:
            column = found.panel[found.places[j]]
            # It is centred, and its spread is near one.
            assert abs(column.mean()) < 1e-6
            assert column.std() < 2
        else:
            own = slice(found.starts[j], found.starts[j + 1])
            assert (np.diff(found.indices[own]) > 0).all()
            column[found.indices[own]] = found.values[own]
        np.testing.assert_allclose(column, expected, rtol=0, atol=4 * np.finfo(precision).eps * 40)


def test_few_rows_are_copied_and_many_are_not():
    table, X = make_table()
    few, no_rows = table.select(np.array([3, 9]))
    assert few.shape == (2, X.shape[1])
    assert not len(no_rows)
    same, rows = table.select(np.arange(600))
    assert same is table
    assert len(rows) == 600


@pytest.mark.parametrize("columns", [[np.ones(3), np.ones(4)], [np.ones((3, 1)), np.ones((3, 1))]])
def test_columns_of_other_shapes_are_refused(columns):
    with pytest.raises(ValueError, match="columns of a table must have one length"):
        TableMatrix(columns)
