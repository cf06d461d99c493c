"""Steps of softmax regression on mini-batches in NumPy, one by one, and small data for them."""

import numpy as np
import reference
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


def step_naively(X, y, classes, orders, model, weights=None, n_steps=None):
    """Return coefficients (K, d), intercepts (K,), the mean of both over the steps, and the loss of each epoch.

    Each class has its row; two classes have their difference.
    """
    K, d = (1 if len(classes) == 2 else len(classes)), X.shape[1]
    labels = np.searchsorted(classes, y)
    weights = np.ones(len(y)) if weights is None else weights
    w = np.zeros((K, d + 1))
    velocity, total, taken, losses = np.zeros_like(w), np.zeros_like(w), 0, []
    for order in orders:
        loss = 0.0
        for first in range(0, len(order), model.batch_size):
            if taken == n_steps:
                return w, total / taken, losses
            rows = order[first : first + model.batch_size]
            given = X[rows], labels[rows], w[:, :-1], w[:, -1]
            loss += len(rows) * reference.objective(*given, model.alpha, weights[rows])
            by_coef, by_intercept = reference.gradient(*given, weights[rows])
            slopes = np.column_stack([by_coef + model.alpha * w[:, :-1], by_intercept * model.fit_intercept])
            velocity = model.momentum * velocity - model.learning_rate_init * slopes
            w = w + velocity
            total, taken = total + w, taken + 1
        losses.append(loss / len(order))
    return w, total / taken, losses


def draw_orders(n, n_epochs):
    state, order = np.random.RandomState(0), np.arange(n)
    for _ in range(n_epochs):
        places = np.arange(n)
        state.shuffle(places)
        order = order[places]
        yield order


def parameters_of(model):
    return np.column_stack([model.coef_, model.intercept_])
