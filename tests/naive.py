"""An independent oracle: the formulas of docs/derivations.md, row by row. It imports nothing of fastlin."""

import math

import numpy as np


def loss_and_gradient(X, labels, weights, coef, intercept):
    """Return sum_i s_i l_i and its derivatives by coef and intercept; one row of coef is the logistic loss."""
    X, weights, coef = (np.asarray(array, float) for array in (X, weights, coef))
    of_rows = [
        logistic(scores[0], label) if len(scores) == 1 else softmax(list(scores), label)
        for scores, label in zip((X @ coef.T + intercept).tolist(), labels, strict=True)
    ]
    losses, residuals = zip(*of_rows, strict=True)
    residuals = np.array(residuals) * weights[:, None]
    return weights @ losses, residuals.T @ X, residuals.sum(axis=0)


def rounding_of_loss_and_gradient(magnitudes, weights, coef, intercept, eps):
    """Return bounds of what rounding changes in the three results of loss_and_gradient, computed with a unit of eps.

    magnitudes bound the entries of X, and what rounding made of them while they were scaled. A sum of m products is
    wrong by at most m eps times the sum of their magnitudes (Higham 2002, section 3.1), in any order of the additions.
    A score is such a sum of d products, after two operations on each x. The loss of a row moves by at most twice the
    error of its scores and a residual by at most as much; the exponential, the logarithm, quotients and differences
    add at most 16 eps of their size.
    """
    magnitudes, weights, coef = (np.asarray(array, float) for array in (magnitudes, weights, coef))
    n_classes, n_features = coef.shape
    largest = (magnitudes @ np.abs(coef).T + np.abs(intercept)).max(axis=1)
    of_scores = 2 * (n_features + 4) * eps * largest
    loss = weights @ (of_scores + 16 * eps * (1 + largest + math.log(n_classes + 1)))
    of_residuals = weights * (of_scores + (18 + len(weights)) * eps)
    sizes = of_residuals @ magnitudes
    return loss * (1 + len(weights) * 2**-52), [sizes] * n_classes, [of_residuals.sum()] * n_classes


def logistic(score, label):
    """Return -log p(label) and [p(1) - label], p(1) = 1 / (1 + exp(-score))."""
    if score >= 0:
        probability = 1 / (1 + math.exp(-score))
        loss = math.log1p(math.exp(-score)) + (0 if label == 1 else score)
    else:
        probability = math.exp(score) / (1 + math.exp(score))
        loss = math.log1p(math.exp(score)) - (score if label == 1 else 0)
    return loss, [probability - label]


def softmax(scores, label):
    """Return -log p(label) and p - one_hot(label), p_k = exp(s_k) / sum exp(s)."""
    largest = max(scores)
    exponentials = [math.exp(score - largest) for score in scores]
    total = sum(exponentials)
    residuals = [e / total - (k == label) for k, e in enumerate(exponentials)]
    return math.log(total) - (scores[label] - largest), residuals


def train(X, targets, w, learning_rate, batches, l2=0.0, momentum=0.0):
    """Take a step per batch of row numbers; return the weights and the mean loss of each batch before its step.

    targets are labels (one output: 0 or 1); w (d, K) has a row per input; l2 w is added to the gradient.
    """
    w, velocity, losses = np.array(w, float), np.zeros(np.shape(w)), []
    for batch in map(list, batches):
        labels, shares = np.asarray(targets)[batch], np.full(len(batch), 1 / len(batch))
        loss, gradient, _ = loss_and_gradient(np.asarray(X)[batch], labels, shares, w.T, 0.0)
        losses.append(loss)
        velocity = momentum * velocity + gradient.T + l2 * w
        w = w - learning_rate * velocity
    return w, losses


def hessian_product(X, weights, probabilities, direction, intercept_direction):
    """Return sum_i s_i H_i v by coef and intercept, H_i the derivative of the residuals; probabilities as rows."""
    X, weights, p = (np.asarray(array, float) for array in (X, weights, probabilities))
    t = X @ np.transpose(direction) + intercept_direction
    slopes = weights[:, None] * p * (t - np.sum(p * t, axis=1, keepdims=True))
    return slopes.T @ X, slopes.sum(axis=0)


def weighted_gram(X, weights):
    """Return sum_i s_i [x_i, 1][x_i, 1]'."""
    rows = np.column_stack([X, np.ones(len(X))])
    return (rows.T * weights) @ rows


def class_pair_hessian(X, weights, probabilities):
    """Return sum_i s_i (diag(p) - p p') x [x_i, 1][x_i, 1]', one class: s_i p (1 - p) [x_i, 1][x_i, 1]'."""
    p = np.asarray(probabilities, float)
    rows = range(p.shape[1])
    return np.block([[weighted_gram(X, weights * p[:, k] * ((k == m) - p[:, m])) for m in rows] for k in rows])
