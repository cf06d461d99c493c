"""Parameters: invalid, deprecated and contradictory values, scikit-learn 1.10's parameters, and defaults by version."""

import pickle
import warnings
import weakref

import numpy as np
import pytest
from conftest import assert_raises, load_standardized
from linear_models import assert_same_model, fit, make_cv_model
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.estimators import batched_fits, scikit_learn

X, Y = load_standardized(load_iris)
ROWS, LABELS = make_classification(200, 6, flip_y=0.2, random_state=0)
WEIGHTS = np.random.default_rng(0).integers(1, 4, 200).astype(float)

# Values that scikit-learn's check of parameters, in test_scikit_learn_interface.py, does not cover.
INVALID_VALUES = {
    fastlin.LogisticRegression: {
        "C": [0, np.nan, "1"],
        "alpha": ["1/n", -1.0],
        "l1_ratio": [1.1, np.nan],
        "dual": [2],
        "intercept_scaling": [0],
        "max_iter": [1.5],
        "n_jobs": [1.5],
    },
    fastlin.MLPClassifier: {
        "hidden_layer_sizes": [0, -3, 2.5, "5"],
        "batch_size": [2.5, "all"],
        "momentum": [1, np.nan],
        "beta_1": [1, np.nan],
        "beta_2": [1, np.nan],
        "epsilon": [0, np.nan],
        "dropout": [1.0, np.nan],
        "learning_rate_init": [0, np.inf, np.nan],
        "learning_rate_decay": [0, 1.1, np.nan],
        "alpha": [np.inf, np.nan],
        "tol": [np.nan],
        "max_iter": [2.5],
        "max_fun": [1.5],
        "activation": [None],
        "init_scale": [0, np.inf],
        "batch_norm": [True, "output"],
        "validation_fraction": [0, 1],
        "n_iter_no_change": [1.5],
        "early_stopping": [2],
        "warm_start": [None],
    },
}


@pytest.mark.parametrize(
    ("estimator", "name"), [(estimator, name) for estimator, names in INVALID_VALUES.items() for name in names]
)
def test_parameters_out_of_range_raise_an_error_that_names_them(estimator, name):
    for value in INVALID_VALUES[estimator][name]:
        assert_raises(f"'{name}' parameter", estimator(**{name: value}).fit, X, Y)


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (fastlin.LogisticRegression, {"n_jobs": 0}, "^n_jobs must be None or an integer other than 0, got 0"),
        (make_cv_model, {"n_jobs": 0}, "^n_jobs must be None or an integer other than 0, got 0"),
        (fastlin.LogisticRegression, {"class_weight": {0: -1.0}}, "class_weight"),
        (fastlin.LogisticRegression, {"class_weight": "balanced"}, "class 2"),
        (fastlin.LogisticRegression, {"dual": True}, "dual"),
        (fastlin.LogisticRegression, {"solver": "liblinear"}, "liblinear.*multiclass"),
        (fastlin.LogisticRegression, {"C": 2.0, "alpha": 0.1}, r"C must not be set .* got C=2.0 and alpha=0.1"),
        (make_cv_model, {"Cs": [1.0], "alphas": [0.1]}, r"Cs must not be set .* Cs=\[1.0\] and alphas=\[0.1\]"),
        (make_cv_model, {"alphas": [0.1, -1.0]}, r"^alphas must be .* at least 0; got \[0.1, -1.0\]$"),
        (make_cv_model, {"alphas": [np.inf]}, "^alphas must be .* finite"),
        # These values equal valid cached ones but have another type.
        (fastlin.LogisticRegression, {"max_iter": 1000.0, "warm_start": True}, "'max_iter' parameter"),
        (fastlin.LogisticRegression, {"max_iter": 1000, "warm_start": 1.0}, "'warm_start' parameter"),
    ],
)
def test_errors_describe_invalid_parameters(make, parameters, message):
    fastlin.LogisticRegression(max_iter=1000, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=message) as raised:
        make(**parameters).fit(X, Y, (Y != 2).astype(float))
    assert raised.value.__context__ is None or "max_iter" not in message


@pytest.mark.parametrize(
    ("penalty", "parameters", "equivalent"),
    [
        ("l2", {}, {}),
        (None, {}, {"C": np.inf}),
        ("l1", {"l1_ratio": 1}, {"l1_ratio": 1.0}),
        ("elasticnet", {"l1_ratio": 0.4}, {"l1_ratio": 0.4}),
        ("l1", {"l1_ratio": 0}, {"l1_ratio": 1.0}),
    ],
)
def test_deprecated_penalties_keep_their_meaning(penalty, parameters, equivalent, monkeypatch):
    monkeypatch.setattr(scikit_learn, "SKLEARN_VERSION", (1, 9))
    y = np.random.default_rng(0).permutation(Y)
    with warnings.catch_warnings(record=True, action="always") as caught:
        model = fastlin.LogisticRegression(penalty=penalty, **parameters).fit(X, y)
    assert any(warning.category is FutureWarning and "penalty" in str(warning.message) for warning in caught)
    # If the two contradict each other, a warning is emitted and the penalty takes precedence.
    assert any(warning.category is UserWarning for warning in caught) == (parameters.get("l1_ratio") == 0)
    np.testing.assert_array_equal(model.coef_, fastlin.LogisticRegression(**equivalent).fit(X, y).coef_)
    with pytest.warns(FutureWarning, match="l1_ratio"):
        fastlin.LogisticRegression(l1_ratio=None).fit(X, Y)


