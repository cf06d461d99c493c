"""Estimators: scikit-learn's interface over the solvers; validation, labels and C live here and nowhere below."""

from fastlin.estimators.logistic_regression import LogisticRegression

__all__ = ["LogisticRegression"]
