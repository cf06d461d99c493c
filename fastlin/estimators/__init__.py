"""scikit-learn's interface over the solvers: validation, labels and C are dealt with here and nowhere below."""

from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.logistic_regression_cv import LogisticRegressionCV
from fastlin.estimators.regularization_path import RegularizationPath, logistic_path

__all__ = ["LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "RegularizationPath", "logistic_path"]


def __getattr__(name):
    # Networks need Numba as soon as they are imported, which takes 0.3 s.
    if name == "MLPClassifier":
        from fastlin.estimators.mlp_classifier import MLPClassifier

        return MLPClassifier
    raise AttributeError(f"module 'fastlin.estimators' has no attribute {name!r}")
