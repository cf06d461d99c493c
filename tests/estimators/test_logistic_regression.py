"""LogisticRegression against scikit-learn's and its own promises: bits, bounds, starts, warnings and coefficients."""

import re

import numpy as np
import pytest
from conftest import assert_refused, load_scaled, marked
from linear_models import assert_same_model
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from threadpoolctl import threadpool_limits

import fastlin
from fastlin.blocks import from_arrays
from fastlin.estimators.linear_predictions import read_coefficients
from fastlin.kernels.machine.threads import limit_threads

X, Y = load_scaled(load_iris)


@pytest.mark.parametrize(
    ("loader", "parameters"),
    [
        (load_iris, {}),
        (load_breast_cancer, {}),
        # scikit-learn takes half a minute for each of these.
        *marked(pytest.mark.slow, (load_digits, {}), (load_digits, {"C": 0.01})),
        (load_iris, {"fit_intercept": False}),
        (load_breast_cancer, {"fit_intercept": False, "C": 0.01}),
        (load_iris, {"class_weight": "balanced"}),
        (load_breast_cancer, {"class_weight": {0: 3.0, 1: 0.5}}),
        (load_breast_cancer, {"solver": "liblinear", "dual": True}),
        *((load_iris, {"solver": name}) for name in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_the_model_is_scikit_learns(loader, parameters):
    X, y = load_scaled(loader)
    # With a name of a solver tol bounds the gradient.
    found = fastlin.LogisticRegression(tol=1e-8 if "solver" in parameters else 1e-12, **parameters).fit(X, y)
    penalty = {name: value for name, value in parameters.items() if name not in ("solver", "dual")}
    expected = ScikitLearnLogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **penalty).fit(X, y)
    np.testing.assert_array_equal(found.classes_, expected.classes_)
    assert_same_model(found, expected)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(found.decision_function(X), expected.decision_function(X), atol=1e-3)
    assert found.n_iter_.shape == (1,)
    assert found.n_iter_.dtype == np.int32
    assert found.n_passes_ > found.n_iter_[0]
    assert found.n_passes_ >= found.history_[-1].n_passes > 0
    assert len(found.history_) == found.n_iter_[0]
    assert found.converged_
    assert 0 < found.certificate_ < 0.1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logarithms_of_probabilities_are_finite_where_those_round_to_zero(n_classes):
    model = fastlin.LogisticRegression().fit(X[Y < n_classes], Y[Y < n_classes])
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12, atol=1e-14)
    far = 100 * X
    found, scores = model.predict_log_proba(far), model.decision_function(far).astype(np.longdouble)
    if n_classes == 2:
        scores = np.column_stack([np.zeros(150), scores])
    expected = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    assert expected.min() < -700
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-12, atol=1e-15)
    blocks = from_arrays(far, rows_per_block=40)
    np.testing.assert_array_equal(np.concatenate(list(model.predict_log_proba(blocks))), found)


@pytest.mark.parametrize(("factor", "n_classes"), [(1e-5, 3), (1e-10, 2), (1e-12, 3), (1e-150, 2)])
def test_data_smaller_than_the_penalty_leave_the_intercept(factor, n_classes):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(300, 3)), (generator.uniform(size=300) < 0.1) * generator.integers(1, n_classes, 300)
    found = fastlin.LogisticRegression(tol=1e-8).fit(X * factor, y)
    fractions = np.bincount(y) / 300
    np.testing.assert_allclose(found.predict_proba(X * factor), np.tile(fractions, (300, 1)), atol=1e-4)


def test_a_fit_that_is_cut_short_warns_with_the_proven_bound():
    X, y = load_scaled(load_digits)
    with pytest.warns(ConvergenceWarning, match="duality gap is .* relative to the objective.*max_iter") as caught:
        model = fastlin.LogisticRegression(C=100.0, max_iter=1).fit(X, y)
    assert model.n_iter_[0] == 1
    said = float(re.search("certified duality gap is (.*) relative to the objective", str(caught[0].message)).group(1))
    assert said == pytest.approx(model.certificate_ / model.history_[-1].objective, rel=0.1)


def test_bits_do_not_depend_on_threads_nor_on_blas(monkeypatch):
    # More than 10,000 parameters: BLAS splits inner products of such vectors among its threads.
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


def test_verbose_shows_where_the_fit_has_come_to(capsys):
    model = fastlin.LogisticRegression(verbose=1).fit(X, Y)
    shown, last = capsys.readouterr().out, model.history_[-1]
    gap = f"gap {last.bound / last.objective:.1e}"
    for expected in (f"iteration {model.n_iter_[0]:4d}", f"objective {last.objective:.9g}", gap):
        assert expected in shown
    fastlin.LogisticRegression(verbose=1, C=1e-9).fit(X, Y)
    assert "nan" not in capsys.readouterr().out
    fastlin.LogisticRegression().fit(X, Y)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-cholesky"])
