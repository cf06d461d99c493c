"""The NumPy code that fastlin is measured against: the objective by two products of BLAS, and the course's training."""

import numpy as np
from sklearn.utils import check_random_state


class NumPyObjective:
    """J of softmax regression and its gradient; every step that can work in place does.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The rows, whose type is that of the computation.
    labels : ndarray of shape (n,), int64
        The classes of the rows, from 0 to n_classes - 1.
    n_classes : int
        The number of classes.
    l2 : float
        The weight of half the sum of the squares of the coefficients.
    order : {"C", "F"}, default="C"
        The memory order of the scores (n, K). Most code is written for "C". "F" is faster by 30 % in float64 and by
        10 % in float32 on MNIST, for those who think of it.
    """

    def __init__(self, X, labels, n_classes, *, l2, order="C"):
        self._X, self._labels, self._l2 = X, labels, l2
        self._rows = np.arange(len(X))
        self._scores = np.empty((len(X), n_classes), X.dtype, order=order)

    def value_and_gradient(self, coef, intercept):
        """Return J and its gradient at coef (K, d) and intercept (K,), in the type of X."""
        n = len(self._X)
        scores = np.matmul(self._X, coef.T, out=self._scores)
        scores += intercept
        scores -= scores.max(axis=1, keepdims=True)
        loss = -scores[self._rows, self._labels].sum(dtype=np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, keepdims=True)
        loss += np.log(sums).sum(dtype=np.float64)
        scores /= sums
        scores[self._rows, self._labels] -= 1
        coef_gradient = scores.T @ self._X
        coef_gradient /= n
        coef_gradient += self._l2 * coef
        return loss / n + 0.5 * self._l2 * np.sum(coef * coef), coef_gradient, scores.sum(axis=0) / n


def train(X_train, Y_train, X_val, Y_val, *, learning_rate, batch_size, epochs, seed):
    """Train softmax regression by mini-batches as the course's code does; return w and the two histories.

    Targets are one-hot, a fifth of an epoch lies between two validations, and everything is computed in the type of
    X_train. The batches are those of fastlin's SoftmaxTrainer with the same seed.
    """
    w = np.zeros((X_train.shape[1], Y_train.shape[1]), X_train.dtype)
    train_history, val_history = ({"loss": {}, "accuracy": {}} for _ in range(2))
    steps_per_epoch = len(X_train) // batch_size
    steps_per_validation = steps_per_epoch // 5
    random_state = check_random_state(seed)
    step = 0
    for _ in range(epochs):
        order = np.arange(len(X_train))
        random_state.shuffle(order)
        for batch in range(steps_per_epoch):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            X, Y = X_train[rows], Y_train[rows]
            outputs = _forward(X, w)
            train_history["loss"][step] = _cross_entropy(Y, outputs)
            w -= learning_rate * (X.T @ (outputs - Y) / batch_size)
            if step % steps_per_validation == 0:
                val_history["loss"][step] = _cross_entropy(Y_val, _forward(X_val, w))
                train_history["accuracy"][step] = _accuracy(X_train, Y_train, w)
                val_history["accuracy"][step] = _accuracy(X_val, Y_val, w)
            step += 1
    return w, train_history, val_history


def _forward(X, w):
    outputs = X @ w
    outputs -= outputs.max(axis=1, keepdims=True)
    np.exp(outputs, out=outputs)
    outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


def _cross_entropy(targets, outputs):
    return -np.sum(targets * np.log(outputs)) / len(targets)


def _accuracy(X, targets, w):
    return np.mean(_forward(X, w).argmax(axis=1) == targets.argmax(axis=1))
