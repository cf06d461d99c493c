"""LogisticRegression compared with scikit-learn's: certificates, reproducibility, warm starts, warnings."""

import re

import numpy as np
import pytest
from conftest import assert_raises, load_standardized, mark_params
from linear_models import assert_same_model
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from threadpoolctl import threadpool_limits

import fastlin
from fastlin.blocks import from_arrays
from fastlin.estimators.linear_predictions import validate_coefficients
from fastlin.kernels.machine.threads import limit_threads

X, Y = load_standardized(load_iris)


@pytest.mark.parametrize(
    ("loader", "parameters"),
    [
        (load_iris, {}),
        (load_breast_cancer, {}),
        # scikit-learn takes half a minute for each of these.
        *mark_params(pytest.mark.slow, (load_digits, {}), (load_digits, {"C": 0.01})),
        (load_iris, {"fit_intercept": False}),
        (load_breast_cancer, {"fit_intercept": False, "C": 0.01}),
        (load_iris, {"class_weight": "balanced"}),
        (load_breast_cancer, {"class_weight": {0: 3.0, 1: 0.5}}),
        (load_breast_cancer, {"solver": "liblinear", "dual": True}),
        *((load_iris, {"solver": name}) for name in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_the_model_matches_scikit_learn(loader, parameters):
    X, y = load_standardized(loader)
    # With a named solver, tol bounds the gradient.
    actual = fastlin.LogisticRegression(tol=1e-8 if "solver" in parameters else 1e-12, **parameters).fit(X, y)
    penalty = {name: value for name, value in parameters.items() if name not in ("solver", "dual")}
    expected = ScikitLearnLogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **penalty).fit(X, y)
    np.testing.assert_array_equal(actual.classes_, expected.classes_)
    assert_same_model(actual, expected)
    np.testing.assert_array_equal(actual.predict(X), expected.predict(X))
    np.testing.assert_allclose(actual.predict_proba(X), expected.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(actual.decision_function(X), expected.decision_function(X), atol=1e-3)
    assert actual.n_iter_.shape == (1,)
    assert actual.n_iter_.dtype == np.int32
    assert actual.n_passes_ > actual.n_iter_[0]
    assert actual.n_passes_ >= actual.history_[-1].n_passes > 0
    assert len(actual.history_) == actual.n_iter_[0]
    assert actual.converged_
    assert 0 < actual.certificate_ < 0.1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_probabilities_are_finite_if_probabilities_round_to_zero(n_classes):
    model = fastlin.LogisticRegression().fit(X[Y < n_classes], Y[Y < n_classes])
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12, atol=1e-14)
    distant_rows = 100 * X
    actual, scores = model.predict_log_proba(distant_rows), model.decision_function(distant_rows).astype(np.longdouble)
    if n_classes == 2:
        scores = np.column_stack([np.zeros(150), scores])
    expected = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    assert expected.min() < -700
    np.testing.assert_allclose(actual, expected.astype(float), rtol=1e-12, atol=1e-15)
    blocks = from_arrays(distant_rows, rows_per_block=40)
    np.testing.assert_array_equal(np.concatenate(list(model.predict_log_proba(blocks))), actual)


@pytest.mark.parametrize(("factor", "n_classes"), [(1e-5, 3), (1e-10, 2), (1e-12, 3), (1e-150, 2)])
def test_features_far_smaller_than_the_penalty_give_the_null_model(factor, n_classes):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(300, 3)), (generator.uniform(size=300) < 0.1) * generator.integers(1, n_classes, 300)
    actual = fastlin.LogisticRegression(tol=1e-8).fit(X * factor, y)
    fractions = np.bincount(y) / 300
    np.testing.assert_allclose(actual.predict_proba(X * factor), np.tile(fractions, (300, 1)), atol=1e-4)


def test_a_fit_that_reaches_max_iter_warns_with_the_certified_bound():
    X, y = load_standardized(load_digits)
    with pytest.warns(ConvergenceWarning, match="duality gap is .* relative to the objective.*max_iter") as caught:
        model = fastlin.LogisticRegression(C=100.0, max_iter=1).fit(X, y)
    assert model.n_iter_[0] == 1
    reported = float(
        re.search("certified duality gap is (.*) relative to the objective", str(caught[0].message)).group(1)
    )
    assert reported == pytest.approx(model.certificate_ / model.history_[-1].objective, rel=0.1)


def test_results_do_not_depend_on_threads_or_blas(monkeypatch):
    # With more than 10,000 parameters, BLAS splits inner products of vectors among its threads.
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(1500, 700)), generator.integers(0, 16, 1500)
    models = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads), threadpool_limits(n_threads, user_api="blas"):
            models.append(fastlin.LogisticRegression(C=0.01).fit(X, y))
    monkeypatch.setenv("FASTLIN_NUM_THREADS", "1")
    models.append(fastlin.LogisticRegression(C=0.01, n_jobs=2).fit(X, y))
    for model in models[1:]:
        assert_same_model(model, models[0], atol=0)


