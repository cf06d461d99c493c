"""`inference` for all models and input formats: results, errors, and that it does not change the model."""

import functools
import itertools
import warnings

import linear_models
import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, assert_unchanged
from linear_models import make_cv_model
from scipy import sparse
from sklearn.exceptions import NotFittedError

from fastlin import LogisticRegression, blocks
from fastlin.exceptions import InferenceWarning, SeparationError
from fastlin.inference.optimum import MAX_SCORE_CHANGE

from .conftest import assert_inference_raises, infer, make_rows

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")
FROM_DTYPE = {"categorical_features": "from_dtype"}
X, Y = make_rows(2)
fit = functools.partial(linear_models.fit, C=np.inf, tol=1e-12)


def assert_same_inference(result, expected, rtol=1e-9):
    np.testing.assert_allclose(result.coef, expected.coef, atol=rtol * 10)
    # The coefficients of the two Hessians may differ; the curvature of a row then changes by at most this much.
    sizes = np.outer(expected.std_errors, expected.std_errors)
    change = result.covariance_matrix() - expected.covariance_matrix()
    np.testing.assert_array_less(np.abs(change), max(rtol, 2 * MAX_SCORE_CHANGE) * sizes)
    assert result.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-10)
    assert result.n_samples == expected.n_samples


@pytest.mark.parametrize("n_classes", [2, 3])
def test_standard_errors_do_not_depend_on_the_input_format(n_classes):
    X, y = make_rows(n_classes)
    weights = np.arange(len(y)) % 3
    for options in ({}, {"covariance": "HC0"}):
        expected = infer(X, y, weights, **options)
        for container in (sparse.csr_array, sparse.csc_matrix, np.asfortranarray, lambda X: X[:, ::-1][:, ::-1]):
            assert_same_inference(infer(container(X), y, weights, **options), expected)
        row_blocks = blocks.from_arrays([X[:100], X[100:101], X[101:]])
        assert_same_inference(fit(X, y, weights).inference(row_blocks, y, weights, **options), expected)
        single = X.astype(np.float32)
        model, expected = fit(single, y), infer(single.astype(np.float64), y, **options)
        assert model.coef_.dtype == np.float32
        assert_same_inference(model.inference(single, y, **options), expected, rtol=1e-6)
    counts = np.random.default_rng(0).poisson(3, X.shape).astype(np.uint8)
    assert_same_inference(infer(counts, y), infer(counts * 1.0, y))


def test_columns_and_classes_keep_their_names():
    X, y = make_rows(3)
    dataframe = pd.DataFrame(X, columns=["age", "size", "price"])
    labels = np.array(["red", "green", "blue"])[y]
    result = infer(dataframe, labels, reference="red")
    assert result.names.tolist() == ["age", "size", "price", "intercept"]
    assert result.classes.tolist() == ["blue", "green"]
    assert result.reference == "red"
    assert infer(X, y, parameters={"fit_intercept": False}).names.tolist() == ["x0", "x1", "x2"]
    table = dataframe.assign(color=pd.Categorical(labels))
    model = fit(table, np.arange(400) % 2, C=1.0, **FROM_DTYPE)
    # Rows without some of the categories are still encoded like those of the fit.
    subset = table[table["color"] != "blue"]
    with pytest.warns(InferenceWarning, match="differ from those of the fit"):
        result = model.inference(
            subset, np.arange(len(subset)) % 2, penalized="laplace", features=["color_green", "age"]
        )
    assert result.names.tolist() == ["color_green", "age"]
    assert result.coef.shape == (1, 2)


def test_errors_of_inference_name_the_cause():
    clusters = np.arange(len(Y)) // 5
    model = fit(X, Y)
    for data, options, message in (
        ((X, Y), {"covariance": "HC2"}, "covariance must be one of 'model', 'HC0', 'HC1', 'cluster', got 'HC2'"),
        ((X, Y), {"weight_type": "counts"}, "weight_type must be one of"),
        ((X, Y), {"use_t": "yes"}, "use_t must be True or False"),
        ((X, Y), {"reference": 7}, r"reference must be one of the classes \[0, 1\]"),
        (
            (X, Y),
            {"clusters": clusters},
            "clusters and covariance='cluster' require each other, got covariance='model' with clusters",
        ),
        ((X, Y), {"covariance": "cluster"}, "got covariance='cluster' without clusters"),
        (
            (X, Y),
            {"covariance": "cluster", "clusters": clusters[1:]},
            "one entry per row for each key, shape [(]400,[)]",
        ),
        ((X, Y), {"penalized": "laplace"}, "no coefficient of this model is penalized"),
        ((X, Y, np.full(400, 0.5)), {}, "400 non-integer entries"),
        ((X, Y), {"weight_type": "sampling"}, "covariance='model' requires unweighted rows or frequency weights"),
        ((X[:, :2], Y), {}, "features"),
        ((X, Y[1:]), {}, "399"),
        ((X, None), {}, "requires y"),
        ((X, Y + 1), {}, "y contains the label 2, which is not one of classes="),
        ((X[Y == 1], Y[Y == 1]), {}, "No row of y has the class 0"),
        ((np.where(X > 2, np.nan, X), Y), {}, "NaN"),
        ((X[:4], [0, 1, 0, 1]), {"use_t": True}, "more rows than parameters"),
        ((X, np.column_stack([1 - Y / 2, Y / 2])), {}, "soft labels are not draws"),
        ((X, Y), {"features": ["x0", "x9"]}, "features must be names of coefficients"),
    ):
        assert_raises(message, model.inference, *data, **options)
    assert_raises("No row of y has the class 2", fit(*make_rows(3)).inference, X, Y)
    cluster_options = {"covariance": "cluster", "clusters": clusters}
    assert_raises("requires X in memory", model.inference, blocks.from_arrays([X]), Y, **cluster_options)
    assert_raises("not fitted", LogisticRegression().inference, X, Y, error=NotFittedError)
    weighted = fit(X, Y, class_weight="balanced")
    assert_raises("class_weight", weighted.inference, X, Y)
    assert_raises("weight_type=.sampling., and repeat", weighted.inference, X, Y, covariance="HC0")
    assert weighted.inference(X, Y, covariance="HC0", weight_type="sampling").n_samples == 400
    before = dict(vars(model))
    model.inference(X, Y)
    assert_unchanged(model, before)


