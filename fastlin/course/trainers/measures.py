"""Measures of models in the course: loss, accuracy and a gradient check."""

from collections.abc import Callable, Iterable

import numpy as np

from fastlin.course.trainers.checks import get_weights
from fastlin.course.trainers.models import CourseModel, Predictor, has_fastlin_methods
from fastlin.exceptions import CourseAssertionError
from fastlin.typing import Array, FloatArray


def cross_entropy_loss(targets: Array, outputs: Array) -> float:
    """Return the mean cross-entropy of probabilities.

    For one output, the loss is -mean(t log p + (1 - t) log(1 - p)). For K outputs, it is the mean over rows of
    -sum_k t_k log p_k.

    Parameters
    ----------
    targets, outputs : ndarray of shape (N, 1) or (N, K)
        Targets t and probabilities p of the same shape. Probabilities are clipped to the smallest positive normal
        number of their dtype, so that the loss is finite.

    Returns
    -------
    loss : float

    Raises
    ------
    CourseAssertionError
        The shapes differ or are not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import cross_entropy_loss
    >>> round(float(cross_entropy_loss(np.array([[1], [0]]), np.array([[0.5], [0.5]]))), 4)
    0.6931
    """
    targets, outputs = np.asarray(targets), np.asarray(outputs)
    if targets.shape != outputs.shape or targets.ndim != 2:
        raise CourseAssertionError(
            f"targets and outputs must both be (N, 1) or (N, K), got {targets.shape} and {outputs.shape}"
        )
    smallest = np.finfo(np.result_type(outputs.dtype, np.float32)).tiny
    losses = targets * np.log(np.maximum(outputs, smallest))
    if targets.shape[1] == 1:
        losses = losses + (1 - targets) * np.log(np.maximum(1 - outputs, smallest))
    return -losses.sum() / targets.shape[0]


def calculate_accuracy(X: Array, targets: Array, model: Predictor) -> float:
    """Return the fraction of rows whose predicted class is correct.

    Parameters
    ----------
    X : ndarray of shape (N, pixels + 1)
        Inputs of the model.
    targets : ndarray of shape (N, 1) or (N, K)
        Labels 0 and 1, or one-hot targets.
    model : object with ``forward(X)``
        Model whose ``forward`` returns the probabilities, in the shape of the targets.

    Returns
    -------
    accuracy : float
        Fraction from 0 to 1.

    Raises
    ------
    CourseAssertionError
        The targets do not have the shape of the model's outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import BinaryModel, calculate_accuracy
    >>> model = BinaryModel(n_inputs=2)
    >>> model.w = np.array([[1.0], [0.0]])
    >>> float(calculate_accuracy(np.array([[3.0, 1.0], [-2.0, 1.0]]), np.array([[1], [0]]), model))
    1.0
    """
    outputs, targets = np.asarray(model.forward(X)), np.asarray(targets)
    if targets.shape != outputs.shape:
        raise CourseAssertionError(
            f"targets must have the shape of the model's outputs, {outputs.shape}, got {targets.shape}"
        )
    if outputs.shape[1] == 1:
        return float(np.mean((outputs >= 0.5) == (targets >= 0.5)))
    return float(np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1)))


