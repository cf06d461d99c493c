"""Offsets of rows in predictions, folds, paths and starts; `test_properties.py` has fits with them."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_refused, make_problem
from linear_models import assert_same_model, fit, make_cv
from scipy import sparse
from scipy.special import expit, softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastlin import LogisticRegression, MiniBatchLogisticRegression, blocks, logistic_path

pytestmark = pytest.mark.usefixtures("sparse_passes")

N, D = 240, 4
EXACT = {"tol": 1e-11}


def make_rows(n_classes, seed=0, dtype=np.float64):
    X, y, weights, *_ = make_problem(N, D, n_classes, dtype, seed)
    shape = N if n_classes == 2 else (N, n_classes)
    return X, y, weights, np.random.default_rng(seed + 1).normal(size=shape)


def test_predictions_add_the_offset_that_they_are_given():
    for n_classes in (2, 3):
        X, y, weights, offset = make_rows(n_classes)
        before = [each.copy() for each in (X, y, weights, offset)]
        model = fit(X, y, weights, offset=offset)
        scores = X @ model.coef_.T + model.intercept_ + offset.reshape(N, -1)
        probabilities = softmax(scores, axis=1)
        if n_classes == 2:
            probabilities, scores = np.column_stack([expit(-scores), expit(scores)]), scores[:, 0]
        predictions = probabilities.argmax(axis=1)
        cut, held = blocks.from_arrays(X, rows_per_block=70), sparse.csr_array(X)
        for rows, join in ((X, np.asarray), (held, np.asarray), (cut, lambda each: np.concatenate(list(each)))):
            for method, expected in (
                (model.decision_function, scores),
                (model.predict_proba, probabilities),
                (model.predict_log_proba, np.log(probabilities)),
                (model.predict, predictions),
            ):
                np.testing.assert_allclose(join(method(rows, offset=offset)), expected, atol=1e-12)
            told = model.score(rows, y, weights, offset=offset.tolist())
            assert told == pytest.approx(accuracy_score(y, predictions, sample_weight=weights))
        trained = MiniBatchLogisticRegression(max_iter=1, n_iter_no_change=np.inf).fit(X, y)
        expected = trained.decision_function(X) + offset
        np.testing.assert_allclose(trained.decision_function(X, offset=offset), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.sparsify().decision_function(X, offset=offset), scores, atol=1e-12)
        for each, expected in zip((X, y, weights, offset), before, strict=True):
            np.testing.assert_array_equal(each, expected)


def test_without_curvature_a_step_of_length_zero_is_no_sign_of_the_minimum():
    X, y, weights, _ = make_rows(2)
    offset = np.full(N, 1e3)
    model = fit(X, y, weights, offset=offset, C=np.inf, fit_intercept=False, lower_bounds=-1e4)
    residuals = weights * (expit(model.decision_function(X, offset=offset)) - y)
    assert model.converged_
    np.testing.assert_allclose(X.T @ residuals, 0, atol=1e-3)


def test_folds_paths_and_starts_take_the_offsets_of_their_rows():
    for n_classes in (2, 3):
        X, y, weights, offset = make_rows(n_classes)
        Cs, cv = [0.1, 10.0], StratifiedKFold(3)
        for scoring, judge in (("neg_log_loss", log_loss), (None, accuracy_score)):
            model = make_cv(Cs=Cs, cv=cv, **EXACT, scoring=scoring)
            model.fit(X, y, weights, offset=offset)
            expected = np.empty((3, 1, 2))
            for f, (train, test) in enumerate(cv.split(X, y)):
                for c, C in enumerate(Cs):
                    one = fit(X[train], y[train], weights[train], offset=offset[train], C=C)
                    of = one.predict_proba if judge is log_loss else one.predict
                    expected[f, 0, c] = judge(y[test], of(X[test], offset=offset[test]), sample_weight=weights[test])
            np.testing.assert_allclose(model.scores_, -expected if judge is log_loss else expected, atol=1e-5)
            assert_same_model(model, fit(X, y, weights, offset=offset, C=model.C_))
            of = model.predict_proba if judge is log_loss else model.predict
            told = judge(y, of(X, offset=offset), sample_weight=weights)
            assert abs(model.score(X, y, weights, offset=offset)) == pytest.approx(told)
        path = logistic_path(X, y, Cs=Cs, l1_ratio=0.0, tol=1e-11, sample_weight=weights, offset=offset)
        for c, C in enumerate(Cs):
            np.testing.assert_allclose(path.coefs[c], fit(X, y, weights, offset=offset, C=C).coef_, atol=1e-5)
        # The first C of an L1 path is the largest at which all coefficients are zero.
        path = logistic_path(X, y, Cs=5, offset=offset)
        assert path.n_nonzeros[0] == 0
        assert fit(X, y, C=1.001 * path.Cs[0], l1_ratio=1.0, offset=offset).coef_.any()
        warm = LogisticRegression(warm_start=True, **EXACT).fit(X, y, weights, offset=offset)
        assert warm.fit(X, y, weights, offset=offset).n_iter_[0] <= 1
        started = LogisticRegression(**EXACT).fit(X, y, weights, offset=offset, coef_init=warm.coef_)
        assert_same_model(started, warm)


def test_validation_rows_have_offsets_of_their_own():
    X, y, weights, offset = make_rows(3)
    train, val = slice(160), slice(160, None)
    model = make_cv(Cs=[0.1, 10.0], **EXACT)
    given = {"offset": offset[train], "X_val": X[val], "y_val": y[val], "sample_weight_val": weights[val]}
    model.fit(X[train], y[train], weights[train], **given, offset_val=offset[val])
    for c, C in enumerate(model.Cs_):
        one = fit(X[train], y[train], weights[train], offset=offset[train], C=C)
        expected = -log_loss(y[val], one.predict_proba(X[val], offset=offset[val]), sample_weight=weights[val])
        assert model.scores_[0, 0, c] == pytest.approx(expected, abs=1e-5)
    assert_same_model(model, fit(X, y, weights, offset=offset, C=model.C_))
    for other, message in (
        ({}, r"offset and offset_val must be given together, got only offset\."),
        ({"offset_val": offset[:3]}, "offset_val has 3 rows, but X_val has 80"),
        (
            {"offset_val": offset, "X_val": None, "y_val": None, "sample_weight_val": None},
            "together, got only offset_val",
        ),
    ):
        assert_refused(message, model.fit, X[train], y[train], **{**given, **other})


def test_what_is_no_offset_and_scorers_that_see_none_are_refused():
    X, y, _, offset = make_rows(2)
    _, labels, _, offsets = make_rows(3)
    broken = offset.copy()
    broken[7] = np.nan
    model = LogisticRegression().fit(X, y)
    for target, given, message in (
        (y, broken, "offset must hold finite numbers of a magnitude up to 1e\\+30, but row 7 has nan"),
        (y, 1e31 * offset, "up to 1e\\+30, but row 0 has"),
        (y, offset[:-1], "offset has 239 rows, but X has 240"),
        (y, 1.5, "offset must have one number for each row"),
        (y, offsets, r"for 2 classes, got the shape \(240, 3\)"),
        (labels, offset, "for 3 classes, got the shape .* The same number for all classes of a row changes nothing"),
        (labels, offsets[:, :2], r"one number for each row and class, \(n_samples, 3\)"),
        (y, offset.astype(str), "offset must hold numbers: got an array of <U"),
        (y, pd.Series([pd.NA, *offset[1:]], dtype="object"), "offset must hold numbers"),
        (y, sparse.csr_array(offset[:, None]), "offset must hold numbers"),
        (y, [[1.0], [1.0, 2.0]], "offset must hold numbers"),
        (y, [10**400] * len(y), "offset must hold numbers"),
    ):
        assert_refused(message, model.fit, X, target, offset=given)
    for given, message in ((broken, "row 7 has nan"), (offset[:3], "offset has 3 rows, but X has 240")):
        for rows in (X, blocks.from_arrays(X)):
            assert_refused(message, model.predict_proba, rows, offset=given)
    message = r"scoring must be 'accuracy', .* for rows with an offset"
    for scoring in ("roc_auc", make_scorer(accuracy_score), lambda *_: 0.0):
        model = make_cv(Cs=2, scoring=scoring)
        assert_refused(message, model.fit, X, y, offset=offset)
        assert_refused(message, model.fit(X, y).score, X, y, offset=offset)


def test_pipelines_searches_and_clones_pass_the_offset_on():
    X, y, weights, offset = make_rows(2)
    Z = StandardScaler().fit_transform(X)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression(**EXACT).set_fit_request(offset=True, sample_weight=True)
        model.set_predict_proba_request(offset=True).set_score_request(offset=True, sample_weight=False)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        given = {"sample_weight": weights, "offset": offset}
        routed = make_pipeline(scaler, clone(model)).fit(X, y, **given)
        assert_same_model(routed[-1], fit(Z, y, **given))
        found = routed.predict_proba(X, offset=offset)
        np.testing.assert_allclose(found, routed[-1].predict_proba(Z, offset=offset))
        search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=StratifiedKFold(2)).fit(X, y, **given)
        train, test = next(StratifiedKFold(2).split(X, y))
        one = fit(X[train], y[train], weights[train], offset=offset[train], C=0.1)
        assert search.cv_results_["split0_test_score"][0] == one.score(X[test], y[test], offset=offset[test])
        make_pipeline(StandardScaler(), make_cv(Cs=2, cv=2).set_fit_request(offset=True)).fit(X, y, offset=offset)
