"""The objective in NumPy and its minimum by a plain Newton method in extended precision; nothing of fastlin is used."""

import numpy as np


def objective(X, labels, coef, intercept, l2=0.0, weights=None):
    """Return J(coef, intercept) = (1 / S) sum_i s_i l_i + (l2 / 2) ||coef||^2 in extended precision, a float."""
    coef, intercept = np.asarray(coef, np.longdouble), np.asarray(intercept, np.longdouble)
    losses, _ = _losses(np.asarray(X, np.longdouble) @ coef.T + intercept, labels)
    return float(np.average(losses, weights=weights) + l2 / 2 * np.sum(coef**2))


def minimum(X, labels, n_classes, l2, weights=None, fit_intercept=True):
    """Return the least J, a float, and the coef and intercept where it lies; l2 > 0."""
    X = np.asarray(X, np.longdouble)
    shares = np.ones(len(X), np.longdouble) if weights is None else np.asarray(weights, np.longdouble)
    shares = shares / shares.sum()
    mean = shares @ X if fit_intercept else np.zeros(X.shape[1], np.longdouble)
    unit = np.sqrt(shares @ (X - mean) ** 2 + l2)
    rows = np.column_stack([(X - mean) / unit, np.ones(len(X))])
    if not fit_intercept:
        rows[:, -1] = 0
    penalties = np.append(l2 / unit**2, 0)
    K, m = 1 if n_classes == 2 else n_classes, rows.shape[1]

    def evaluate(point):
        losses, probabilities = _losses(rows @ point.T, labels)
        return shares @ losses + np.sum(penalties * point**2) / 2, probabilities

    def newton_step(point, probabilities):
        residuals = probabilities.copy()
        if K == 1:
            residuals[:, 0] -= labels
        else:
            residuals[np.arange(len(X)), labels] -= 1
        gradient = (residuals * shares[:, None]).T @ rows + penalties * point
        p, x, s = (array.astype(float) for array in (probabilities, rows, shares))
        second = (np.eye(K) if K > 1 else 1) * p[:, :, None] - p[:, :, None] * p[:, None, :]
        hessian = np.einsum("i,ikl,ia,ib->kalb", s, second, x, x, optimize=True)
        for k in range(K):
            hessian[k, :, k, :] += np.diag(penalties.astype(float))
        if not fit_intercept:
            hessian[:, -1, :, -1] += np.eye(K)
        # Softmax does not change along equal changes of all classes.
        for j in range(m if K > 1 else 0):
            hessian[:, j, :, j] += np.trace(hessian[:, j, :, j]) / K**2
        step = -np.linalg.solve(hessian.reshape(K * m, K * m), gradient.ravel().astype(float)).reshape(K, m)
        return step, np.sum(step * gradient)

    point = np.zeros((K, m), np.longdouble)
    value, probabilities = evaluate(point)
    for _ in range(300):
        step, slope = newton_step(point, probabilities)
        length = 1.0
        while length > 1e-10:
            trial = point + length * step
            trial_value, trial_probabilities = evaluate(trial)
            if trial_value <= value + 1e-4 * length * slope:
                break
            length /= 2
        if not trial_value < value:
            break
        point, value, probabilities = trial, trial_value, trial_probabilities
    else:
        raise RuntimeError("the reference has not converged")
    assert -slope < 1e-14 * value
    coef = point[:, :-1] / unit
    return float(value), coef.astype(float), (point[:, -1] - coef @ mean).astype(float)


def _losses(scores, labels):
    """Return the losses (n,) and the probabilities (n, K) of scores (n, K)."""
    if scores.shape[1] == 1:
        signed = np.where(labels == 1, -scores[:, 0], scores[:, 0])
        return np.logaddexp(0, signed), 1 / (1 + np.exp(-scores))
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1)
    return np.log(totals) - shifted[np.arange(len(shifted)), labels], exponentials / totals[:, None]
