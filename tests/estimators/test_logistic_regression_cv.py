"""LogisticRegressionCV compared with plain loops and scikit-learn's class."""

import itertools
import threading
import tracemalloc

import numpy as np
import pytest
import reference
from conftest import assert_raises, load_standardized, make_problem, requires_scikit_learn
from linear_models import QUIET_CV_PARAMETERS, make_cv_model
from scipy import sparse
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, StratifiedKFold

import fastlin
from fastlin.blocks import from_arrays
from fastlin.estimators import problem
from fastlin.estimators.linear_predictions import ScoredRows
from fastlin.estimators.problem import Problem
from fastlin.estimators.scikit_learn import add_labels_to_scorer
from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective.budget import Budget

X, Y = load_standardized(load_iris)
ROWS, LABELS, WEIGHTS, *_ = make_problem(90, 4, 3)

CS = [0.01, 1.0, 100.0]
LOG_LOSS = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
pytestmark = pytest.mark.usefixtures("force_sparse_kernels")


def center(coef):
    """Return coefficients minus their mean over the classes. Softmax ignores the mean, and L1 may not determine it."""
    return coef - coef.mean(axis=0) if len(coef) > 1 else coef


FIT_ATTRIBUTES = "certificate_", "converged_", "n_passes_", "history_"


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_the_last_fit_has_the_attributes_of_a_single_fit(tol):
    model = make_cv_model(Cs=[0.1, 10.0], cv=3, tol=tol).fit(ROWS, LABELS, WEIGHTS)
    l2, options = 1 / (model.C_ * WEIGHTS.sum()), {"weights": WEIGHTS}
    minimum, null = (reference.minimum(features, LABELS, 3, l2, **options)[0] for features in (ROWS, np.zeros((90, 1))))
    suboptimality = reference.objective(ROWS, LABELS, model.coef_, model.intercept_, l2, WEIGHTS) - minimum
    assert model.converged_ is True
    assert suboptimality <= model.certificate_ <= tol * (null - minimum)
    assert model.history_[-1].objective - minimum == pytest.approx(float(suboptimality), abs=1e-14)
    assert model.n_passes_ == model.history_[-1].n_passes
    assert dict(line.split("  ", 1) for line in model.summary().splitlines())["tol"].strip() == f"{tol:g}, reached"
    with pytest.warns(ConvergenceWarning):
        model.set_params(max_iter=1, tol=1e-12).fit(ROWS, LABELS, WEIGHTS)
    assert model.converged_ is False
    assert f"{1e-12:g}, not reached" in model.summary()


def test_without_a_last_fit_only_a_single_fold_has_a_certificate():
    model = make_cv_model(Cs=[0.1, 10.0], cv=3).fit(ROWS, LABELS)
    assert not [name for name in FIT_ATTRIBUTES if not hasattr(model, name)]
    model.set_params(refit=False).fit(ROWS, LABELS)
    assert not [name for name in FIT_ATTRIBUTES if hasattr(model, name)]
    assert "tol" not in dict(line.split("  ", 1) for line in model.summary().splitlines())
    model.set_params(cv=None).fit(ROWS[::2], LABELS[::2], X_val=ROWS[1::2], y_val=LABELS[1::2])
    best = model.Cs_.tolist().index(model.C_)
    assert (model.certificate_, model.converged_) == (model.certificates_[0, 0, best], True)


