"""Soft labels in folds, scores and validation; `test_properties.py` has fits to them."""

import numpy as np
import pytest
from conftest import as_bfloat16, assert_refused, make_problem
from linear_models import assert_same_model, fit, make_cv
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.model_selection import StratifiedKFold

import fastlin
from fastlin import LogisticRegression, blocks, logistic_path
from fastlin.blocks import from_arrays, from_batches
from fastlin.estimators.labels import read_columns

pytestmark = pytest.mark.usefixtures("sparse_passes")

N, D = 240, 4


def make_rows(n_classes, seed=0):
    X, _, weights, *_ = make_problem(N, D, n_classes, seed=seed)
    generator = np.random.default_rng(seed + 1)
    soft = generator.dirichlet(np.full(n_classes, 0.5), N)
    # Some rows are certain.
    soft[:20] = np.eye(n_classes)[generator.integers(0, n_classes, 20)]
    return X, soft, weights, generator.normal(size=N if n_classes == 2 else (N, n_classes))


def copy_rows(X, soft, weights, offset, classes=None):
    """Return X, labels, weights and offset of a copy of each row for each class."""
    n, n_classes = soft.shape
    rows = np.repeat(np.arange(n), n_classes)
    labels = np.tile(np.arange(n_classes) if classes is None else classes, n)
    return X[rows], labels, (soft * weights[:, None]).ravel(), offset[rows]


@pytest.mark.parametrize(
    ("n_classes", "class_weight"), [(2, {0: 1e300, 1: 1e299}), (3, {0: 0.0, 1: 1.5, 2: 2.5}), (3, "balanced")]
)
def test_a_row_counts_as_weighted_copies_of_it(n_classes, class_weight):
    X, soft, weights, offset = make_rows(n_classes)
    copied, labels, shares, offsets = copy_rows(X, soft, weights, offset)
    expected = fit(sparse.csr_array(copied), labels, shares, offset=offsets, class_weight=class_weight, C=0.1)
    found = fit(sparse.csr_array(X), soft, weights, offset=offset, class_weight=class_weight, C=0.1)
    assert_same_model(found, expected)
    np.testing.assert_array_equal(found.classes_, np.arange(n_classes))


def test_soft_labels_of_other_kinds_give_the_same_model():
    X, soft, weights, _ = make_rows(3)
    expected = fit(X, soft, weights)
    # Blocks may hold soft labels.
    cut = from_batches(lambda: zip(np.split(X, 4), np.split(soft, 4), np.split(weights, 4), strict=True))
    assert_same_model(fit(cut, None), expected)
    assert_same_model(fit(blocks.from_csr(sparse.csr_array(X), soft), None, weights), expected)
    # Their sums miss one by the rounding of float16.
    assert_same_model(fit(X, soft.astype(np.float16), weights), expected, 1e-2)
    halves = np.full((N, 2), 0.5)
    assert_same_model(fit(X, as_bfloat16(halves.astype(np.float32))), fit(X, halves))


def test_matrices_of_zeros_and_ones_and_single_columns_are_no_soft_labels():
    X, soft, *_ = make_rows(3)
    certain = np.eye(3)[soft.argmax(axis=1)]
    fit_new = LogisticRegression().fit
    # These say which labels a row has.
    assert fit_new(X, certain).multilabel_
    assert_refused("y should be a 1d array", fit_new, X, 2 * certain.astype(int))
    labels = soft.argmax(axis=1)
    model = LogisticRegression().fit(X, labels)
    assert model.score(X, labels[:, None]) == model.score(X, labels)
    # Models of one label a row, and fits to classes, take them for probabilities.
    for rows in (X, blocks.from_arrays(X)):
        assert model.score(rows, certain) == model.score(X, labels)
    assert_same_model(fit_new(X, certain, classes=[0, 1, 2]), model)
    assert_refused("Unknown label type: continuous", fit_new, X, soft[:, 0])
    message = r"one column of probabilities.*np.column_stack\(\[1 - y, y\]\)"
    assert_refused(message, fit_new, X, soft[:, :1])
    with fastlin.patch_sklearn(), pytest.raises(ValueError, match="y should be a 1d array"):
        ScikitLearnLogisticRegression().fit(X, soft)


def test_labels_that_are_no_probabilities_are_refused():
    X, soft, *_ = make_rows(3)
    model = LogisticRegression().fit(X, soft)
    for place, value, message in (
        ((30, 1), np.nan, "row 30 holds nan"),
        ((30, 1), np.inf, "row 30 holds inf"),
        ((30, 1), -0.1, r"at least 0 and sum to one within 1e-05 in each row, but row 30 holds -0.1"),
        ((30, slice(None)), [0.5, 0.5, 0.1], r"y has 3 columns, .* row 30 sums to 1.1"),
    ):
        wrong = soft.copy()
        wrong[place] = value
        assert_refused(message, model.fit, X, wrong)
        assert_refused(message, model.score, X, wrong)
    assert_refused("inconsistent numbers of samples", model.fit, X, soft[:-1])
    assert_refused("y must have a column for each of the 3 classes", model.score, X, np.full((N, 2), 0.5))
    assert_refused("liblinear", LogisticRegression(solver="liblinear").fit, X, soft)
    weightless = LogisticRegression(class_weight=dict.fromkeys(range(3), 0.0))
    assert_refused("leave some rows above zero", weightless.fit, X, soft)
    # Rows that nearly sum to one are scaled.
    _, scaled = read_columns(soft * (1 + 5e-6 * (soft < 1)))
    np.testing.assert_allclose(scaled, soft, rtol=1e-15)


