"""Dense data, labels and weights of every type, and invalid ones."""

import warnings
from enum import StrEnum
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, load_standardized, mark_params
from linear_models import make_cv_model
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from small_networks import make

import fastlin
from fastlin.blocks import from_arrays
from fastlin.objective import budget

X, Y = load_standardized(load_iris)
X_CANCER, Y_CANCER = (array[:100] for array in load_standardized(load_breast_cancer))
# Without weights scikit-learn returns zeros or NaN; with negative weights J may have no minimum.
CASES_SCIKIT_LEARN_ACCEPTS = {"all weights zero", "negative weight"}


@pytest.mark.parametrize(
    "kind", [np.int64, *mark_params(pytest.mark.thorough, np.float16), *mark_params(pytest.mark.slow, np.bool_)]
)
def test_rows_of_other_types_are_fitted_and_predicted(kind):
    rows = X > 0 if kind is np.bool_ else X.astype(kind)
    model = fastlin.LogisticRegression().fit(rows, Y)
    assert model.score(rows, Y) > 0.6
    wide = rows.astype(np.float32 if kind is np.float16 else np.float64)
    np.testing.assert_array_equal(model.coef_, fastlin.LogisticRegression().fit(wide, Y).coef_)
    # This sum exceeds the range of float16.
    many = np.ones((70_000, 4), kind)
    np.testing.assert_array_equal(model.predict(many), model.predict(many.astype(wide.dtype)))


@pytest.mark.parametrize(
    "labels",
    [
        [10, -5, 3],
        [0.0, 1.0, 2.0],
        np.array(["x", "yy", "z"], object),
        [False, True, True],
        np.uint64(2**63) + np.arange(3, dtype=np.uint64),
    ],
)
def test_labels_of_any_type_are_preserved(labels):
    named = np.asarray(labels)[Y]
    for model, min_accuracy in ((fastlin.LogisticRegression(), 0.9), (make(max_iter=30), 0.7)):
        model.fit(X, named)
        np.testing.assert_array_equal(model.classes_, np.unique(named))
        assert model.predict(X).dtype == named.dtype
        assert model.score(X, named) > min_accuracy
    called = make().partial_fit(X, named, classes=np.unique(named)[::-1])
    np.testing.assert_array_equal(called.classes_, np.unique(named))


