"""Multilabel LogisticRegression: equality with separate fits per label, predictions, and errors."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, requires_scikit_learn
from linear_models import make_cv_model
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier

from fastlin import LogisticRegression
from fastlin.blocks import from_arrays
from fastlin.callbacks import TimeLimit
from fastlin.exceptions import ConvergenceWarning
from fastlin.inference import correct_prior
from fastlin.solvers.batched_lbfgs import MAX_MODELS_PER_PROBLEM

N_LABELS = 9
X, Y = make_multilabel_classification(300, 10, n_classes=N_LABELS, random_state=0)
X = X.astype(float)
ROW_CONVERSIONS = {
    "float32": lambda X: X.astype(np.float32),
    "sparse": lambda X: sparse.csr_array(X * (X > np.quantile(X, 0.8))),
    "table": lambda X: pd.DataFrame({"number": X[:, 0], "category": pd.Categorical(X[:, 1].astype(int) % 4)}),
}


def fit_separately(X, Y, sample_weight=None, **parameters):
    """Return coef, intercept and probabilities of separate fits to each label, with a smaller tol."""
    fits = [LogisticRegression(**{"tol": 1e-10, **parameters}).fit(X, labels, sample_weight) for labels in Y.T]
    probabilities = np.stack([fit.predict_proba(X)[:, 1] for fit in fits], axis=1)
    return np.concatenate([fit.coef_ for fit in fits]), np.ravel([fit.intercept_ for fit in fits]), probabilities


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"C": 0.01, "fit_intercept": False},
        {"penalty_factors": np.linspace(0.1, 2, 10)},
        {"l1_ratio": 0.5},
        {"l1_ratio": 1.0, "C": 0.1, "fit_intercept": False},
        {"class_weight": "balanced"},
        {"solver": "lbfgs"},
        {"lower_bounds": 0.0},
    ],
    ids=str,
)
def test_each_label_has_the_model_of_a_separate_fit(parameters):
    model = LogisticRegression(**{**parameters, "tol": 1e-8}).fit(X, Y)
    coef, intercept, _ = fit_separately(X, Y, **parameters)
    np.testing.assert_allclose(model.coef_, coef, atol=2e-4)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-3)
    assert model.converged_
    assert (model.certificate_ <= 1e-6).all()
    assert model.classes_.tolist() == list(range(N_LABELS))
    assert model.multilabel_
    assert model.n_iter_.shape == model.certificate_.shape == (N_LABELS,)


def test_unconverged_fits_of_a_batch_continue_as_single_fits():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 20)) @ generator.normal(size=(20, 20))
    Y = (X @ generator.normal(size=(20, 6)) + 4 * generator.normal(size=(200, 6)) > 0).astype(int)
    model = LogisticRegression(C=100, l1_ratio=1, tol=1e-6).fit(X, Y)
    np.testing.assert_allclose(model.coef_, fit_separately(X, Y, C=100, l1_ratio=1)[0], rtol=1e-2, atol=1e-2)
    assert model.converged_
    # `max_iter` includes the batch's iterations; the single fit may use the rest.
    assert MAX_MODELS_PER_PROBLEM < model.n_iter_.max() < model.max_iter
    with pytest.warns(ConvergenceWarning):
        assert (
            model.set_params(max_iter=MAX_MODELS_PER_PROBLEM + 1).fit(X, Y).n_iter_.max() == MAX_MODELS_PER_PROBLEM + 1
        )
    # The same is true for batched folds. Fits with a time limit are not batched. Some rows are repeated.
    rows = generator.integers(0, 200, (3, 150))
    options = {"Cs": [0.1, 100], "l1_ratios": [0.5, 1], "cv": [(fold, np.arange(9)) for fold in rows], "tol": 1e-6}
    search = make_cv_model(**options, scoring="accuracy").fit(X, Y[:, 0])
    expected = clone(search).set_params(time_limit=1e6).fit(X, Y[:, 0])
    np.testing.assert_allclose(search.objectives_, expected.objectives_, rtol=1e-5)
    assert search.n_iter_.max() > MAX_MODELS_PER_PROBLEM


def test_a_threshold_that_underflows_does_not_certify_a_fit():
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.normal(size=60), np.zeros(60)])
    Y = (X[:, :1] + 0.5 * generator.normal(size=(60, 3)) > 0).astype(int)
    options = {"l1_ratio": 1e-200, "penalty_factors": [1, 1e-300], "fit_intercept": False}
    model = LogisticRegression(**options).fit(X, Y)
    np.testing.assert_allclose(model.coef_, fit_separately(X, Y, **options)[0], rtol=1e-2)


@pytest.mark.parametrize("kind", ROW_CONVERSIONS)
def test_rows_in_any_container_give_the_models_of_separate_fits(kind):
    rows, weights = ROW_CONVERSIONS[kind](X), np.random.default_rng(0).integers(0, 3, len(Y)).astype(float)
    model = LogisticRegression(C=0.1, tol=1e-8).fit(rows, Y, weights)
    np.testing.assert_allclose(model.predict_proba(rows), fit_separately(rows, Y, weights, C=0.1)[2], atol=1e-4)


def test_predictions_are_made_per_label():
    model = LogisticRegression().fit(X, Y)
    scores = X @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), scores > 0)
    probabilities = 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(model.predict_proba(X), probabilities, rtol=1e-10)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(probabilities), rtol=1e-9)
    weights, is_correct = np.arange(300.0), (model.predict(X) == Y).all(axis=1)
    assert model.predict(X).dtype == int
    assert model.score(X, Y) == model.score(from_arrays(X, rows_per_block=70), Y) == is_correct.mean()
    assert model.score(X, Y, weights) == pytest.approx(np.average(is_correct, weights=weights))
    sparse_coef_model = LogisticRegression(l1_ratio=1.0, C=0.05).fit(X, Y).sparsify()
    np.testing.assert_array_equal(sparse_coef_model.predict(X), sparse_coef_model.densify().predict(X))
    assert cross_val_predict(LogisticRegression(), X, Y, cv=3, method="predict_proba").shape == Y.shape


def test_blocks_can_contain_labels_and_weights():
    weights = np.random.default_rng(0).integers(1, 3, len(X)).astype(float)
    expected = LogisticRegression().fit(from_arrays(X, rows_per_block=70), Y, weights)
    for row_blocks in (from_arrays(X, Y.astype(dtype), weights, rows_per_block=70) for dtype in (float, int)):
        actual = LogisticRegression().fit(row_blocks)
        np.testing.assert_array_equal(actual.coef_, expected.coef_)
        assert actual.multilabel_
    assert actual.score(row_blocks) == expected.score(X, Y, weights)
    message = "y was passed, but the blocks of X also contain y"
    assert_raises(message, LogisticRegression().fit, row_blocks, Y)
    # With `classes`, zeros and ones are soft labels.
    certain = np.eye(3)[Y[:, 0] + Y[:, 1]]
    actual = LogisticRegression().fit(from_arrays(X, certain), classes=["a", "b", "c"])
    assert actual.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.coo_matrix, np.ndarray.tolist, lambda Y: Y.astype(bool)])
def test_labels_in_any_container_give_the_same_fit(make):
    expected, actual = LogisticRegression().fit(X, Y), LogisticRegression().fit(X, make(Y))
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    # The result for a label does not depend on the other labels.
    part = LogisticRegression(n_jobs=1).fit(X, Y[:, [4, 2, 7]])
    np.testing.assert_array_equal(part.coef_, expected.coef_[[4, 2, 7]])


def test_duplicate_entries_of_sparse_labels_are_summed():
    X, labels = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60)[:, None] % [2, 3] == 0
    sparse_labels = sparse.csr_array(labels.astype(int))
    # The first entry of the first label is repeated.
    indices, indptr = np.r_[0, sparse_labels.indices], np.r_[0, sparse_labels.indptr[1:] + 1]
    valid_labels, doubled_labels = (
        sparse.csr_array((np.r_[value, sparse_labels.data], indices, indptr), shape=(60, 2)) for value in (0, 1)
    )
    actual, expected = (LogisticRegression().fit(X, Y).coef_ for Y in (valid_labels, labels.astype(int)))
    np.testing.assert_array_equal(actual, expected)
    for Y in (doubled_labels, sparse_labels[:, :1], sparse_labels[:, :0]):
        message = r"y may be sparse only if it is multilabel, .* got shape \(60, \d\)"
        assert_raises(message, LogisticRegression().fit, X, Y, error=TypeError)


def test_wide_rows_are_fitted_in_the_row_space():
    generator = np.random.default_rng(0)
    X, Y = generator.normal(size=(30, 200)), (generator.random((30, 2)) < 0.5).astype(int)
    model = LogisticRegression().fit(X, Y)
    # Batched fits would have different rounding errors.
    for labels, coef in zip(Y.T, model.coef_, strict=True):
        np.testing.assert_array_equal(LogisticRegression().fit(X, labels).coef_[0], coef)


def test_a_warm_start_continues_from_the_last_fit_of_each_label():
    for l1_ratio in (0.0, 0.5):
        model = LogisticRegression(warm_start=True, l1_ratio=l1_ratio, tol=1e-8).fit(X, Y)
        before, coef = model.n_iter_, model.coef_
        np.testing.assert_allclose(model.fit(X, Y).coef_, coef, atol=1e-4)
        assert before.min() > 1 >= model.n_iter_.max()
    message = r"warm_start=True needs coef_ of shape \(3, 10\), but the previous fit left \(9, 10\)"
    assert_raises(message, model.fit, X, Y[:, :3])
    model.coef_[4, 2] = np.nan
    assert_raises("coef_ must be finite", model.fit, X, Y)
    model.coef_, model.classes_ = coef, None
    np.testing.assert_allclose(model.fit(X, Y).coef_, coef, atol=1e-4)
    # With a single label per row, the fit starts from zero.
    y = np.arange(300) % N_LABELS
    np.testing.assert_array_equal(model.fit(X, y).coef_, clone(model).fit(X, y).coef_)


def test_a_fit_of_single_labels_removes_multilabel_attributes():
    model = LogisticRegression().fit(X, Y)
    assert not hasattr(model, "history_")
    two = LogisticRegression().fit(X, Y[:, :2])
    assert two.predict(X).shape == two.predict_proba(X).shape == (300, 2)
    model.fit(X, Y[:, 0])
    assert model.classes_.tolist() == [0, 1]
    assert model.predict(X).shape == (300,)
    assert isinstance(model.certificate_, float)
    assert "classes" in model.summary()


def test_the_summary_covers_all_labels():
    model = LogisticRegression().fit(X, Y)
    summary = model.summary(X, Y)
    for expected in ("300 rows, 10 features, 9 labels", "reached for all labels", "per label", "of 90 nonzero"):
        assert expected in summary
    assert "9 labels" in model._repr_html_()
    with pytest.warns(ConvergenceWarning, match="9 of 9 fits stopped"):
        model.set_params(max_iter=1, tol=1e-12).fit(X, Y)
    assert not model.converged_
    assert "not reached for some labels" in model.summary()


LABELS_WITH_CONSTANTS = np.column_stack([np.zeros(300, int), Y[:, :3], np.ones(300, int)])


@pytest.mark.parametrize(
    "parameters", [{}, {"l1_ratio": 1.0}, {"fit_intercept": False}, {"lower_bounds": 0.0}], ids=str
)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_constant_labels_are_predicted_like_one_vs_rest(make, parameters):
    model = LogisticRegression(tol=1e-10, **parameters)
    with pytest.warns(UserWarning, match=r"Label not 0 is present in all training .* 2 of 5 columns .*: \[0, 4\]"):
        actual = clone(model).fit(X, make(LABELS_WITH_CONSTANTS))
    with pytest.warns(UserWarning, match="present in all training examples"):
        expected = OneVsRestClassifier(model).fit(X, LABELS_WITH_CONSTANTS)
    for method in ("decision_function", "predict_proba"):
        actual_values, expected_values = getattr(actual, method)(X), getattr(expected, method)(X)
        np.testing.assert_allclose(actual_values, expected_values, atol=1e-4)
        np.testing.assert_array_equal(actual_values[:, [0, 4]], expected_values[:, [0, 4]])
        np.testing.assert_array_equal(np.concatenate(list(getattr(actual, method)(from_arrays(X)))), actual_values)
    np.testing.assert_array_equal(actual.predict(X)[:, [0, 4]], LABELS_WITH_CONSTANTS[:, [0, 4]])
    np.testing.assert_array_equal(actual.predict_log_proba(X)[:, [0, 4]], np.tile([-np.inf, 0.0], (300, 1)))
    np.testing.assert_array_equal(actual.intercept_[[0, 4]], [-np.inf, np.inf])
    assert not actual.coef_[[0, 4]].any() and not actual.certificate_[[0, 4]].any() and not actual.n_iter_[[0, 4]].any()
    # Constant labels do not change the fits of the others.
    alone = clone(model).fit(X, LABELS_WITH_CONSTANTS[:, 1:4])
    np.testing.assert_array_equal(actual.coef_[1:4], alone.coef_)
    assert actual.converged_ and actual.score(X, LABELS_WITH_CONSTANTS) == alone.score(X, LABELS_WITH_CONSTANTS[:, 1:4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(actual)).predict_proba(X), actual.predict_proba(X))
    np.testing.assert_array_equal(actual.sparsify().predict(X)[:, [0, 4]], LABELS_WITH_CONSTANTS[:, [0, 4]])
    assert "0 to " in actual.summary()


def test_rows_without_weight_are_ignored_for_constant_labels():
    weights = (1 - Y[:, 0]).astype(float)
    with pytest.warns(UserWarning, match="Label not 0 is present"):
        actual = LogisticRegression().fit(X, Y, weights)
    assert actual.intercept_[0] == -np.inf and np.isfinite(actual.intercept_[1:]).all()
    expected = LogisticRegression().fit(X, Y[:, 1:], weights)
    np.testing.assert_array_equal(actual.coef_[1:], expected.coef_)
    with pytest.warns(UserWarning, match="Label 0 is present .* 2 of 2 columns"):
        actual = LogisticRegression().fit(X.astype(np.float32), np.tile([1, 0], (300, 1)))
    assert (actual.predict(X) == [1, 0]).all() and actual.converged_
    assert (
        actual.coef_.dtype == actual.intercept_.dtype == actual.predict_proba(X.astype(np.float32)).dtype == np.float32
    )
    X_with_nan = np.where(X > X.min(), X, np.nan)
    assert_raises("NaN", LogisticRegression().fit, X_with_nan, np.tile([1, 0], (300, 1)))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_folds_that_lack_a_rare_label_are_predicted(method):
    rare, cv = np.column_stack([Y[:, :2], np.arange(300) == 7]).astype(int), KFold(3)
    with pytest.warns(UserWarning, match="Label not 2 is present in all training examples"):
        actual = cross_val_predict(LogisticRegression(tol=1e-10), X, rare, cv=cv, method=method)
    with pytest.warns(UserWarning, match="Label not 2 is present in all training examples"):
        expected = cross_val_predict(OneVsRestClassifier(LogisticRegression(tol=1e-10)), X, rare, cv=cv, method=method)
    if method == "predict":
        # OneVsRestClassifier compares scores with 1/2 if the first label is constant. Here it is not.
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert actual.shape == rare.shape


def test_a_warm_start_fits_labels_that_were_constant_from_zero():
    for l1_ratio in (0.0, 0.5):
        model = LogisticRegression(warm_start=True, l1_ratio=l1_ratio, tol=1e-10)
        with pytest.warns(UserWarning, match="Label not 0 is present"):
            model.fit(X, LABELS_WITH_CONSTANTS)
        model.fit(X, Y[:, :5])
        expected = LogisticRegression(l1_ratio=l1_ratio, tol=1e-10).fit(X, Y[:, :5])
        np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-4)
        np.testing.assert_allclose(model.intercept_, expected.intercept_, atol=1e-3)


@requires_scikit_learn(1, 9)
def test_callbacks_raise_an_error():
    model = LogisticRegression().set_callbacks(TimeLimit(10))
    assert_raises("Callbacks do not support multilabel y", model.fit, X, Y)


def test_unsupported_arguments_do_not_change_the_model():
    model = LogisticRegression().fit(X, Y[:, 0])
    for message, arguments in [
        (r"offset must be None for multilabel y", {"y": Y, "offset": np.zeros(300)}),
        (r"or class probabilities .* row \d+ sums to", {"y": Y, "classes": np.arange(9)}),
        (r"but row 3 contains nan", {"y": np.where(np.arange(300)[:, None] == 3, np.nan, Y)}),
        (r"coef_init must be None for multilabel y", {"y": Y, "coef_init": np.zeros((1, 10))}),
        (r"y has 299 entries, but X has 300 rows", {"y": Y[1:]}),
        (r"y should be a 1d array", {"y": Y + 1}),
        (r"NaN", {"X": np.where(X > X.min(), X, np.nan), "y": Y}),
    ]:
        assert_raises(message, model.fit, **{"X": X, **arguments})
    assert_raises("supports only dual=False", LogisticRegression(dual=True).fit, X, Y)


def test_methods_for_single_labels_raise_an_error():
    model = LogisticRegression().fit(X, Y)
    for method, arguments in ((model.inference, (X, Y)), (model.bootstrap, (X, Y)), (model.to_sklearn, ())):
        assert_raises("fitted to multilabel y with 9 labels, which is not supported", method, *arguments)
    assert_raises("score requires y", model.score, X)
    message = "offset must be None for a multilabel model"
    assert_raises(message, model.predict, X, offset=np.zeros(300))
    assert_raises(message, model.score, X, Y, offset=np.zeros(300))
    with pytest.raises(ValueError, match="correct_prior does not support multilabel models"):
        correct_prior(model, np.full(9, 1 / 9), np.full(9, 1 / 9))


@pytest.mark.parametrize(
    ("scale", "parameters", "light"),
    [(1e300, {}, 1.0), (1e-300, {}, 1.0), (1.0, {"C": 1e308}, 1.0), (1.0, {"C": 1e-308}, 1.0), (1.0, {}, 1e-20)],
)
def test_extreme_scales_give_the_models_of_separate_fits(scale, parameters, light):
    rows, weights = X * scale, np.where(Y[:, 0] == 1, 1.0, light)
    # Any warning is an error.
    model = LogisticRegression(**parameters).fit(rows, Y, weights)
    *_, expected = fit_separately(rows, Y, weights, tol=1e-4, **parameters)
    make_cv_model(Cs=2, l1_ratios=(1,), scoring="accuracy").fit(rows, Y[:, 0], weights)
    np.testing.assert_allclose(model.predict_proba(rows), expected, atol=1e-2)
