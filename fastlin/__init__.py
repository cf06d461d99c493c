"""Fast logistic and softmax regression with compiled kernels and certified optima.

`LogisticRegression` and `LogisticRegressionCV` are drop-in replacements for scikit-learn's classes, and `logistic_path`
fits models for many values of C. `MiniBatchLogisticRegression` is trained with mini-batches. `MLPClassifier` and
`TwoLayerNet` are neural networks. `fastlin.blocks` and `fastlin.dask` support data larger than memory, on one machine
or a cluster. `fastlin.benchmarking` compares any estimators at equal accuracy. `fastlin.trainers` contains the
mini-batch models and trainers of the course assignment, and `fastlin.datasets` loads data sets.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

# This import precedes the modules that import the same libraries.
from fastlin.environment import dependencies as dependencies

# isort: split
from fastlin import blocks as blocks
from fastlin import callbacks as callbacks
from fastlin import exceptions as exceptions
from fastlin import typing as typing
from fastlin.estimators import (
    LogisticRegression,
    LogisticRegressionCV,
    logistic_path,
    permutation_test,
    stability_selection,
)

if TYPE_CHECKING:
    from fastlin import benchmarking as benchmarking
    from fastlin import dask as dask
    from fastlin import datasets as datasets
    from fastlin import figures as figures
    from fastlin import inference as inference
    from fastlin import patch as patch
    from fastlin import trainers as trainers
    from fastlin.estimators import BradleyTerry, FirthLogisticRegression, MiniBatchLogisticRegression, MLPClassifier
    from fastlin.patch import patch_sklearn, unpatch_sklearn
    from fastlin.trainers import TwoLayerNet

__all__ = [
    "BradleyTerry",
    "FirthLogisticRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MiniBatchLogisticRegression",
    "TwoLayerNet",
    "__version__",
    "logistic_path",
    "patch_sklearn",
    "permutation_test",
    "stability_selection",
    "unpatch_sklearn",
]
__version__ = "0.1.0"

# These attributes are imported lazily, because they import Numba, which is slow, or linear models do not need them.
_LAZY_ATTRIBUTES = {
    "BradleyTerry": "fastlin.estimators",
    "FirthLogisticRegression": "fastlin.estimators",
    "MLPClassifier": "fastlin.estimators",
    "MiniBatchLogisticRegression": "fastlin.estimators",
    "TwoLayerNet": "fastlin.trainers",
    "patch_sklearn": "fastlin.patch",
    "unpatch_sklearn": "fastlin.patch",
}
_LAZY_MODULES = "benchmarking", "dask", "datasets", "figures", "inference", "patch", "trainers"


# This function is hidden from type checkers, which would otherwise accept any attribute of the module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _LAZY_ATTRIBUTES:
            return getattr(import_module(_LAZY_ATTRIBUTES[name]), name)
        if name in _LAZY_MODULES:
            return import_module(f"fastlin.{name}")
        # When Python imports a module, it sets the module as an attribute of the package. If a signal interrupts the
        # import of fastlin, the next import finds some modules already imported and does not set these attributes.
        if f"fastlin.{name}" in sys.modules:
            return sys.modules[f"fastlin.{name}"]
        raise AttributeError(f"module 'fastlin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_ATTRIBUTES, *_LAZY_MODULES})
