"""Intervals of predicted probabilities: statsmodels, finite differences, other formats, and their coverage."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy import sparse
from scipy.special import expit, logsumexp, ndtri, softmax, stdtrit

import fastlin.inference.predictions as module
from fastlin import FirthLogisticRegression, LogisticRegression, blocks

from .conftest import infer, make_rows

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")
thorough = partial(pytest.param, marks=pytest.mark.thorough)
NAMES = "probabilities", "std_errors", "lower", "upper"
FROM_DTYPE = {"categorical_features": "from_dtype"}


def assert_equal_predictions(result, expected, rtol=1e-9):
    for name in NAMES:
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=rtol, atol=1e-15)


def compute_log_odds(coef, X, offset):
    """Return the log odds (n, K) of each class against the rest, for coef (K, d + 1) and offset (n, K)."""
    scores = X @ coef[:, :-1].T + coef[:, -1] + offset
    rest = [logsumexp(np.delete(scores, k, axis=1), axis=1) for k in range(len(coef))]
    return scores - np.column_stack(rest)


@pytest.mark.parametrize("covariance", ["model", thorough("HC0"), "cluster"])
def test_two_classes_match_statsmodels(covariance):
    statsmodels = pytest.importorskip("statsmodels.api")
    X, y = make_rows(2, 200)
    generator = np.random.default_rng(1)
    offset, new_offset, clusters = generator.normal(size=200), generator.normal(size=20), np.arange(200) // 5
    glm = statsmodels.GLM(y, statsmodels.add_constant(X), statsmodels.families.Binomial(), offset=offset)
    options, others = {}, {"covariance": covariance}
    if covariance == "HC0":
        options = {"cov_type": "HC0"}
    elif covariance == "cluster":
        options, others["clusters"] = {"cov_type": "cluster", "cov_kwds": {"groups": clusters}}, clusters
    optimum = glm.fit(tol=1e-15, maxiter=100, tol_criterion="params", **options)
    new_rows = statsmodels.add_constant(X[:20] + 0.1)
    expected = optimum.get_prediction(new_rows, offset=new_offset).summary_frame(alpha=0.1)
    result = infer(X, y, offset=offset, **others).predict(X[:20] + 0.1, level=0.9, offset=new_offset)
    for name, column in zip(NAMES, ("mean", "mean_se", "mean_ci_lower", "mean_ci_upper"), strict=True):
        # MAX_SCORE_CHANGE bounds the relative error of a covariance.
        np.testing.assert_allclose(getattr(result, name)[:, 1], expected[column], rtol=1e-6)
    np.testing.assert_allclose(result.lower[:, 0], 1 - result.upper[:, 1], rtol=1e-12)


@pytest.mark.parametrize(("n_classes", "fit_intercept"), [(2, True), (3, True), thorough(4, False)])
def test_intervals_match_finite_differences_for_each_reference(monkeypatch, n_classes, fit_intercept):
    # The rows are processed in several batches.
    monkeypatch.setattr(module, "BYTES_PER_BATCH", 3_000)
    X, y = make_rows(n_classes, 150, d=4)
    offset = np.random.default_rng(1).normal(size=(len(X), n_classes))
    offset[:, -1] = 0
    # With two classes the offset is that of the second class.
    offset_argument = -offset[:, 0] if n_classes == 2 else offset
    data = X, y, None, offset_argument, {"fit_intercept": fit_intercept}
    options = {"covariance": "HC1", "use_t": True}
    result = infer(*data, **options, reference=n_classes - 1)

    def evaluate(coef):
        # The coefficients of the last class and an omitted intercept are zero.
        whole = np.zeros((n_classes, 5))
        whole[:-1, : coef.shape[1]] = coef
        return compute_log_odds(whole, X, offset)

    size, errors = result.coef.size, result.std_errors
    steps = 1e-4 * errors.ravel()[:, None, None] * np.eye(size).reshape(size, *errors.shape)
    slopes = [(evaluate(result.coef + step) - evaluate(result.coef - step)) / (2 * step.max()) for step in steps]
    log_odds, std_errors = (
        evaluate(result.coef),
        np.sqrt(np.einsum("eik,ef,fik->ik", slopes, result.covariance_matrix(), slopes)),
    )
    half_width = stdtrit(result.df_resid, 0.975) * std_errors
    for reference in (n_classes - 1, None, "symmetric"):
        predicted = infer(*data, **options, reference=reference).predict(X, offset=offset_argument)
        np.testing.assert_allclose(predicted.probabilities, expit(log_odds), rtol=1e-7)
        np.testing.assert_allclose(predicted.std_errors, expit(log_odds) * expit(-log_odds) * std_errors, rtol=1e-6)
        np.testing.assert_allclose(predicted.lower, expit(log_odds - half_width), rtol=1e-6)
        np.testing.assert_allclose(predicted.upper, expit(log_odds + half_width), rtol=1e-6)
        assert predicted.classes.tolist() == list(range(n_classes))


@pytest.mark.parametrize("penalized", [None, thorough("laplace"), "sandwich"])
def test_predictions_do_not_depend_on_the_format(penalized):
    X, y = make_rows(3, d=4)
    X[:, 0] = np.maximum(X[:, 0], 0)
    model = LogisticRegression(C=np.inf if penalized is None else 0.1, tol=1e-12, max_iter=1000).fit(X, y)
    result = model.inference(X, y, penalized=penalized)
    expected = result.predict(X[:50])
    # The inference describes the optimum.
    np.testing.assert_allclose(expected.probabilities, model.predict_proba(X[:50]), rtol=1e-4)
    for form in (np.asfortranarray(X[:50]), sparse.csr_array(X[:50]), sparse.coo_matrix(X[:50]), X[:50].tolist()):
        assert_equal_predictions(result.predict(form), expected)
    frame = pd.DataFrame(X, columns=list("abcd"))
    assert_equal_predictions(model.fit(frame, y).inference(frame, y, penalized=penalized).predict(frame[:50]), expected)


def make_table(n=300):
    """Return a table with two categorical columns, and labels. The first column has a category without rows."""
    generator = np.random.default_rng(3)
    colors = pd.Categorical(generator.choice(["red", "green", "blue"], n), ["unused", "red", "green", "blue"])
    table = pd.DataFrame(
        {"color": colors, "size": generator.normal(size=n), "kind": pd.Categorical(generator.choice(["p", "q"], n))}
    )
    scores = np.outer(table["size"] + 2 * (colors == "red"), [-0.5, 0, 0.5]) + generator.gumbel(size=(n, 3))
    return table, scores.argmax(axis=1)


@pytest.mark.parametrize(
    ("model_class", "parameters", "options"),
    [
        (LogisticRegression, {"C": np.inf, "tol": 1e-12, "max_iter": 1000}, {"covariance": "HC0"}),
        (LogisticRegression, {"C": 1.0, "tol": 1e-12, "max_iter": 1000}, {"penalized": "laplace"}),
        (FirthLogisticRegression, {"tol": 1e-9}, {}),
    ],
    ids=["unpenalized", "penalized", "firth"],
)
def test_tables_match_dummy_variables_and_unknown_categories_raise_errors(model_class, parameters, options):
    table, y = make_table()
    encoded = pd.get_dummies(table, dtype=float).drop(columns="color_unused")
    if "penalized" not in options:
        encoded = encoded.drop(columns=["color_red", "kind_p"])
    expected = model_class(**parameters).fit(encoded, y).inference(encoded, y, **options).predict(encoded[100:])
    result = model_class(**parameters, **FROM_DTYPE).fit(table, y).inference(table, y, **options)
    # The categories of new rows may have another order, and categories may be missing.
    new_rows = table[100:].assign(color=table["color"][100:].astype(object))
    for rows in (table[100:], new_rows):
        assert_equal_predictions(pickle.loads(pickle.dumps(result)).predict(rows), expected, rtol=1e-7)
    for category in ("unused", "violet"):
        unknown = new_rows.copy()
        unknown.iloc[7, 0] = category
        assert_raises(
            r"Column 'color' of X_new has, in row 7, a category without training rows", result.predict, unknown
        )
    assert_raises("feature names should match", result.predict, new_rows[["size", "color", "kind"]])


@pytest.mark.thorough
def test_firth_intervals_match_the_formula():
    X, y = make_rows(2, 60)
    result = FirthLogisticRegression(tol=1e-9).fit(X, y).inference(X, y)
    rows = np.column_stack([X, np.ones(60)])
    log_odds = rows @ result.coef[0]
    std_errors = np.sqrt(np.einsum("ij,jk,ik->i", rows, result.covariance_matrix(), rows))
    predicted = result.predict(X, level=0.8)
    np.testing.assert_allclose(predicted.upper[:, 1], expit(log_odds + ndtri(0.9) * std_errors), rtol=1e-10)


def test_a_prediction_is_a_table_and_extreme_rows_have_valid_intervals():
    X, y = make_rows(3)
    result = infer(X, np.array(["low", "middle", "high"])[y], reference="low")
    predicted = result.predict(X[:2])
    frame = predicted.to_frame()
    dataframe = frame.reset_index() if hasattr(frame, "reset_index") else frame
    assert list(dataframe) == ["row", "class", "probability", "std_error", "lower", "upper"]
    assert dataframe["class"].tolist() == ["high", "low", "middle"] * 2
    assert dataframe["row"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(dataframe["lower"], predicted.lower.ravel())
    assert repr(predicted) == "<PredictedProbabilities of 2 rows and 3 classes, level=0.95>"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (30, 1e4, 1e150):
            extreme = result.predict(X[:20] * size)
            assert all(np.isfinite(getattr(extreme, name)).all() for name in NAMES)
            assert (extreme.lower >= 0).all()
            assert (extreme.upper <= 1).all()
            np.testing.assert_allclose(extreme.probabilities.sum(axis=1), 1)
    # A narrow interval is computed in the log odds, so its limits have the precision of the probability.
    far = result.predict(X[:1] * 30).lower.min()
    assert 0 < far < 1e-6


def test_invalid_rows_raise_errors():
    X, y = make_rows(3)
    model = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    result = model.inference(X, y)
    assert_raises("level must be between 0 and 1, got 95", result.predict, X, 95)
    assert_raises("X_new: X has 2 features, but .* is expecting 3", result.predict, X[:, :2])
    assert_raises("contains NaN", result.predict, np.full((1, 3), np.nan))
    assert_raises(r"one number for each row and class, \(n_samples, 3\)", result.predict, X, offset=y)
    row_blocks = blocks.from_arrays(X, y, rows_per_block=90)
    assert_raises("X_new must be in memory, got Blocks", result.predict, row_blocks, error=TypeError)
    assert_raises("Predictions need the covariance", model.inference(X, y, features=["x1"]).predict, X)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_intervals_cover_the_probabilities(n_classes):
    """The coverage of 95 % intervals is from 94 to 96 %; its standard error is about 0.2 %."""
    generator = np.random.default_rng(n_classes)
    coef, n_covered, n_repetitions = generator.normal(size=(n_classes, 3)), 0, 2000
    new_rows = generator.normal(size=(50, 2))
    truth = softmax(new_rows @ coef[:, :-1].T + coef[:, -1], axis=1)
    for _ in range(n_repetitions):
        X = generator.normal(size=(1000, 2))
        y = (X @ coef[:, :-1].T + coef[:, -1] + generator.gumbel(size=(1000, n_classes))).argmax(axis=1)
        predicted = LogisticRegression(C=np.inf, tol=1e-9).fit(X, y).inference(X, y).predict(new_rows)
        n_covered += np.count_nonzero((predicted.lower < truth) & (truth < predicted.upper))
    assert 0.94 < n_covered / (n_repetitions * truth.size) < 0.96
