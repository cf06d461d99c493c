"""The objective in NumPy and its minimum by plain methods in extended precision; nothing of fastlin is used."""

import numpy as np


def objective(X, labels, coef, intercept, l2=0.0, weights=None, *, l1=0.0, factors=1.0, group_by_class=False):
    """Return J(coef, intercept) as fastlin/objective.py states it, computed in extended precision, a float."""
    coef, intercept = np.asarray(coef, np.longdouble), np.asarray(intercept, np.longdouble)
    losses, _ = _losses(np.asarray(X, np.longdouble) @ coef.T + intercept, labels)
    sizes = np.sqrt(np.sum(coef**2, axis=0)) if group_by_class else np.sum(np.abs(coef), axis=0)
    penalty = l2 / 2 * np.sum(factors * coef**2) + l1 * np.sum(factors * sizes)
    return float(np.average(losses, weights=weights) + penalty)


def gradient(X, labels, coef, intercept, weights=None):
    """Return the derivatives (K, d) and (K,) of the mean loss by coef and intercept, in extended precision."""
    X = np.asarray(X, np.longdouble)
    shares = np.ones(len(X), np.longdouble) if weights is None else np.asarray(weights, np.longdouble)
    _, residuals = _losses(X @ np.asarray(coef, np.longdouble).T + intercept, labels)
    residuals = _subtract_targets(residuals, labels) * (shares / shares.sum())[:, None]
    return residuals.T @ X, residuals.sum(axis=0)


def violation(
    X, labels, coef, intercept, l2=0.0, weights=None, fit_intercept=True, *, l1=0.0, factors=1.0, group_by_class=False
):
    """Return the largest entry of the smallest subgradient of J by coef and intercept, a float: zero at the minimum.

    At a coefficient that is not zero that is the derivative with the penalty's; at zero, what the slope of the loss
    has beyond l1 f_j. Grouped, the same of the norms over the classes.
    """
    by_coef, by_intercept = gradient(X, labels, coef, intercept, weights)
    coef, thresholds = np.asarray(coef, np.longdouble), l1 * factors * np.ones(np.shape(coef)[1])
    by_coef = by_coef + l2 * factors * coef
    rows = [slice(None)] if group_by_class else [slice(k, k + 1) for k in range(len(coef))]
    found = [np.abs(by_intercept).max() if fit_intercept else 0.0]
    for j, threshold in enumerate(thresholds):
        for k in rows:
            w, slope = coef[k, j], by_coef[k, j]
            if w.any():
                found.append(np.abs(slope + threshold * w / np.sqrt(np.sum(w**2))).max())
            else:
                found.append(max(np.sqrt(np.sum(slope**2)) - threshold, 0))
    return float(max(found))


def sparse_minimum(
    X, labels, n_classes, l2, l1, weights=None, fit_intercept=True, *, factors=1.0, group_by_class=False
):
    """Return the least J, a float, and the coef and intercept where it lies, by accelerated proximal gradient steps.

    Beck and Teboulle 2009, restarted where a step goes uphill (O'Donoghue and Candes 2015). For columns of any scale,
    but few of them: the steps are many.
    """
    X = np.asarray(X, np.longdouble)
    shares = np.ones(len(X), np.longdouble) if weights is None else np.asarray(weights, np.longdouble)
    shares = shares / shares.sum()
    mean = shares @ X if fit_intercept else np.zeros(X.shape[1], np.longdouble)
    unit = np.sqrt(shares @ (X - mean) ** 2 + l2 * factors)
    unit[unit <= 1e-15 * np.abs(mean)] = 1
    rows = np.column_stack([(X - mean) / unit, np.full(len(X), float(fit_intercept))])
    penalties, thresholds = np.append(l2 * factors / unit**2, 0), np.append(l1 * factors / unit, 0)
    K = 1 if n_classes == 2 else n_classes
    gram = ((shares[:, None] * rows).T @ rows).astype(float)
    # The second derivative of a row's loss by its scores is at most 1/4, for more classes 1/2.
    steepness = (0.25 if K == 1 else 0.5) * np.linalg.eigvalsh(gram)[-1] * 1.001 + penalties.max()

    def step_from(point):
        _, residuals = _losses(rows @ point.T, labels)
        residuals = _subtract_targets(residuals, labels) * shares[:, None]
        moved = point - (residuals.T @ rows + penalties * point) / steepness
        sizes = np.sqrt(np.sum(moved**2, axis=0)) if group_by_class else np.abs(moved)
        kept = np.maximum(sizes - thresholds / steepness, 0) / np.where(sizes > 0, sizes, 1)
        return moved * kept

    point = ahead = np.zeros((K, rows.shape[1]), np.longdouble)
    momentum = 1.0
    for _ in range(100_000):
        last, point = point, step_from(ahead)
        if np.abs(point - ahead).max() < 1e-15 and np.abs(point - last).max() < 1e-15:
            break
        if np.sum((ahead - point) * (point - last)) > 0:
            momentum, ahead = 1.0, point
        else:
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead, momentum = point + (momentum - 1) / following * (point - last), following
    else:
        raise RuntimeError("the reference has not converged")
    coef = point[:, :-1] / unit
    intercept = point[:, -1] - coef @ mean if fit_intercept else np.zeros(K)
    options = {"l1": l1, "factors": factors, "group_by_class": group_by_class}
    value = objective(X, labels, coef, intercept, l2, weights, **options)
    return value, coef.astype(float), intercept.astype(float)


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
        residuals = _subtract_targets(probabilities, labels)
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
        return np.logaddexp(0, signed), np.exp(-np.logaddexp(0, -scores))
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1)
    return np.log(totals) - shifted[np.arange(len(shifted)), labels], exponentials / totals[:, None]


def _subtract_targets(probabilities, labels):
    """Return the probabilities (n, K) less one at the label's class."""
    residuals = probabilities.copy()
    if residuals.shape[1] == 1:
        residuals[:, 0] -= labels
    else:
        residuals[np.arange(len(labels)), labels] -= 1
    return residuals
