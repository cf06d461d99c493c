"""Estimators with scikit-learn's interface. They validate data, encode labels and convert C for the solvers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.logistic_regression_cv import LogisticRegressionCV
from fastlin.estimators.permutation_test import PermutationTest, permutation_test
from fastlin.estimators.regularization_path import RegularizationPath, logistic_path
from fastlin.estimators.stability_selection import StabilitySelection, stability_selection

if TYPE_CHECKING:
    from fastlin.estimators.bradley_terry import BradleyTerry
    from fastlin.estimators.firth_logistic_regression import FirthLogisticRegression
    from fastlin.estimators.mini_batch_logistic_regression import MiniBatchLogisticRegression
    from fastlin.estimators.mlp_classifier import MLPClassifier

__all__ = [
    "BradleyTerry",
    "FirthLogisticRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MiniBatchLogisticRegression",
    "PermutationTest",
    "RegularizationPath",
    "StabilitySelection",
    "logistic_path",
    "permutation_test",
    "stability_selection",
]

# Importing these modules imports Numba, which is slow (docs/benchmarks/design-choices.md: lazy import of Numba).
_LAZY_ATTRIBUTES = {
    "BradleyTerry": "fastlin.estimators.bradley_terry",
    "FirthLogisticRegression": "fastlin.estimators.firth_logistic_regression",
    "MLPClassifier": "fastlin.estimators.mlp_classifier",
    "MiniBatchLogisticRegression": "fastlin.estimators.mini_batch_logistic_regression",
}


# This function is hidden from type checkers, which would otherwise accept any attribute of the module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _LAZY_ATTRIBUTES:
            return getattr(import_module(_LAZY_ATTRIBUTES[name]), name)
        raise AttributeError(f"module 'fastlin.estimators' has no attribute {name!r}")
else:
    LinearEstimator: TypeAlias = LogisticRegression | LogisticRegressionCV
    TrainedEstimator: TypeAlias = MiniBatchLogisticRegression | MLPClassifier
