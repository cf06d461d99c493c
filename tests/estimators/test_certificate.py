"""The certificate of a fit against the true distance to an independent minimum."""

import warnings

import numpy as np
import pytest
import reference
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin

pytestmark = pytest.mark.usefixtures("sparse_passes")

SOLVERS = ["auto", "lbfgs", "newton-cg", "newton-cholesky"]


def make_data(n, d, n_classes, scaled, seed=0):
    """Return X, labels that its columns tell something of, and weights."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    scores = 0.7 * X @ generator.normal(size=(d, n_classes)) + generator.gumbel(size=(n, n_classes))
    y = scores.argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    if scaled:
        X = X * 10.0 ** generator.uniform(-3, 3, d) + 10.0 ** generator.uniform(-3, 3, d)
    return X, y, generator.uniform(0, 2, n)


def penalty(C, weights):
    return 1 / (C * weights.sum())


@pytest.mark.parametrize(
    ("C", "fit_intercept"), [(1e-3, True), (1.0, True), (1.0, False), (100.0, False), (1e4, True), (1e4, False)]
)
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize(("n", "d", "n_classes", "weighted"), [(80, 4, 2, True), (80, 4, 4, False), (12, 20, 3, True)])
def test_the_certificate_bounds_the_distance_to_the_minimum(n, d, n_classes, weighted, C, scaled, fit_intercept):
    X, y, weights = make_data(n, d, n_classes, scaled)
    weights = weights if weighted else np.ones(n)
    l2 = penalty(C, weights)
    minimum, *_ = reference.minimum(X, y, n_classes, l2, weights, fit_intercept)
    for tol in (1e-2, 1e-4, 1e-6, 1e-8):
        model = fastlin.LogisticRegression(C=C, tol=tol, fit_intercept=fit_intercept)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y, weights if weighted else None)
        assert model.converged_ == (not caught)
        value = reference.objective(X, y, model.coef_, model.intercept_, l2, weights)
        # The reference and J itself are known to rounding only.
        assert -1e-13 * minimum <= value - minimum <= model.certificate_
        if not scaled and (C < 1e4 or n > d):
            assert model.converged_
            assert model.certificate_ <= tol * value * (1 + 1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_holds_for_every_solver_and_wherever_a_fit_is_cut_short(solver, n_classes):
    X, y, weights = make_data(100, 6, n_classes, scaled=False)
    l2 = penalty(10.0, weights)
    minimum, *_ = reference.minimum(X, y, n_classes, l2, weights)
    certificates = []
    for max_iter in range(1, 12):
        model = fastlin.LogisticRegression(C=10.0, solver=solver, tol=1e-9, max_iter=max_iter)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y, weights)
        value = reference.objective(X, y, model.coef_, model.intercept_, l2, weights)
        assert -1e-13 * minimum <= value - minimum <= model.certificate_ < np.inf
        certificates.append(model.certificate_)
    assert certificates[-1] < 1e-2 * certificates[0]


@pytest.mark.parametrize(("C", "n_classes"), [(1e-2, 2), (1.0, 4), (1e3, 2), (1e3, 4)])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_it_holds_for_coefficients_rounded_to_float32(C, n_classes, scaled, tol):
    X, y, weights = make_data(80, 4, n_classes, scaled)
    X = X.astype(np.float32)
    l2 = penalty(C, weights)
    minimum, *_ = reference.minimum(X, y, n_classes, l2, weights)
    model = fastlin.LogisticRegression(C=C, tol=tol).fit(X, y, weights)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    value = reference.objective(X, y, model.coef_, model.intercept_, l2, weights)
    assert -1e-13 * minimum <= value - minimum <= model.certificate_
    if not scaled:
        assert model.certificate_ < (tol + 1e-5) * value


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(("origin", "unit"), [(1e16, 2.0), (1e15, 1.0), (1e12, 2.0**-10), (1e8, 2.0**-20)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_holds_where_columns_vary_by_little_beside_their_mean(n_classes, origin, unit, make):
    generator = np.random.default_rng(3)
    y = generator.integers(0, n_classes, 60)
    weights = generator.uniform(0.1, 2, 60)
    # Whole numbers of units, so that the columns hold them exactly; the second one is constant but where no weight is.
    distances = np.column_stack([y + generator.integers(0, 3, 60), np.zeros(60), generator.normal(size=60)])
    distances[:, :2] *= unit
    X = distances + np.array([origin, 0.1, 0])
    X[::5, 1], weights[::5] = 7.0, 0
    C = 1000 / unit**2
    l2 = penalty(C, weights)
    minimum, *_ = reference.minimum(distances, y, n_classes, l2, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fastlin.LogisticRegression(C=C).fit(make(X), y, weights)
    value = reference.objective(X, y, model.coef_, model.intercept_, l2, weights)
    # Extended precision has eleven bits more than the products that cancel here.
    known = 1e-13 + 60 * float(np.finfo(np.longdouble).eps) * origin * np.abs(model.coef_).max()
    assert -known <= value - minimum <= model.certificate_ + known
    np.testing.assert_array_equal(model.coef_[:, 1], 0)
    if make is np.asarray:
        # Half a unit in the last place of an intercept of 1e15 moves all scores by 0.06.
        assert value - minimum <= (0.3 if origin > 1e8 else 1e-3) * minimum


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_penalty_newtons_steps_alone_have_one(solver):
    X, y, weights = make_data(80, 3, 3, scaled=False)
    model = fastlin.LogisticRegression(C=np.inf, solver=solver).fit(X, y, weights)
    assert model.converged_
    assert all(iteration.bound == np.inf for iteration in model.history_[:-1])
    if solver not in ("auto", "newton-cholesky"):
        assert model.certificate_ == np.inf
        return
    best = fastlin.LogisticRegression(C=np.inf, tol=1e-13).fit(X, y, weights)
    excess = model.history_[-1].objective - best.history_[-1].objective
    assert -1e-14 <= excess <= model.certificate_ < 1e-4


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_reference_is_the_minimum_of_scikit_learn(n_classes, fit_intercept):
    X, y, weights = make_data(80, 4, n_classes, scaled=False)
    _, coef, intercept = reference.minimum(X, y, n_classes, penalty(3.0, weights), weights, fit_intercept)
    theirs = ScikitLearnLogisticRegression(
        C=3.0, solver="newton-cholesky", tol=1e-12, max_iter=1000, fit_intercept=fit_intercept
    ).fit(X, y, weights)
    np.testing.assert_allclose(coef - (coef.mean(axis=0) if n_classes > 2 else 0), theirs.coef_, atol=1e-8)
    if fit_intercept:
        shift = intercept.mean() if n_classes > 2 else 0
        np.testing.assert_allclose(intercept - shift, theirs.intercept_, atol=1e-8)
