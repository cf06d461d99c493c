"""Logistic and softmax regression by compiled kernels, to a proven minimum.

`LogisticRegression` and `LogisticRegressionCV` are drop-ins for scikit-learn's classes, and `logistic_path` fits many
values of C. `MiniBatchLogisticRegression` takes steps on mini-batches, and `MLPClassifier` and `TwoLayerNet` train
networks. `fastlin.blocks` and `fastlin.dask` fit data larger than memory, on one machine or many.
`fastlin.trainers` holds the mini-batch models and trainers of the course assignment, and `fastlin.datasets` loads the
data that they run on.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before the modules that import the same libraries.
from fastlin import dependencies as dependencies

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
    from fastlin import dask as dask
    from fastlin import datasets as datasets
    from fastlin import figures as figures
    from fastlin import inference as inference
    from fastlin import patch as patch
    from fastlin import trainers as trainers
    from fastlin.estimators import FirthLogisticRegression, MiniBatchLogisticRegression, MLPClassifier
    from fastlin.patch import patch_sklearn, unpatch_sklearn
    from fastlin.trainers import TwoLayerNet

__all__ = [
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

# These need Numba as soon as they are imported, which takes 0.3 s, or are of no use to a linear model.
_IMPORTED_LATER = {
    "FirthLogisticRegression": "fastlin.estimators",
    "MLPClassifier": "fastlin.estimators",
    "MiniBatchLogisticRegression": "fastlin.estimators",
    "TwoLayerNet": "fastlin.trainers",
    "patch_sklearn": "fastlin.patch",
    "unpatch_sklearn": "fastlin.patch",
}
_MODULES_IMPORTED_LATER = "dask", "datasets", "figures", "inference", "patch", "trainers"


# Type checkers know the names above. Of a module with this function they would take any other for one too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _IMPORTED_LATER:
            return getattr(import_module(_IMPORTED_LATER[name]), name)
        if name in _MODULES_IMPORTED_LATER:
            return import_module(f"fastlin.{name}")
        # Python sets a module as an attribute of its package when it imports the module. If a signal interrupts the
        # import of fastlin, the next import finds some modules imported already, and does not set them.
        if f"fastlin.{name}" in sys.modules:
            return sys.modules[f"fastlin.{name}"]
        raise AttributeError(f"module 'fastlin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_IMPORTED_LATER, *_MODULES_IMPORTED_LATER})
