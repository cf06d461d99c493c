"""scikit-learn's interface over the solvers: validation, labels and C are dealt with here and nowhere below."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from fastlin.estimators.folds import RegularizationPath, logistic_path
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.logistic_regression_cv import LogisticRegressionCV
from fastlin.estimators.permutation_test import PermutationTest, permutation_test
from fastlin.estimators.stability_selection import StabilitySelection, stability_selection

if TYPE_CHECKING:
    from fastlin.estimators.firth_logistic_regression import FirthLogisticRegression
    from fastlin.estimators.mini_batch_logistic_regression import MiniBatchLogisticRegression
    from fastlin.estimators.mlp_classifier import MLPClassifier

__all__ = [
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

# These need Numba as soon as they are imported, which takes 0.3 s.
_LAZY_ATTRIBUTES = {
    "FirthLogisticRegression": "fastlin.estimators.firth_logistic_regression",
    "MLPClassifier": "fastlin.estimators.mlp_classifier",
    "MiniBatchLogisticRegression": "fastlin.estimators.mini_batch_logistic_regression",
}


# Type checkers know the names above. Of a module with this function they would take any other for one too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _LAZY_ATTRIBUTES:
            return getattr(import_module(_LAZY_ATTRIBUTES[name]), name)
        raise AttributeError(f"module 'fastlin.estimators' has no attribute {name!r}")
else:
    LinearEstimator: TypeAlias = LogisticRegression | LogisticRegressionCV
    TrainedEstimator: TypeAlias = MiniBatchLogisticRegression | MLPClassifier
