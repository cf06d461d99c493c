"""Baselines: their parameters, their descriptions in the program, and pickling."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier

from fastlin.benchmarking import Baseline
from fastlin.benchmarking.baseline import ITERATION_LIMITS, TOLERANCES, parse_baseline


def test_a_description_names_the_class_and_the_parameter_of_the_effort():
    baseline = parse_baseline("sklearn.linear_model:SGDClassifier(loss='log_loss', alpha=1e-3, tol=?)")
    model = baseline.make(0.5)
    assert isinstance(model, SGDClassifier)
    assert (model.loss, model.alpha, model.tol) == ("log_loss", 1e-3, 0.5)
    assert baseline.efforts == TOLERANCES
    limited = parse_baseline("sklearn.linear_model:LogisticRegression(max_iter=?)")
    assert (limited.make(7).max_iter, limited.efforts) == (7, ITERATION_LIMITS)
    assert parse_baseline("sklearn.linear_model:SGDClassifier(epsilon=?)").efforts == TOLERANCES
    assert parse_baseline("sklearn.linear_model:SGDClassifier(n_steps=?)").efforts == ITERATION_LIMITS
    fixed = parse_baseline("sklearn.linear_model:LogisticRegression")
    assert isinstance(fixed.make(None), LogisticRegression)
    assert fixed.efforts == (None,)


@pytest.mark.parametrize(
    "description",
    [
        "LogisticRegression",
        "sklearn.linear_model:LogisticRegression(",
        "sklearn.linear_model:LogisticRegression(tol=?, max_iter=?)",
        "sklearn.linear_model:LogisticRegression('l2')",
        "sklearn.linear_model:LogisticRegression(C=open('x'))",
        "sklearn.linear_model:LogisticRegression(tol=?); x",
        "sklearn.linear_model:LogisticRegression(C=1)(tol=?)",
        "sklearn.linear_model:LogisticRegression()+(1)",
        "sklearn.linear_model:LogisticRegression(**{'tol': 1})",
    ],
)
def test_a_description_of_another_form_raises_an_error(description):
    with pytest.raises(ValueError, match=r'must have the form "module:Class\(parameter=value, tol=\?\)"'):
        parse_baseline(description)


UNKNOWN_CLASSES = "no_such_module:Class", "sklearn.linear_model:NoSuchClass(tol=?)", "..:NoSuchClass"


@pytest.mark.parametrize("description", UNKNOWN_CLASSES)
def test_a_class_that_cannot_be_imported_raises_an_error(description):
    with pytest.raises(ImportError, match=r"(no_such_module|NoSuchClass).* cannot be imported"):
        parse_baseline(description)


def test_invalid_parameters_raise_an_error():
    with pytest.raises(TypeError, match="make must be a function of an effort, got LogisticRegression"):
        Baseline("model", LogisticRegression())
    with pytest.raises(ValueError, match="efforts must contain at least one value, got none for the baseline 'model'"):
        Baseline("model", LogisticRegression, [])


def test_classes_can_be_sent_to_another_process():
    baseline = pickle.loads(pickle.dumps(Baseline("model", SGDClassifier, ["log_loss"])))
    assert baseline.make("log_loss").loss == "log_loss"


def test_lambdas_can_be_sent_to_another_process():
    C = 3.0
    efforts = (value for value in np.array([0.1]))
    baseline = pickle.loads(pickle.dumps(Baseline("model", lambda tol: LogisticRegression(C=C, tol=tol), efforts)))
    assert type(baseline.efforts[0]) is float
    model = baseline.make(baseline.efforts[0])
    assert (model.C, model.tol, baseline.package) == (3.0, 0.1, "model")
