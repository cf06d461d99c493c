"""What classifiers fitted by Dask answer for data of each kind; any scheduler of Dask will do."""

import copy

import dask.array
import numpy as np
import pytest

import fastlin
from fastlin import blocks
from fastlin.dask import LogisticRegression, LogisticRegressionCV

from .conftest import cut, make_rows

# A cluster takes seconds to start.
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def fitted():
    """Return rows, their labels, both as Dask's collections, a model of them in memory, and the same for Dask."""
    X, y, _ = make_rows(n_classes=3)
    local, model = fastlin.LogisticRegression().fit(X, y), LogisticRegression()
    vars(model).update({name: value for name, value in vars(local).items() if name.endswith("_")})
    return X, y, *cut(X, y), local, model


def test_collections_are_answered_by_dask_and_other_rows_at_once(fitted):
    X, y, dX, dy, local, model = fitted
    rows = blocks.from_arrays(X, y, rows_per_block=100)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        expected, answer = getattr(local, method)(X), getattr(model, method)
        assert isinstance(answer(dX), dask.array.Array)
        for found in (answer(dX).compute(), answer(X), np.concatenate(list(answer(rows)))):
            np.testing.assert_array_equal(found, expected)
    expected = local.score(X, y)
    assert model.score(X, y) == expected
    assert model.score(dX, dy) == pytest.approx(expected)
    assert model.score(rows) == pytest.approx(expected)


def test_a_collection_needs_labels_and_has_no_metadata(fitted):
    X, _, dX, dy, _, model = fitted
    for rows in (dX, X):
        with pytest.raises(ValueError, match="score requires y"):
            model.score(rows)
    with pytest.raises(TypeError, match="takes X, y, sample_weight and offset alone, got groups too"):
        LogisticRegressionCV().score(dX, dy, groups=dy)


def test_attributes_of_another_shape_are_refused_before_workers_read_them(fitted):
    *_, dX, dy, _, model = fitted
    for attribute, value in (("coef_", np.ones((3, 20_000))), ("intercept_", 0.5), ("classes_", np.arange(9))):
        damaged = copy.copy(model)
        setattr(damaged, attribute, value)
        for method, arguments in (("predict", [dX]), ("predict_proba", [dX]), ("score", [dX, dy])):
            with pytest.raises(ValueError, match=r"must be real numbers of shape .* classes and"):
                getattr(damaged, method)(*arguments)
