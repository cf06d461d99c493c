"""The objective and its minimum, computed by simple NumPy methods in extended precision, independent of fastlin.

Labels have shape (n,). Soft labels have shape (n, n_classes) and contain the probability of each class in a row.
Offsets of shape (n, K) are added to the scores.
"""

import numpy as np


def mean_loss(X, labels, coef, intercept, weights=None, offsets=0.0):
    """Return the weighted mean of the row losses, in extended precision."""
    scores = np.asarray(X, np.longdouble) @ np.asarray(coef, np.longdouble).T + np.asarray(intercept, np.longdouble)
    return np.average(evaluate_losses(scores + offsets, labels)[0], weights=weights)


def objective(X, labels, coef, intercept, l2=0.0, weights=None, *, l1=0.0, factors=1.0, group_lasso=False, offsets=0.0):
    """Return J(coef, intercept) as defined in fastlin/objective/objective.py, in extended precision."""
    coef = np.asarray(coef, np.longdouble)
    penalty = np.longdouble(l2) / 2 * np.sum(factors * coef**2)
    penalty += np.longdouble(l1) * np.sum(factors * compute_magnitudes(coef, group_lasso))
    return mean_loss(X, labels, coef, intercept, weights, offsets) + penalty


def gradient(X, labels, coef, intercept, weights=None, offsets=0.0):
    """Return the gradients of the mean loss for coef, (K, d), and for intercept, (K,), in extended precision."""
    return loss_and_gradient(X, labels, _normalize_weights(weights, len(X)), coef, intercept, offsets)[1:]


def loss_and_gradient(X, labels, weights, coef, intercept, offsets=0.0):
    """Return the loss sum_i s_i l_i, and its gradients for coef and for intercept, in extended precision."""
    X = np.asarray(X, np.longdouble)
    losses, _, residuals = evaluate_losses(X @ np.asarray(coef, np.longdouble).T + intercept + offsets, labels)
    residuals = residuals * weights[:, None]
    return weights @ losses, residuals.T @ X, residuals.sum(axis=0)


def bound_loss_rounding(magnitudes, weights, coef, intercept, eps):
    """Return bounds on the rounding errors of the results of `loss_and_gradient`, computed with unit roundoff `eps`.

    `magnitudes` bounds the entries of X, including the rounding errors of scaling. If m products are summed in any
    order, the error is at most m eps times the sum of their magnitudes (Higham 2002, section 3.1). A score is the sum
    of d products, after two operations on each x. The errors of a row's loss and residuals are at most twice the error
    of the scores. Exponentials, logarithms, quotients and differences add relative errors of at most 16 eps.
    """
    magnitudes, weights, coef = (np.asarray(array, float) for array in (magnitudes, weights, coef))
    n_classes, n_features = coef.shape
    largest = (magnitudes @ np.abs(coef).T + np.abs(intercept)).max(axis=1)
    score_error = 2 * (n_features + 4) * eps * largest
    loss = weights @ (score_error + 16 * eps * (1 + largest + np.log(n_classes + 1)))
    residual_errors = weights * (score_error + (18 + len(weights)) * eps)
    sizes = residual_errors @ magnitudes
    return loss * (1 + len(weights) * 2**-52), [sizes] * n_classes, [residual_errors.sum()] * n_classes


def hessian(X, weights, probabilities):
    """Return the float64 Hessian of sum_i s_i l_i with respect to coef, with shape (K d, K d).

    `probabilities` has shape (n, K).
    """
    x, s, p = (np.asarray(array, float) for array in (X, weights, probabilities))
    K, d = p.shape[1], x.shape[1]
    second = (np.eye(K) if K > 1 else 1) * p[:, :, None] - p[:, :, None] * p[:, None, :]
    return np.einsum("i,ikl,ia,ib->kalb", s, second, x, x, optimize=True).reshape(K * d, K * d)


