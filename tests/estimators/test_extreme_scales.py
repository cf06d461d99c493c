"""Fits at extreme scales, and fits of weak signals that lower the objective by less than a fraction tol.

X and C range from 1e-300 to 1e300; X has subnormal entries and vanishing columns. NumPy must not warn, and each error
must be a ValueError that names the cause.

Multiplying a column by s is equivalent to multiplying C by s^2 (L1: by s) and dividing the coefficient by s.
Therefore scikit-learn's fit to columns of unit scale is the reference for columns of any scale.
"""

import warnings
from functools import partial
from itertools import product

import numpy as np
import pytest
from conftest import assert_raises, mark_params
from linear_models import make_cv_model
from scipy import sparse
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import fastlin
from fastlin import FirthLogisticRegression, LogisticRegression
from fastlin.exceptions import ConvergenceWarning, InferenceWarning, SeparationWarning

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

X, Y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
EXPECTED_WARNINGS = ConvergenceWarning, InferenceWarning, SeparationWarning
BOTH_DTYPES = [np.float64, np.float32]
# The largest power of ten in X.
MAX_EXPONENTS = {np.float64: 300, np.float32: 36}
PENALTIES = {
    "L2": {},
    "L1": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "grouped": {"l1_ratio": 1.0, "group_lasso": True},
    "none": {"C": np.inf},
}


def sample_powers_of_ten(generator, max_exponent, size=None):
    return 10.0 ** generator.uniform(-max_exponent, max_exponent, size)


def draw_rows(generator, dtype):
    """Return X and labels of two or three classes that depend weakly on one column."""
    n, d, max_exponent = generator.integers(8, 30), generator.integers(1, 5), MAX_EXPONENTS[dtype]
    X = generator.normal(size=(n, d))
    y = np.argsort(np.argsort(X[:, 0] + 2 * generator.normal(size=n))) * generator.integers(2, 4) // n
    match generator.integers(6):
        case 0:
            X *= sample_powers_of_ten(generator, max_exponent)
        case 1:
            X *= sample_powers_of_ten(generator, max_exponent, d)
        case 2:
            # The columns vary little compared with their means.
            X = sample_powers_of_ten(generator, max_exponent / 2) * (1 + X * 10.0 ** -generator.uniform(0, 18, d))
        case 3:
            X[generator.integers(n), generator.integers(d)] = 5e-324 if dtype == np.float64 else 1e-45
        case 4:
            X[generator.integers(n), generator.integers(d)] *= sample_powers_of_ten(generator, max_exponent)
        case 5:
            # A column is zero except for one tiny entry.
            X[:, -1] = 0
            X[generator.integers(n), -1] = sample_powers_of_ten(generator, max_exponent)
    return X.astype(dtype), y


def sample_fit_call(generator, dtypes):
    """Return the description of an estimator and its data, and a function that fits it."""
    dtype = dtypes[generator.integers(len(dtypes))]
    X, y = draw_rows(generator, dtype)
    n, d = X.shape
    n_classes = len(np.unique(y))
    layout = ["C", "F", "csr"][generator.integers(3)]
    rows = sparse.csr_array(X) if layout == "csr" else np.asarray(X, order=layout)
    name = list(PENALTIES)[generator.integers(len(PENALTIES))]
    parameters = {"C": [1.0, sample_powers_of_ten(generator, 300)][generator.integers(2)], **PENALTIES[name]}
    fit_arguments = {}
    if generator.integers(3) == 0:
        max_exponent = [1, 150][generator.integers(2)]
        ratios = sample_powers_of_ten(generator, [0, max_exponent][generator.integers(2)], n)
        fit_arguments["sample_weight"] = sample_powers_of_ten(generator, max_exponent) * ratios
    if generator.integers(4) == 0:
        shape = n if n_classes == 2 else (n, n_classes)
        fit_arguments["offset"] = generator.normal(size=shape) * sample_powers_of_ten(generator, 29)
    if name != "grouped" and generator.integers(4) == 0:
        parameters["lower_bounds"] = -abs(sample_powers_of_ten(generator, 300))
    if generator.integers(4) == 0:
        parameters["penalty_factors"] = sample_powers_of_ten(generator, [1, 300][generator.integers(2)], d)
    text = f"{dtype.__name__} {layout} {n} x {d}, {n_classes} classes, {name}, {parameters}, {sorted(fit_arguments)}"
    data = {"X": rows, "y": y, **fit_arguments}
    return text, partial(FIT_FUNCTIONS[generator.choice(len(FIT_FUNCTIONS), p=PROBABILITIES)], parameters, data)


