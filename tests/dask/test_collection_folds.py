"""LogisticRegressionCV on Dask collections, compared with the same rows in memory."""

import numpy as np
import pytest
from conftest import load_standardized
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin.dask import LogisticRegressionCV

from .conftest import QUIET_CV_PARAMETERS, cut, make_rows

DEFAULT_PARAMETERS = {"scoring": "accuracy", **QUIET_CV_PARAMETERS}
WEIGHTED_SEARCH = {"scoring": "neg_log_loss", "class_weight": "balanced", "refit": False}


@pytest.mark.parametrize(
    ("load", "parameters"),
    [
        pytest.param(load_iris, {"cv": 2}, id="C"),
        pytest.param(
            load_iris,
            {"cv": 3, "selection": "one_standard_error"},
            id="one standard error",
            marks=pytest.mark.thorough,
        ),
        pytest.param(load_iris, WEIGHTED_SEARCH, id="weights and log loss", marks=pytest.mark.slow),
        pytest.param(load_breast_cancer, {"l1_ratios": [0.5, 1.0], "cv": 2}, id="L1", marks=pytest.mark.slow),
    ],
)
def test_cross_validation_matches_rows_in_memory(client, load, parameters):
    data = load_standardized(load)
    parameters = {**DEFAULT_PARAMETERS, "Cs": [0.1, 1], "tol": 1e-8, **parameters}
    if "class_weight" in parameters:
        data = *data, np.random.default_rng(0).integers(0, 3, len(data[0]))
    dask_data = cut(*data, rows=40)
    expected = fastlin.LogisticRegressionCV(**parameters).fit(*data)
    result = LogisticRegressionCV(**parameters).fit(*dask_data)
    np.testing.assert_allclose(result.scores_, expected.scores_, atol=1e-3 if len(data) > 2 else 0)
    np.testing.assert_allclose(result.coef_, expected.coef_, atol=2e-3)
    assert (result.C_, result.l1_ratio_) == (expected.C_, expected.l1_ratio_)
    assert result.score(*dask_data) == pytest.approx(expected.score(*data), abs=1e-3)
    assert type(result.to_local()) is fastlin.LogisticRegressionCV
    # The mean of the models of the folds is not the result of a fit.
    assert hasattr(result, "converged_") == parameters.get("refit", True)
    if hasattr(result, "converged_"):
        assert result.converged_
        assert result.to_local().certificate_ == result.certificate_ <= 1e-8 * result.history_[0].objective
    np.testing.assert_array_equal(result.to_local().predict(data[0]), result.predict(dask_data[0]).compute())


def test_weights_whose_sum_overflows_do_not_change_the_scores(client):
    X, y, weights = make_rows(n_classes=2)
    assert 2.0**1016 * float(weights.sum()) == np.inf
    fitted = []
    for unit in (1.0, 2.0**1016):
        data = cut(X, y, unit * weights, rows=200)
        parameters = {"Cs": [1 / unit], "cv": 2, "class_weight": "balanced", "scoring": "neg_log_loss", "tol": 1e-3}
        model = LogisticRegressionCV(**{**DEFAULT_PARAMETERS, **parameters}).fit(*data)
        fitted.append((model, model.score(*data)))
    (light_model, score), (heavy_model, heavy_score) = fitted
    np.testing.assert_array_equal(heavy_model.coef_, light_model.coef_)
    np.testing.assert_allclose(heavy_model.scores_, light_model.scores_, rtol=1e-14)
    assert heavy_score == pytest.approx(score, rel=1e-14)


@pytest.mark.parametrize("wrong", [{"cv": 1}, {"cv": [([0], [1])]}, {"scoring": "roc_auc"}, {"scoring": len}], ids=str)
def test_unsupported_folds_and_scorers_raise_errors(client, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        LogisticRegressionCV(**{**DEFAULT_PARAMETERS, **wrong}).fit(*cut(*make_rows()))


@pytest.mark.thorough
def test_folds_without_members_raise_errors_or_warnings(client):
    X, y, _ = make_rows()
    data = cut(X, np.where(np.arange(400) < 3, 9, np.minimum(y, 1)))
    with pytest.warns(UserWarning, match="least populated class in y has only 3 members"):
        LogisticRegressionCV(**DEFAULT_PARAMETERS, Cs=1).fit(*data)
    with pytest.raises(ValueError, match="n_splits=399 cannot be greater than the number of members in each class"):
        LogisticRegressionCV(**DEFAULT_PARAMETERS, Cs=1, cv=399).fit(*data)
