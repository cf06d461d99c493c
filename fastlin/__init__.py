"""fastlin: the fastest way to train a linear classifier in Python.

`LogisticRegression` is a drop-in for scikit-learn's; `fastlin.trainers` holds the mini-batch models and trainers of
the course assignment, `fastlin.datasets` the data they run on.
"""

from fastlin.estimators import LogisticRegression

__all__ = ["LogisticRegression", "__version__"]
__version__ = "0.1.0"
