"""scikit-learn's classes patched beside other packages that put methods of their own around scikit-learn's."""

import functools

import pytest
from conftest import load_scaled
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import fastlin
from fastlin import patch

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


@pytest.fixture
def logs():
    """Yield what wrappers logged, and give the class its own methods back."""
    before = dict(vars(LogisticRegression))
    CALLS.clear()
    yield CALLS
    fastlin.unpatch_sklearn()
    for name in vars(LogisticRegression).keys() - before.keys() - {"__slotnames__"}:
        delattr(LogisticRegression, name)
    for name in {"fit", *patch.PREDICTIONS} & before.keys():
        setattr(LogisticRegression, name, before[name])


def is_by_fastlin():
    model = LogisticRegression().fit(*CANCER)
    assert model.predict(CANCER[0]).shape == CANCER[1].shape
    return hasattr(model, "certificate_")


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


def test_a_method_that_calls_none_of_scikit_learns_is_named(logs):
    LogisticRegression.fit = lambda self, X, y: self
    with pytest.warns(UserWarning, match="LogisticRegression.fit is that of another package") as caught:
        fastlin.patch_sklearn("LogisticRegression")
    assert caught[0].filename == __file__
    assert is_by_fastlin()
