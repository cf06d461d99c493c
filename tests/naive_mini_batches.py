"""Steps of softmax regression on mini-batches in NumPy, one by one, and small data for them."""

import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale

from fastlin import MiniBatchLogisticRegression

# Of coefficients after some steps in float64.
TOLERANCE = 1e-9


def make_data(n_classes=3):
    X, y = (load_iris if n_classes == 3 else load_breast_cancer)(return_X_y=True)
    return scale(X[:, :4]), np.array(["a", "b", "c"])[y]


def make_model(**parameters):
    return MiniBatchLogisticRegression(**{"dtype": "float64", "random_state": 0, "batch_size": 40, **parameters})


def step_naively(X, y, classes, orders, model, weights=None, start=None, n_steps=None):
    """Return coefficients (K, d), intercepts (K,), the mean of both over the steps, and the loss of each epoch.

    Each class has its row; two classes have their difference.
    """
    K, d = (1 if len(classes) == 2 else len(classes)), X.shape[1]
    targets = (y[:, None] == classes).astype(float)
    weights = np.ones(len(y)) if weights is None else weights
    w = np.zeros((K, d + 1)) if start is None else start.copy()
    velocity, total, taken, losses = np.zeros_like(w), np.zeros_like(w), 0, []
    for order in orders:
        loss = 0.0
        for first in range(0, len(order), model.batch_size):
            if taken == n_steps:
                return w, total / taken, losses
            rows = order[first : first + model.batch_size]
            batch, s = np.column_stack([X[rows], np.ones(len(rows))]), weights[rows]
            scores = batch @ w.T
            scores = np.column_stack([np.zeros(len(rows)), scores]) if K == 1 else scores
            log_p = scores - logsumexp(scores, axis=1, keepdims=True)
            residuals = s[:, None] * (np.exp(log_p) - targets[rows]) / s.sum()
            slopes = residuals[:, 1:].T @ batch if K == 1 else residuals.T @ batch
            squares = (w[:, :-1] ** 2).sum()
            loss += len(rows) * (-(s[:, None] * targets[rows] * log_p).sum() / s.sum() + model.alpha / 2 * squares)
            slopes[:, :-1] += model.alpha * w[:, :-1]
            slopes[:, -1] *= model.fit_intercept
            velocity = model.momentum * velocity - model.learning_rate_init * slopes
            w = w + velocity
            total, taken = total + w, taken + 1
        losses.append(loss / len(order))
    return w, total / taken, losses


def draw_orders(n, n_epochs, seed=0):
    state, order = np.random.RandomState(seed), np.arange(n)
    for _ in range(n_epochs):
        places = np.arange(n)
        state.shuffle(places)
        order = order[places]
        yield order


def parameters_of(model):
    return np.column_stack([model.coef_, model.intercept_])
