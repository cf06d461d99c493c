"""Properties of fits: random problems in every container, valid certificates, and invariances.

If J is strictly convex, the coefficients of a fit with certificate c are at most sqrt(2 c / l2) from the optimum,
because J - J* is at least l2 / 2 times the squared distance.
"""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import reference
from conftest import LAYOUTS, mark_params
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import fit
from scipy import sparse
from scipy.special import softmax

import fastlin
from fastlin.blocks import from_arrays, from_csr
from fastlin.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

ROUNDING = 1e-11
N_CATEGORIES = 4


def split_entries_in_half(X):
    """Return a CSR matrix with each entry split into two halves, and the entries of a row in reverse order."""
    X = sparse.csr_array(X[:, ::-1])
    columns = X.shape[1] - 1 - X.indices
    return sparse.csr_array((np.repeat(X.data / 2, 2), np.repeat(columns, 2), 2 * X.indptr), shape=X.shape)


# Containers of float64 rows.
CONTAINERS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": LAYOUTS["strided"],
    "float32": lambda X: X.astype(np.float32),
    "uint8": lambda X: X.astype(np.uint8),
    "CSR": sparse.csr_array,
    "CSC": sparse.csc_matrix,
    "COO": sparse.coo_array,
    "entries unsorted and twice": split_entries_in_half,
    "blocks": lambda X: from_arrays(X, rows_per_block=60),
    "sparse blocks": lambda X: from_csr([sparse.csr_array(X[:50]), sparse.csr_array(X[50:])]),
}
SPARSE_CONTAINERS = "CSR", "CSC", "COO", "entries unsorted and twice", "sparse blocks"
SOLVERS = "auto", "auto", "auto", "lbfgs", "newton-cg", "newton-cholesky"


def sample_columns(generator, form, n, d):
    """Return columns with scales of 1e-3 to 1e3, some with means of up to 1e5 times their standard deviation."""
    unit = generator.standard_normal((n, d))
    far = generator.random(d) < 0.3
    X = 10.0 ** generator.uniform(-3, 3, d) * (unit + far * 10.0 ** generator.uniform(1, 5, d))
    if form == "uint8":
        X = np.clip(np.round(128 + 40 * unit), 0, 255)
    elif form in SPARSE_CONTAINERS:
        X = np.where(generator.random((n, d)) < 0.3, X, 0)
    if generator.random() < 0.2:
        X[:, generator.integers(d)] = generator.integers(3)
    return unit, X.astype(np.float32).astype(float) if form == "float32" else X


def generate_weights(generator, labels, n_classes, has_soft_labels):
    """Return y, weights or None, class_weight, and equivalent labels and weights without class_weight."""
    n = len(labels)
    targets = np.eye(n_classes)[labels]
    if has_soft_labels:
        targets = 0.6 * targets + 0.4 * generator.dirichlet(np.ones(n_classes), n)
    sample_weight = generator.exponential(size=n) * (generator.random(n) < 0.9) if generator.random() < 0.4 else None
    weights = np.ones(n) if sample_weight is None else sample_weight
    name = generator.choice(["none", "none", "balanced", "dict"])
    totals = weights @ targets
    if name == "none" or not totals.all():
        class_weight, factors = None, np.ones(n_classes)
    elif name == "balanced":
        class_weight, factors = "balanced", totals.sum() / (n_classes * totals)
    else:
        factors = generator.uniform(0.2, 3, n_classes)
        class_weight = dict(enumerate(factors))
    fractions = weights[:, None] * targets * factors
    counted = fractions.sum(axis=1)
    if not has_soft_labels:
        return labels, sample_weight, class_weight, labels, counted
    return targets, sample_weight, class_weight, fractions / np.where(counted > 0, counted, 1)[:, None], counted