def test_verbose_shows_the_progress_of_the_fit(capsys):
    model = fastlin.LogisticRegression(verbose=1).fit(X, Y)
    output, last = capsys.readouterr().out, model.history_[-1]
    gap = f"gap {last.bound / last.objective:.1e}"
    for expected in (f"iteration {model.n_iter_[0]:4d}", f"objective {last.objective:.9g}", gap):
        assert expected in output
    fastlin.LogisticRegression(verbose=1, C=1e-9).fit(X, Y)
    assert "nan" not in capsys.readouterr().out
    fastlin.LogisticRegression().fit(X, Y)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-cholesky"])
def test_a_fit_of_one_class_with_weight_converges_quickly(solver):
    # J approaches zero but has no minimum.
    model = fastlin.LogisticRegression(solver=solver).fit(X, Y == 0, (Y == 0).astype(float))
    assert model.converged_
    assert model.n_iter_[0] < 30


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_starts_from_explicit_initial_coefficients(n_classes):
    y = np.minimum(Y, n_classes - 1)
    zero_start_model = fastlin.LogisticRegression(tol=1e-9).fit(X, y)
    start = {"coef_init": zero_start_model.coef_.tolist(), "intercept_init": zero_start_model.intercept_}
    # The arrays take precedence over the previous fit.
    for model in (fastlin.LogisticRegression(), fastlin.LogisticRegression(warm_start=True, C=1e-3).fit(X, y)):
        model.set_params(tol=1e-6, C=1.0).fit(X, y, **start)
        assert model.n_iter_[0] <= 1
        assert_same_model(model, zero_start_model, 1e-4)
    for part in start:
        model = fastlin.LogisticRegression(tol=1e-9).fit(X, y, **{part: start[part]})
        assert model.n_iter_[0] > 1
        assert_same_model(model, zero_start_model, 1e-4)
    assert_same_model(fastlin.LogisticRegression(max_iter=0).fit(X, y, **start), zero_start_model, 1e-12)
    without = fastlin.LogisticRegression(fit_intercept=False).fit(X, y, intercept_init=start["intercept_init"])
    assert not without.intercept_.any()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"coef_init": np.zeros(4)}, r"coef_init must be real numbers of shape \(3, 4\), for 3 classes and 4 features"),
        ({"coef_init": np.zeros((1, 4))}, r"coef_init must .* got float64 of shape \(1, 4\)"),
        ({"intercept_init": 0.0}, r"intercept_init must be real numbers of shape \(3,\), for 3 classes and 4 features"),
        ({"coef_init": [[1, 2], [3]]}, "coef_init must be an array, got list"),
        ({"intercept_init": ["a", "b", "c"]}, "intercept_init must be real numbers"),
        ({"intercept_init": [0, np.nan, 0]}, "intercept_init must be finite"),
        ({"coef_init": np.full((3, 4), np.inf)}, "coef_init must be finite"),
    ],
)
def test_initial_coefficients_of_another_shape_raise_an_error(start, message):
    assert_raises(message, fastlin.LogisticRegression().fit(X, Y).fit, X, Y, **start)


