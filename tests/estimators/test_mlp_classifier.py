"""MLPClassifier: comparison with scikit-learn, extensions, reproducibility, and divergence."""

import inspect
import itertools
import pickle
import re
import warnings

import numpy as np
import pytest
from conftest import assert_raises, requires_scikit_learn
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier
from small_networks import assert_bitwise_equal, assert_same_network, have_different_coefs, make, make_data

from fastlin import MLPClassifier

X, Y = make_data()
STOPPING_PARAMETERS = [
    {"max_iter": 7, "early_stopping": True},
    {"max_fun": 9, "max_iter": 100},
    {"max_iter": 500, "tol": 1e-3},
]


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.3, "batch_norm": "both", "init": "he"}], ids=str)
def test_learning_rate_decay_equals_a_manual_schedule(parameters):
    # Like scikit-learn, `fit` shuffles the order of the last epoch, but `partial_fit` shuffles the row order.
    parameters = {"shuffle": False, **parameters}
    decaying_network = make(learning_rate_decay=0.7, **parameters).fit(X, Y)
    manually_decayed_network, incremental = make(**parameters), make(learning_rate_decay=0.7, **parameters)
    for epoch in range(5):
        manually_decayed_network.set_params(learning_rate_init=0.05 * 0.7**epoch)
        for model in (manually_decayed_network, incremental):
            model.partial_fit(X, Y, classes=[0, 1, 2])
    assert_bitwise_equal(manually_decayed_network, decaying_network)
    assert_bitwise_equal(incremental, decaying_network)
    assert have_different_coefs(make(**parameters).fit(X, Y), decaying_network)


@pytest.mark.parametrize(
    "parameters", [{"dtype": "float64"}, {"dropout": 0.5}, {"batch_norm": "both"}, {"init": "he"}], ids=str
)
def test_the_seed_determines_the_model(parameters):
    # OpenBLAS rounds products of these shapes differently on one and on two threads.
    X, y = make_data(10, n=256, d=300)
    settings = {"max_iter": 3, "batch_size": 128, **parameters}
    seeds = 0, 0, np.random.RandomState(0), 1
    first, *same, other = (make((135, 5), **settings, random_state=seed).fit(X, y) for seed in seeds)
    for model in same:
        assert_bitwise_equal(model, first)
    assert have_different_coefs(other, first)


def test_dropout_and_batch_norm_change_the_training():
    settings = [{}, {"dropout": 0.2}, {"dropout": 0.5}, *({"batch_norm": name} for name in ("input", "hidden", "both"))]
    models = [make((7, 5), **parameters).fit(X, Y) for parameters in settings]
    assert all(have_different_coefs(*pair) for pair in itertools.combinations(models, 2))
    sizes = [(len(model.batch_norm_scales_), len(model.batch_norm_means_)) for model in models]
    assert sizes == [(0, 0), (0, 0), (0, 0), (0, 1), (2, 2), (2, 3)]


def test_initial_coefficients_have_the_requested_scale():
    for parameters, deviation in (
        ({"init": "he"}, 0.2),
        ({"init": "normal"}, 0.01),
        ({"init": "normal", "init_scale": 3}, 3),
    ):
        # The coefficients stay at their initial values, up to rounding.
        model = make((300,), max_iter=1, learning_rate_init=1e-30, dtype="float64", **parameters).fit(*make_data(d=50))
        assert model.coefs_[0].std() == pytest.approx(deviation, rel=0.1)


def test_the_epoch_with_the_best_validation_score_is_selected():
    X, y = make_data(n=200)
    X_val, y_val = make_data(n=100, seed=1)
    y_val[:60] = y[:60]
    model = make(max_iter=20, batch_norm="both").fit(X, y, X_val=X_val, y_val=y_val)
    assert model.coefs_[0].dtype == model.predict_proba(X).dtype == np.float32
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 20
    best = int(np.argmax(model.validation_scores_))
    assert 0 < best < 19
    assert model.best_validation_score_ == model.validation_scores_[best] == model.score(X_val, y_val)
    probabilities = model.predict_proba(X_val)[np.arange(100), y_val]
    assert model.validation_loss_curve_[best] == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)
    alone = make(max_iter=best + 1, batch_norm="both").fit(X, y)
    assert alone.loss_curve_ == model.loss_curve_[: best + 1]
    model.loss_curve_ = alone.loss_curve_
    assert_bitwise_equal(alone, model)
    assert alone.validation_scores_ is alone.validation_loss_curve_ is alone.best_validation_score_ is None