@requires_scikit_learn(1, 8)
@pytest.mark.parametrize(
    ("loader", "options"),
    [
        (load_iris, {}),
        (load_iris, {"scoring": None}),
        # Weights are balanced over all rows, not per fold.
        (load_breast_cancer, {"class_weight": "balanced"}),
        *((load_breast_cancer, {"scoring": scoring}) for scoring in ("accuracy", "roc_auc", "f1", LOG_LOSS)),
        # scikit-learn takes almost half a minute.
        pytest.param(load_digits, {}, marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__name__,
)
def test_the_chosen_parameters_are_those_of_scikit_learn(loader, options):
    X, y = load_standardized(loader)
    # Every fifth row, because scikit-learn takes seconds for all rows.
    X, y = X[::5].copy(), y[::5]
    options = {**QUIET_CV_PARAMETERS, "Cs": CS, **options}
    actual = fastlin.LogisticRegressionCV(tol=1e-11, **options).fit(X, y)
    theirs, rtol = {"tol": 1e-8, "max_iter": 10_000}, 1e-4
    if loader is load_breast_cancer:
        theirs, rtol = {"tol": 1e-10, "solver": "newton-cholesky"}, 1e-5
    expected = ScikitLearnLogisticRegressionCV(**theirs, **options).fit(X, y)
    assert actual.C_ == expected.C_
    assert actual.l1_ratio_ == expected.l1_ratio_ == 0
    np.testing.assert_allclose(actual.scores_, expected.scores_, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(actual.coef_, expected.coef_, atol=2e-5)
    np.testing.assert_allclose(actual.coefs_paths_, expected.coefs_paths_, atol=2e-3)
    for name in ("classes_", "Cs_", "n_features_in_"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))
    for name in ("coef_", "intercept_", "n_iter_", "scores_", "coefs_paths_", "l1_ratios_"):
        assert getattr(actual, name).shape == getattr(expected, name).shape
    assert actual.score(X, y) == pytest.approx(expected.score(X, y), rel=1e-4)
    weights = np.arange(len(y))
    weighted = expected.score(X, y, sample_weight=weights)
    assert actual.score(X, y, sample_weight=weights) == pytest.approx(weighted, rel=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    ("l1_ratios", "tol", "tolerance", "cv"), [((0.0,), 1e-10, 1e-5, None), ((0.3, 1.0), 1e-6, 5e-3, 2)]
)
def test_cross_validation_equals_a_loop_over_folds(n_classes, fit_intercept, l1_ratios, tol, tolerance, cv):
    X, y, weights, *_ = make_problem(90, 5, n_classes)
    options = {"fit_intercept": fit_intercept, "tol": tol}
    model = make_cv_model(Cs=CS, l1_ratios=l1_ratios, cv=cv, **options).fit(X, y, weights)
    # None means five folds.
    folds = list(StratifiedKFold(cv or 5).split(X, y))
    assert model.scores_.shape == model.certificates_.shape == (len(folds), len(l1_ratios), 3)
    for index in np.ndindex(model.scores_.shape):
        (train, test), l1_ratio, C = folds[index[0]], l1_ratios[index[1]], CS[index[2]]
        plain = fastlin.LogisticRegression(C=C, l1_ratio=l1_ratio, **options).fit(X[train], y[train], weights[train])
        coefs = model.coefs_paths_[index]
        np.testing.assert_allclose(center(coefs[:, :5]), center(plain.coef_), atol=tolerance)
        if fit_intercept:
            np.testing.assert_allclose(coefs[:, 5], plain.intercept_, atol=tolerance)
        assert coefs.shape[1] == 5 + fit_intercept
        score = -log_loss(y[test], plain.predict_proba(X[test]), sample_weight=weights[test])
        assert model.scores_[index] == pytest.approx(score, rel=tolerance)
        size = l1_ratio * np.abs(plain.coef_).sum() + (1 - l1_ratio) / 2 * np.sum(plain.coef_**2)
        loss = log_loss(y[train], plain.predict_proba(X[train]), sample_weight=weights[train])
        value = loss + size / (C * weights[train].sum())
        assert model.objectives_[index] == pytest.approx(value, rel=2 * tol)
        assert 0 <= model.certificates_[index] <= 100 * tol * value
    total = model.scores_.sum(axis=0)
    r, c = np.unravel_index(total.argmax(), total.shape)
    assert (model.l1_ratio_, model.C_) == (l1_ratios[r], CS[c])
    plain = fastlin.LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_, **options).fit(X, y, weights)
    np.testing.assert_allclose(center(model.coef_), center(plain.coef_), atol=tolerance)
    np.testing.assert_allclose(model.intercept_, plain.intercept_, atol=tolerance)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))


def assert_equals_fold_loop(model, splits, X, y, atol=1e-5, **options):
    """Assert that each fold's coefficients equal those of a fit to the training rows."""
    for fold, (train, _) in enumerate(splits):
        for c, C in enumerate(model.Cs_):
            plain = fastlin.LogisticRegression(C=C, **options).fit(X[train], y[train])
            np.testing.assert_allclose(model.coefs_paths_[fold, 0, c, :, : X.shape[1]], plain.coef_, atol=atol)


def test_a_fit_without_a_penalty_does_not_affect_the_batched_fits():
    X, y, *_ = make_problem(200, 6, 2)
    few, more = (
        make_cv_model(Cs=Cs, l1_ratios=[0.5], cv=3, refit=False).fit(X, y) for Cs in ([0.1, 1], [0.1, 1, np.inf])
    )
    np.testing.assert_array_equal(more.coefs_paths_[:, :, :2], few.coefs_paths_)


