"""Ctrl-C at any line of a fit: it reaches the caller, or the training warns and says `interrupted_`."""

import itertools
import warnings
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import assert_refused, marked, run_until_line
from linear_models import make_cv
from small_networks import differ

import fastlin

PACKAGE = Path(fastlin.__file__).parent
FILES = {*map(str, PACKAGE.rglob("*.py"))} - {*map(str, PACKAGE.glob("kernels/**/*.py"))}
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3))
Y = (X[:, 0] + GENERATOR.normal(size=60) > 0) * 1
EPOCHS = {"max_iter": 3, "n_iter_no_change": np.inf, "batch_size": 20, "random_state": 0}


steps = partial(fastlin.MiniBatchLogisticRegression, **EPOCHS)
network = partial(fastlin.MLPClassifier, (2,), batch_norm="both", dropout=0.2, **EPOCHS)
folds = partial(make_cv, Cs=[1.0], scoring="accuracy", n_jobs=1)


def fit(model, **validation):
    return model.fit(X, Y, **validation)


CALLS = {
    "steps": (steps, fit),
    "steps, validation": (partial(steps, early_stopping=True), fit),
    "partial_fit of steps": (steps, lambda model: model.partial_fit(X, Y, [0, 1])),
    "fit_batches": (steps, lambda model: model.fit_batches([(X, Y), (X, Y)], [0, 1], 2)),
    "network": (network, fit),
    "partial_fit of a network": (network, lambda model: model.partial_fit(X, Y, classes=[0, 1])),
    "network by lbfgs": (partial(fastlin.MLPClassifier, (2,), solver="lbfgs", max_iter=3), fit),
    "fit": (fastlin.LogisticRegression, fit),
    "L1": (partial(fastlin.LogisticRegression, l1_ratio=1), fit),
    "Firth": (fastlin.FirthLogisticRegression, fit),
    "folds": (folds, fit),
    "validation set": (folds, partial(fit, X_val=X, y_val=Y)),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
@pytest.mark.parametrize("between", [97, *marked(pytest.mark.slow, 7)])
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_is_raised_or_told(name, between):
    make, call = CALLS[name]
    complete = set(vars(call(make())))
    # An interrupt that reaches the caller leaves the model as it was, or complete where it comes behind the fit.
    for n_interrupted in itertools.count():
        model, last_line = make(), 1 + n_interrupted * between
        before = dict(vars(model))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result, n_lines = run_until_line(partial(call, model), FILES, last_line)
        if n_lines < last_line:
            break
        if result is None:
            assert vars(model) == before or set(vars(model)) == complete
        else:
            assert model.interrupted_
            texts = [str(each.message) for each in caught]
            assert any(text.startswith("Training interrupted by user") for text in texts)
            if name == "network":
                # The last whole epoch, by its random numbers too.
                assert any(f"after {model.n_iter_} whole epochs" in text for text in texts)
                if model.n_iter_:
                    shorter = make(max_iter=model.n_iter_).fit(X, Y)
                    assert not differ(model, shorter)
                    np.testing.assert_equal(model._optimizer.carried, shorter._optimizer.carried)
    assert n_interrupted > 5


def test_an_interrupt_at_the_very_end_of_a_fit_leaves_the_model_as_it_was(monkeypatch):
    monkeypatch.setattr("fastlin.estimators.endings.perf_counter", Mock(side_effect=[0.0, KeyboardInterrupt]))
    assert_refused(None, fastlin.LogisticRegression().fit, X, Y, error=KeyboardInterrupt)
