"""Endings of MLPClassifier's trainings: its limit, divergence, scores that overflow."""

import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from small_networks import differ, make, make_data

X, Y = make_data()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_unfinished_fit_warns_with_what_to_do(early_stopping):
    what = "the validation accuracy" if early_stopping else "the loss"
    with pytest.warns(ConvergenceWarning, match=rf"Maximum iterations \(2\) reached.*: {what} still improved"):
        make(n_iter_no_change=10, max_iter=2, early_stopping=early_stopping).fit(X, Y)


DIVERGING = {"activation": "identity", "batch_size": 90, "nesterovs_momentum": False, "alpha": 0.0, "max_iter": 200}


@pytest.mark.parametrize(("dtype", "validated"), [("float32", False), ("float64", False), ("float32", True)])
def test_a_diverging_run_stops_there_and_keeps_the_best_epoch(dtype, validated):
    data = {"X_val": X, "y_val": Y} if validated else {}
    parameters = {**DIVERGING, "dtype": dtype, "learning_rate_init": 3.0}
    model = make((30, 30), **parameters)
    text = "The training diverged: its loss was no longer finite in epoch"
    with pytest.warns(ConvergenceWarning, match=text) as caught:
        model.fit(X, Y, **data)
    message = str(caught[0].message)
    assert "learning_rate_init (now 3.0)" in message
    epoch = int(re.search(r"in epoch (\d+)\.", message).group(1))
    kept = 0 if "those that it began with" in message else int(re.search(r"those of epoch (\d+)", message).group(1))
    assert epoch == model.n_iter_ + 1 == len(model.loss_curve_) + 1
    assert np.isfinite(model.loss_curve_).all()
    # The loss of an epoch describes the parameters that it began with.
    assert kept == (np.argmax(model.validation_scores_) + 1 if validated else np.argmin(model.loss_curve_))
    assert kept < epoch
    assert not kept or not differ(model, make((30, 30), **{**parameters, "max_iter": kept}).fit(X, Y))
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("validated", [False, True])
def test_a_network_whose_scores_overflow_is_not_kept(validated):
    generator = np.random.RandomState(0)
    X = generator.randn(200, 20)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    # The first epoch has finite losses, and ends with parameters whose scores overflow.
    model = make((30, 30), max_iter=30, learning_rate_init=100, batch_size=50)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y, **({"X_val": X, "y_val": y} if validated else {}))
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.validation_loss_curve_ or []).all()
    with pytest.warns(ConvergenceWarning, match="diverged"):
        called = clone(model).partial_fit(X, y, classes=[0, 1, 2])
    assert np.isfinite(called.predict_proba(X)).all()
    assert called.loss_curve_ == []


def test_rows_whose_scores_overflow_have_no_prediction():
    model = make(max_iter=2).fit(X, Y)
    for predict in (model.predict, model.predict_proba, model.predict_log_proba):
        with pytest.raises(ValueError, match=r'X has rows whose scores overflow float32.*dtype="float64"'):
            predict(X * 1e300)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", ["two classes", "three classes", "labels"])
def test_logarithms_of_probabilities_are_finite_where_those_round_to_zero(kind):
    several = np.column_stack([Y > 0, Y > 1]).astype(int)
    model = make(max_iter=5).fit(X, {"two classes": Y > 0, "three classes": Y, "labels": several}[kind])
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-4)
    found = model.predict_log_proba(1e5 * X)
    assert np.isfinite(found).all() and found.min() < -200
    np.testing.assert_allclose(np.exp(found), model.predict_proba(1e5 * X), atol=1e-6)


def test_the_most_probable_label_has_the_largest_logarithm_too():
    model = make(max_iter=5).fit(X, np.column_stack([Y > 0, Y > 0, Y > 1]).astype(int))
    # Scores of hundreds, where float32 has no probabilities but 0 and 1.
    probabilities, logarithms = model.predict_proba(50 * X), model.predict_log_proba(50 * X)
    assert (probabilities == 1).any() and probabilities.min() < 1e-50
    # A probability near 1 is rounded by half an eps.
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


def test_numbers_beyond_float32_diverge_with_a_warning():
    with pytest.warns(ConvergenceWarning, match="diverged.* scale X"):
        make().fit(X * 1e200, Y)