def test_penalized_models_require_a_choice_of_standard_errors():
    X, y = make_rows(3)
    for parameters, text in (
        ({"C": 1.0}, "The model is penalized.*'laplace' .*the penalty as a normal prior.*'sandwich'"),
        ({"C": 1.0, "l1_ratio": 1.0}, "L1 or group penalty, which selects"),
        ({"C": 1.0, "l1_ratio": 0.5, "group_lasso": True}, "selects"),
    ):
        assert_inference_raises(text, X, y, parameters={"tol": 1e-6, **parameters})
    message = "covariance of a posterior distribution and requires covariance='model', got covariance='HC0'"
    assert_inference_raises(message, X, y, parameters={"C": 1.0}, penalized="laplace", covariance="HC0")
    # With factors of zero there is no penalty.
    unpenalized = infer(X, y, parameters={"C": 1.0, "penalty_factors": [0, 0, 0]})
    assert_same_inference(unpenalized, infer(X, y), rtol=1e-7)
    cv = make_cv_model(scoring="accuracy", tol=1e-9, use_legacy_attributes=True).fit(X, y)
    expected = infer(X, y, parameters={"C": cv.C_[0]}, penalized="laplace")
    assert_same_inference(cv.inference(X, y, penalized="laplace"), expected, rtol=1e-6)
    cv = make_cv_model(scoring="accuracy", refit=False).fit(X, y)
    assert_raises("needs a model with refit=True or 'train'", cv.inference, X, y, penalized="laplace")


def test_inference_does_not_repeat_warnings_of_the_fit():
    with warnings.catch_warnings(action="ignore"):
        model = LogisticRegression(penalty=None, C=1.0, tol=1e-12).fit(X, Y)
    assert_same_inference(model.inference(X, Y), infer(X, Y))


def test_active_bounds_raise_an_error():
    expected = infer(X, Y)
    wide = fit(X, Y, lower_bounds=-10, upper_bounds=10)
    assert_same_inference(wide.inference(X, Y), expected, rtol=1e-6)
    assert wide.lower_bounds == -10
    bounded_model = fit(X, Y, upper_bounds=[np.inf, expected.coef[0, 1] - 0.1, np.inf])
    assert_raises("The coefficients of x1 are at their lower_bounds or upper_bounds", bounded_model.inference, X, Y)


def test_the_first_category_of_each_column_is_the_reference():
    sm = pytest.importorskip("statsmodels.api")
    generator, n = np.random.default_rng(0), 600
    colors, shapes = (
        pd.Categorical(generator.choice(categories, n)) for categories in (["a", "b", "c"], ["round", "square"])
    )
    dataframe = pd.DataFrame({"size": generator.normal(size=n), "color": colors, "shape": shapes})
    dummies = pd.get_dummies(dataframe).astype(float)
    for n_classes, fit_intercept in itertools.product((2, 3), (True, False)):
        scores = dummies.to_numpy() @ generator.normal(size=(dummies.shape[1], n_classes)) * 0.5
        y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
        result = fit(dataframe, y, fit_intercept=fit_intercept, **FROM_DTYPE).inference(dataframe, y)
        reference = [] if fit_intercept else ["color_a"]
        last = ["intercept"] if fit_intercept else []
        columns = ["size", *reference, "color_b", "color_c", "shape_square", *last]
        assert result.names.tolist() == columns
        rows = dummies.assign(intercept=1.0)[columns].to_numpy()
        expected = (sm.Logit if n_classes == 2 else sm.MNLogit)(y, rows).fit(disp=0, method="newton", tol=1e-13)
        errors = np.atleast_2d(expected.bse.T)
        np.testing.assert_allclose(result.coef, np.atleast_2d(expected.params.T), rtol=0, atol=1e-7 * errors.min())
        np.testing.assert_allclose(result.std_errors, errors, rtol=1e-7)
        assert result.coef_error < 1e-3
        assert "reference categories" in str(result.summary())
    penalized = fit(dataframe, y, C=1.0, tol=1e-10, **FROM_DTYPE)
    assert len(penalized.inference(dataframe, y, penalized="laplace").names) == 7
    # With factors of zero there is no penalty for any C.
    plain = penalized.set_params(penalty_factors=np.zeros(6)).fit(dataframe, y)
    assert len(plain.inference(dataframe, y).names) < 7
    # Categories with rows of one class only raise an error, and so do unseen categories.
    y[dataframe["color"] == "b"] = 2
    model = fit(dataframe, y, tol=1e-4, **FROM_DTYPE)
    message = "color_b <= 0 in all rows of the classes 0 and 1, and color_b >= 0"
    assert_raises(message, model.inference, dataframe, y, error=SeparationError)
    dataframe["color"] = dataframe["color"].astype(object)
    dataframe.loc[3, "color"] = "z"
    assert_raises("column 1 of X contains .* that were not in the training", model.inference, dataframe, y)