def test_early_stopping_with_validation_data_trains_on_all_rows():
    model = make(max_iter=100, early_stopping=True, n_iter_no_change=3).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    assert model.n_iter_ < 100
    assert model.t_ == len(Y) * model.n_iter_
    assert make(max_iter=model.n_iter_).fit(X, Y).loss_curve_ == model.loss_curve_
    is_last_class, names = Y == 2, np.array(["a", "b", "c"])[Y]
    model = make().fit(X, names, X_val=X[is_last_class], y_val=names[is_last_class])
    assert model.best_validation_score_ == np.mean(model.predict(X[is_last_class]) == "c")


def test_the_accuracy_curve_averages_batches_by_weight():
    weights = np.linspace(0, 2, len(Y))
    model = make(max_iter=1, learning_rate_init=1e-30).fit(X, Y, weights)
    assert model.accuracy_curve_ == [pytest.approx(model.score(X, Y, weights), rel=1e-12)]


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": "both", "dropout": 0.2}], ids=str)
def test_pickles_and_clones_train_the_same_network(parameters):
    model = make((7, 5), **parameters).fit(X, Y)
    again, copy = clone(model), pickle.loads(pickle.dumps(model))
    assert_raises(None, again.predict, X, error=NotFittedError)
    assert_bitwise_equal(again.fit(X, Y), model)
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert_bitwise_equal(copy.partial_fit(X, Y), model.partial_fit(X, Y))


def test_a_warm_start_keeps_running_statistics():
    settings = {"batch_norm": "both", "dropout": 0.2, "warm_start": True, "learning_rate_init": 1e-30}
    model = make((7,), **settings, max_iter=30).fit(X, Y)
    before = model.predict_proba(X)
    np.testing.assert_allclose(model.set_params(max_iter=1).fit(X, Y).predict_proba(X), before, atol=0.05)
    assert (len(model.loss_curve_), model.n_iter_) == (31, 1)


@pytest.mark.parametrize(("name", "value"), [("hidden_layer_sizes", (5,)), ("batch_norm", "input")])
def test_changed_layers_prevent_further_training(name, value):
    model = make((1,), warm_start=True, batch_norm="hidden").fit(X, Y)
    expected = model.predict_proba(X)
    model.set_params(**{name: value})
    for train in (model.fit, model.partial_fit):
        assert_raises(f"^{name} must be unchanged", train, X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_verbose_shows_a_progress_bar_with_metrics(capsys):
    model = make(verbose=2).fit(X, Y, X_val=X, y_val=Y)
    output = " ".join(capsys.readouterr().out.split())
    assert output.startswith("fastlin ")
    assert " 5/5 " in output
    assert f"loss {model.loss_:.4f} / {model.validation_loss_curve_[-1]:.4f} " in output
    assert f"accuracy {model.accuracy_curve_[-1]:.4f} / {model.validation_scores_[-1]:.4f} " in output
    make().fit(X, Y)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_has_not_converged_warns_with_a_remedy(early_stopping):
    what = "the validation accuracy" if early_stopping else "the loss"
    with pytest.warns(ConvergenceWarning, match=rf"Maximum iterations \(2\) reached.*: {what} was still improving"):
        make(n_iter_no_change=10, max_iter=2, early_stopping=early_stopping).fit(X, Y)


@pytest.mark.parametrize(("dtype", "validated"), [("float32", False), ("float64", False), ("float32", True)])
def test_a_diverging_training_keeps_the_best_epoch(dtype, validated):
    parameters = {"activation": "identity", "batch_size": 90, "alpha": 0.0, "learning_rate_init": 3.0, "dtype": dtype}
    model = make((30, 30), **parameters, nesterovs_momentum=False, max_iter=200)
    with pytest.warns(ConvergenceWarning, match="The training diverged: the loss is not finite in") as caught:
        model.fit(X, Y, **({"X_val": X, "y_val": Y} if validated else {}))
    message = str(caught[0].message)
    assert "learning_rate_init (now 3.0)" in message
    epoch = int(re.search(r"in epoch (\d+)\.", message).group(1))
    best_epoch = 0 if "the initial ones" in message else int(re.search(r"those of epoch (\d+)", message).group(1))
    assert epoch == model.n_iter_ + 1 == len(model.loss_curve_) + 1
    assert np.isfinite(model.loss_curve_).all()
    # The loss of an epoch is that of the parameters at the start of the epoch.
    assert best_epoch == (np.argmax(model.validation_scores_) + 1 if validated else np.argmin(model.loss_curve_))
    assert best_epoch < epoch
    assert not best_epoch or not have_different_coefs(model, clone(model).set_params(max_iter=best_epoch).fit(X, Y))
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("validated", [False, True])
def test_a_network_whose_scores_overflow_is_discarded(validated):
    X = np.random.RandomState(0).randn(200, 20)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    # The first epoch's losses are finite, but scores overflow at the final parameters.
    model, incremental = (make((30, 30), max_iter=30, learning_rate_init=100, batch_size=50) for _ in range(2))
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y, **({"X_val": X, "y_val": y} if validated else {}))
    with pytest.warns(ConvergenceWarning, match="diverged"):
        incremental.partial_fit(X, y, classes=[0, 1, 2])
    assert np.isfinite(model.predict_proba(X)).all() and np.isfinite(incremental.predict_proba(X)).all()
    assert np.isfinite(model.validation_loss_curve_ or []).all()
    assert incremental.loss_curve_ == []