def test_penalty_factors_and_groups_apply_to_every_fit():
    X, y, *_ = make_problem(120, 6, 3)
    options = {"penalty_factors": [1, 0, 2, 1, 1, 5], "group_lasso": True, "tol": 1e-9}
    model = make_cv_model(Cs=[0.05, 0.5], l1_ratios=[1.0], **options).fit(X, y)
    assert_equals_fold_loop(model, StratifiedKFold(5).split(X, y), X, y, 1e-4, l1_ratio=1.0, **options)


@requires_scikit_learn(1, 8)
@pytest.mark.parametrize(
    ("n_classes", "l1_ratio_grid", "refit"),
    [(2, None, True), (3, None, False), (2, (0.0, 0.5), False), (3, (0.0, 0.5), True)],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
def test_legacy_attributes_have_the_shapes_of_scikit_learn(n_classes, l1_ratio_grid, refit):
    X, y, *_ = make_problem(60, 4, n_classes)
    # scikit-learn accepts no tuple if refit is False.
    l1_ratios = l1_ratio_grid and np.array(l1_ratio_grid)
    options = {"Cs": [0.1, 1.0], "cv": 3, "l1_ratios": l1_ratios, "scoring": "accuracy", "refit": refit}
    actual = fastlin.LogisticRegressionCV(use_legacy_attributes=True, **options).fit(X, y)
    expected = ScikitLearnLogisticRegressionCV(use_legacy_attributes=True, solver="saga", **options).fit(X, y)
    for name in ("scores_", "coefs_paths_"):
        assert list(getattr(actual, name)) == list(getattr(expected, name))
        for label, array in getattr(actual, name).items():
            assert array.shape == getattr(expected, name)[label].shape
    for name in ("C_", "l1_ratio_", "n_iter_", "coef_", "intercept_"):
        assert getattr(actual, name).shape == getattr(expected, name).shape
    nonlegacy_search = fastlin.LogisticRegressionCV(use_legacy_attributes=False, **options).fit(X, y)
    shape, label = (3, 2, len(l1_ratio_grid or [0])), actual.classes_[-1]
    np.testing.assert_array_equal(actual.scores_[label].reshape(shape), nonlegacy_search.scores_.swapaxes(1, 2))
    coefs = actual.coefs_paths_[label].reshape(*shape, 5)
    np.testing.assert_array_equal(coefs, nonlegacy_search.coefs_paths_[:, :, :, -1].swapaxes(1, 2))


def test_without_refit_the_folds_are_averaged():
    model = make_cv_model(Cs=CS, l1_ratios=[0.0, 0.5], refit=False).fit(ROWS, LABELS)
    best = [np.unravel_index(scores.argmax(), scores.shape) for scores in model.scores_]
    assert model.C_ == np.mean([CS[c] for _, c in best])
    assert model.l1_ratio_ == np.mean([[0.0, 0.5][r] for r, _ in best])
    coefs = np.mean([model.coefs_paths_[fold, r, c] for fold, (r, c) in enumerate(best)], axis=0)
    np.testing.assert_array_equal(model.coef_, coefs[:, :-1])
    np.testing.assert_array_equal(model.intercept_, coefs[:, -1])


@pytest.mark.parametrize(
    "cv",
    [
        3,
        ShuffleSplit(2, random_state=0),
        [(np.arange(60), np.arange(60, 90)), (np.arange(30, 90)[::-1], np.arange(30))],
        [(np.arange(90) < 60, np.arange(90) >= 60)],
        [(np.repeat(np.arange(60), 2), np.arange(60, 90))],
    ],
    ids=["int", "splitter", "arrays", "masks", "rows named twice"],
)
def test_any_splitter_is_supported(cv):
    X = np.where(np.abs(ROWS) < 0.3, 0, ROWS)
    splits = cv if isinstance(cv, list) else list((StratifiedKFold(3) if cv == 3 else cv).split(X, LABELS))
    scores = []
    for kind in (np.asarray, sparse.csr_array, sparse.csc_matrix):
        model = make_cv_model(Cs=[1.0], cv=cv, tol=1e-11).fit(kind(X), LABELS)
        assert_equals_fold_loop(model, splits, X, LABELS, tol=1e-11)
        scores.append(model.scores_)
        np.testing.assert_allclose(scores[-1], scores[0], rtol=1e-6)
    # A generator can be used only once.
    np.testing.assert_array_equal(make_cv_model(Cs=[1.0], cv=iter(splits), tol=1e-11).fit(X, LABELS).scores_, scores[0])


@requires_scikit_learn(1, 8)
@pytest.mark.parametrize(
    ("n_classes", "scoring"), [(2, "neg_log_loss"), (3, "neg_log_loss"), (2, "neg_brier_score"), (3, "accuracy")]
)
def test_folds_that_lack_a_class_match_scikit_learn(n_classes, scoring):
    X, y, *_ = make_problem(60, 3, n_classes)
    y = np.sort(y)
    options = {**QUIET_CV_PARAMETERS, "Cs": [0.01, 1.0], "cv": KFold(n_classes), "scoring": scoring}
    actual = fastlin.LogisticRegressionCV(tol=1e-6, **options).fit(X, y)
    expected = ScikitLearnLogisticRegressionCV(tol=1e-8, max_iter=1000, **options).fit(X, y)
    assert actual.coefs_paths_.shape == expected.coefs_paths_.shape
    assert np.isfinite(actual.scores_).all()
    if scoring != "neg_log_loss":
        # J has no minimum: a missing class's probability approaches zero, so its logarithm is arbitrary.
        np.testing.assert_allclose(actual.scores_, expected.scores_, atol=0.02)


def test_scorers_are_called_in_order_with_their_rows(monkeypatch):
    monkeypatch.setattr(problem, "MAX_PRODUCTS_OF_SEQUENTIAL_FITS", 0)
    calls = []

    def scorer(estimator, X_test, y_test):
        calls.append((estimator.C, estimator.l1_ratio, X_test.copy(), y_test))
        return len(calls)

    model = make_cv_model(Cs=CS, l1_ratios=[0.0, 1.0], cv=2, scoring=scorer, n_jobs=2).fit(
        X, np.asarray(list("abc"))[Y]
    )
    assert [call[:2] for call in calls] == [(C, r) for _ in range(2) for r in (0.0, 1.0) for C in CS]
    np.testing.assert_array_equal(model.scores_.ravel(), np.arange(1, 13))
    test = next(StratifiedKFold(2).split(X, Y))[1]
    np.testing.assert_array_equal(calls[0][2], X[test])
    assert set(calls[0][3]) == set("abc")
    assert model.C_ == CS[-1]


def test_sums_of_scores_do_not_depend_on_the_order_of_folds():
    # Because of rounding, 0.3 + 0.2 + 0.1 is less than 0.1 + 0.2 + 0.3.
    fold_scores = {0.01: [0.1, 0.1, 0.1], 1.0: [0.3, 0.2, 0.1], 100.0: [0.1, 0.2, 0.3]}
    folds = list(KFold(3).split(ROWS))
    first_test_values = [float(ROWS[test[0], 0]) for _, test in folds]
    scores_by_C = {C: dict(zip(first_test_values, scores, strict=True)) for C, scores in fold_scores.items()}

    def score(model, X, y):
        return scores_by_C[model.C][float(X[0, 0])]

    model = make_cv_model(Cs=CS, cv=folds, scoring=score).fit(ROWS, LABELS)
    assert model.C_ == 1.0


def test_ties_choose_the_strongest_penalty():
    def search_with_scores(scores):
        return make_cv_model(Cs=CS, cv=2, scoring=lambda model, *_: scores[CS.index(model.C)]).fit(X, Y)

    assert search_with_scores([1.0, 1.0, 1.0]).C_ == CS[0]
    assert search_with_scores([np.nan, 0.5, 0.7]).C_ == CS[2]
    grid = np.array([10.0, 0.1, 1.0])
    model = make_cv_model(Cs=grid).fit(X, Y)
    np.testing.assert_array_equal(model.Cs_, [0.1, 1.0, 10.0])
    np.testing.assert_array_equal(grid, [10.0, 0.1, 1.0])
    np.testing.assert_array_equal(make_cv_model(Cs=np.sort(grid)).fit(X, Y).scores_, model.scores_)


def test_a_scorer_can_return_an_array_or_a_tuple_of_one_number():
    expected = make_cv_model(Cs=CS, cv=2, scoring="accuracy").fit(X, Y)
    for wrap in (lambda score: np.array([score]), lambda score: (score,)):
        model = make_cv_model(Cs=CS, cv=2, scoring=lambda *arguments, wrap=wrap: wrap(accuracy(*arguments))).fit(X, Y)
        np.testing.assert_array_equal(model.scores_, expected.scores_)
        assert model.C_ == expected.C_


def test_a_score_that_is_not_a_number_raises_an_error():
    # NumPy would treat None as a missing score and silently choose the smallest C.
    for score in (None, "0.5", np.array([0.5, 0.6]), {"accuracy": 0.5}):
        model = make_cv_model(Cs=[1.0], cv=2, scoring=lambda *_, score=score: score)
        assert_raises(r"^scoring must return one number, a float, got .* from <function", model.fit, X, Y)
        assert_raises(r"^scoring must return one number", model.set_params(cv=None).fit, X, Y, X_val=X, y_val=Y)


def accuracy(model, X_test, y_test):
    return np.mean(model.predict(X_test) == y_test)


def test_sample_weights_reach_the_scorer_with_and_without_routing():
    train, test = next(StratifiedKFold(5).split(ROWS, LABELS))
    plain = fastlin.LogisticRegression(tol=1e-11).fit(ROWS[train], LABELS[train], WEIGHTS[train])
    probabilities = plain.predict_proba(ROWS[test])
    accuracy = make_cv_model(Cs=[1.0], tol=1e-11, scoring=None).fit(ROWS, LABELS, WEIGHTS)
    assert accuracy.scores_[0, 0, 0] == pytest.approx(plain.score(ROWS[test], LABELS[test], WEIGHTS[test]))
    for is_routing_enabled, weight_request in ((False, None), (True, True), (True, False)):
        with config_context(enable_metadata_routing=is_routing_enabled):
            scorer = get_scorer("neg_log_loss")
            scorer = scorer.set_score_request(sample_weight=weight_request) if is_routing_enabled else "neg_log_loss"
            model = make_cv_model(Cs=[1.0], tol=1e-11, scoring=scorer).fit(ROWS, LABELS, sample_weight=WEIGHTS)
        expected = -log_loss(
            LABELS[test], probabilities, sample_weight=None if weight_request is False else WEIGHTS[test]
        )
        assert model.scores_[0, 0, 0] == pytest.approx(expected, rel=1e-6)


def test_groups_reach_the_splitter():
    groups = np.arange(90) % 9
    with config_context(enable_metadata_routing=True):
        model = make_cv_model(Cs=[1.0], cv=GroupKFold(3).set_split_request(groups=True), tol=1e-11)
        expected = model.fit(from_arrays(ROWS, rows_per_block=20), LABELS, groups=groups).scores_
        np.testing.assert_allclose(model.fit(ROWS, LABELS, groups=groups).scores_, expected, rtol=1e-5)
    assert_equals_fold_loop(model, GroupKFold(3).split(ROWS, LABELS, groups), ROWS, LABELS, tol=1e-11)
    assert_raises("enable_metadata_routing", make_cv_model(Cs=[1.0]).fit, ROWS, LABELS, groups=groups)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        # test_regularization_path.py tests other values, test_parameters.py the parameters of a single fit.
        ({"Cs": [1.0, 0.0]}, r"Cs must be .* got \[1.0, 0.0\]"),
        *(({"l1_ratios": ratios}, "l1_ratios .*between 0 and 1") for ratios in ([-0.1], [0.5, 1.1], [np.nan], [])),
        ({"cv": []}, "cv yielded no folds"),
        ({"cv": [(np.array([], int), np.arange(10))]}, "^cv must yield folds with training rows of positive weight"),
        ({"cv": [(np.arange(50), np.arange(50, 61))]}, "^cv must yield row indices from 0 to 59.*60 is out"),
        ({"cv": [(np.ones(59, bool), np.arange(10))]}, "^cv must yield .* or boolean masks of 60 rows"),
        ({"scoring": "no such scorer"}, "scoring"),
    ],
    ids=str,
)
def test_invalid_parameters_raise_an_error(parameters, message):
    X, y, *_ = make_problem(60, 3, 3)
    assert_raises(message, make_cv_model(**{"cv": 2, **parameters}).fit, X, y)


