"""Compiles what the estimators and trainers need, by fitting a little data of each type."""

import warnings
from functools import partial

import numpy as np
from scipy import sparse

from fastlin import trainers
from fastlin.estimators import LogisticRegression, MLPClassifier


def lay_out(X, layout):
    """Return X with rows (C) or columns (F) that are each one piece of memory, or (A) as a part of a wider array."""
    return np.concatenate([X, X[:, :1]], axis=1)[:, :-1] if layout == "A" else np.asarray(X, order=layout)


def fit_small(dtype, layout):
    """Fit and predict on a few rows of a type and layout, by every solver."""
    X, y = lay_out((np.arange(400).reshape(200, 2) % 7).astype(dtype), layout), np.arange(200) % 3
    for solver in ("auto", "lbfgs", "newton-cg"):
        LogisticRegression(solver=solver, max_iter=2, tol=1).fit(X, y).predict(X)


def fit_large(dtype, layout):
    """Fit so many rows of a type and layout that the fit begins in float32."""
    X = lay_out(np.random.default_rng(0).integers(0, 8, (5_000, 400)).astype(dtype), layout)
    with warnings.catch_warnings():
        # Three iterations compile everything; that the fit has not converged then does not matter.
        warnings.simplefilter("ignore")
        for solver in ("auto", "newton-cg"):
            LogisticRegression(solver=solver, max_iter=3).fit(X, np.arange(len(X)) % 10).predict(X)


def fit_sparse(dtype):
    """Fit and predict on a few sparse rows of a type, with two classes and with three."""
    X, y = sparse.csr_array((np.arange(400).reshape(200, 2) % 7).astype(dtype)), np.arange(200) % 3
    for labels in (y, y > 0):
        for solver in ("auto", "lbfgs", "newton-cg"):
            LogisticRegression(solver=solver, max_iter=2, tol=1).fit(X, labels).predict(X)


def fit_l1(dtype, n_features):
    """Fit with an L1 penalty, dense and sparse; few features are fitted by the whole Hessian, many by columns."""
    X, y = (np.arange(40 * n_features).reshape(40, n_features) % 7).astype(dtype), np.arange(40) % 3
    for rows in (X, sparse.csr_array(X)):
        LogisticRegression(l1_ratio=1, C=0.1, tol=1).fit(rows, y)


def fit_network(dtype, network_dtype):
    """Train a network of one type on a few dense and sparse rows of another, and predict with it."""
    X, y = (np.arange(40).reshape(20, 2) % 7).astype(dtype), np.arange(20) % 3
    network = MLPClassifier(3, batch_norm="both", dropout=0.1, dtype=network_dtype, max_iter=1, n_iter_no_change=np.inf)
    for rows in (X, sparse.csr_array(X)):
        network.fit(rows, y, X_val=rows, y_val=y).predict(rows)


def train_model(dtype):
    """Train and validate a model of the course on a few rows of a type."""
    X, Y = np.ones((8, 3), dtype), np.tile([[0], [1]], (4, 1))
    trainers.LogisticTrainer(trainers.BinaryModel(3), 0.1, 4, False, X, Y, X, Y, progress=False).train(1)


# Data frames come in the layout F, and slices of columns, as scikit-learn's digits are one, in the layout A.
LAYOUTS = {"float64": "CFA", "float32": "CF", "uint8": "C"}

STEPS = {
    **{f"small fits, {t}, {layout}": partial(fit_small, t, layout) for t in LAYOUTS for layout in LAYOUTS[t]},
    **{f"large fits, {t}, {layout}": partial(fit_large, t, layout) for t in LAYOUTS for layout in LAYOUTS[t]},
    **{f"sparse fits, {dtype}": partial(fit_sparse, dtype) for dtype in ("float64", "float32")},
    **{f"L1, {d} features, {t}": partial(fit_l1, t, d) for d in (2, 300) for t in ("float64", "float32", "uint8")},
    **{
        f"networks of {network_dtype}, {dtype}": partial(fit_network, dtype, network_dtype)
        for network_dtype in ("float32", "float64")
        for dtype in ("float32", "float64", "uint8")
    },
    **{f"trainers, {dtype}": partial(train_model, dtype) for dtype in ("float64", "float32")},
}