def test_contradictory_parameters_warn_like_scikit_learn():
    for parameters in ({"penalty": None, "C": 2.0}, {"penalty": "l2", "l1_ratio": 0.5}):
        kinds = []
        for make in (fastlin.LogisticRegression, ScikitLearnLogisticRegression):
            with warnings.catch_warnings(record=True, action="always") as caught:
                make(**parameters).fit(X, Y)
            kinds.append(
                {warning.category for warning in caught if not issubclass(warning.category, ConvergenceWarning)}
            )
        assert kinds[0] == kinds[1]


def test_fits_keep_no_references_to_parameters():
    class CustomRandomState(np.random.RandomState):
        pass

    random_state = CustomRandomState(0)
    reference = weakref.ref(random_state)
    fastlin.LogisticRegression(random_state=random_state).fit(X, Y)
    del random_state
    assert reference() is None


def fit_and_catch(monkeypatch, version, estimator):
    """Return the fitted estimator and the messages of its FutureWarnings for a version of scikit-learn."""
    monkeypatch.setattr(scikit_learn, "SKLEARN_VERSION", version)
    with warnings.catch_warnings(record=True, action="always", category=FutureWarning) as caught:
        # Since 1.8 there is a warning that the penalty takes precedence. Any other warning is an error here.
        warnings.filterwarnings("ignore" if version >= (1, 8) else "error", "Inconsistent values")
        estimator.fit(X, Y)
    return estimator, [str(warning.message) for warning in caught if warning.category is FutureWarning]


@pytest.mark.parametrize(
    ("version", "n_warnings", "is_legacy"),
    [((1, 6), 0, True), ((1, 8), 2, True), ((1, 9), 3, True), ((1, 10), 1, False), ((1, 11), 0, False)],
)
def test_defaults_of_cross_validation_depend_on_the_version_of_scikit_learn(
    version, n_warnings, is_legacy, monkeypatch
):
    model, caught = fit_and_catch(monkeypatch, version, fastlin.LogisticRegressionCV(Cs=[0.1, 1.0], cv=2))
    assert len(caught) == n_warnings
    assert np.shape(model.C_) == ((3,) if is_legacy else ())
    scores = model.scores_[0] if is_legacy else model.scores_
    assert scores.shape == ((2, 2) if is_legacy else (2, 1, 2))
    assert (np.min(scores) < 0) == (version >= (1, 11))


@pytest.mark.parametrize(("version", "n_warnings"), [((1, 6), 0), ((1, 7), 0), ((1, 8), 1), ((1, 10), 1)])
def test_the_penalty_parameter_is_deprecated_since_scikit_learn_1_8(version, n_warnings, monkeypatch):
    for l1_ratio in (1.0, 0.0, None):
        model = fastlin.LogisticRegression(penalty="l1", l1_ratio=l1_ratio, C=0.1)
        model, caught = fit_and_catch(monkeypatch, version, model)
        assert len(caught) == n_warnings * (1 + (l1_ratio is None))
        assert (model.coef_ == 0).any()
    model = fastlin.LogisticRegressionCV(Cs=[0.1], cv=2, penalty="l1", scoring="accuracy", use_legacy_attributes=False)
    model, caught = fit_and_catch(monkeypatch, version, model)
    assert sum("penalty" in message for message in caught) == n_warnings
    with pytest.raises(ValueError, match="l1_ratio must be a number from 0 to 1"):
        fit_and_catch(monkeypatch, version, fastlin.LogisticRegression(penalty="elasticnet", l1_ratio=None))


@pytest.mark.parametrize(
    ("parameters", "total"),
    [
        ({}, WEIGHTS.sum()),
        ({"l1_ratio": 0.5}, WEIGHTS.sum()),
        ({"class_weight": {0: 1.0, 1: 4.0}}, WEIGHTS @ np.where(LABELS, 4.0, 1.0)),
    ],
)
def test_alpha_does_not_depend_on_the_sum_of_the_weights(parameters, total):
    actual = fit(ROWS, LABELS, WEIGHTS, alpha=0.05, **parameters)
    expected = fit(ROWS, LABELS, WEIGHTS, C=1 / (0.05 * total), **parameters)
    assert_same_model(actual, expected, atol=1e-7)
    assert_same_model(fit(ROWS, LABELS, 1000 * WEIGHTS, alpha=0.05, **parameters), expected, atol=1e-7)


