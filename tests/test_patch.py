"""Patched classes of scikit-learn: which package fits, equality of the models, and removal of the patch."""

import copy
import functools
import logging
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from numbers import Real

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, load_standardized
from linear_models import assert_same_model
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

import fastlin
from fastlin import patch
from fastlin.estimators import scikit_learn

META_ESTIMATORS = BaggingClassifier, OneVsRestClassifier, MultiOutputClassifier
CLASSES = LogisticRegression, LogisticRegressionCV, *META_ESTIMATORS, MLPClassifier
# Parameters that avoid LogisticRegressionCV's warnings about defaults in this version of scikit-learn.
VERSION_CV_PARAMETERS = (
    {"l1_ratios": (0,), "use_legacy_attributes": False} if scikit_learn.SKLEARN_VERSION >= (1, 8) else {}
)
ACCURACY_CV_PARAMETERS = {"scoring": "accuracy", **VERSION_CV_PARAMETERS}
PRECISE = {"tol": 1e-10, "max_iter": 50_000}
X, Y = load_standardized(load_breast_cancer)
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(200, 5))
LABELS = (ROWS @ GENERATOR.normal(size=(5, 6)) + GENERATOR.logistic(size=(200, 6)) > 0.5).astype(int)
PROGRAM = """
import sys
from neighbor import NAME
from sklearn.linear_model import LogisticRegression
model = LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 1])
print(__name__, hasattr(model, 'certificate_'), NAME, sys.argv[1:])
"""


class ShiftedLogisticRegression(LogisticRegression):
    """A user-defined subclass with a different decision function."""

    def decision_function(self, X):
        return super().decision_function(X) + 100


class NewerLogisticRegression(LogisticRegression):
    """The class from scikit-learn's pull request 32042 for 1.10, with a different default C."""

    _parameter_constraints = {
        **LogisticRegression._parameter_constraints,
        "C": [scikit_learn.StrOptions({"deprecated"}), Real],
        "alpha": [scikit_learn.StrOptions({"1/n_samples"}), Real],
        "solver": [str],
    }

    def __init__(self, *, alpha="1/n_samples", C="deprecated", solver="lbfgs"):
        super().__init__(C=C, solver=solver)
        self.alpha = alpha


class NewerLogisticRegressionCV(LogisticRegressionCV):
    """The class from scikit-learn's pull request 32042 for 1.12."""

    _parameter_constraints = LogisticRegressionCV._parameter_constraints | {
        "Cs": ["array-like", Real, None],
        "alphas": ["array-like", Real],
    }

    def __init__(self, *, alphas=10, Cs=None):
        super().__init__(Cs=Cs, cv=3, **ACCURACY_CV_PARAMETERS)
        self.alphas = alphas


def list_class_attributes():
    # Pickle stores a cache of slot names on each class.
    return [{name: value for name, value in vars(patched).items() if name != "__slotnames__"} for patched in CLASSES]


@pytest.fixture(autouse=True)
def _restore_classes():
    before = list_class_attributes()
    yield
    fastlin.unpatch_sklearn()
    assert list_class_attributes() == before


@pytest.fixture
def count():
    """Return a function that returns the numbers of fits by fastlin and by scikit-learn since the test began.

    The function counts the fits of one class or of all classes.
    """
    before = patch.report()

    def count_fits(name=None):
        now = patch.report()
        parts = (now.fastlin, before.fastlin), (now.scikit_learn, before.scikit_learn)
        return [sum(new[key] - old[key] for key in new if name in (None, key)) for new, old in parts]

    return count_fits


def predict(model, X):
    return model.decision_function(X), model.predict_proba(X), model.predict_log_proba(X), model.predict(X)


