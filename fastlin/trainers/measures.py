"""What the course measures of a model: loss, accuracy, the check of its gradient, and the curves of a training."""

import numpy as np

from fastlin.trainers.models import is_known


def cross_entropy_loss(targets, outputs):
    """Return the mean cross-entropy: -mean(t log p + (1 - t) log(1 - p)) or -mean over rows of sum_k t_k log p_k.

    Parameters
    ----------
    targets, outputs : ndarray of shape (N, 1) or (N, K)
        Equal shapes; outputs are probabilities. A probability of 0 at a target counts as the smallest positive
        number of its type, so that the loss stays finite.

    Returns
    -------
    float
    """
    targets, outputs = np.asarray(targets), np.asarray(outputs)
    if targets.shape != outputs.shape or targets.ndim != 2:
        raise ValueError(f"targets and outputs must both be (N, 1) or (N, K), got {targets.shape} and {outputs.shape}")
    smallest = np.finfo(np.result_type(outputs.dtype, np.float32)).tiny
    losses = targets * np.log(np.maximum(outputs, smallest))
    if targets.shape[1] == 1:
        losses = losses + (1 - targets) * np.log(np.maximum(1 - outputs, smallest))
    return -losses.sum() / targets.shape[0]


def calculate_accuracy(X, targets, model):
    """Return the part of rows whose predicted class is the target's.

    Parameters
    ----------
    X : ndarray of shape (N, pixels + 1)
    targets : ndarray of shape (N, 1) or (N, K)
    model : object with ``forward(X)``
    """
    outputs, targets = np.asarray(model.forward(X)), np.asarray(targets)
    if targets.shape != outputs.shape:
        raise ValueError(f"targets must have the shape of the model's outputs, {outputs.shape}, got {targets.shape}")
    if outputs.shape[1] == 1:
        return float(np.mean((outputs >= 0.5) == (targets >= 0.5)))
    return float(np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1)))


def gradient_approximation_test(model, X, Y):
    """Compare the model's gradient with central differences and raise AssertionError where they differ.

    (C(w + eps) - C(w - eps)) / (2 eps), eps = 1e-3, C the mean cross-entropy; each entry may differ by eps^2. A
    model with an L2 term has it added to C. The weights are the caller's again afterwards.

    Parameters
    ----------
    model : object with ``w``, ``forward``, ``backward`` and ``grad``
    X : ndarray of shape (N, pixels + 1)
    Y : ndarray of shape (N, 1) or (N, K)

    Returns
    -------
    float
        The largest absolute difference.
    """
    epsilon = 1e-3
    original = model.w
    l2 = getattr(model, "l2", 0.0)
    largest = 0.0

    def cost():
        # Of our own models from the scores: probabilities that round to 1 have no logarithm of the rest.
        if is_known(model):
            return _cross_entropy_of_scores(Y, X @ model.w)
        return cross_entropy_loss(Y, model.forward(X))

    try:
        model.w = original.astype(np.float64)
        model.backward(X, model.forward(X), Y)
        gradient = np.array(model.grad)
        for j, k in np.ndindex(*original.shape):
            costs = []
            for sign in (1, -1):
                model.w[j, k] = original[j, k] + sign * epsilon
                costs.append(cost() + 0.5 * l2 * np.sum(model.w**2))
            model.w[j, k] = original[j, k]
            difference = abs((costs[0] - costs[1]) / (2 * epsilon) - gradient[j, k])
            largest = max(largest, float(difference))
            if difference > epsilon**2:
                raise AssertionError(
                    f"The gradient of w[{j}, {k}] is {gradient[j, k]:.9g}, but central differences give "
                    f"{(costs[0] - costs[1]) / (2 * epsilon):.9g}: they differ by {difference:.3g} > {epsilon**2:.3g}"
                )
    finally:
        model.w = original
    return largest


def plot_loss(loss_dict, label=None, npoints_to_average=1, plot_variance=True):
    """Plot a history on the current matplotlib axes.

    Parameters
    ----------
    loss_dict : dict of int to float
        Global step to value.
    label : str or None
    npoints_to_average : int
        Above 1: the mean of so many successive values, and
    plot_variance : bool
        a band of one standard deviation around it.
    """
    from fastlin import figures

    figures.plot_history(loss_dict, label, npoints_to_average, plot_variance)


def _cross_entropy_of_scores(targets, scores):
    """Return the mean cross-entropy of the model's scores, exact also where a probability rounds to 0 or 1."""
    if scores.shape[1] == 1:
        return float(np.mean(targets * np.logaddexp(0, -scores) + (1 - targets) * np.logaddexp(0, scores)))
    log_totals = np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return float(np.sum(targets * (log_totals - scores)) / len(scores))
