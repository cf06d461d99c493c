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
    """Return rows, their labels, a model of them in memory, and the same for Dask's collections."""
    X, y, _ = make_rows(n_classes=3)
    local = fastlin.LogisticRegression().fit(X, y)
    model = LogisticRegression()
    vars(model).update({name: value for name, value in vars(local).items() if name.endswith("_")})
    return X, y, local, model


def test_collections_are_answered_by_dask_and_other_rows_at_once(fitted):
    X, y, local, model = fitted
    (dX,) = cut(X)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        expected = getattr(local, method)(X)
        answer = getattr(model, method)(dX)
        assert isinstance(answer, dask.array.Array)
        np.testing.assert_array_equal(answer.compute(), expected)
        np.testing.assert_array_equal(getattr(model, method)(X), expected)
        rows = blocks.from_arrays(X, y, rows_per_block=100)
        np.testing.assert_array_equal(np.concatenate(list(getattr(model, method)(rows))), expected)


def test_scores_of_each_kind_of_data_are_the_same(fitted):
    X, y, local, model = fitted
    expected = local.score(X, y)
    assert model.score(*cut(X, y)) == pytest.approx(expected)
    assert model.score(X, y) == expected
    assert model.score(blocks.from_arrays(X, y, rows_per_block=100)) == pytest.approx(expected)


def test_a_collection_needs_labels_and_has_no_metadata(fitted):
    X, y, _, model = fitted
    dX, dy = cut(X, y)
    with pytest.raises(ValueError, match="score requires y"):
        model.score(dX)
    with pytest.raises(ValueError, match="score requires y"):
        model.score(X)
    with pytest.raises(TypeError, match="takes X, y, sample_weight and offset alone, got groups too"):
        LogisticRegressionCV().score(dX, dy, groups=y)


def test_attributes_of_another_shape_are_refused_before_workers_read_them(fitted):
    X, y, _, model = fitted
    dX, dy = cut(X, y)
    for attribute, value in (("coef_", np.ones((3, 20_000))), ("intercept_", 0.5), ("classes_", np.arange(9))):
        damaged = copy.copy(model)
        setattr(damaged, attribute, value)
        for method, arguments in (("predict", [dX]), ("predict_proba", [dX]), ("score", [dX, dy])):
            with pytest.raises(ValueError, match=r"must be real numbers of shape .* classes and"):
                getattr(damaged, method)(*arguments)