def test_classes_are_patched_until_the_last_block_ends():
    before = list_class_attributes()
    with fastlin.patch_sklearn(), fastlin.patch_sklearn("MLPClassifier"):
        assert all(vars(patched)["fit"] is not old.get("fit") for patched, old in zip(CLASSES, before, strict=True))
        with fastlin.patch_sklearn(["LogisticRegression"]):
            pass
        model = LogisticRegression().fit(X, Y)
        assert type(model) is LogisticRegression
        assert model.certificate_ < 1e-12
        assert isinstance(ShiftedLogisticRegression().fit(X, Y), LogisticRegression)
        assert ShiftedLogisticRegression().fit(X, Y).predict(X).all()
        assert LogisticRegression.__init__ is before[0]["__init__"]
    assert list_class_attributes() == before
    for _ in range(2):
        fastlin.patch_sklearn()
    assert "LogisticRegressionCV" in repr(fastlin.patch_sklearn())
    fastlin.unpatch_sklearn("LogisticRegression")
    assert vars(LogisticRegression)["fit"] is before[0]["fit"]
    assert vars(LogisticRegressionCV)["fit"] is not before[1]["fit"]
    fastlin.unpatch_sklearn()
    for change in (fastlin.patch_sklearn, fastlin.unpatch_sklearn):
        assert_raises("names must be among 'LogisticRegression', .* got 'SVC'", change, ["SVC"])
        assert_raises("names must be among .* got 5", change, 5, error=TypeError)
    # As a context manager, the object patches again.
    again = fastlin.patch_sklearn()
    for _ in range(2):
        with again:
            assert vars(LogisticRegression)["fit"] is not before[0]["fit"]
        assert vars(LogisticRegression)["fit"] is before[0]["fit"]


def test_threads_can_patch_concurrently():
    def work(number):
        with fastlin.patch_sklearn():
            return LogisticRegression().fit(X, Y)

    with ThreadPoolExecutor(4) as pool:
        assert all(model.certificate_ < 1e-12 for model in pool.map(work, range(80)))


def test_models_equal_those_of_scikit_learn_at_the_minimum(count):
    iris = load_iris(return_X_y=True)
    cases = [
        (LogisticRegression(), X, Y),
        (LogisticRegression(class_weight="balanced", C=0.1), sparse.csr_array(X), Y),
        (LogisticRegression(fit_intercept=False, solver="newton-cg"), X, Y),
        (LogisticRegression(C=10, solver="newton-cholesky"), *iris),
        (LogisticRegression(solver="liblinear", intercept_scaling=3), X, Y),
        (LogisticRegression(solver="liblinear", dual=True, fit_intercept=False), X[:, :3], Y),
        (LogisticRegression(solver="liblinear", C=0.1), sparse.csc_matrix(X), Y),
        (LogisticRegressionCV(Cs=[0.01, 0.1], cv=3, solver="liblinear", **ACCURACY_CV_PARAMETERS), X, Y),
        (LogisticRegressionCV(Cs=[0.01, 0.1], cv=3, **ACCURACY_CV_PARAMETERS), *iris),
    ]
    if scikit_learn.SKLEARN_VERSION >= (1, 8):
        cases.append((LogisticRegression(l1_ratio=0.5, solver="saga", C=0.1), X, Y))
    for model, rows, labels in cases:
        theirs = clone(model).set_params(**PRECISE).fit(rows, labels)
        with fastlin.patch_sklearn():
            # The default tol gives the same accuracy.
            ours = model.fit(rows, labels)
            scores = predict(ours, rows)
        for name in ("coef_", "intercept_"):
            assert np.size(getattr(ours, name)) == np.size(getattr(theirs, name))
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=2e-4, atol=2e-4, err_msg=model)
        if hasattr(theirs, "C_"):
            np.testing.assert_array_equal(ours.C_, theirs.C_)
            for name in ("scores_", "coefs_paths_"):
                # Older versions store these attributes per class.
                both = [getattr(model, name) for model in (ours, theirs)]
                actual, expected = (np.stack([*array.values()]) if isinstance(array, dict) else array for array in both)
                np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-2, err_msg=model)
        attributes = theirs.__dict__.keys()
        assert attributes <= ours.__dict__.keys() <= attributes | set(patch.FASTLIN_ATTRIBUTES)
        # scikit-learn's own methods give the same predictions from the same coefficients.
        for actual, expected in zip(scores, predict(ours, rows), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)
    assert count() == [len(cases), 0]