def log_likelihood(coef, X, labels, weights, is_firth):
    """Return the log-likelihood and the expected information.

    `coef` has shape (R, d) and contains the coefficients of all classes except the first. With Firth's penalty, the
    log-likelihood includes half the log-determinant of the information.
    """
    losses, probabilities, _ = evaluate_losses(np.column_stack([np.zeros(len(X)), X @ coef.T]), labels)
    # The first class is the reference, so the information is that of the other scores.
    information = hessian(X, weights, probabilities[:, 1:])
    return (0.5 * np.linalg.slogdet(information)[1] if is_firth else 0.0) - weights @ losses, information


def violation(X, labels, coef, intercept, l2=0.0, weights=None, fit_intercept=True, *, offsets=0.0, **penalty):
    """Return the largest entry of the minimum-norm subgradient of J as a float. At the minimum of J, it is zero.

    The entry of a nonzero coefficient is the absolute derivative of J. The entry of a zero coefficient is
    max(|slope of the loss| - l1 f_j, 0). The grouped penalty uses the norms over the classes. `penalty` takes the
    arguments of `objective`.
    """
    coef_gradient, intercept_gradient = gradient(X, labels, coef, intercept, weights, offsets)
    coef, factors = np.asarray(coef, np.longdouble), penalty.get("factors", 1.0)
    slopes, thresholds = coef_gradient + l2 * factors * coef, penalty.get("l1", 0.0) * factors
    subgradient = min_norm_subgradient(slopes, coef, thresholds, penalty.get("group_lasso", False))
    return float(max(subgradient.max(), np.abs(intercept_gradient).max() * fit_intercept))


def compute_magnitudes(values, grouped):
    """Return the absolute values, with shape (K, d). If `grouped`, return the column norms, with shape (1, d)."""
    return np.sqrt(np.sum(values**2, axis=0, keepdims=True)) if grouped else np.abs(values)


def min_norm_subgradient(slopes, parameters, thresholds, grouped):
    """Return the sizes of the entries of the minimum-norm subgradient at the parameters, which have shape (K, d).

    `slopes` is the gradient of the smooth terms.
    """
    sizes = compute_magnitudes(parameters, grouped)
    along = thresholds * parameters / np.where(sizes > 0, sizes, 1)
    return np.where(sizes > 0, np.abs(slopes + along), np.maximum(compute_magnitudes(slopes, grouped) - thresholds, 0))


def sparse_minimum(
    X, labels, n_classes, l2, l1, weights=None, fit_intercept=True, *, factors=1.0, group_lasso=False, offsets=0.0
):
    """Return the minimum of J in extended precision, and its coef and intercept.

    Accelerated proximal gradient steps (Beck and Teboulle 2009), restarted after uphill steps (O'Donoghue and Candes
    2015), determine which coefficients are zero. Newton steps over the others converge to the rounding error of
    extended precision, and the optimality conditions are checked. This works for a few columns of any scale.
    """
    l1, l2 = np.longdouble(l1), np.longdouble(l2)
    if labels.ndim == 2:
        # If probabilities did not sum exactly to one, there would be a slope along equal changes of all classes.
        totals = labels.sum(axis=1, keepdims=True, dtype=np.longdouble)
        labels = labels / np.where(totals > 0, totals, 1)
    rows, fractions, mean, unit = _standardize(X, weights, l2 * factors, fit_intercept)
    penalties, thresholds = np.append(l2 * factors / unit**2, 0), np.append(l1 * factors / unit, 0)
    problem = rows, labels, offsets, fractions, penalties, thresholds, group_lasso
    point = np.zeros((1 if n_classes == 2 else n_classes, rows.shape[1]))
    # A smaller tolerance is used only if the optimality conditions do not hold, because other coefficients are zero.
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-10, 1e-13, 1e-15):
        point = _take_proximal_steps(point, *problem, tolerance)
        refined_point = _refine_by_newton(point, *problem)
        if refined_point is not None:
            break
    else:
        raise RuntimeError("the reference has not converged")
    value = (
        fractions @ evaluate_losses(rows @ refined_point.T + offsets, labels)[0]
        + np.sum(penalties * refined_point**2) / 2
    )
    value += np.sum(thresholds * compute_magnitudes(refined_point, group_lasso))
    coef, intercept = refined_point[:, :-1] / unit, refined_point[:, -1]
    intercept = intercept - coef @ mean if fit_intercept else 0 * intercept
    return value, coef.astype(float), intercept.astype(float)


