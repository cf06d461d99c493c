"""scikit-learn's interface over the solvers: validation, labels and C are dealt with here and nowhere below."""

from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.logistic_regression_cv import LogisticRegressionCV
from fastlin.estimators.mlp_classifier import MLPClassifier
from fastlin.estimators.regularization_path import RegularizationPath, logistic_path

__all__ = ["LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "RegularizationPath", "logistic_path"]