def test_fits_ignore_the_floating_point_errors_that_a_caller_enables():
    model = make_cv_model(Cs=[1e-300, 1e10], scoring="accuracy")
    expected = model.fit(X, Y).coef_
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(model.fit(X, Y).coef_, expected)


@pytest.mark.parametrize("max_concurrent_fits", [1, 2, 5])
def test_available_memory_limits_concurrent_fits(max_concurrent_fits, monkeypatch):
    # Small fits run sequentially.
    expected = make_cv_model(Cs=CS, n_jobs=4).fit(X, Y)
    monkeypatch.setattr(problem, "MAX_PRODUCTS_OF_SEQUENTIAL_FITS", 0)
    running, at_once, threads, minimize = set(), [0], set(), Problem.minimize

    def minimize_and_count(self, *arguments, **options):
        running.add(threading.get_ident())
        threads.add(threading.get_ident())
        at_once.append(len(running))
        fit = minimize(self, *arguments, **options)
        running.remove(threading.get_ident())
        return fit

    monkeypatch.setattr(Problem, "minimize", minimize_and_count)
    monkeypatch.setattr(Budget, "count_concurrent_fits", lambda *arguments: max_concurrent_fits)
    actual = make_cv_model(Cs=CS, n_jobs=4).fit(X, Y)
    assert max(at_once) <= min(max_concurrent_fits, 4)
    # The last fit, which uses all rows, runs on this thread.
    assert (len(threads) > 1) == (max_concurrent_fits > 1)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    np.testing.assert_array_equal(actual.coefs_paths_, expected.coefs_paths_)


