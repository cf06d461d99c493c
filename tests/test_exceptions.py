"""Errors and warnings that users can catch. The file interface.txt lists their base classes and modules."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.exceptions

import fastlin
from fastlin import exceptions


def test_each_class_survives_pickling():
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        copy = pickle.loads(pickle.dumps(kind("why")))
        assert (type(copy), copy.args) == (kind, ("why",))


def test_filters_of_either_warning_apply():
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    for category in (exceptions.ConvergenceWarning, sklearn.exceptions.ConvergenceWarning):
        with pytest.warns(category, match="max_iter"):
            fastlin.LogisticRegression(max_iter=1, tol=1e-9).fit(X, y)
        with warnings.catch_warnings(action="ignore", category=category):
            fastlin.LogisticRegression(max_iter=1, tol=1e-9).fit(X, y)