def predict(model, data, *methods):
    offset = {"offset": data["offset"]} if "offset" in data else {}
    for method in methods or ("decision_function", "predict_proba", "predict_log_proba"):
        assert np.isfinite(getattr(model, method)(data["X"], **offset)).all(), f"{method} is not finite"
    assert np.isfinite(model.score(data["X"], data["y"], data.get("sample_weight"), **offset)), "score is not finite"


def fit_linear(parameters, data):
    model = LogisticRegression(max_iter=200, **parameters).fit(**data)
    predict(model, data)
    if parameters.get("l1_ratio"):
        # There are no standard errors with an L1 penalty.
        return
    is_penalized = parameters["C"] < np.inf and np.any(parameters.get("penalty_factors", 1.0))
    inference_options = {"penalized": "sandwich"} if is_penalized else {}
    inference = model.inference(**data, covariance="HC0", weight_type="sampling", **inference_options)
    assert not np.isinf(inference.std_errors).any(), "std_errors are infinite"
    str(inference.summary())
    inference.conf_int()
    inference.marginal_effects().table()
    str(model.bootstrap(**data, n_resamples=2, random_state=0).std_errors)


def fit_folds(parameters, data):
    ratio = parameters.pop("l1_ratio", 0.0)
    C = parameters.pop("C")
    predict(make_cv_model(Cs=[min(C, 1e300)], cv=2, l1_ratios=(ratio,), max_iter=200, **parameters).fit(**data), data)


def fit_path(parameters, data):
    ratio, _ = parameters.pop("l1_ratio", 0.0), parameters.pop("C")
    fastlin.logistic_path(**data, Cs=3, l1_ratio=max(ratio, 0.1), max_iter=200, **parameters)


def fit_firth(parameters, data):
    model = FirthLogisticRegression().fit(**data)
    predict(model, data)
    str(model.inference(**data).conf_int(method="wald"))


def train(make, parameters, data):
    data = {name: values for name, values in data.items() if name != "offset"}
    model = make(alpha=1 / parameters["C"], max_iter=2, n_iter_no_change=np.inf, random_state=0).fit(**data)
    predict(model, data, "predict_proba")
    if getattr(model, "solver", "") != "lbfgs":
        model.partial_fit(**data)


network = partial(fastlin.MLPClassifier, (2,))
TRAINING_FUNCTIONS = [
    partial(train, make) for make in (fastlin.MiniBatchLogisticRegression, network, partial(network, solver="lbfgs"))
]
FIT_FUNCTIONS = fit_linear, fit_folds, fit_path, fit_firth, *TRAINING_FUNCTIONS
PROBABILITIES = 0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05


@pytest.mark.parametrize(
    ("dtypes", "first", "last"),
    [
        # Compiling the kernels for float32 takes a minute.
        ([np.float64], 0, 40),
        *mark_params(pytest.mark.thorough, (BOTH_DTYPES, 0, 60)),
        *mark_params(pytest.mark.slow, (BOTH_DTYPES, 60, 4000)),
    ],
)
def test_fits_of_extreme_data_emit_no_numpy_warnings(dtypes, first, last):
    for seed in range(first, last):
        text, call = sample_fit_call(np.random.default_rng(seed), dtypes)
        with warnings.catch_warnings(action="error", category=RuntimeWarning):
            for category in EXPECTED_WARNINGS:
                warnings.simplefilter("ignore", category)
            try:
                call()
            except Exception as error:
                is_fastlin_error = isinstance(error, ValueError) and not isinstance(error, np.linalg.LinAlgError)
                assert is_fastlin_error, f"seed {seed}, {text}: {type(error).__name__}: {error}"


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_errors_name_the_cause():
    assert_raises("X overflows", LogisticRegression().fit, X * 5e307, Y)
    generator = np.random.default_rng(0)
    rows, y = generator.normal(size=(300, 2)), np.arange(300) % 2
    rows[:, 1] += y
    rows = (rows * [500, 1e-40]).astype(np.float32)
    assert_raises(r"X underflows: the values of a column reach \d\.\d+e-40", LogisticRegression(C=np.inf).fit, rows, y)
    message = "the Fisher information is zero or overflows. Check the size of the offset"
    assert_raises(message, FirthLogisticRegression().fit, X, Y, offset=X[::-1, 0] * 1e29)
    message = "Columns of X depend on each other and on the intercept: x1 = x0[.]"
    assert_raises(message, FirthLogisticRegression().fit, X[:, [0, 0]], Y)