@pytest.mark.parametrize(("error", "n_jobs"), [(ValueError, 1), (KeyboardInterrupt, 2)])
def test_an_error_does_not_change_the_estimator(error, n_jobs, monkeypatch):
    monkeypatch.setattr(problem, "MAX_PRODUCTS_OF_SEQUENTIAL_FITS", 0)

    def scorer(estimator, X_test, y_test):
        raise error("stop")

    model = make_cv_model(Cs=CS, n_jobs=n_jobs).fit(X, Y).set_params(scoring=scorer)
    assert_raises("stop", model.fit, X[:, :2], Y, error=error)


def test_no_copy_of_x_is_made_for_a_fold():
    X, y, *_ = make_problem(20_000, 100, 2)
    # Only the few test rows are copied.
    folds = [(np.arange(19_000), np.arange(19_000, 20_000)), (np.arange(1_000, 20_000), np.arange(1_000))]
    model = make_cv_model(Cs=[1e-3, 1e-2], cv=folds)
    with limit_threads(2):
        model.fit(X, y)
        tracemalloc.start()
        model.fit(X, y)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 0.5 * X.nbytes


@requires_scikit_learn(1, 9)
def test_warnings_announce_changes_of_defaults():
    models = []
    for name in QUIET_CV_PARAMETERS:
        options = {other: value for other, value in QUIET_CV_PARAMETERS.items() if other != name}
        with pytest.warns(FutureWarning, match=name):
            models.append(fastlin.LogisticRegressionCV(Cs=[1.0], **options).fit(X, Y))
    assert models[1].score(X, Y) == np.mean(models[1].predict(X) == Y)
    assert models[2].C_.shape == (3,)
    with pytest.warns(FutureWarning, match="penalty"), pytest.warns(FutureWarning, match="The default value for l1"):
        model = fastlin.LogisticRegressionCV(
            penalty="l1", Cs=[1.0], **{**QUIET_CV_PARAMETERS, "l1_ratios": "warn"}
        ).fit(X, Y)
    assert model.l1_ratio_ == 1
    with pytest.warns(ConvergenceWarning, match="of 16 fits"):
        make_cv_model(Cs=CS, max_iter=1, tol=1e-9).fit(X, Y)


def test_accuracy_and_log_loss_equal_those_of_scikit_learns_scorers():
    X, y = load_iris(return_X_y=True)
    labels = np.array(["a", "b", "c"])[y]
    weights = np.random.default_rng(0).uniform(size=len(y))
    # Some subsets lack a class; with C = 1e8, some probabilities are zero.
    cases = list(itertools.product((slice(150), slice(50, 150)), ("accuracy", "neg_log_loss"), (False, True)))
    for C, dtype in itertools.product((1.0, 1e8), (np.float64, np.float32)):
        model = fastlin.LogisticRegression(C=C, max_iter=50).fit(X.astype(dtype), labels)
        for rows, scoring, is_weighted in cases:
            params = {"sample_weight": weights[rows]} if is_weighted else {}
            features, targets = X[rows].astype(dtype), labels[rows]
            scored_rows = ScoredRows(features, targets, model.classes_, None, params)
            expected = add_labels_to_scorer(get_scorer(scoring), model.classes_)(model, features, targets, **params)
            # scikit-learn sums up to 150 losses in the dtype of the losses.
            assert scored_rows.score(model, scoring) == pytest.approx(expected, rel=float(150 * np.finfo(dtype).eps))
