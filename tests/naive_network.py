"""An independent reference for networks: the formulas of fastlin/networks/network.py, without importing fastlin."""

import numpy as np
import reference
from scipy import special

BATCH_NORM_EPSILON = 1e-5
ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": special.expit,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "tanh": np.tanh,
}
ACTIVATION_DERIVATIVES = {
    "identity": np.ones_like,
    "logistic": lambda z: special.expit(z) * special.expit(-z),
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "tanh": lambda z: np.cosh(z) ** -2.0,
}


def hash_integer(x):
    """Return C. Wellons's lowbias32 hash of an integer below 2^32."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def make_dropout_factors(n, width, dropout, seed, first_row=0):
    """Return the dropout factors of n rows, with shape (n, width). A factor is 0 or 1 / (1 - dropout)."""
    keep = 1 - dropout
    indices = [[(first_row + i) * width + j for j in range(width)] for i in range(n)]
    return np.array(
        [[(hash_integer(hash_integer(index) ^ seed) < int(keep * 2**32)) / keep for index in row] for row in indices]
    )


def normalize(z):
    """Return z normalized by the means and variances of the batch."""
    return (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + BATCH_NORM_EPSILON)


def backpropagate_normalization(z, slopes):
    """Return the gradient with respect to z. `slopes` is the gradient with respect to the normalized z.

    The result is computed with the full Jacobian of each column.
    """
    n = len(z)
    x, deviations = normalize(z), np.sqrt(z.var(axis=0) + BATCH_NORM_EPSILON)
    z_gradient = np.empty_like(slopes)
    for j in range(z.shape[1]):
        derivatives = (np.eye(n) - 1 / n - np.outer(x[:, j], x[:, j]) / n) / deviations[j]
        z_gradient[:, j] = derivatives.T @ slopes[:, j]
    return z_gradient


def loss_and_gradient(
    X, labels, weights, coefs, intercepts, scales=(), *, activation="relu", normalize_input=False, dropout=0.0, seed=0
):
    """Return the loss of a batch, and lists of its float64 gradients for coefs, for intercepts and for scales."""
    coefs, intercepts, scales = ([np.asarray(p, float) for p in group] for group in (coefs, intercepts, scales))
    weights = np.ones(len(labels)) if weights is None else weights
    a = [normalize(np.asarray(X, float)) if normalize_input else np.asarray(X, float)]
    z, inner, dropout_factors = [], [], []
    for layer, (coef, intercept) in enumerate(zip(coefs[:-1], intercepts[:-1], strict=True)):
        z.append(a[-1] @ coef)
        inner.append((scales[layer] * normalize(z[-1]) if scales else z[-1]) + intercept)
        # Each layer, counting from 1, has its own seed.
        layer_seed = (seed + (layer + 1) * 0x9E3779B9) % 2**32
        dropout_factors.append(make_dropout_factors(*inner[-1].shape, dropout, layer_seed) if dropout else 1.0)
        a.append(dropout_factors[-1] * ACTIVATIONS[activation](inner[-1]))
    scores = a[-1] @ coefs[-1] + intercepts[-1]
    losses, _, residuals = reference.evaluate_losses(scores, labels)
    fractions = np.asarray(weights, float) / np.sum(weights)
    loss, slopes = fractions @ losses, fractions[:, np.newaxis] * residuals
    coef_gradients, intercept_gradients, scale_gradients = [a[-1].T @ slopes], [slopes.sum(axis=0)], []
    for layer in reversed(range(len(inner))):
        slopes = slopes @ coefs[layer + 1].T * dropout_factors[layer] * ACTIVATION_DERIVATIVES[activation](inner[layer])
        intercept_gradients.insert(0, slopes.sum(axis=0))
        if scales:
            scale_gradients.insert(0, (slopes * normalize(z[layer])).sum(axis=0))
            slopes = backpropagate_normalization(z[layer], slopes * scales[layer])
        coef_gradients.insert(0, a[layer].T @ slopes)
    return loss, coef_gradients, intercept_gradients, scale_gradients


def predict(X, coefs, intercepts, scales=(), *, activation="relu", input_statistics=None, hidden_statistics=()):
    """Return the class probabilities with shape (n, K), or those of class 1, (n, 1). Use running statistics."""

    def normalize_with_statistics(values, statistics):
        mean, variance = statistics
        return (values - mean) / np.sqrt(variance + BATCH_NORM_EPSILON)

    a = np.asarray(X, float)
    if input_statistics is not None:
        a = normalize_with_statistics(a, input_statistics)
    for layer, (coef, intercept) in enumerate(zip(coefs[:-1], intercepts[:-1], strict=True)):
        z = a @ coef.astype(float)
        if len(scales):
            z = scales[layer] * normalize_with_statistics(z, hidden_statistics[layer])
        a = ACTIVATIONS[activation](z + intercept)
    scores = a @ coefs[-1].astype(float) + intercepts[-1]
    return special.expit(scores) if scores.shape[1] == 1 else special.softmax(scores, axis=1)