def _normalize_weights(weights, n):
    """Return the weights (n,) as fractions of their sum, in extended precision."""
    fractions = np.ones(n, np.longdouble) if weights is None else np.asarray(weights, np.longdouble)
    return fractions / fractions.sum()


def _standardize(X, weights, curvatures, fit_intercept):
    """Return the standardized rows [(x - mean) / unit, 1], the weights with sum 1, `mean` and `unit` as longdouble."""
    X = np.asarray(X, np.longdouble)
    fractions = _normalize_weights(weights, len(X))
    mean = fractions @ X if fit_intercept else np.zeros(X.shape[1], np.longdouble)
    unit = np.sqrt(fractions @ (X - mean) ** 2 + curvatures)
    unit[unit <= 1e-15 * np.abs(mean)] = 1
    return np.column_stack([(X - mean) / unit, np.full(len(X), float(fit_intercept))]), fractions, mean, unit


def _take_proximal_steps(point, rows, labels, offsets, fractions, penalties, thresholds, group_lasso, tolerance):
    """Return the float64 parameters at which proximal gradient steps become shorter than the tolerance."""
    rows, fractions, penalties, thresholds = (
        array.astype(np.float64) for array in (rows, fractions, penalties, thresholds)
    )
    # The Hessian of a row's loss with respect to the scores is at most 1/4 for two classes, and 1/2 for more.
    max_curvature = 0.25 if len(point) == 1 else 0.5
    lipschitz_constant = (
        max_curvature * np.linalg.eigvalsh((fractions[:, None] * rows).T @ rows)[-1] * 1.001 + penalties.max()
    )
    ahead, momentum = point, 1.0
    for _ in range(100_000):
        residuals = evaluate_losses(rows @ ahead.T + offsets, labels)[2] * fractions[:, None]
        moved = ahead - (residuals.T @ rows + penalties * ahead) / lipschitz_constant
        sizes = compute_magnitudes(moved, group_lasso)
        last, point = (
            point,
            moved * np.maximum(sizes - thresholds / lipschitz_constant, 0) / np.where(sizes > 0, sizes, 1),
        )
        if np.abs(point - ahead).max() < tolerance and np.abs(point - last).max() < tolerance:
            break
        if np.sum((ahead - point) * (point - last)) > 0:
            momentum, ahead = 1.0, point
        else:
            next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead, momentum = point + (momentum - 1) / next_momentum * (point - last), next_momentum
    return point


def _refine_by_newton(point, rows, labels, offsets, fractions, penalties, thresholds, group_lasso):
    """Return the minimum in extended precision over the parameters that are not zero at `point`.

    Return None if other parameters are zero at the minimum over all parameters.
    """
    point = point.astype(np.longdouble)
    is_free = (point != 0) | (thresholds == 0)
    free = is_free.ravel()
    for _ in range(30):
        _, probabilities, residuals = evaluate_losses(rows @ point.T + offsets, labels)
        slopes_of_smooth_terms = (residuals * fractions[:, None]).T @ rows + penalties * point
        sizes = compute_magnitudes(point, group_lasso)
        along = np.where(is_free, point / np.where(sizes > 0, sizes, 1), 0)
        slopes = np.where(is_free, slopes_of_smooth_terms + thresholds * along, 0)
        if np.abs(slopes).max() < 1e-17:
            break
        hessian = _penalized_hessian(rows, fractions, probabilities, penalties)
        if group_lasso:
            for j in np.flatnonzero((thresholds > 0) & (sizes > 0)):
                direction, curvature = along[:, j].astype(float), float(thresholds[j] / sizes[0, j])
                hessian[:, j, :, j] += curvature * (np.eye(len(point)) - np.outer(direction, direction))
        # The system is solved by least squares, because softmax is flat along equal changes of all classes.
        step, block = np.zeros(point.size), hessian.reshape(point.size, point.size)[np.ix_(free, free)]
        step[free] = np.linalg.lstsq(block, -slopes.ravel()[free].astype(float), rcond=1e-13)[0]
        point = point + step.reshape(point.shape)
    else:
        return None
    if group_lasso:
        is_violated = compute_magnitudes(slopes_of_smooth_terms, True) > thresholds
        return None if (is_violated & ~is_free.all(axis=0)).any() else point
    has_changed_sign = (thresholds > 0) & is_free & (point * along < 0)
    return None if has_changed_sign.any() or (np.abs(slopes_of_smooth_terms) > thresholds)[~is_free].any() else point


