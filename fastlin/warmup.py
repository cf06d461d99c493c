"""Compiles what the estimators and trainers need, by fitting each type of data once on a few rows."""

from functools import partial

import numpy as np

from fastlin import trainers
from fastlin.estimators import LogisticRegression


def fit_estimator(dtype):
    """Fit and predict on a few rows of the type."""
    X = (np.arange(24).reshape(12, 2) % 5).astype(dtype)
    LogisticRegression(max_iter=5, tol=1).fit(X, np.arange(12) % 3).predict(X)


def train_model(dtype):
    """Train and validate on a few rows of the type."""
    X, Y = np.ones((8, 3), dtype), np.tile([[0], [1]], (4, 1))
    trainers.LogisticTrainer(trainers.BinaryModel(3), 0.1, 4, False, X, Y, X, Y, progress=False).train(1)


STEPS = {
    **{f"estimators, {dtype}": partial(fit_estimator, dtype) for dtype in ("float64", "float32", "uint8")},
    **{f"trainers, {dtype}": partial(train_model, dtype) for dtype in ("float64", "float32")},
}
