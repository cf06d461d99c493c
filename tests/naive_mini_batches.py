"""Mini-batch steps of softmax regression in plain NumPy, and small data sets."""

import numpy as np
import reference
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale

from fastlin import MiniBatchLogisticRegression
from fastlin.kernels.networks.minibatches import MomentumRule

# Tolerance for coefficients after some float64 steps.
TOLERANCE = 1e-9


def make_data(n_classes=3):
    X, y = (load_iris if n_classes == 3 else load_breast_cancer)(return_X_y=True)
    return scale(X[:, :4]), np.array(["a", "b", "c"])[y]


def make_model(**parameters):
    return MiniBatchLogisticRegression(**{"dtype": "float64", "random_state": 0, "batch_size": 40, **parameters})


def take_steps(X, labels, weights, batches, start, rule):
    """Return the final parameters and velocities, the metrics of each step, and the averaged parameters.

    Parameters and velocities have shape (d + 1, K). The metrics of a step are the mean loss, the sum of the squared
    coefficients, the weight of correct rows and the total weight.
    """
    w, v = (array.copy() for array in start)
    measured, steps = [], []
    for batch in batches:
        arguments, s = (X[batch], labels[batch], w[:-1].T, w[-1]), weights[batch]
        if not s.any():
            measured.append((0, 0, 0, 0))
            continue
        scores = X[batch] @ w[:-1] + w[-1]
        is_correct = (scores.argmax(axis=1) if w.shape[1] > 1 else scores[:, 0] >= 0) == labels[batch]
        measured.append((reference.mean_loss(*arguments, s), (w[:-1] ** 2).sum(), s @ is_correct, s.sum()))
        coef_gradient, intercept_gradient = reference.gradient(*arguments, s)
        g = np.vstack([coef_gradient.T + rule.l2 * w[:-1], intercept_gradient * rule.has_intercept]).astype(float)
        v = rule.momentum * v + rule.gradient_factor * g
        w = w - rule.velocity_factor * v
        steps.append(w)
    return w, v, np.array(measured, float).T, np.mean(steps, axis=0)


def train_naively(X, y, classes, orders, model, weights=None, n_steps=None):
    """Return the final parameters, their mean over the steps, and the loss of each full epoch.

    Parameters have shape (K, d + 1). Their last column contains the intercepts.
    """
    starts = range(0, len(y), model.batch_size)
    batches = [order[begin : begin + model.batch_size] for order in orders for begin in starts][:n_steps]
    start = np.zeros((2, X.shape[1] + 1, 1 if len(classes) == 2 else len(classes)))
    rule = MomentumRule(model.learning_rate_init, 1.0, model.momentum, model.alpha, model.fit_intercept)
    weights = np.ones(len(y)) if weights is None else weights
    w, _, measured, mean = take_steps(X, np.searchsorted(classes, y), weights, batches, start, rule)
    losses = [len(batch) for batch in batches] * (measured[0] + model.alpha / 2 * measured[1]) / len(y)
    n_epochs, n_batches = len(losses) // len(starts), len(starts)
    return w.T, mean.T, losses[: n_epochs * n_batches].reshape(n_epochs, n_batches).sum(axis=1)


def generate_row_orders(n, n_epochs):
    state, order = np.random.RandomState(0), np.arange(n)
    for _ in range(n_epochs):
        permutation = np.arange(n)
        state.shuffle(permutation)
        order = order[permutation]
        yield order


def stack_parameters(model):
    return np.column_stack([model.coef_, model.intercept_])