def gradient_approximation_test(model: CourseModel, X: Array, Y: Array) -> float:
    """Compare the model's gradient with central differences; raise an AssertionError if they differ.

    The central differences are (C(w + eps) - C(w - eps)) / (2 eps) with eps = 1e-3, where the cost C is the mean
    cross-entropy plus the model's L2 penalty, if it has one. Each entry may differ by at most eps^2. The weights are
    restored afterwards.

    Parameters
    ----------
    model : object with ``w``, ``forward``, ``backward`` and ``grad``
        The model to check.
    X, Y : ndarray of shapes (N, pixels + 1), and (N, 1) or (N, K)
        Inputs of the model and their targets.

    Returns
    -------
    largest : float
        Largest absolute difference between the gradient and the central differences.

    Raises
    ------
    CourseAssertionError
        An entry differs by more than eps^2; the message gives its indices.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import BinaryModel, gradient_approximation_test
    >>> X, Y = np.array([[0.5, 1.0], [-0.2, 1.0]]), np.array([[1.0], [0.0]])
    >>> gradient_approximation_test(BinaryModel(n_inputs=2), X, Y) < 1e-6
    True
    """
    epsilon = 1e-3
    slopes, gradient = compute_gradient_pair(model, X, Y, epsilon)
    differences = np.abs(slopes - gradient)
    # This form of the condition also detects NaN.
    wrong_entries = np.argwhere(~(differences <= epsilon**2))
    if len(wrong_entries):
        j, k = wrong_entries[0]
        raise CourseAssertionError(
            f"The gradient of w[{j}, {k}] is {gradient[j, k]:.9g}, but central differences give {slopes[j, k]:.9g}: "
            f"they differ by {differences[j, k]:.3g} > {epsilon**2:.3g}"
        )
    return float(differences.max())


def compute_gradient_pair(model: CourseModel, X: Array, Y: Array, epsilon: float) -> tuple[FloatArray, FloatArray]:
    """Return central differences with step `epsilon`, and the model's gradient. Both have the shape of `w`.

    `w` is restored afterwards.
    """
    original_weights = get_weights(model)
    try:
        model.w = original_weights.astype(np.float64)
        model.backward(X, model.forward(X), Y)
        gradient = np.array(model.grad)
        differentiate = _differentiate_by_scores if has_fastlin_methods(model) else _differentiate_weights
        return differentiate(model, X, Y, epsilon), gradient
    finally:
        model.w = original_weights


def compute_central_differences(
    cost: Callable[[], float], w: Array, indices: Iterable[int], epsilon: float
) -> FloatArray:
    """Return the central differences of a cost with respect to the entries of `w` at flat indices.

    The entries are restored afterwards.
    """
    slopes = []
    for index in indices:
        original_entry, costs = w.flat[index], []
        for change in (epsilon, -epsilon):
            w.flat[index] = original_entry + change
            costs.append(cost())
        w.flat[index] = original_entry
        slopes.append((costs[0] - costs[1]) / (2 * epsilon))
    return np.array(slopes)


def _differentiate_weights(model, X, Y, epsilon):
    """Return the central differences of the cost with respect to w, one entry at a time."""
    w, l2 = model.w, getattr(model, "l2", 0.0)

    def cost():
        return cross_entropy_loss(Y, model.forward(X)) + 0.5 * l2 * np.sum(w**2)

    return compute_central_differences(cost, w, range(w.size), epsilon).reshape(w.shape)


def _differentiate_by_scores(model, X, Y, epsilon):
    """Return the central differences for fastlin's models.

    The differences for all rows j of w are computed at once, because w[j, k] affects only the scores of column k. The
    cost is accurate even if a probability rounds to 0 or 1.
    """
    scores, slopes = X @ model.w, np.empty(model.w.shape)
    for k in range(scores.shape[1]):
        # Compute the log-sum-exp of the other scores. With one output, the only other score is 0.
        others = np.logaddexp.reduce(np.delete(scores, k, axis=1), axis=1) if scores.shape[1] > 1 else 0.0
        costs = []
        for change in (epsilon, -epsilon):
            changed_scores = scores[:, k, np.newaxis] + change * X
            losses = np.logaddexp(np.reshape(others, (-1, 1)), changed_scores) - Y[:, k, np.newaxis] * changed_scores
            penalties = 0.5 * model.l2 * ((model.w[:, k] + change) ** 2 - model.w[:, k] ** 2)
            costs.append(losses.mean(axis=0) + penalties)
        slopes[:, k] = (costs[0] - costs[1]) / (2 * epsilon)
    return slopes
