"""The errors and warnings that users catch are what they were: of their old bases, and at their old places."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.exceptions

import fastlin
from fastlin import datasets, exceptions, trainers

BASES = {
    "CheckpointError": (ValueError,),
    "CheckpointWarning": (UserWarning,),
    "CollinearityError": (ValueError,),
    "ConvergenceWarning": (sklearn.exceptions.ConvergenceWarning, UserWarning),
    "CourseAssertionError": (AssertionError, ValueError),
    "CourseWarning": (UserWarning,),
    "DataChangedError": (ValueError,),
    "DatasetNotFoundError": (FileNotFoundError,),
    "InferenceWarning": (UserWarning,),
    "NoWorkersError": (RuntimeError,),
    "SeparationError": (ValueError,),
    "SeparationWarning": (UserWarning,),
    "WorkersLostError": (RuntimeError,),
}


def test_each_class_has_its_bases_and_places_and_arrives_from_another_process():
    assert BASES.keys() == set(exceptions.__all__)
    for name, bases in BASES.items():
        kind = getattr(exceptions, name)
        assert all(issubclass(kind, base) for base in bases), name
        arrived = pickle.loads(pickle.dumps(kind("why")))
        assert (type(arrived), arrived.args) == (kind, ("why",))
    assert datasets.DatasetNotFoundError is exceptions.DatasetNotFoundError
    assert trainers.CourseAssertionError is exceptions.CourseAssertionError


def test_filters_of_either_warning_apply():
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    for category in (exceptions.ConvergenceWarning, sklearn.exceptions.ConvergenceWarning):
        with pytest.warns(category, match="max_iter"):
            fastlin.LogisticRegression(max_iter=1, tol=1e-9).fit(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category)
            fastlin.LogisticRegression(max_iter=1, tol=1e-9).fit(X, y)