def test_alpha_applies_to_inference_and_multilabel_fits():
    alpha_model, C_model = (
        fit(ROWS, LABELS, WEIGHTS, **parameters) for parameters in ({"alpha": 0.05}, {"C": 20 / WEIGHTS.sum()})
    )
    errors = [
        model.inference(ROWS, LABELS, WEIGHTS, penalized="laplace").std_errors for model in (alpha_model, C_model)
    ]
    np.testing.assert_allclose(*errors, rtol=1e-6)
    assert_same_model(fit(ROWS, LABELS, alpha=0), fit(ROWS, LABELS, C=np.inf))
    multilabel = np.column_stack([LABELS, ROWS[:, 0] > 0.5]).astype(int)
    for class_weight in (None, {0: 1.0, 1: 4.0}):
        options = {"tol": 1e-10, "class_weight": class_weight}
        C_model = fastlin.LogisticRegression(C=0.1, **options).fit(ROWS, multilabel)
        for k, labels in enumerate(multilabel.T):
            total = 200 + 3 * labels.sum() if class_weight else 200
            alpha_model = fastlin.LogisticRegression(alpha=10 / total, **options).fit(ROWS, multilabel)
            np.testing.assert_allclose(alpha_model.coef_[k], C_model.coef_[k], atol=1e-6)


def test_batched_resamples_have_the_penalty_of_single_fits(monkeypatch):
    model, coefs = fit(ROWS, LABELS, WEIGHTS, alpha=1.0), []
    for is_batched in (True, False):
        monkeypatch.setattr(batched_fits, "can_batch_fits", lambda *_, is_suitable=is_batched: is_suitable)
        coefs.append(model.bootstrap(ROWS, LABELS, WEIGHTS, n_resamples=20, random_state=0).coef)
    np.testing.assert_allclose(*coefs, atol=1e-3)


def test_a_search_over_alphas_equals_separate_fits():
    half = np.arange(200) < 120
    folds = [(np.flatnonzero(half), np.flatnonzero(~half)), (np.flatnonzero(~half), np.flatnonzero(half))]
    model = make_cv_model(alphas=[0.01, 0.3, 0.05], cv=folds, tol=1e-11).fit(ROWS, LABELS, WEIGHTS)
    np.testing.assert_allclose(model.alphas_, [0.3, 0.05, 0.01])
    for coefs, (rows, _) in zip(model.coefs_paths_, folds, strict=True):
        for coef, alpha in zip(coefs[0], model.alphas_, strict=True):
            expected = fit(ROWS[rows], LABELS[rows], WEIGHTS[rows], alpha=alpha)
            np.testing.assert_allclose(coef[0, :-1], expected.coef_[0], atol=1e-6)
    assert model.alpha_ in model.alphas_
    alphas = np.array([model.alpha_, *model.alphas_])
    np.testing.assert_allclose([model.C_, *model.Cs_], 1 / (alphas * WEIGHTS.sum()))
    assert_same_model(model, fit(ROWS, LABELS, WEIGHTS, alpha=model.alpha_))
    both = model, fit(ROWS, LABELS, WEIGHTS, C=model.C_)
    errors = [model.inference(ROWS, LABELS, WEIGHTS, penalized="laplace").std_errors for model in both]
    np.testing.assert_allclose(*errors, rtol=1e-4)


def test_alpha_is_cloned_printed_and_pickled():
    np.testing.assert_allclose(make_cv_model(alphas=4).fit(ROWS, LABELS).alphas_, [1e2, 1e-1, 1e-4, 1e-7])
    search_with_Cs = make_cv_model(Cs=3).fit(ROWS, LABELS, WEIGHTS)
    np.testing.assert_array_equal(search_with_Cs.Cs_, [1e-4, 1, 1e4])
    np.testing.assert_allclose(
        [search_with_Cs.alpha_, *search_with_Cs.alphas_],
        1 / np.array([search_with_Cs.C_, *search_with_Cs.Cs_]) / WEIGHTS.sum(),
    )
    model = clone(fastlin.LogisticRegression().set_params(alpha=0.05, solver="newton-cd")).fit(ROWS, LABELS)
    assert repr(model) == "LogisticRegression(alpha=0.05, solver='newton-cd')"
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


@pytest.mark.parametrize("solver", ["newton-cd", "newton-cd-gram"])
def test_coordinate_descent_solver_names_reach_the_minimum(solver):
    for l1_ratio in (0.0, 0.5, 1.0):
        parameters = {"C": 0.1, "l1_ratio": l1_ratio}
        assert_same_model(fit(ROWS, LABELS, solver=solver, **parameters), fit(ROWS, LABELS, **parameters))
    with pytest.warns(ConvergenceWarning, match="^Newton solver did not converge after 1 iterations"):
        fastlin.LogisticRegression(solver=solver, l1_ratio=1.0, C=10.0, max_iter=1, tol=1e-10).fit(ROWS, LABELS)
