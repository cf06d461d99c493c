"""MLPClassifier beside scikit-learn's: its epochs, its defaults."""

import inspect
import warnings

import numpy as np
import pytest
from conftest import since
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier
from small_networks import assert_same_bits, assert_same_network, make, make_data

from fastlin import MLPClassifier


def make_reference(model):
    names = ScikitLearnMLPClassifier().get_params()
    return ScikitLearnMLPClassifier(**{name: value for name, value in model.get_params().items() if name in names})


def fit_reference(model, *data):
    with warnings.catch_warnings():
        # It warns whenever it comes to max_iter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*data)


def assert_scikit_learns(model, X, y, *weights):
    expected = fit_reference(make_reference(model), X, y, *weights)
    model.fit(X, y, *weights)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
    assert_same_network(model, expected)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(model, name) == getattr(expected, name)
    assert model.loss_ == pytest.approx(expected.loss_, rel=1e-10)
    if model.solver == "sgd":
        assert model._optimizer.learning_rate == pytest.approx(expected._optimizer.learning_rate, rel=1e-12)
    if model.early_stopping:
        assert model.validation_scores_ == pytest.approx(expected.validation_scores_, rel=1e-12)
        assert model.best_validation_score_ == pytest.approx(expected.best_validation_score_, rel=1e-12)
        assert len(model.validation_loss_curve_) == model.n_iter_
    np.testing.assert_array_equal(model.classes_, expected.classes_)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-8)
    logarithms, theirs = model.predict_log_proba(X), expected.predict_log_proba(X)
    # Theirs are those of probabilities, of which 1 - p is rounded to a part of one.
    rounding = np.finfo(np.float64).eps / expected.predict_proba(X)
    assert (np.abs(logarithms - theirs) <= 1e-8 * np.abs(theirs) + 1e-12 + rounding).all()
    assert model.score(X, y) == expected.score(X, y)
    return expected


@since(1, 7)
@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": (), "alpha": 0.1},
        {"hidden_layer_sizes": (6, 4), "activation": "logistic"},
        {"nesterovs_momentum": False, "alpha": 3.0},
        {"momentum": 0.0, "alpha": 0.0},
        {"batch_size": "auto"},
        {"batch_size": 1, "learning_rate_init": 0.005, "max_iter": 2},
        {"hidden_layer_sizes": 4, "random_state": 7},
        {"max_iter": 60, "n_iter_no_change": 3, "tol": 1e-2},
        {"solver": "adam", "learning_rate_init": 0.001},
        {"solver": "adam", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "alpha": 1.0},
        {"solver": "adam", "max_iter": 80, "n_iter_no_change": 3, "tol": 1e-2},
        {"learning_rate": "invscaling", "power_t": 0.3},
        {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 1e-2, "max_iter": 300},
        {"solver": "adam", "learning_rate": "invscaling"},
        {"early_stopping": True, "max_iter": 80, "n_iter_no_change": 4, "validation_fraction": 0.3},
    ],
    ids=str,
)
def test_every_setting_is_scikit_learns(parameters):
    for n_classes in (2, 3):
        X, y = make_data(n_classes, n=150 if "early_stopping" in parameters else 90)
        for weights in ([], [np.random.default_rng(1).uniform(0.1, 3, len(y))]):
            expected = assert_scikit_learns(make(**{"dtype": "float64", **parameters}), X, y, *weights)
            assert "n_iter_no_change" not in parameters or expected.n_iter_ < parameters["max_iter"]


LIMITS = [{"max_iter": 7, "early_stopping": True}, {"max_fun": 9, "max_iter": 100}, {"max_iter": 500, "tol": 1e-3}]


@since(1, 7)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_lbfgs_is_scikit_learns(n_classes, limits):
    X, y = make_data(n_classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    model = make((5,), activation="tanh", dtype="float64", solver="lbfgs", alpha=0.1, **limits)
    expected = fit_reference(make_reference(model), X, y, weights)
    if "tol" in limits:
        assert model.fit(X, y, weights).n_iter_ < 500
    else:
        with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after"):
            model.fit(X, y, weights)
    assert model.n_iter_ == len(model.loss_curve_) == expected.n_iter_
    # Rounding differences grow from step to step.
    assert_same_network(model, expected, 1e-4)
    assert model.loss_ == model.best_loss_ == pytest.approx(expected.loss_, rel=1e-7)
    assert model.t_ == expected.t_ == 0
    assert model.validation_scores_ is None and not hasattr(model, "partial_fit")


@since(1, 7)
@pytest.mark.parametrize("parameters", [{}, {"solver": "adam"}, {"early_stopping": True, "n_iter_no_change": 3}])
def test_several_labels_a_row_are_scikit_learns(parameters):
    X, y = make_data(3, n=150)
    labels = np.column_stack([y == 0, y > 0, X[:, 0] > 0]).astype(int)
    model = make((6,), **{"dtype": "float64", "alpha": 0.1, "max_iter": 40, **parameters})
    assert_scikit_learns(model, X, labels)
    assert_same_bits(clone(model).fit(X, sparse.csr_array(labels)), model)


def test_a_warm_start_goes_on_like_scikit_learns():
    X, y = make_data()
    model = make(dtype="float64", warm_start=True, max_iter=3)
    expected = assert_scikit_learns(model, X, y)
    model.set_params(max_iter=4).fit(X, y)
    fit_reference(expected.set_params(max_iter=4), X, y)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
    assert (len(model.loss_curve_), model.n_iter_, model.t_) == (7, 4, 7 * len(y))
    assert_same_network(model, expected)


@since(1, 7)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adam"},
        {"shuffle": False},
        {"learning_rate": "invscaling"},
        {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.05},
    ],
    ids=str,
)
def test_partial_fit_is_scikit_learns(n_classes, parameters):
    X, y = make_data(n_classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    # From an instance scikit-learn draws further numbers too; it begins a seed anew with each call.
    parameters = {"dtype": "float64", "batch_size": 16, **parameters}
    model = make(**parameters, random_state=np.random.RandomState(5))
    expected = make_reference(make(**parameters, random_state=np.random.RandomState(5)))
    for call, part in enumerate(3 * [slice(0, 40), slice(40, 90), slice(0, 90), slice(10, 70)]):
        given = {"classes": np.arange(n_classes), "sample_weight": None if call % 3 == 1 else weights[part]}
        for each in (model, expected):
            each.partial_fit(X[part], y[part], **given)
        assert_same_network(model, expected)
        assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
        assert (model.n_iter_, model.t_) == (call + 1, expected.t_)
        if model.solver == "sgd":
            assert model._optimizer.learning_rate == pytest.approx(expected._optimizer.learning_rate, rel=1e-12)
    if "learning_rate" in parameters:
        assert model._optimizer.learning_rate < model.learning_rate_init


@since(1, 7)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"])
def test_arguments_come_in_the_order_of_scikit_learn(method):
    theirs = list(inspect.signature(getattr(ScikitLearnMLPClassifier, method)).parameters)
    assert list(inspect.signature(getattr(MLPClassifier, method)).parameters)[: len(theirs)] == theirs