def sample_problem(seed):
    """Return a problem as arguments for an estimator and for the reference, which needs a column for each category."""
    generator = np.random.default_rng(seed)
    n, d = (int(np.exp(generator.uniform(np.log(low), np.log(high)))) for low, high in ((12, 400), (1, 60)))
    K = int(generator.integers(2, 7))
    form = str(generator.choice([*CONTAINERS, "table", "table"]))
    unit, X = sample_columns(generator, form, n, d)
    rows = None if form == "table" else CONTAINERS[form](X)
    coef = generator.exponential(2) * generator.standard_normal((d, K)) / np.sqrt(d)
    labels = np.argmax(unit @ coef + generator.gumbel(size=(n, K)), axis=1)
    labels[:K] = np.arange(K)
    ratio, C = generator.choice([0.0, 1.0, generator.uniform(0.1, 0.9)]), 10.0 ** generator.uniform(-4, 3)
    parameters = {"C": C, "l1_ratio": ratio, "fit_intercept": bool(generator.random() < 0.7)}
    parameters["group_lasso"] = bool(ratio > 0 and generator.random() < 0.3)
    parameters["solver"] = str(generator.choice(SOLVERS))
    parameters["tol"] = float(generator.choice([1e-2, 1e-4, 1e-4, 1e-6]))
    if form == "table":
        codes = generator.permutation(np.arange(n) % N_CATEGORIES)
        rows = pd.DataFrame({"category": pd.Categorical.from_codes(codes, list("abcd")), **dict(enumerate(X.T))})
        rows.columns = rows.columns.astype(str)
        X = np.column_stack([np.eye(N_CATEGORIES)[codes], X])
        parameters["categorical_features"] = "from_dtype"
    factors = 1.0
    if generator.random() < 0.3:
        parameters["penalty_factors"] = factors = 10.0 ** generator.uniform(-1, 1, X.shape[1])
    y, weights, parameters["class_weight"], labels, counted = generate_weights(
        generator, labels, K, generator.random() < 0.2
    )
    arguments, offsets = {"sample_weight": weights}, 0.0
    if generator.random() < 0.25:
        offsets = 2 * generator.standard_normal((n, 1 if K == 2 else K))
        arguments["offset"] = offsets[:, 0] if K == 2 else offsets
    options = {"l2": (1 - ratio) / (C * counted.sum()), "l1": ratio / (C * counted.sum()), "factors": factors}
    options |= {"group_lasso": parameters["group_lasso"], "weights": counted, "offsets": offsets}
    return SimpleNamespace(
        rows=rows, y=y, arguments=arguments, parameters=parameters, X=X, labels=labels, options=options
    )


def fit_problem(problem, **parameters):
    with warnings.catch_warnings(record=True, action="always") as caught:
        model = fastlin.LogisticRegression(**{**problem.parameters, **parameters})
        model.fit(problem.rows, problem.y, **problem.arguments)
    assert {warning.category for warning in caught} <= {ConvergenceWarning}
    return model, bool(caught)


def compute_objective(problem, model):
    return reference.objective(problem.X, problem.labels, model.coef_, model.intercept_, **problem.options)


def find_minimum(problem, *models):
    """Return the minimum of J from the reference if that is fast enough, otherwise the lowest J of the models."""
    options, fit_intercept = problem.options, problem.parameters["fit_intercept"]
    lowest = min(compute_objective(problem, model) for model in models)
    is_smooth = not options["l1"] and np.ndim(options["factors"]) == 0
    are_means_small = (np.abs(problem.X.mean(axis=0)) <= 10 * problem.X.std(axis=0)).all()
    # With an L1 penalty only, the categories of a column can change together, and the reference does not converge.
    is_minimum_unique = options["l2"] > 0 or "categorical_features" not in problem.parameters
    is_small = models[0].coef_.size <= (48 if is_smooth else 12)
    if not (is_small and is_minimum_unique and (are_means_small or fit_intercept)):
        return lowest
    solve, n_classes = reference.sparse_minimum, len(models[0].classes_)
    if is_smooth:
        solve, options = reference.minimum, {name: options[name] for name in ("l2", "weights", "offsets")}
    value, *_ = solve(problem.X, problem.labels, n_classes, fit_intercept=fit_intercept, **options)
    assert value <= lowest * (1 + ROUNDING)
    return value


