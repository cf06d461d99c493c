"""What holds of a fit to any data: random hostile problems, and what leaves the model as it is.

Two fits of one strictly convex objective, whose gaps are at most their certificates c, have coefficients at most
sqrt(2 c / l2) from those of the minimum, because J grows by at least l2 / 2 times the square of the distance.
"""

import warnings

import numpy as np
import pytest
import reference
import scipy.sparse
from conftest import marked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import fastlin

pytestmark = pytest.mark.usefixtures("sparse_passes")

N_PROBLEMS = 100
ROUNDING = 1e-11


def draw_problem(seed):
    """Return X, labels, weights or None, the parameters of LogisticRegression and those of the objective.

    Columns have scales from 1e-3 to 1e3, and some lie up to 1e5 times their spread from zero.
    """
    generator = np.random.default_rng(seed)
    n, d = (int(np.exp(generator.uniform(np.log(least), np.log(most)))) for least, most in ((5, 400), (1, 60)))
    K = min(int(generator.integers(2, 7)), n)
    scales = 10.0 ** generator.uniform(-3, 3, d)
    unit = generator.standard_normal((n, d))
    far = generator.random(d) < 0.3
    X = scales * (unit + far * 10.0 ** generator.uniform(1, 5, d) * generator.choice([-1, 1], d))
    coef = generator.exponential(2) * generator.standard_normal((d, K)) / np.sqrt(d)
    labels = np.argmax(unit @ coef + generator.gumbel(size=(n, K)), axis=1)
    labels[:K] = np.arange(K)
    kind = generator.choice(["float64", "float32", "uint8", "CSR", "Fortran"])
    if kind == "uint8":
        X = np.clip(np.round(128 + 40 * unit), 0, 255).astype(np.uint8)
    elif kind == "float32":
        X = X.astype(np.float32)
    elif kind == "CSR":
        X = scipy.sparse.csr_array(np.where(generator.random((n, d)) < 0.3, X, 0))
    elif kind == "Fortran":
        X = np.asfortranarray(X)
    weights = generator.exponential(size=n) if generator.random() < 0.3 else None
    ratio, C = generator.choice([0.0, 1.0, generator.uniform(0.1, 0.9)]), 10.0 ** generator.uniform(-4, 3)
    parameters = {"C": C, "l1_ratio": ratio, "fit_intercept": bool(generator.random() < 0.5)}
    parameters["group_by_class"] = bool(ratio > 0 and generator.random() < 0.3)
    total = n if weights is None else weights.sum()
    penalties = {"l2": (1 - ratio) / (C * total), "l1": ratio / (C * total)}
    return X, labels, weights, parameters, {**penalties, "group_by_class": parameters["group_by_class"]}


def test_random_problems_reach_tol_and_the_certificate_is_a_bound():
    for seed in range(N_PROBLEMS):
        X, labels, weights, parameters, penalties = draw_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = fastlin.LogisticRegression(**parameters).fit(X, labels, weights)
        closer = fastlin.LogisticRegression(**parameters, tol=1e-7).fit(X, labels, weights)
        dense = X.toarray() if scipy.sparse.issparse(X) else X
        values = [
            float(reference.objective(dense, labels, each.coef_, each.intercept_, weights=weights, **penalties))
            for each in (model, closer)
        ]
        assert model.converged_, seed
        # Where numbers far from zero cancel, since coefficients are float32, X is sparse or nothing centres it, the
        # certificate holds their rounding too.
        assert values[0] - values[1] <= 1e-4 * values[0], seed
        if X.dtype == np.float64 and not scipy.sparse.issparse(X) and parameters["fit_intercept"]:
            assert model.certificate_ <= 1e-4 * values[0] * (1 + 1e-6), seed
        assert values[0] - values[1] <= model.certificate_ + ROUNDING * values[0], seed