def replace_entry(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# A change to X, y and weights, and the error message.
BAD_INPUT = {
    "NaN in X": (lambda X, y, w: (replace_entry(X, (3, 1), np.nan), y, w), "X contains NaN"),
    "infinity in X": (lambda X, y, w: (replace_entry(X, (3, 1), np.inf), y, w), "X contains infinity"),
    "NaN in y": (lambda X, y, w: (X, np.where(y == 1, np.nan, 0.0), w), "y contains NaN"),
    "NaN in weights": (lambda X, y, w: (X, y, replace_entry(w, 2, np.nan)), "sample_weight contains NaN"),
    "negative weight": (lambda X, y, w: (X, y, replace_entry(w, 2, -1)), "sample_weight"),
    "all weights zero": (lambda X, y, w: (X, y, 0 * w), "weight.*zero|zero.*weight"),
    "short weights": (lambda X, y, w: (X, y, w[:-1]), "sample_weight.shape"),
    "short y": (lambda X, y, w: (X, y[:-1], w), "inconsistent numbers of samples"),
    "a string for labels": (lambda X, y, w: (X, "no labels", w), "y should be a 1d array"),
    "labels in rows": (lambda X, y, w: (X, np.stack([y, y]), w), "1d array|inconsistent numbers"),
    "1-D X": (lambda X, y, w: (X[:, 0], y, w), "Expected 2D array"),
    "no rows": (lambda X, y, w: (X[:0], y[:0], w[:0]), "0 sample"),
    "no columns": (lambda X, y, w: (X[:, :0], y, w), "0 feature"),
    "complex X": (lambda X, y, w: (X + 1j, y, w), "[Cc]omplex"),
    "continuous y": (lambda X, y, w: (X, y + 0.3 * X[:, 0], w), "continuous"),
    "mixed labels": (lambda X, y, w: (X, np.array([0, "a"] * 10, dtype=object), w), "label|y contains|supported"),
}


@pytest.mark.parametrize("estimator", [fastlin.LogisticRegression, fastlin.MLPClassifier])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("name", BAD_INPUT)
def test_invalid_input_raises_an_error_like_scikit_learn(name, is_sparse, estimator):
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        fitted = estimator(max_iter=1).fit(np.eye(4)[:, :2], [0, 1, 2, 0])
    for model, n_classes in product((fitted, estimator(max_iter=1)), (2, 3)):
        (change, message), X = BAD_INPUT[name], np.random.default_rng(0).normal(size=(20, 3))
        X, y, weights = change(X, np.arange(20) % n_classes, np.ones(20))
        if is_sparse:
            X = sparse.coo_array(X) if X.ndim == 1 else sparse.csr_array(X)
        assert_raises(message, model.fit, X, y, weights, error=(ValueError, TypeError))
        if name not in CASES_SCIKIT_LEARN_ACCEPTS and estimator is fastlin.LogisticRegression:
            with pytest.raises((ValueError, TypeError)):
                ScikitLearnLogisticRegression().fit(X, y, weights)


DATES = pd.date_range("2020-01-01", periods=2)
OBJECT_LABELS = {
    "dates of Python": (DATES.date, r"values of type date such as datetime.date\(2020, 1, 1\).*astype\(str\)"),
    "times of Python": (DATES.to_pydatetime(), "values of type datetime such as"),
    "periods": (DATES.to_period("D"), "values of type Period such as"),
    "numbers and text": ([1, "a"], "numbers such as 1 and strings such as 'a'.*Convert the labels"),
    "text and numbers": (["a", 1.5], "strings such as 'a' and numbers such as 1.5"),
    "missing labels": (["a", None], "strings such as 'a' and missing values such as None.*Remove the rows"),
    "numbers": ([1, 2], "numbers such as 1"),
}


@pytest.mark.parametrize("name", OBJECT_LABELS)
def test_errors_for_object_labels_name_the_accepted_types(name):
    labels, message = OBJECT_LABELS[name]
    y, X = np.array([*labels] * 10, object), np.random.default_rng(0).normal(size=(20, 2))
    message = f"Unknown label type: y is an array of objects with {message}"
    fitted = fastlin.LogisticRegression().fit(X, np.arange(20) % 2)
    for targets in (y, pd.Series(y, dtype=object)):
        for model in (fastlin.LogisticRegression(), fastlin.MLPClassifier()):
            assert_raises(message, model.fit, X, targets)
        assert_raises(message, fitted.score, X, targets)
        assert_raises(message, fastlin.permutation_test, fitted, X, targets)
        search = make_cv_model()
        assert_raises(
            message.replace("y is", "y_val is"),
            partial(search.fit, X_val=X, y_val=targets),
            X,
            np.arange(20) % 2,
        )
    mini_batch_model = fastlin.MiniBatchLogisticRegression()
    assert_raises(message.replace("y is", "classes is"), mini_batch_model.partial_fit, X, y, classes=y[: len(labels)])
    if name not in ("numbers and text", "text and numbers", "missing labels"):
        # The remedy of the message works.
        assert len(fastlin.LogisticRegression().fit(X, np.asarray(y).astype(str)).classes_) == 2


@pytest.mark.parametrize(
    "y", [pd.Series(["a", None, "b"] * 8, dtype=kind) for kind in ("str", "string", "category", object)], ids=str
)
def test_missing_labels_raise_an_error_in_every_type_of_column(y):
    X = np.random.default_rng(0).normal(size=(24, 2))
    message = "y is an array of objects with strings such as 'a' and missing values.*Remove the rows"
    assert_raises(message, fastlin.LogisticRegression().fit, X, y)


def test_members_of_an_enumeration_of_strings_are_labels():
    members = StrEnum("Answer", ["no", "yes"])
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.array([*members] * 10, object)
    model = fastlin.LogisticRegression().fit(X, y)
    assert model.classes_.tolist() == ["no", "yes"]
    assert 0 <= model.score(X, y) <= 1


def test_missing_dates_raise_an_error():
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.array(["2020-01-01", "2020-01-02"] * 10, "M8[D]")
    assert len(fastlin.LogisticRegression().fit(X, y).classes_) == 2
    y[3] = "NaT"
    assert_raises("y contains NaT in row 3", fastlin.LogisticRegression().fit, X, y)


def test_errors_for_indicator_columns_explain_them_if_single_labels_are_required():
    X = np.random.default_rng(0).normal(size=(30, 2))
    certain = np.eye(3)[np.arange(30) % 3]
    message = r"y has 3 columns of zeros and ones, with exactly one 1 in each row, .* y.argmax\(axis=1\)"
    fits = [
        lambda y: make_cv_model(Cs=2, cv=2).fit(from_arrays(X, y)),
        lambda y: fastlin.FirthLogisticRegression().fit(X, y),
        lambda y: fastlin.LogisticRegression().fit(X, y.argmax(axis=1)).inference(X, y),
        lambda y: fastlin.MiniBatchLogisticRegression().fit(X, y),
        lambda y: fastlin.stability_selection(fastlin.LogisticRegression(), X, y),
    ]
    multilabel_targets = certain.copy()
    multilabel_targets[0] = 1
    for fit in fits:
        assert_raises(message, fit, certain)
        assert_raises(
            "3 columns of zeros and ones, i.e. multilabel targets.*fastlin.LogisticRegression", fit, multilabel_targets
        )
    assert_raises(message, fastlin.FirthLogisticRegression().fit, X, sparse.csr_array(certain))
    # The remedy of the message works.
    assert make_cv_model(Cs=2, cv=2).fit(from_arrays(X, certain.argmax(axis=1))).classes_.tolist() == [0, 1, 2]
    assert make_cv_model(Cs=2, cv=2).fit(from_arrays(X, certain), classes=["a", "b", "c"]).classes_.tolist() == [
        "a",
        "b",
        "c",
    ]


def test_weights_whose_sum_overflows_are_supported():
    X, y, fits = X_CANCER, Y_CANCER, []
    for weight in (1.0, 2.0**1022):
        # The product of C and the sum of the weights does not change.
        weights, C = np.full(len(y), weight), 1 / weight
        models = [
            fastlin.LogisticRegression(C=C, class_weight=class_weight).fit(X, y, weights)
            for class_weight in (None, "balanced", {0: 0.5, 1: 2.0})
        ]
        search = make_cv_model(Cs=3 * [C], cv=3, l1_ratios=(1.0,)).fit(X, y, weights)
        fits.append((*models, search, fastlin.logistic_path(X, y, Cs=3, l1_ratio=1.0, sample_weight=weights)))
    (*small_weight_models, small_weight_path), (*large_weight_models, large_weight_path) = fits
    for one, other in zip(small_weight_models, large_weight_models, strict=True):
        np.testing.assert_array_equal(one.coef_, other.coef_)
    assert [model.certificate_ for model in large_weight_models[:3]] == [
        model.certificate_ for model in small_weight_models[:3]
    ]
    assert max(model.certificate_ for model in large_weight_models[:3]) < 1e-3
    np.testing.assert_allclose(large_weight_models[3].scores_, small_weight_models[3].scores_)
    # The values of C are subnormal, so they have few significant digits.
    np.testing.assert_allclose(large_weight_path.Cs * 2.0**1022, small_weight_path.Cs, rtol=1e-10)
    np.testing.assert_allclose(large_weight_path.coefs, small_weight_path.coefs, rtol=1e-3, atol=1e-3)
    network = fastlin.MLPClassifier((3,), max_iter=1, n_iter_no_change=np.inf, random_state=0).fit(X, y)
    weights = np.random.default_rng(0).integers(1, 9, len(y)).astype(float)
    for model in (*small_weight_models, network):
        assert model.score(X, y, weights * 2.0**1019) == pytest.approx(model.score(X, y, weights), rel=1e-12)
    row_blocks = fastlin.blocks.from_arrays(X, y, rows_per_block=30)
    assert small_weight_models[0].score(row_blocks, sample_weight=weights * 2.0**1019) == pytest.approx(
        small_weight_models[0].score(X, y, weights)
    )


@pytest.mark.parametrize(
    "model",
    [fastlin.LogisticRegression(), make_cv_model(Cs=2), fastlin.MiniBatchLogisticRegression(), fastlin.MLPClassifier()],
    ids=lambda model: type(model).__name__,
)
def test_products_of_weights_that_overflow_raise_an_error(model):
    if hasattr(model, "partial_fit"):
        message = r"sample_weight times class_weight must sum to at most 1e\+300, got inf"
        assert_raises(message, model.fit, X, Y, sample_weight=np.full(150, 1e307))
    model.set_params(class_weight={0: 1e200, 1: 1.0, 2: 1.0})
    message = "sample_weight times class_weight overflows"
    assert_raises(message, model.fit, X, Y, sample_weight=np.full(150, 1e200))


def test_rows_to_predict_are_checked():
    X, y = load_standardized(load_iris)
    model = fastlin.LogisticRegression().fit(X, y)
    for wrong, form in product((np.nan, np.inf), (np.asarray, sparse.csc_matrix)):
        assert_raises("NaN|infinity", model.predict, form(replace_entry(X[:1], (0, 1), wrong)))
    for call in (model.fit, model.score):
        assert_raises("y must be one label per row", call, X[:3], [[0], [1, 2], [0]])
    assert_raises("0 sample", model.predict, X[:0])
    # The sum of the features overflows, although no feature does.
    assert model.predict(np.full((1, 4), 1e308)).shape == (1,)
    dataframe = pd.DataFrame(X, columns=list("abcd"))
    named = fastlin.LogisticRegression().fit(dataframe, y)
    for wrong, message in (
        (dataframe.mask(dataframe == dataframe.iloc[0, 0]), "NaN"),
        (dataframe.abs() * 1e308 * 10, "infinity"),
        (dataframe[:0], "0 sample"),
    ):
        assert_raises(message, named.predict, wrong)
    for nameless_rows in (X[:1], dataframe.set_axis(range(4), axis=1)):
        with pytest.warns(UserWarning, match="feature names"):
            named.predict(nameless_rows)
    assert not hasattr(named.fit(X, y), "feature_names_in_")
    X.flags.writeable = False
    np.testing.assert_array_equal(model.predict(X[:1]), model.predict(X[:1].tolist()))


@pytest.mark.parametrize(
    ("n_nonzero_columns", "smallest", "is_dense"),
    [(2, 1, True), (1, 1, False), (4, 0, True), (2, 0, False)],
    ids=["half filled", "quarter filled", "copy not larger", "copy too large"],
)
def test_nearly_dense_sparse_data_are_fitted_as_a_dense_copy(monkeypatch, n_nonzero_columns, smallest, is_dense):
    X, y = load_standardized(load_iris)
    X[:, n_nonzero_columns:] = 0
    monkeypatch.setattr("fastlin.objective.budget.MIN_BUDGET_BYTES", smallest * budget.MIN_BUDGET_BYTES)
    actual, expected = (fastlin.LogisticRegression(tol=1e-10).fit(rows, y) for rows in (sparse.csr_array(X), X))
    # Sparse passes have different rounding errors.
    assert np.array_equal(actual.coef_, expected.coef_) == is_dense
    np.testing.assert_allclose(actual.coef_, expected.coef_, atol=1e-4)