def check_predictions(model, problem, seed):
    scores = problem.X @ model.coef_.T.astype(float) + model.intercept_ + problem.options["offsets"]
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.shape[1] == 1 else scores
    offset = {"offset": problem.arguments["offset"]} if "offset" in problem.arguments else {}
    probabilities = model.predict_proba(problem.rows, **offset)
    is_float32 = getattr(problem.rows, "dtype", None) == np.float32
    assert model.coef_.dtype == (np.float32 if is_float32 else np.float64), seed
    predictions = model.predict(problem.rows, **offset)
    if hasattr(problem.rows, "borders"):
        probabilities, predictions = np.concatenate(list(probabilities)), np.concatenate(list(predictions))
    if model.coef_.dtype == np.float64:
        rounding = 1e-12 * (1 + np.abs(problem.X) @ np.abs(model.coef_).max(axis=0))
        assert (np.abs(probabilities - softmax(scores, axis=1)) <= rounding[:, None]).all(), seed
    # The two largest probabilities can be equal in float32.
    chosen = probabilities[np.arange(len(predictions)), predictions]
    np.testing.assert_allclose(chosen, probabilities.max(axis=1), rtol=1e-6)


def check_problem(seed):
    problem = sample_problem(seed)
    parameters, tol = problem.parameters, problem.parameters["tol"]
    model, has_warned = fit_problem(problem)
    # A fit that stops early also has a valid certificate.
    cut, _ = fit_problem(problem, max_iter=2)
    accurate_model, _ = fit_problem(problem, solver="auto", tol=1e-8)
    minimum, value = find_minimum(problem, model, cut, accurate_model), compute_objective(problem, model)
    assert model.converged_ == (not has_warned), seed
    assert value - minimum <= model.certificate_ + ROUNDING * value, seed
    assert compute_objective(problem, cut) - minimum <= cut.certificate_ * (1 + ROUNDING) < np.inf, seed
    if parameters["solver"] == "auto":
        assert model.converged_, seed
        # With float32 coefficients, sparse X or no intercept, large numbers cancel, and the certificate includes the
        # rounding errors.
        assert value - minimum <= (tol + ROUNDING) * value, seed
        if type(problem.rows) is np.ndarray and problem.rows.dtype == np.float64 and parameters["fit_intercept"]:
            assert model.certificate_ <= tol * value * (1 + 1e-6), seed
    check_predictions(model, problem, seed)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 60), *mark_params(pytest.mark.thorough, (60, 150)), *mark_params(pytest.mark.slow, (150, 1000))],
)
def test_random_problems_reach_tol_with_a_valid_certificate(first, last):
    for seed in range(first, last):
        check_problem(seed)


