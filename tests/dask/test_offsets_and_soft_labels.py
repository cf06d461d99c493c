"""Offsets and soft labels of Dask's collections: models, folds and predictions of the same rows in memory."""

import warnings

import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import pytest

import fastlin
from fastlin.dask import LogisticRegression, LogisticRegressionCV

from .conftest import assert_nothing_is_held, cut, make_rows

# A cluster takes seconds to start, and each fit many messages.
pytestmark = pytest.mark.thorough

QUIET = {"l1_ratios": (0,), "use_legacy_attributes": False}


def make_soft_rows(n_classes):
    """Return X, soft labels, weights and an offset; the rows of the first partition are certain."""
    X, y, weights = make_rows(n_classes=n_classes)
    generator = np.random.default_rng(0)
    soft = generator.dirichlet(np.ones(n_classes), len(X))
    soft[:90] = np.eye(n_classes)[y[:90]]
    return X, soft, weights, generator.normal(size=len(X) if n_classes == 2 else (len(X), n_classes))


def fit(made, parameters, *data, **given):
    with warnings.catch_warnings():
        # Rounding may keep a bound above so small a tol.
        warnings.simplefilter("ignore")
        return made(tol=1e-10, **parameters).fit(*data, **given)


def test_models_and_predictions_are_those_of_the_rows_together(client):
    for n_classes in (2, 3):
        X, soft, weights, offset = make_soft_rows(n_classes)
        dX, dsoft, dweights, doffset = cut(X, soft, weights, offset)
        hard = soft.argmax(axis=1)
        for parameters, y, dy in (
            ({"class_weight": "balanced"}, soft, dsoft),
            ({"C": 0.1, "l1_ratio": 1.0}, soft, dsoft),
            ({"solver": "newton-cholesky"}, hard, dsoft.argmax(axis=1)),
        ):
            expected = fit(fastlin.LogisticRegression, parameters, X, y, weights, offset=offset)
            model = fit(LogisticRegression, parameters, dX, dy, dweights, offset=doffset)
            np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-4)
            np.testing.assert_allclose(model.intercept_, expected.intercept_, atol=1e-4)
            assert model.score(dX, dy, dweights, offset=doffset) == pytest.approx(
                model.score(X, y, weights, offset=offset), rel=1e-12
            )
        # Other cuts, columns in several blocks, and tables.
        other = doffset.rechunk(70)
        frames = [dask.dataframe.from_pandas(pd.DataFrame(each), npartitions=3) for each in (X, soft, offset)]
        again = fit(LogisticRegression, {}, dX, dsoft.rechunk((70, 1)), offset=other)
        table = fit(LogisticRegression, {}, frames[0], frames[1], offset=frames[2])
        expected = fit(fastlin.LogisticRegression, {}, X, soft, offset=offset)
        for found in (again, table):
            np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
        for method in ("decision_function", "predict_proba", "predict_log_proba", "predict"):
            answer = getattr(again, method)
            found = answer(dX, offset=other)
            assert isinstance(found, dask.array.Array)
            expected = answer(X, offset=offset)
            assert found.compute().shape == expected.shape
            np.testing.assert_array_equal(found.compute(), expected)
            unknown = answer(frames[0], offset=frames[2])
            np.testing.assert_array_equal(unknown.compute(), expected)
        assert_nothing_is_held(client)


def test_folds_and_names_are_those_of_the_rows_together(client):
    X, soft, weights, offset = make_soft_rows(3)
    for scoring in ("neg_log_loss", None):
        parameters = {"Cs": [0.1, 10.0], "cv": 3, "scoring": scoring, **QUIET}
        given = {"classes": ["ant", "bee", "cat"]}
        expected = fit(fastlin.LogisticRegressionCV, parameters, X, soft, weights, offset=offset, **given)
        dX, dsoft, dweights, doffset = cut(X, soft, weights, offset)
        found = fit(LogisticRegressionCV, parameters, dX, dsoft, dweights, offset=doffset, **given)
        np.testing.assert_allclose(found.scores_, expected.scores_, atol=1e-4)
        np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
        assert found.classes_.tolist() == given["classes"]
        assert found.score(dX, dsoft, dweights, offset=doffset) == pytest.approx(
            expected.score(X, soft, weights, offset=offset), abs=1e-4
        )


def test_wrong_offsets_and_soft_labels_are_refused(client):
    X, soft, _, offset = make_soft_rows(3)
    dX, dsoft, doffset = cut(X, soft, offset)
    broken, wrong = offset.copy(), soft.copy()
    broken[100], wrong[100] = np.nan, 0.5
    certain = np.eye(3)[soft.argmax(axis=1)]
    for y, given, message in (
        (dsoft, {"offset": cut(broken)[0]}, "Partition 1 of offset must hold finite numbers .* but row 10 has nan"),
        (dsoft, {"offset": doffset[:, 0]}, "The same number for all classes of a row changes nothing"),
        (dsoft, {"offset": doffset[:, :2]}, "offset must have one number for each row and class"),
        (dsoft, {"offset": doffset[:100]}, "offset has 100 entries, but X has 400 rows"),
        (cut(wrong)[0], {}, "Partition 1 of y has 3 columns .* row 10 sums to 1.5"),
        (cut(certain)[0], {}, "y should be a 1d array, got zeros and ones in 3 columns"),
        (cut(certain.astype(int))[0], {}, "Partition 0 of y has the shape .* and int64"),
        (dsoft, {"classes": ["a", "b"]}, "classes must be 3 different labels .* for each column of y"),
    ):
        with pytest.raises(ValueError, match=message):
            LogisticRegression().fit(dX, y, **given)
    with pytest.raises(TypeError, match="offset must be a Dask array or a Dask series, cut as X is, got ndarray"):
        LogisticRegression().fit(dX, dsoft, offset=offset)
    model = LogisticRegression().fit(dX, dsoft)
    with pytest.raises(ValueError, match="offset must have one number for each row and class"):
        model.predict_proba(dX, offset=doffset[:, 0])
    assert_nothing_is_held(client)