@st.composite
def problems(draw):
    n, d, K = draw(st.integers(8, 60)), draw(st.integers(1, 8)), draw(st.integers(2, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = generator.standard_normal((n, d)) * 10.0 ** generator.uniform(-2, 2, d) + generator.choice([0, 100], d)
    labels = generator.integers(0, K, n)
    labels[:K] = np.arange(K)
    return X, labels, 10.0 ** generator.uniform(-2, 2), generator


def fit(X, y, C, weights=None, **parameters):
    with warnings.catch_warnings():
        # A tol near the rounding of J may not be proven, which the certificate says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fastlin.LogisticRegression(C=C, tol=1e-9, **parameters).fit(X, y, weights)


def assert_same_model(model, other, coef, l2):
    """Assert that coef, those of `other` in the order of the first model's, lie within the certificates of both."""
    distance = sum(np.sqrt(2 * each.certificate_ / l2) for each in (model, other))
    assert np.linalg.norm(model.coef_ - coef) <= distance + ROUNDING * np.linalg.norm(coef)


@settings(max_examples=15)
@given(problems())
def test_order_names_and_units_of_the_data_do_not_change_the_model(problem):
    X, y, C, generator = problem
    n, total = len(y), float(len(y))
    model, l2 = fit(X, y, C), 1 / (C * total)
    order, names = generator.permutation(n), generator.permutation(int(y.max()) + 1)
    moved = fit(X[order], y[order], C)
    assert_same_model(model, moved, moved.coef_, l2)
    renamed = fit(X, names[y], C)
    if len(names) > 2:
        assert_same_model(model, renamed, renamed.coef_[names], l2)
    else:
        assert_same_model(model, renamed, renamed.coef_ * (1 if names[0] == 0 else -1), l2)
    weights = generator.integers(1, 4, n).astype(float)
    times = weights.astype(int)
    weighted, repeated = fit(X, y, C, weights), fit(np.repeat(X, times, 0), np.repeat(y, times), C)
    assert_same_model(weighted, repeated, repeated.coef_, 1 / (C * weights.sum()))
    shifted = fit(np.vstack([X, 1e3 * X]), np.append(y, y), C, np.append(np.ones(n), np.zeros(n)))
    assert_same_model(model, shifted, shifted.coef_, l2)
    sparse = fit(scipy.sparse.csr_array(X), y, C)
    assert_same_model(model, sparse, sparse.coef_, l2)
    for solver in ("lbfgs", "newton-cg", "newton-cholesky"):
        named = fit(X, y, C, solver=solver)
        assert_same_model(model, named, named.coef_, l2)


@settings(max_examples=10)
@given(problems())
def test_units_of_columns_do_not_matter_without_a_penalty(problem):
    X, y, _, generator = problem
    # Labels that no plane separates: each row has every class.
    X, y = np.repeat(X, int(y.max()) + 1, 0), np.tile(np.arange(int(y.max()) + 1), len(y))
    weights = generator.uniform(0.5, 1, len(y))
    units = 10.0 ** generator.integers(-4, 5, X.shape[1])
    values = []
    for rows in (X, X * units, X - X.mean(axis=0)):
        model = fit(rows, y, np.inf, weights)
        values.append(float(reference.mean_loss(rows, y, model.coef_, model.intercept_, weights)))
    np.testing.assert_allclose(values, values[0], rtol=1e-8)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "name", ["1e150", "1e-150", "1e25 in float32", "scales from 1e-4 to 1e4", "an offset of 1e8", "nearly separable"]
)
def test_hostile_numbers_give_the_minimum(name, n_classes, is_sparse):
    generator = np.random.default_rng(n_classes)
    unit = generator.standard_normal((120, 4))
    labels = np.argmax(unit[:, :n_classes] * 2 + generator.gumbel(size=(120, n_classes)), axis=1)
    X, C, dtype = unit, 1.0, np.float64
    if name in ("1e150", "1e-150", "1e25 in float32"):
        factor = float(name.split()[0])
        X, C, dtype = unit * factor, np.inf, np.float32 if "float32" in name else np.float64
    elif name.startswith("scales"):
        X = unit * np.logspace(-4, 4, 4)
    elif name.startswith("an offset"):
        X = unit + 1e8
    else:
        labels = np.argmax(unit[:, :n_classes], axis=1)
        C = 1e6
    X = X.astype(dtype)
    model = fastlin.LogisticRegression(C=C, tol=1e-6).fit(scipy.sparse.csr_array(X) if is_sparse else X, labels)
    assert model.converged_ and np.isfinite(model.coef_).all()
    if C == np.inf:
        # Without a penalty the unit of X does not matter.
        expected = fastlin.LogisticRegression(C=C, tol=1e-6).fit(unit, labels)
        least = reference.mean_loss(unit, labels, expected.coef_, expected.intercept_)
        value = reference.mean_loss(unit, labels, model.coef_ * factor, model.intercept_)
    else:
        l2 = 1 / (C * 120)
        least, *_ = reference.minimum(X, labels, n_classes, l2)
        value = reference.objective(X, labels, model.coef_, model.intercept_, l2)
    assert abs(value - least) <= 2e-6 * least


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_a_class_for_each_row():
    X = np.random.default_rng(0).standard_normal((1000, 3))
    model = fastlin.LogisticRegression().fit(X, np.arange(1000))
    assert model.converged_
    assert model.coef_.shape == (1000, 3)


@pytest.mark.parametrize("dtype", [np.float64, *marked(pytest.mark.thorough, np.uint8)])
def test_rare_rows_that_differ_are_not_overlooked(dtype):
    # Of samples drawn without regard to them L-BFGS took 196 iterations, and of 240,000 such rows 1,000 and more.
    generator = np.random.default_rng(0)
    X = np.zeros((48_000, 100), dtype)
    X[:480] = generator.integers(0, 256, (480, 100))
    y = generator.integers(0, 2, len(X))
    y[:480] = X[:480, 0] > 127
    # Features gain a hundredth of J.
    model = fastlin.LogisticRegression(tol=1e-2).fit(X, y)
    assert model.converged_
    assert model.n_iter_[0] <= 60