def _penalized_hessian(rows, fractions, probabilities, penalties):
    """Return the float64 Hessian of the mean loss plus the penalty, with shape (K, m, K, m)."""
    K, m = probabilities.shape[1], rows.shape[1]
    whole = hessian(rows, fractions, probabilities) + np.diag(np.tile(penalties.astype(float), K))
    return whole.reshape(K, m, K, m)


def minimum(X, labels, n_classes, l2, weights=None, fit_intercept=True, offsets=0.0):
    """Return the minimum of J in extended precision, and its coef and intercept. `l2` must be positive.

    Newton steps, with a Hessian in float64 and a gradient in extended precision, stop when J no longer decreases.
    """
    l2 = np.longdouble(l2)
    rows, fractions, mean, unit = _standardize(X, weights, l2, fit_intercept)
    penalties = np.append(l2 / unit**2, 0)
    K, m = 1 if n_classes == 2 else n_classes, rows.shape[1]

    def evaluate(point):
        losses, *rest = evaluate_losses(rows @ point.T + offsets, labels)
        return fractions @ losses + np.sum(penalties * point**2) / 2, *rest

    point = np.zeros((K, m), np.longdouble)
    point[:, -1] = -np.mean(offsets * np.ones((len(rows), K)), axis=0) * fit_intercept
    point -= point.mean(axis=0) * (K > 1)
    value, probabilities, residuals = evaluate(point)
    for _ in range(300):
        gradient = (residuals * fractions[:, None]).T @ rows + penalties * point
        hessian = _penalized_hessian(rows, fractions, probabilities, penalties)
        if not fit_intercept:
            hessian[:, -1, :, -1] += np.eye(K)
        # Softmax does not change along equal changes of all classes.
        for j in range(m if K > 1 else 0):
            hessian[:, j, :, j] += np.trace(hessian[:, j, :, j]) / K**2
        step = -np.linalg.solve(hessian.reshape(K * m, K * m), gradient.ravel().astype(float)).reshape(K, m)
        slope, length = np.sum(step * gradient), 1.0
        while length > 1e-10:
            trial_value, *rest = evaluate(point + length * step)
            if trial_value <= value + 1e-4 * length * slope:
                break
            length /= 2
        if not trial_value < value:
            break
        point, value, (probabilities, residuals) = point + length * step, trial_value, rest
    else:
        raise RuntimeError("the reference has not converged")
    # Half of -slope estimates the remaining decrease of J. A sum over n rows has about n rounding errors. A score has
    # m + 2 rounding errors, which are relative to its largest term.
    largest_term = np.max(np.abs(rows) * np.abs(point).max(axis=0))
    rounding = max(4 * len(labels) * value, 2 * (m + 2) * largest_term) * np.finfo(np.longdouble).eps
    assert -slope < rounding
    coef = point[:, :-1] / unit
    return value, coef.astype(float), (point[:, -1] - coef @ mean).astype(float)


