"""Interleaved asv benchmarks of two commits. They only use the public API, so they can also time releases."""

from functools import partial

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import fastlin


def _simulate_rows(n, d, n_classes, dtype="float64"):
    generator = np.random.default_rng(0)
    X = generator.standard_normal((n, d))
    scores = X @ generator.standard_normal((d, n_classes)) / np.sqrt(d) + generator.gumbel(size=(n, n_classes))
    return X.astype(dtype), scores.argmax(axis=1)


def _simulate_uint8_rows(n, d, n_classes):
    X, y = _simulate_rows(n, d, n_classes)
    return (64 * X + 128).clip(0, 255).astype(np.uint8), y


def _simulate_sparse_rows(n, d, n_classes):
    X = sparse.random_array((n, d), density=50 / d, format="csr", rng=np.random.default_rng(0))
    return X, _simulate_rows(n, 20, n_classes)[1]


def _load_dataset(dataset_loader):
    X, y = dataset_loader(return_X_y=True)
    return X / X.max(axis=0).clip(1), y


def _fit(X, y, **parameters):
    fastlin.LogisticRegression(**parameters).fit(X, y)


def _train(X, y, estimator):
    getattr(fastlin, estimator)(random_state=0).partial_fit(X, y, classes=np.unique(y))


def _predict(X, y):
    return fastlin.LogisticRegression().fit(X[:1_000], y[:1_000]).predict_proba(X)


CASES = {
    "iris": (partial(_load_dataset, load_iris), _fit),
    "digits": (partial(_load_dataset, load_digits), _fit),
    "breast cancer, L1": (partial(_load_dataset, load_breast_cancer), partial(_fit, l1_ratio=1.0, C=0.1)),
    "5,000 x 20, 2 classes": (partial(_simulate_rows, 5_000, 20, 2), _fit),
    "200,000 x 30, 2 classes, float32": (partial(_simulate_rows, 200_000, 30, 2, "float32"), _fit),
    "20,000 x 100, 10 classes": (partial(_simulate_rows, 20_000, 100, 10), _fit),
    "10,000 x 784, 10 classes, bytes": (partial(_simulate_uint8_rows, 10_000, 784, 10), partial(_fit, C=1e-4)),
    "20,000 x 5,000, 4 classes, sparse": (partial(_simulate_sparse_rows, 20_000, 5_000, 4), _fit),
    "a prediction of 100,000 rows": (partial(_simulate_rows, 100_000, 50, 5), _predict),
    "an epoch of mini-batches": (
        partial(_load_dataset, load_digits),
        partial(_train, estimator="MiniBatchLogisticRegression"),
    ),
    "an epoch of a network": (partial(_load_dataset, load_digits), partial(_train, estimator="MLPClassifier")),
}


class History:
    """Times of calls to the public API."""

    params = list(CASES)
    param_names = ("case",)
    timeout = 120
    # The processes of both commits are interleaved.
    rounds = 4
    repeat = (3, 10, 1.0)
    warmup_time = 0.1

    def setup(self, case):
        load, self.call = CASES[case]
        self.rows = load()
        self.call(*self.rows)

    def time_call(self, case):
        self.call(*self.rows)