def test_unpenalized_fits_of_nearly_dependent_columns_reach_the_minimum():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3000, 1)) + 1e-3 * generator.normal(size=(3000, 20))
    y = (1000 * (X[:, 0] - X[:, 1]) + generator.logistic(size=3000) > 0).astype(int)
    model = fastlin.LogisticRegression(C=np.inf).fit(X, y)
    expected = ScikitLearnLogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
    assert log_loss(y, model.predict_proba(X)) <= log_loss(y, expected.predict_proba(X)) * (1 + 1e-4)


@pytest.mark.parametrize("labels", [[0, 1], ["a", "b"]])
def test_scores_accept_the_weights_that_scikit_learn_accepts(labels):
    X, y = load_iris(return_X_y=True)
    X, y, weights = X[40:100], np.array(labels)[y[40:100]], np.append([-1, -1, -1], np.ones(57))
    model = fastlin.LogisticRegression().fit(X, y)
    assert model.score(X, y, weights) == pytest.approx(accuracy_score(y, model.predict(X), sample_weight=weights))
    assert_raises("at least one non-zero number", model.score, X, y, np.zeros(60))


def test_fitted_attributes_can_be_lists_and_a_scalar_intercept():
    model = fastlin.LogisticRegression().fit(X, np.minimum(Y, 1))
    scores, labels = model.decision_function(X), model.predict(X)
    model.coef_, model.classes_ = model.coef_.tolist(), model.classes_.tolist()
    for intercept in (model.intercept_[0], float(model.intercept_[0]), np.array(model.intercept_[0])):
        model.intercept_ = intercept
        np.testing.assert_array_equal(model.decision_function(X), scores)
        np.testing.assert_array_equal(model.predict(X), labels)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_coefficients_that_are_nan_predict_a_valid_class(n_classes):
    model = fastlin.LogisticRegression().fit(X, np.minimum(Y, n_classes - 1))
    model.coef_ = np.full_like(model.coef_, np.nan)
    for rows in (X, sparse.csr_array(X)):
        assert set(model.predict(rows)) <= set(model.classes_)
        assert np.isnan(model.decision_function(rows)).all()


def test_predictions_do_not_change_sparse_coefficients():
    model = fastlin.LogisticRegression().fit(X, Y)
    coef, labels = model.coef_.copy(), model.predict(X)
    model.sparsify()
    for rows in (X, sparse.csr_array(X), sparse.csc_matrix(X)):
        np.testing.assert_array_equal(model.predict(rows), labels)
    np.testing.assert_array_equal(validate_coefficients(model)[1], coef)
    assert sparse.issparse(model.coef_)
    np.testing.assert_array_equal(model.densify().coef_, coef)


# NumPy warns about the random state that checkpoints would store.
@pytest.mark.filterwarnings("ignore:get_state and legacy:RuntimeWarning")
@pytest.mark.parametrize("estimator_class", [fastlin.MiniBatchLogisticRegression, fastlin.MLPClassifier])
def test_training_continues_with_another_bit_generator(estimator_class):
    model = estimator_class(random_state=np.random.RandomState(np.random.PCG64(0)))
    model.partial_fit(X, Y, classes=np.arange(3))
    assert len(model.partial_fit(X, Y).loss_curve_) == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_initial_coefficients_that_are_not_finite_raise_an_error():
    model = fastlin.LogisticRegression(warm_start=True).fit(X, Y)
    model.coef_[1, 2] = np.inf
    assert_raises("coef_ must be finite", model.fit, X, Y)
    model = fastlin.MiniBatchLogisticRegression(max_iter=1, random_state=0).fit(X, Y)
    model.coef_[1, 2] = np.nan
    assert_raises("coef_ and intercept_ must be finite", model.partial_fit, X, Y)


def test_classes_that_are_not_unicode_raise_an_error():
    model = fastlin.LogisticRegression().fit(X, Y)
    # A damaged file can contain such strings: NumPy stores characters as four-byte integers.
    model.classes_ = np.array([0x61, 0x110000], np.uint32).view("<U1")
    assert_raises("classes_ must contain Unicode strings", model.predict, X)