def dual_value(X, labels, coef, intercept, curvatures, thresholds, *, weights, fit_intercept, grouped, offsets, bounds):
    """Return the dual objective at a feasible point, in extended precision. It is a lower bound on the minimum of J.

    X has shape (n, d), coef has shape (K, d), and the curvatures and thresholds of the penalty have shape (d,). All are
    in the same coordinates. With an intercept, probabilities are moved between classes so that the class sums equal
    those of the labels, as described in fastlin/objective/duality.py. The result is the largest dual value between the
    labels and these probabilities. If the thresholds are zero and there are no bounds, it is the dual value at the
    probabilities. `bounds` contains the lower and the upper bounds of coef, both with shape (K, d).
    """
    X = np.asarray(X, np.longdouble)
    fractions = _normalize_weights(weights, len(X))
    scores = X @ np.asarray(coef, np.longdouble).T + np.asarray(intercept, np.longdouble)
    q = evaluate_losses(scores + offsets, labels)[1]
    if len(coef) == 1:
        q, offsets = np.column_stack([1 - q, q]), np.column_stack([0 * offsets, offsets])
    targets = _encode_targets(labels, q.shape[1])
    if fit_intercept:
        class_residuals = fractions @ (q - targets)
        transferred_probability_mass = np.maximum(class_residuals, 0)
        transferred_fractions = transferred_probability_mass / np.where(
            transferred_probability_mass > 0, fractions @ q, 1
        )
        received = np.maximum(-class_residuals, 0)
        if received.any():
            q = q * (1 - transferred_fractions) + (q @ transferred_fractions)[:, None] * (received / received.sum())
    entropy = -(fractions @ np.sum(q * np.log(np.where(q > 0, q, 1)), axis=1))
    entropy += fractions @ np.sum((q - targets) * offsets, axis=1)
    slopes = (((q - targets) * fractions[:, None]).T @ X)[-len(coef) :]
    sizes = compute_magnitudes(slopes, grouped)
    curvatures, thresholds = (np.asarray(array, np.longdouble) for array in (curvatures, thresholds))

    def evaluate_dual(step):
        if bounds is not None:
            return step * entropy - np.sum(_evaluate_conjugate(-step * slopes, curvatures, thresholds, *bounds))
        thresholded_magnitudes = np.maximum(step * sizes - thresholds, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            conjugate = np.where(thresholded_magnitudes > 0, thresholded_magnitudes**2 / (2 * curvatures), 0)
        return step * entropy - np.sum(conjugate)

    if bounds is None and not thresholds.any():
        return evaluate_dual(1)
    with np.errstate(divide="ignore"):
        low, limits = np.longdouble(0), thresholds / sizes
        if bounds is not None:
            limits = np.where(np.isinf(np.where(slopes < 0, bounds[1], bounds[0])), limits, np.inf)
        high = min(1, limits[..., curvatures == 0].min(initial=1))
    # Ternary search finds the maximum, because the dual is concave in the step.
    for _ in range(200 if bounds is None else 100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if evaluate_dual(left) < evaluate_dual(right) else (low, right)
    return max(evaluate_dual(low), evaluate_dual(high), evaluate_dual(0))


def _evaluate_conjugate(u, curvatures, thresholds, lower, upper):
    """Return the elementwise maximum of u w - curvature w^2 / 2 - threshold |w| over w within the bounds.

    If curvature is zero and w is unbounded in the direction of u, then |u| <= threshold, and the maximizer is the w
    nearest to zero.
    """
    maximum = np.full(u.shape, -np.inf, np.longdouble)
    with np.errstate(divide="ignore", invalid="ignore"):
        for w in (lower, upper, 0 * u, (u - thresholds) / curvatures, (u + thresholds) / curvatures):
            w = np.clip(np.nan_to_num(w, posinf=0, neginf=0), lower, upper)
            maximum = np.maximum(maximum, u * w - curvatures * w**2 / 2 - thresholds * np.abs(w))
    return maximum


def _encode_targets(labels, n_classes):
    return np.eye(n_classes)[np.asarray(labels, int)] if labels.ndim == 1 else labels


def evaluate_losses(scores, labels):
    """Return the losses, (n,), the probabilities, (n, K), and the residuals, (n, K). Scores have shape (n, K)."""
    K = scores.shape[1]
    targets = _encode_targets(labels, max(K, 2))
    if K == 1:
        losses = np.sum(targets * np.logaddexp(0, scores * [1, -1]), axis=1)
        probabilities = np.exp(-np.logaddexp(0, -scores))
    else:
        shifted = scores - scores.max(axis=1, keepdims=True)
        probabilities = np.exp(shifted)
        totals = probabilities.sum(axis=1)
        # The most probable class contributes one to the total. Without it, losses near zero are accurate.
        rest = np.sum(probabilities, axis=1, where=np.arange(K) != scores.argmax(axis=1)[:, None])
        losses = np.log1p(rest) - np.sum(targets * shifted, axis=1)
        probabilities = probabilities / totals[:, None]
    return losses, probabilities, probabilities - targets[:, -K:]
