"""The fastest way to train a linear classifier in Python.

`LogisticRegression` and `LogisticRegressionCV` are drop-ins for scikit-learn's classes, and `logistic_path` fits many
values of C. `MLPClassifier` and `TwoLayerNet` train networks. `fastlin.trainers` holds the mini-batch models and
trainers of the course assignment, and `fastlin.datasets` loads the data that they run on.
"""

from fastlin.estimators import LogisticRegression, LogisticRegressionCV, MLPClassifier, logistic_path
from fastlin.trainers import TwoLayerNet

__all__ = ["LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "TwoLayerNet", "__version__", "logistic_path"]
__version__ = "0.1.0"
