"""scikit-learn's interface over the solvers: validation, labels and C are dealt with here and nowhere below."""

from importlib import import_module

from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.logistic_regression_cv import LogisticRegressionCV
from fastlin.estimators.regularization_path import RegularizationPath, logistic_path

__all__ = [
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MiniBatchLogisticRegression",
    "RegularizationPath",
    "logistic_path",
]

# These need Numba as soon as they are imported, which takes 0.3 s.
_IMPORTED_LATER = {
    "MLPClassifier": "fastlin.estimators.mlp_classifier",
    "MiniBatchLogisticRegression": "fastlin.estimators.mini_batch_logistic_regression",
}


def __getattr__(name):
    if name in _IMPORTED_LATER:
        return getattr(import_module(_IMPORTED_LATER[name]), name)
    raise AttributeError(f"module 'fastlin.estimators' has no attribute {name!r}")