def test_standard_errors_of_the_bootstrap_are_equivariant_to_the_scale_of_columns():
    plain, small = (
        LogisticRegression(C=np.inf).fit(rows, Y).bootstrap(rows, Y, n_resamples=5, random_state=0)
        for rows in (X, X * 2.0**-600)
    )
    np.testing.assert_allclose(small.std_errors[:, :-1] * 2.0**-600, plain.std_errors[:, :-1], rtol=1e-3)


def test_penalties_beyond_float64_give_zero_coefficients():
    for size in (1e50, 1e100, 1e140):
        rows = size * X
        for C in (1e-308, 1e-300, 1e-250, 1e-200):
            model = LogisticRegression(C=C).fit(rows, Y)
            penalty = np.sum((np.asarray(model.coef_, np.longdouble) / np.longdouble(C) ** 0.5) ** 2) / 60
            # The null objective is log 2, an upper bound on the minimum.
            loss = log_loss(Y, model.predict_proba(rows))
            assert loss + penalty <= np.log(2) + model.certificate_ + 1e-12
            assert model.converged_
    # Here even a penalty below the range of float64 would matter.
    for size, C in ((1e140, 5e-324), (1e150, 1e-308)):
        assert_raises(f"C={C:g} is too small for X", LogisticRegression(C=C).fit, size * X, Y)


def test_subnormal_penalties_do_not_overflow():
    plain = LogisticRegression(C=np.inf, tol=1e-12).fit(X, Y)
    for parameters, weight in (({"C": 1.0}, 1e308), ({"C": 1e308}, 1.0)):
        model = LogisticRegression(tol=1e-12, **parameters).fit(X, Y, np.full(30, weight))
        np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-6)
    # This penalty shrinks all coefficients to zero.
    assert not LogisticRegression().fit(X, Y, np.full(30, 5e-324)).coef_.any()


def sample_data(fraction=0.05, signal=1.0):
    """Return columns of unit scale, and labels with a fraction of positives that depend on three columns."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2_000, 5))
    scores = np.log(fraction / (1 - fraction)) + signal * (X[:, :3] @ [0.5, -0.5, 0.3])
    return X, (generator.random(2_000) < 1 / (1 + np.exp(-scores))).astype(int)


def fit_reference(X, y, C):
    return ScikitLearnLogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=300).fit(X, y)


def assert_equal_models(model, X, y, expected, scale):
    """Assert that coefficients and ranking equal those of a model fitted to the unscaled columns."""
    assert model.converged_
    largest = np.abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_ * scale, expected.coef_, rtol=0, atol=1e-2 * largest)
    auc = roc_auc_score(y, model.decision_function(scale * X))
    assert auc == pytest.approx(roc_auc_score(y, expected.decision_function(X)), abs=2e-3)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-cholesky"])
def test_columns_of_any_scale_have_the_model_of_columns_of_unit_scale(solver):
    X, y = sample_data()
    for scale, C in product((1e-6, 1e-3, 1.0, 1e3, 1e6), (1e-4, 1.0, np.inf)):
        model = LogisticRegression(C=C, solver=solver).fit(scale * X, y)
        if C < np.inf and C * scale**2 * len(y) < 1e-8:
            # If the penalty is far above all curvature, the solution is proportional to the gradient.
            exact = C * scale * (X - X.mean(axis=0)).T @ y
            np.testing.assert_allclose(model.coef_[0], exact, rtol=1e-4)
            assert model.converged_ and model.n_iter_[0] > 0
        else:
            assert_equal_models(model, X, y, fit_reference(X, y, C * scale**2), scale)


@pytest.mark.parametrize("signal", [0.05, 3.0])
@pytest.mark.parametrize("fraction", [0.002, 0.05, 0.5])
def test_rare_positives_and_weak_signals_are_fitted(fraction, signal):
    X, y = sample_data(fraction=fraction, signal=signal)
    for C in (1e-4, 1.0):
        model = LogisticRegression(C=C).fit(1e-3 * X, y)
        assert_equal_models(model, X, y, fit_reference(X, y, 1e-6 * C), 1e-3)


def test_weak_signals_are_fitted_with_more_classes_and_l1_penalties():
    X, y = sample_data()
    labels = np.argmax(X[:, :3] + np.random.default_rng(1).gumbel(size=(len(X), 3)), axis=1)
    model, expected = LogisticRegression().fit(1e-4 * X, labels), fit_reference(X, labels, 1e-8)
    np.testing.assert_allclose(1e-4 * model.coef_, expected.coef_, atol=1e-2 * np.abs(expected.coef_).max())
    model = LogisticRegression(C=1e4, l1_ratio=1.0).fit(1e-3 * X, y)
    expected = LogisticRegression(C=10.0, l1_ratio=1.0, tol=1e-12).fit(X, y)
    assert_equal_models(model, X, y, expected, 1e-3)