def test_classes_name_the_columns():
    X, soft, weights, offset = make_rows(3)
    names = ["ant", "bee", "cat"]
    model = LogisticRegression(tol=1e-11, class_weight={"ant": 2.0, "bee": 1.0, "cat": 0.5})
    expected = clone(model).fit(*copy_rows(X, soft, weights, offset, names)[:3])
    assert_same_model(model.fit(X, soft, weights, classes=names), expected)
    assert model.classes_.tolist() == names
    assert set(model.predict(X)) <= set(names)
    assert make_cv(Cs=2, cv=2).fit(X, soft, classes=names).classes_.tolist() == names
    assert logistic_path(X, soft, Cs=2, classes=names).classes.tolist() == names
    for wrong, message in (
        (names[:2], "classes must be 3 different labels .* for each column of y"),
        (["bee", "ant", "cat"], "different labels in ascending order"),
        (["ant", "ant", "cat"], "different labels in ascending order"),
        (["ant", None, "cat"], "classes must be labels that can be sorted"),
    ):
        assert_refused(message, model.fit, X, soft, classes=wrong)
    # Of other labels they are those that y has.
    y = np.array(names)[soft.argmax(axis=1)]
    assert LogisticRegression().fit(X, y, classes=["bee", "ant", "cat"]).classes_.tolist() == names
    assert_refused("y has the label 'cat', which is not one of classes", model.fit, X, y, classes=names[:2])
    assert_refused("No row of y has the class 'dog', which is one of classes", model.fit, X, y, classes=[*names, "dog"])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_and_folds_are_those_of_the_copies(n_classes):
    X, soft, weights, offset = make_rows(n_classes)
    copied, copies, shares, offsets = copy_rows(X, soft, weights, offset)
    model = fit(X, soft, weights, offset=offset, class_weight="balanced")
    expected = model.score(copied, copies, shares, offset=offsets)
    assert model.score(X, soft, weights, offset=offset) == pytest.approx(expected)
    # Folds are stratified by the most probable class.
    rows = np.repeat(np.arange(N), n_classes)
    folds = StratifiedKFold(3).split(X, soft.argmax(axis=1))
    of_copies = [[np.flatnonzero(np.isin(rows, part)) for part in pair] for pair in folds]
    for scoring in ("neg_log_loss", "accuracy", None):
        for given, of_copy in (({}, {}), ({"offset": offset}, {"offset": offsets})):
            chosen = make_cv(Cs=[0.1, 10.0], cv=3, tol=1e-11, scoring=scoring)
            expected = clone(chosen).set_params(cv=of_copies).fit(copied, copies, shares, **of_copy)
            chosen.fit(X, soft, weights, **given)
            np.testing.assert_allclose(chosen.scores_, expected.scores_, atol=1e-5)
            assert_same_model(chosen, expected)
            told = expected.score(copied, copies, shares, **of_copy)
            assert chosen.score(X, soft, weights, **given) == pytest.approx(told, abs=1e-5)
    assert_refused("for rows with soft labels", make_cv(Cs=2, scoring="roc_auc_ovr").fit, X, soft)
    cut = from_arrays(X, soft, weights, rows_per_block=90)
    chosen = make_cv(Cs=[0.1, 10.0], cv=3, tol=1e-11, scoring="accuracy")
    expected = clone(chosen).fit(X, soft, weights)
    np.testing.assert_allclose(chosen.fit(cut).scores_, expected.scores_)
    assert model.score(cut) == pytest.approx(model.score(X, soft, weights))
    path = logistic_path(X, soft, Cs=[0.1, 10.0], l1_ratio=0.0, tol=1e-11)
    np.testing.assert_allclose(path.coefs[1], fit(X, soft, C=10.0).coef_, atol=1e-5)


def test_validation_rows_may_have_soft_labels_or_none():
    X, soft, weights, _ = make_rows(3)
    train, val = slice(160), slice(160, None)
    labels = soft.argmax(axis=1)
    certain = np.eye(3)[labels]
    for y, y_val in ((soft, soft), (soft, labels), (labels, soft)):
        model = make_cv(Cs=[0.1, 10.0], tol=1e-11)
        given = {"X_val": X[val], "y_val": y_val[val], "sample_weight_val": weights[val]}
        model.fit(X[train], y[train], weights[train], **given)
        first, last = (certain if each.ndim == 1 else each for each in (y, y_val))
        joined = np.concatenate([first[train], last[val]])
        assert_same_model(model, fit(X, joined, weights, C=model.C_))
        one = fit(X[train], y[train], weights[train], C=10.0)
        logarithms = np.log(one.predict_proba(X[val]))
        expected = np.average((last[val] * logarithms).sum(axis=1), weights=weights[val])
        assert model.scores_[0, 0, 1] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="y has 3 classes, but y_val the shape"):
        model.fit(X[train], labels[train], X_val=X[val], y_val=np.full((80, 2), 0.5))