def test_scores_that_overflow_raise_an_error():
    model = make(max_iter=2).fit(X, Y)
    for predict in (model.predict, model.predict_proba, model.predict_log_proba):
        assert_raises(r'X has rows whose scores overflow float32.*dtype="float64"', predict, X * 1e300)
    with pytest.warns(ConvergenceWarning, match="diverged.* scale X"):
        make().fit(X * 1e200, Y)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", ["two classes", "three classes", "labels"])
def test_log_probabilities_are_finite_if_probabilities_round_to_zero(kind):
    multilabel = np.column_stack([Y > 0, Y > 1]).astype(int)
    model = make(max_iter=5).fit(X, {"two classes": Y > 0, "three classes": Y, "labels": multilabel}[kind])
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-4)
    actual = model.predict_log_proba(1e5 * X)
    assert np.isfinite(actual).all() and actual.min() < -200
    np.testing.assert_allclose(np.exp(actual), model.predict_proba(1e5 * X), atol=1e-6)


def test_probabilities_and_log_probabilities_have_the_same_order():
    model = make(max_iter=5).fit(X, np.column_stack([Y > 0, Y > 0, Y > 1]).astype(int))
    # With scores of several hundred, float32 probabilities are exactly 0 or 1.
    probabilities, logarithms = model.predict_proba(50 * X), model.predict_log_proba(50 * X)
    assert (probabilities == 1).any() and probabilities.min() < 1e-50
    # A probability near 1 has a rounding error of up to eps / 2.
    np.testing.assert_allclose(np.log(probabilities), logarithms, rtol=1e-12, atol=np.finfo(np.float64).eps)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), logarithms.argmax(axis=1))


def test_partial_fit_recovers_from_a_call_that_diverged():
    model = make(batch_size=5).partial_fit(X, Y, classes=[0, 1, 2])
    before = model.predict_proba(X)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.set_params(learning_rate_init=1e25).partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(learning_rate_init=0.05)
    for _ in range(5):
        model.partial_fit(X, Y)
    assert len(model.loss_curve_) == 6
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def make_scikit_learn_network(model):
    names = ScikitLearnMLPClassifier().get_params()
    return ScikitLearnMLPClassifier(**{name: value for name, value in model.get_params().items() if name in names})


def fit_reference(model, *data):
    # scikit-learn warns whenever a fit reaches max_iter.
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return model.fit(*data)


def assert_matches_scikit_learn(model, X, y, *weights):
    expected = fit_reference(make_scikit_learn_network(model), X, y, *weights)
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
    # scikit-learn takes logarithms of probabilities, and the rounding error of 1 - p is relative to 1, not to 1 - p.
    rounding = np.finfo(np.float64).eps / expected.predict_proba(X)
    assert (np.abs(logarithms - theirs) <= 1e-8 * np.abs(theirs) + 1e-12 + rounding).all()
    assert model.score(X, y) == expected.score(X, y)
    return expected