@st.composite
def problems(draw):
    n, d, K = draw(st.integers(8, 60)), draw(st.integers(1, 8)), draw(st.integers(2, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = generator.standard_normal((n, d)) * 10.0 ** generator.uniform(-2, 2, d) + generator.choice([0, 100], d)
    labels = generator.integers(0, K, n)
    labels[:K] = np.arange(K)
    return X, labels, 10.0 ** generator.uniform(-2, 2), generator


def assert_same_model(model, other, coef, l2):
    """Assert that the coefficients of `model` equal `coef` up to both certificates.

    `coef` contains the coefficients of `other` in the class order of `model`.
    """
    distance = sum(np.sqrt(2 * fitted.certificate_ / l2) for fitted in (model, other))
    assert np.linalg.norm(model.coef_ - coef) <= distance + ROUNDING * np.linalg.norm(coef)


@settings(max_examples=15)
@given(problems())
def test_order_names_and_units_of_the_data_do_not_change_the_model(problem):
    X, y, C, generator = problem
    n, K = len(y), int(y.max()) + 1
    model, l2 = fit(X, y, C=C), 1 / (C * n)
    order, names = generator.permutation(n), generator.permutation(K)
    moved = fit(X[order], y[order], C=C)
    assert_same_model(model, moved, moved.coef_, l2)
    relabeled_model = fit(X, names[y], C=C)
    coef = relabeled_model.coef_[names] if K > 2 else relabeled_model.coef_ * (1 if names[0] == 0 else -1)
    assert_same_model(model, relabeled_model, coef, l2)
    times = generator.integers(1, 4, n)
    weighted, repeated_rows_model = (
        fit(X, y, times.astype(float), C=C),
        fit(np.repeat(X, times, 0), np.repeat(y, times), C=C),
    )
    assert_same_model(weighted, repeated_rows_model, repeated_rows_model.coef_, 1 / (C * times.sum()))
    zero_weight_rows_model = fit(np.vstack([X, 1e3 * X]), np.append(y, y), np.append(np.ones(n), np.zeros(n)), C=C)
    assert_same_model(model, zero_weight_rows_model, zero_weight_rows_model.coef_, l2)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("unit", "dtype"), [(1e150, np.float64), (1e-150, np.float64), (1e25, np.float32)])
def test_unpenalized_fits_support_extreme_units(unit, dtype, n_classes, make):
    generator = np.random.default_rng(n_classes)
    X = generator.standard_normal((120, 4))
    labels = np.argmax(X[:, :n_classes] + 0.5 * generator.gumbel(size=(120, n_classes)), axis=1)
    expected = fastlin.LogisticRegression(C=np.inf, tol=1e-6).fit(X, labels)
    model = fastlin.LogisticRegression(C=np.inf, tol=1e-6).fit(make((X * unit).astype(dtype)), labels)
    assert model.converged_ and np.isfinite(model.coef_).all()
    minimum = reference.mean_loss(X, labels, expected.coef_, expected.intercept_)
    value = reference.mean_loss(X, labels, model.coef_ * unit, model.intercept_)
    assert abs(value - minimum) <= 2e-6 * minimum


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_a_separate_class_for_each_row_is_supported():
    X = np.random.default_rng(0).standard_normal((1000, 3))
    model = fastlin.LogisticRegression().fit(X, np.arange(1000))
    assert model.converged_
    assert model.coef_.shape == (1000, 3)


@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.thorough, np.uint8)])
def test_fits_with_few_nonzero_rows_converge(dtype):
    generator = np.random.default_rng(0)
    X = np.zeros((48_000, 100), dtype)
    X[:480] = generator.integers(0, 256, (480, 100))
    y = generator.integers(0, 2, len(X))
    y[:480] = X[:480, 0] > 127
    # The improvement over the null model is a hundredth of J.
    model = fastlin.LogisticRegression(tol=1e-2).fit(X, y)
    assert model.converged_
    assert model.n_iter_[0] <= 60


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(("origin", "unit"), [(1e16, 2.0), (1e15, 1.0), (1e12, 2.0**-10), (1e8, 2.0**-20)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_certificate_is_valid_if_columns_vary_little_compared_with_their_mean(n_classes, origin, unit, make):
    generator = np.random.default_rng(3)
    y, weights = generator.integers(0, n_classes, 60), generator.uniform(0.1, 2, 60)
    # Multiples of the unit are exact. The second column is constant except in rows without weight.
    distances = np.column_stack([y + generator.integers(0, 3, 60), np.zeros(60), generator.normal(size=60)])
    distances[:, :2] *= unit
    X = distances + np.array([origin, 0.1, 0])
    X[::5, 1], weights[::5] = 7.0, 0
    C = 1000 / unit**2
    l2 = 1 / (C * weights.sum())
    minimum, *_ = reference.minimum(distances, y, n_classes, l2, weights)
    model = fit(make(X), y, weights, C=C, tol=1e-4)
    value = reference.objective(X, y, model.coef_, model.intercept_, l2, weights)
    # Extended precision has eleven more bits than the products that cancel here.
    rounding = 1e-13 + 60 * float(np.finfo(np.longdouble).eps) * origin * np.abs(model.coef_).max()
    assert -rounding <= value - minimum <= model.certificate_ + rounding
    np.testing.assert_array_equal(model.coef_[:, 1], 0)
    if make is np.asarray:
        # For an intercept of 1e15, half a unit in the last place changes all scores by 0.06.
        assert value - minimum <= (0.3 if origin > 1e8 else 1e-3) * minimum
