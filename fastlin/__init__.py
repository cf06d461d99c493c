"""The fastest way to train a linear classifier in Python.

`LogisticRegression` and `LogisticRegressionCV` are drop-ins for scikit-learn's classes, and `logistic_path` fits many
values of C. `MiniBatchLogisticRegression` takes steps on mini-batches, and `MLPClassifier` and `TwoLayerNet` train
networks. `fastlin.blocks` and `fastlin.dask` fit data larger than memory, on one machine or many.
`fastlin.trainers` holds the mini-batch models and trainers of the course assignment, and `fastlin.datasets` loads the
data that they run on.
"""

from importlib import import_module

from fastlin.estimators import LogisticRegression, LogisticRegressionCV, logistic_path

__all__ = [
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MiniBatchLogisticRegression",
    "TwoLayerNet",
    "__version__",
    "logistic_path",
]
__version__ = "0.1.0"

# These need Numba as soon as they are imported, which takes 0.3 s, or are of no use to a linear model.
_IMPORTED_LATER = {
    "MLPClassifier": "fastlin.estimators",
    "MiniBatchLogisticRegression": "fastlin.estimators",
    "TwoLayerNet": "fastlin.trainers",
}
_ROOMS_IMPORTED_LATER = ("blocks", "callbacks", "dask", "datasets", "figures", "trainers")


def __getattr__(name):
    if name in _IMPORTED_LATER:
        return getattr(import_module(_IMPORTED_LATER[name]), name)
    if name in _ROOMS_IMPORTED_LATER:
        return import_module(f"fastlin.{name}")
    raise AttributeError(f"module 'fastlin' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_IMPORTED_LATER, *_ROOMS_IMPORTED_LATER})