def test_one_class_of_any_weight_ends_soon(solver):
    # J falls towards zero without end.
    model = fastlin.LogisticRegression(solver=solver).fit(X, Y == 0, (Y == 0).astype(float))
    assert model.converged_
    assert model.n_iter_[0] < 30


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_starts_from_the_arrays_that_it_is_given(n_classes):
    y = np.minimum(Y, n_classes - 1)
    from_zero = fastlin.LogisticRegression(tol=1e-9).fit(X, y)
    start = {"coef_init": from_zero.coef_.tolist(), "intercept_init": from_zero.intercept_}
    # The arrays count, and not the last fit.
    for model in (fastlin.LogisticRegression(), fastlin.LogisticRegression(warm_start=True, C=1e-3).fit(X, y)):
        model.set_params(tol=1e-6, C=1.0).fit(X, y, **start)
        assert model.n_iter_[0] <= 1
        assert_same_model(model, from_zero, 1e-4)
    for part in start:
        model = fastlin.LogisticRegression(tol=1e-9).fit(X, y, **{part: start[part]})
        assert model.n_iter_[0] > 1
        assert_same_model(model, from_zero, 1e-4)
    assert_same_model(fastlin.LogisticRegression(max_iter=0).fit(X, y, **start), from_zero, 1e-12)
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
def test_a_start_of_another_shape_is_refused(start, message):
    assert_refused(message, fastlin.LogisticRegression().fit(X, Y).fit, X, Y, **start)


def test_without_penalty_nearly_dependent_columns_reach_the_minimum():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3000, 1)) + 1e-3 * generator.normal(size=(3000, 20))
    y = (1000 * (X[:, 0] - X[:, 1]) + generator.logistic(size=3000) > 0).astype(int)
    model = fastlin.LogisticRegression(C=np.inf).fit(X, y)
    expected = ScikitLearnLogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
    assert log_loss(y, model.predict_proba(X)) <= log_loss(y, expected.predict_proba(X)) * (1 + 1e-4)


@pytest.mark.parametrize("labels", [[0, 1], ["a", "b"]])
def test_scores_take_the_weights_that_scikit_learn_takes(labels):
    X, y = load_iris(return_X_y=True)
    X, y, weights = X[40:100], np.array(labels)[y[40:100]], np.append([-1, -1, -1], np.ones(57))
    model = fastlin.LogisticRegression().fit(X, y)
    assert model.score(X, y, weights) == pytest.approx(accuracy_score(y, model.predict(X), sample_weight=weights))
    assert_refused("at least one non-zero number", model.score, X, y, np.zeros(60))


def test_lists_and_a_single_intercept_are_read():
    model = fastlin.LogisticRegression().fit(X, np.minimum(Y, 1))
    scores, labels = model.decision_function(X), model.predict(X)
    model.coef_, model.classes_ = model.coef_.tolist(), model.classes_.tolist()
    for intercept in (model.intercept_[0], float(model.intercept_[0]), np.array(model.intercept_[0])):
        model.intercept_ = intercept
        np.testing.assert_array_equal(model.decision_function(X), scores)
        np.testing.assert_array_equal(model.predict(X), labels)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_coefficients_that_are_no_numbers_name_a_class(n_classes):
    model = fastlin.LogisticRegression().fit(X, np.minimum(Y, n_classes - 1))
    model.coef_ = np.full_like(model.coef_, np.nan)
    for rows in (X, sparse.csr_array(X)):
        assert set(model.predict(rows)) <= set(model.classes_)
        assert np.isnan(model.decision_function(rows)).all()


def test_sparse_coefficients_stay_what_they_are():
    model = fastlin.LogisticRegression().fit(X, Y)
    coef, labels = model.coef_.copy(), model.predict(X)
    model.sparsify()
    for rows in (X, sparse.csr_array(X), sparse.csc_matrix(X)):
        np.testing.assert_array_equal(model.predict(rows), labels)
    np.testing.assert_array_equal(read_coefficients(model)[1], coef)
    assert sparse.issparse(model.coef_)
    np.testing.assert_array_equal(model.densify().coef_, coef)


# NumPy says so of what checkpoints would save.
@pytest.mark.filterwarnings("ignore:get_state and legacy:RuntimeWarning")
@pytest.mark.parametrize("estimator_class", [fastlin.MiniBatchLogisticRegression, fastlin.MLPClassifier])
def test_a_generator_of_another_kind_goes_on(estimator_class):
    model = estimator_class(random_state=np.random.RandomState(np.random.PCG64(0)))
    model.partial_fit(X, Y, classes=np.arange(3))
    assert len(model.partial_fit(X, Y).loss_curve_) == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_start_that_is_not_finite_is_refused():
    model = fastlin.LogisticRegression(warm_start=True).fit(X, Y)
    model.coef_[1, 2] = np.inf
    assert_refused("coef_ must be finite", model.fit, X, Y)
    model = fastlin.MiniBatchLogisticRegression(max_iter=1, random_state=0).fit(X, Y)
    model.coef_[1, 2] = np.nan
    assert_refused("coef_ and intercept_ must be finite", model.partial_fit, X, Y)


def test_classes_that_are_no_text_are_refused():
    model = fastlin.LogisticRegression().fit(X, Y)
    # As a damaged file may hold it: NumPy's texts are numbers of four bytes.
    model.classes_ = np.array([0x61, 0x110000], np.uint32).view("<U1")
    assert_refused("classes_ must contain Unicode strings", model.predict, X)