@pytest.mark.parametrize(
    ("n_rows", "tol"), [(200, patch.MIN_RELATIVE_LOSS_DECREASE), (5_100, 1e-8)], ids=["small", "larger"]
)
def test_a_patched_fit_uses_the_default_solver_with_squared_tol(n_rows, tol):
    X, y = make_classification(n_rows, 20, n_informative=10, n_classes=3, random_state=0)
    assert (X.size > patch.SMALL_TABLE_SIZE) == (n_rows > 1000)
    expected = fastlin.LogisticRegression(tol=tol).fit(X, y)
    with fastlin.patch_sklearn():
        actual = LogisticRegression().fit(X, y)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    assert actual.n_iter_ == expected.n_iter_ and actual.certificate_ == expected.certificate_


def test_unsupported_fits_fall_back_to_scikit_learn(count, caplog):
    reasons = patch.report().reasons
    fastlin.patch_sklearn()
    model = LogisticRegression().fit(X, Y)
    with caplog.at_level(logging.INFO, "fastlin"), warnings.catch_warnings(action="ignore"):
        # Sums over the rows overflow.
        model.fit(X * 1e307, Y)
    assert not hasattr(model, "certificate_")
    [line] = caplog.messages
    assert line.startswith("LogisticRegression.fit: fallback to scikit-learn: X overflows: the values of a column")
    assert count() == [1, 1]
    [reason] = patch.report().reasons.keys() - reasons.keys()
    assert line.endswith(reason) and reason in str(patch.report())
    # If both packages raise an error, users see scikit-learn's error, and a fitted model does not change.
    model = LogisticRegression().fit(X, Y)
    for data, parameters, message in (
        ((X * np.nan, Y), {}, "Input X contains NaN"),
        ((X, Y[:-1]), {}, "inconsistent numbers of samples"),
        ((X, Y), {"C": -1}, "The 'C' parameter of LogisticRegression must be a float"),
        ((X, Y), {"tol": "1"}, "The 'tol' parameter of LogisticRegression must be a float"),
        ((X, Y), {"solver": "auto"}, "The 'solver' parameter of LogisticRegression must be a str among"),
        ((X, X[:, 0]), {}, "Unknown label type"),
        ((X[:, :0], Y), {}, "0 feature"),
        ((X, 0 * Y), {}, "at least 2 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(model).set_params(**parameters).fit(*data)
    assert_raises("unexpected keyword argument 'coef_init'", model.fit, X, Y, coef_init=model.coef_, error=TypeError)
    before = model.coef_
    with pytest.raises(ValueError, match="at least 2 classes"):
        model.fit(X[:, 1:], 0 * Y)
    assert model.coef_ is before
    assert count() == [2, 1]
    with pytest.warns(
        ConvergenceWarning, match=r"failed to converge after 1 iteration.* before it reached tol="
    ) as caught:
        model.set_params(max_iter=1).fit(X, Y)
    assert caught[0].filename == __file__
    assert_raises(None, model.fit, X, Y, error=ConvergenceWarning)


@pytest.fixture
def wrap():
    """Return a function that wraps a method of LogisticRegression, as MLflow does, and returns the original.

    The wrapper records calls. The class is restored after the test.
    """
    before = dict(vars(LogisticRegression))

    def wrap_method(name):
        original = getattr(LogisticRegression, name)

        @functools.wraps(original)
        def logged(self, *args, **kwargs):
            wrap_method.calls.append(name)
            return original(self, *args, **kwargs)

        setattr(LogisticRegression, name, logged)
        return original

    wrap_method.calls = []
    yield wrap_method
    fastlin.unpatch_sklearn()
    for name in vars(LogisticRegression).keys() - before.keys() - {"__slotnames__"}:
        delattr(LogisticRegression, name)
    for name in {"fit", *patch.PREDICTION_METHODS} & before.keys():
        setattr(LogisticRegression, name, before[name])


def is_fitted_by_fastlin():
    model = LogisticRegression().fit(X, Y)
    assert model.predict(X).shape == Y.shape
    return hasattr(model, "certificate_")


def test_unpatching_restores_only_methods_of_fastlin(wrap):
    fastlin.patch_sklearn()
    ours, our_predict = map(wrap, ("fit", "predict"))
    assert is_fitted_by_fastlin()
    theirs = LogisticRegression.fit
    with pytest.warns(UserWarning, match="has replaced methods of scikit-learn's LogisticRegression after") as caught:
        fastlin.unpatch_sklearn()
    assert [warning.filename for warning in caught] == [__file__]
    assert LogisticRegression.fit is theirs
    wrap.calls.clear()
    assert not is_fitted_by_fastlin()
    assert wrap.calls == ["fit", "predict"]
    # The other package restores fastlin's methods after the patch was removed.
    LogisticRegression.fit, LogisticRegression.predict = ours, our_predict
    assert not is_fitted_by_fastlin()


@pytest.mark.usefixtures("wrap")
def test_a_method_of_another_package_is_named():
    LogisticRegression.fit = lambda self, X, y: self
    with pytest.warns(UserWarning, match="LogisticRegression.fit has been replaced by another package") as caught:
        fastlin.patch_sklearn("LogisticRegression")
    assert caught[0].filename == __file__
    assert is_fitted_by_fastlin()


def test_clones_pickles_and_warm_starts_work_as_in_scikit_learn():
    with fastlin.patch_sklearn():
        model = clone(LogisticRegression(C=2)).fit(X, Y)
        assert model.get_params()["C"] == 2 and "group_lasso" not in model.get_params()
        pickled_model = pickle.dumps(model)
        again = LogisticRegression(C=2, warm_start=True).fit(X, Y).fit(X, Y)
        assert again.n_iter_[0] <= 1
        search = GridSearchCV(ShiftedLogisticRegression(), {"C": [0.1, 1.0]}).fit(X, Y)
        assert hasattr(search.best_estimator_, "certificate_")
    assert b"fastlin" not in pickled_model
    np.testing.assert_array_equal(pickle.loads(pickled_model).predict(X), model.predict(X))


def test_parameters_of_a_newer_scikit_learn_are_supported(count, monkeypatch):
    for kind in (NewerLogisticRegression, NewerLogisticRegressionCV):
        monkeypatch.setattr(f"sklearn.linear_model.{kind.__base__.__name__}", kind)
    with fastlin.patch_sklearn():
        models = [
            NewerLogisticRegression(alpha=0.1, solver=solver).fit(X, Y)
            for solver in ("lbfgs", "newton-cd", "newton-cd-gram")
        ]
        default, C_model = NewerLogisticRegression().fit(X, Y), NewerLogisticRegression(C=0.3).fit(X, Y)
        search, default_search = (
            NewerLogisticRegressionCV(alphas=[0.03, 1e-4]).fit(X, Y),
            NewerLogisticRegressionCV().fit(X, Y),
        )
        assert count() == [7, 0]
    for actual, C in ((default, 1.0), (C_model, 0.3), *((model, 10 / len(Y)) for model in models)):
        expected = fastlin.LogisticRegression(tol=1e-10, C=C).fit(X, Y)
        np.testing.assert_allclose(actual.coef_, expected.coef_, atol=1e-6)
    np.testing.assert_allclose(search.alphas_, [0.03, 1e-4])
    assert default_search.alphas_.shape == (10,)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_are_patched_by_name(count):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    make = MLPClassifier(hidden_layer_sizes=(10,), random_state=0, max_iter=20, n_iter_no_change=30)
    theirs = clone(make).fit(X, y)
    with fastlin.patch_sklearn("MLPClassifier"):
        ours = clone(make).fit(X, y)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
        assert ours.__dict__.keys() >= {name for name in theirs.__dict__ if not name.startswith("_")}
        clone(make).set_params(warm_start=True).fit(X, y)
    assert count() == [1, 1]
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(ours.partial_fit(X, y).loss_, theirs.partial_fit(X, y).loss_, rtol=0.05)


class NestedFitEstimator(BaseEstimator):
    """An estimator whose score is 1 if fastlin fits its model, also in a joblib process."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        return self

    def score(self, X, y):
        return float(hasattr(self.model_, "certificate_"))


@pytest.mark.thorough
def test_processes_of_joblib_are_patched_too():
    for _ in range(2):
        with fastlin.patch_sklearn():
            assert cross_val_score(NestedFitEstimator(), X, Y, n_jobs=2, cv=2).tolist() == [1, 1]
        assert cross_val_score(NestedFitEstimator(), X, Y, n_jobs=2, cv=2).tolist() == [0, 0]


@pytest.mark.thorough
def test_programs_run_patched(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "neighbor.py").write_text("NAME = 'found'", encoding="utf-8")
    for arguments in ([str(program)], ["-v", "-m", "program"]):
        command = [sys.executable, "-m", "fastlin.patch", *arguments, "-m", "--flag"]
        completed_process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert completed_process.stdout.split("\n")[0] == "__main__ True found ['-m', '--flag']"
    assert "LogisticRegression                 1                 0" in completed_process.stderr


def test_scikit_learn_fits_arrays_that_it_dispatches_on(count, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    rows, labels = map(torch.asarray, (X, Y))
    try:
        with config_context(array_api_dispatch=True), fastlin.patch_sklearn():
            model = LogisticRegression().fit(rows, labels)
            assert isinstance(model.coef_, torch.Tensor) and isinstance(model.predict(rows), torch.Tensor)
            assert count() == [0, 1]
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"scikit-learn cannot dispatch here: {error}")


@pytest.mark.parametrize("inner", [LogisticRegression(C=0.3), fastlin.LogisticRegression(C=0.3, tol=1e-10)])
@pytest.mark.parametrize("make", [OneVsRestClassifier, MultiOutputClassifier])
def test_labels_are_fitted_in_batches_into_separate_models(count, make, inner):
    expected = make(LogisticRegression(C=0.3, **PRECISE)).fit(ROWS, LABELS)
    with fastlin.patch_sklearn():
        actual = make(inner).fit(ROWS, **{"Y" if make is MultiOutputClassifier else "y": LABELS})
    assert count(make.__name__)[0] == 1
    assert {type(model) for model in actual.estimators_} == {type(inner)}
    assert len({int(model.n_iter_[0]) for model in actual.estimators_}) > 1
    assert all(model.converged_ and 0 < model.certificate_ < 1e-3 for model in actual.estimators_)
    for model, other in zip(actual.estimators_, expected.estimators_, strict=True):
        assert_same_model(model, other)
        np.testing.assert_array_equal(model.classes_, other.classes_)
        assert model.C == 0.3 and model._repr_mimebundle_()
    np.testing.assert_array_equal(actual.predict(ROWS), expected.predict(ROWS))
    assert actual.n_features_in_ == expected.n_features_in_
    np.testing.assert_array_equal(np.asarray(actual.classes_), np.asarray(expected.classes_))
    np.testing.assert_allclose(pickle.loads(pickle.dumps(actual)).predict_proba(ROWS), actual.predict_proba(ROWS))


def test_one_vs_rest_supports_tables():
    table = pd.DataFrame({"x": ROWS[:, 0], "category": pd.Categorical(np.array(["a", "b"])[LABELS[:, 5]])})
    flowers, y = load_iris(return_X_y=True, as_frame=True)
    categorical_model = fastlin.LogisticRegression(categorical_features="from_dtype", tol=1e-10)
    for inner, exact, rows, labels in (
        (LogisticRegression(), LogisticRegression(**PRECISE), flowers, y.map(str)),
        (categorical_model, categorical_model, table, LABELS[:, :3]),
    ):
        expected = OneVsRestClassifier(exact).fit(rows, labels)
        with fastlin.patch_sklearn():
            actual = OneVsRestClassifier(inner).fit(rows, labels)
        assert actual.classes_.tolist() == expected.classes_.tolist()
        assert actual.feature_names_in_.tolist() == expected.feature_names_in_.tolist()
        np.testing.assert_allclose(actual.predict_proba(rows), expected.predict_proba(rows), atol=1e-4)


def test_unsupported_meta_estimator_fits_use_the_loop_of_scikit_learn(count):
    with fastlin.patch_sklearn():
        for options in ({"solver": "liblinear"}, {"warm_start": True}, {"class_weight": {1: 4}}):
            model = MultiOutputClassifier(LogisticRegression(**options)).fit(ROWS, 1 + LABELS)
        expected = LogisticRegression(class_weight={1: 4}).fit(ROWS, 1 + LABELS[:, 0])
        np.testing.assert_allclose(model.estimators_[0].coef_, expected.coef_, atol=1e-6)
        multiclass_model = MultiOutputClassifier(LogisticRegression()).fit(ROWS, LABELS + np.arange(200)[:, None] % 2)
        OneVsRestClassifier(GaussianNB()).fit(ROWS, LABELS)
    assert len(multiclass_model.estimators_) == 6
    assert count("OneVsRestClassifier")[0] == count("MultiOutputClassifier")[0] == 0
    # fastlin still runs the fits for each label.
    assert count("LogisticRegression")[0] >= 6 + 6


def test_constant_or_weighted_labels_match_scikit_learn(count):
    weights = np.arange(200.0)

    def fit(inner):
        with pytest.warns(UserWarning, match="is present in all training examples"):
            constant = OneVsRestClassifier(inner).fit(ROWS, np.column_stack([LABELS, np.ones(200, int)]))
        alone = OneVsRestClassifier(inner).fit(ROWS, LABELS[:, 0])
        return constant, alone, MultiOutputClassifier(inner).fit(ROWS, LABELS, weights)

    expected = fit(LogisticRegression(**PRECISE))
    with fastlin.patch_sklearn():
        actual = fit(LogisticRegression())
    assert (count("OneVsRestClassifier")[0], count("MultiOutputClassifier")[0]) == (2, 1)
    for model, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(model.predict_proba(ROWS), other.predict_proba(ROWS), atol=1e-5)


@pytest.mark.parametrize("seed", [3, np.random.RandomState(3)], ids=["number", "generator"])
def test_bagging_draws_the_samples_of_scikit_learn(count, seed):
    y, three = np.array(["no", "yes"])[LABELS[:, 0]], np.arange(200) % 3

    def fit(inner, labels, **options):
        return BaggingClassifier(inner, 8, random_state=copy.deepcopy(seed), **options).fit(ROWS, labels)

    expected = [fit(LogisticRegression(**PRECISE), labels) for labels in (y, three)]
    with fastlin.patch_sklearn():
        actual = fit(LogisticRegression(), y)
        assert count("BaggingClassifier")[0] == 1
        # scikit-learn's loop runs fits with three classes and fits to fewer columns.
        three_class_model = fit(LogisticRegression(), three)
        assert fit(LogisticRegression(), y, max_features=0.5).estimators_features_[0].shape == (2,)
        assert count("BaggingClassifier")[0] == 1
    for model, other in zip((actual, three_class_model), expected, strict=True):
        np.testing.assert_array_equal(model.estimators_samples_, other.estimators_samples_)
        np.testing.assert_allclose(model.predict_proba(ROWS), other.predict_proba(ROWS), atol=1e-5)
        assert model.estimators_[1].random_state == other.estimators_[1].random_state
    assert actual.classes_.tolist() == ["no", "yes"]
    assert type(actual.estimator_) is LogisticRegression
    np.testing.assert_allclose(pickle.loads(pickle.dumps(actual)).predict_proba(ROWS), actual.predict_proba(ROWS))