@requires_scikit_learn(1, 7)
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
def test_networks_with_any_parameters_match_scikit_learn(parameters):
    for n_classes in (2, 3):
        X, y = make_data(n_classes, n=150 if "early_stopping" in parameters else 90)
        for weights in ([], [np.random.default_rng(1).uniform(0.1, 3, len(y))]):
            expected = assert_matches_scikit_learn(make(**{"dtype": "float64", **parameters}), X, y, *weights)
            assert "n_iter_no_change" not in parameters or expected.n_iter_ < parameters["max_iter"]


@requires_scikit_learn(1, 7)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("limits", STOPPING_PARAMETERS, ids=str)
def test_lbfgs_matches_scikit_learn(n_classes, limits):
    X, y = make_data(n_classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    model = make((5,), activation="tanh", dtype="float64", solver="lbfgs", alpha=0.1, **limits)
    expected = fit_reference(make_scikit_learn_network(model), X, y, weights)
    if "tol" in limits:
        assert model.fit(X, y, weights).n_iter_ < 500
    else:
        with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after"):
            model.fit(X, y, weights)
    assert model.n_iter_ == len(model.loss_curve_) == expected.n_iter_
    # Rounding differences grow with each step.
    assert_same_network(model, expected, 1e-4)
    assert model.loss_ == model.best_loss_ == pytest.approx(expected.loss_, rel=1e-7)
    assert model.t_ == expected.t_ == 0
    assert model.validation_scores_ is None and not hasattr(model, "partial_fit")


@requires_scikit_learn(1, 7)
@pytest.mark.parametrize("parameters", [{}, {"solver": "adam"}, {"early_stopping": True, "n_iter_no_change": 3}])
def test_multilabel_training_matches_scikit_learn(parameters):
    X, y = make_data(3, n=150)
    labels = np.column_stack([y == 0, y > 0, X[:, 0] > 0]).astype(int)
    model = make((6,), **{"dtype": "float64", "alpha": 0.1, "max_iter": 40, **parameters})
    assert_matches_scikit_learn(model, X, labels)
    assert_bitwise_equal(clone(model).fit(X, sparse.csr_array(labels)), model)


def test_a_warm_start_matches_scikit_learn():
    X, y = make_data()
    model = make(dtype="float64", warm_start=True, max_iter=3)
    expected = assert_matches_scikit_learn(model, X, y)
    model.set_params(max_iter=4).fit(X, y)
    fit_reference(expected.set_params(max_iter=4), X, y)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
    assert (len(model.loss_curve_), model.n_iter_, model.t_) == (7, 4, 7 * len(y))
    assert_same_network(model, expected)


@requires_scikit_learn(1, 7)
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
def test_partial_fit_matches_scikit_learn(n_classes, parameters):
    X, y = make_data(n_classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    # scikit-learn continues a RandomState instance too, but restarts from an integer seed with each call.
    parameters = {"dtype": "float64", "batch_size": 16, **parameters}
    model = make(**parameters, random_state=np.random.RandomState(5))
    expected = make_scikit_learn_network(make(**parameters, random_state=np.random.RandomState(5)))
    for call, part in enumerate(3 * [slice(0, 40), slice(40, 90), slice(0, 90), slice(10, 70)]):
        arguments = {"classes": np.arange(n_classes), "sample_weight": None if call % 3 == 1 else weights[part]}
        for network in (model, expected):
            network.partial_fit(X[part], y[part], **arguments)
        assert_same_network(model, expected)
        assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
        assert (model.n_iter_, model.t_) == (call + 1, expected.t_)
        if model.solver == "sgd":
            assert model._optimizer.learning_rate == pytest.approx(expected._optimizer.learning_rate, rel=1e-12)
    if "learning_rate" in parameters:
        assert model._optimizer.learning_rate < model.learning_rate_init


@requires_scikit_learn(1, 7)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"])
def test_positional_arguments_have_the_order_of_scikit_learn(method):
    theirs = list(inspect.signature(getattr(ScikitLearnMLPClassifier, method)).parameters)
    assert list(inspect.signature(getattr(MLPClassifier, method)).parameters)[: len(theirs)] == theirs
