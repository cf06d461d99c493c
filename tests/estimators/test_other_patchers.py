"""scikit-learn's classes patched beside other packages that put methods of their own around scikit-learn's."""

import functools
import warnings

import pytest
from conftest import load_scaled
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastlin
from fastlin import patch

CLASSES = LogisticRegression, MLPClassifier
CANCER = load_scaled(load_breast_cancer)
CALLS = []


def wrap(cls, name):
    """Put a method around that of a class, as MLflow does, and return the one that the class had."""
    original = getattr(cls, name)

    @functools.wraps(original)
    def logged(self, *args, **kwargs):
        CALLS.append(name)
        return original(self, *args, **kwargs)

    setattr(cls, name, logged)
    return original


def log_fit(self, *args, **kwargs):
    """Log as a script does that keeps the original at its top level."""
    CALLS.append("fit")
    return plain_fit(self, *args, **kwargs)


plain_fit = LogisticRegression.fit


@pytest.fixture
def logs():
    """Yield what wrappers logged, and give the classes their own methods back."""
    before = [dict(vars(each)) for each in CLASSES]
    CALLS.clear()
    yield CALLS
    fastlin.unpatch_sklearn()
    for each, members in zip(CLASSES, before, strict=True):
        for name in vars(each).keys() - members.keys() - {"__slotnames__"}:
            delattr(each, name)
        for name in {"fit", *patch.PREDICTIONS} & members.keys():
            setattr(each, name, members[name])


def is_by_fastlin():
    model = LogisticRegression().fit(*CANCER)
    assert model.predict(CANCER[0]).shape == CANCER[1].shape
    return hasattr(model, "certificate_")


def test_methods_that_others_put_around_scikit_learns_are_called_around_fastlins(logs):
    LogisticRegression.fit = log_fit
    for name, names in (("fit", ["fit"]), ("predict", ["fit", "fit"]), (None, ["fit", "fit", "predict"])):
        with fastlin.patch_sklearn():
            assert is_by_fastlin()
        assert not is_by_fastlin()
        assert logs == names * 2
        logs.clear()
        if name:
            wrap(LogisticRegression, name)


def test_regressors_that_share_a_method_stay_scikit_learns(logs):
    X, y = CANCER[0][:40], CANCER[1][:40]
    wrap(MLPClassifier, "fit")
    before = patch.report()
    with fastlin.patch_sklearn("MLPClassifier"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPClassifier(hidden_layer_sizes=2, max_iter=1).fit(X, y)
        MLPRegressor(hidden_layer_sizes=2, max_iter=1).fit(X, y)
    after = patch.report()
    assert after.fastlin["MLPClassifier"] == before.fastlin["MLPClassifier"] + 1
    assert after.scikit_learn == before.scikit_learn
    assert logs == ["fit"]


def test_unpatching_takes_back_only_what_is_still_fastlins(logs):
    fastlin.patch_sklearn()
    ours, our_prediction = (wrap(LogisticRegression, name) for name in ("fit", "predict"))
    assert is_by_fastlin()
    theirs = LogisticRegression.fit
    with pytest.warns(UserWarning, match="has replaced methods of scikit-learn's LogisticRegression since") as caught:
        fastlin.unpatch_sklearn()
    assert [each.filename for each in caught] == [__file__]
    assert LogisticRegression.fit is theirs
    logs.clear()
    assert not is_by_fastlin()
    assert logs == ["fit", "predict"]
    # The other package puts back what it found, whose time is over.
    LogisticRegression.fit, LogisticRegression.predict = ours, our_prediction
    assert not is_by_fastlin()
    with fastlin.patch_sklearn():
        assert is_by_fastlin()
    assert not is_by_fastlin()


def test_a_method_that_calls_none_of_scikit_learns_is_named(logs):
    LogisticRegression.fit = lambda self, X, y: self
    with pytest.warns(UserWarning, match="LogisticRegression.fit is that of another package") as caught:
        fastlin.patch_sklearn("LogisticRegression")
    assert caught[0].filename == __file__
    assert is_by_fastlin()
