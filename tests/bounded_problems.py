"""Random problems with bounds, offsets and large numbers, their objective in NumPy, and the least that SciPy finds.

Nothing of fastlin is used. Coefficients are split into positive and negative parts, so that a penalty by size is
linear, and all that SciPy's L-BFGS-B has to know of it and of the bounds are bounds.
"""

from dataclasses import dataclass, field

import numpy as np
from reference import losses_of
from scipy.optimize import minimize

TYPES = [np.float64, np.float64, np.float32, np.int8, np.int16, np.int32, np.uint8]


@dataclass(frozen=True)
class Problem:
    """Rows X (n, d), labels or probabilities of the classes, weights and offset, and an estimator's parameters."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    offset: np.ndarray | None
    parameters: dict = field(repr=False)

    def evaluate(self, positive, negative, intercept):
        """Return J at coef = positive - negative (K, d) and intercept (K,), and its slopes by these three."""
        X, n = self.X.astype(np.float64), len(self.X)
        weights = np.ones(n) if self.weights is None else self.weights
        shares = weights / weights.sum()
        strength = np.broadcast_to(self.parameters["penalty_factors"], X.shape[1]) / (
            self.parameters["C"] * weights.sum()
        )
        l1, l2 = self.parameters["l1_ratio"] * strength, (1 - self.parameters["l1_ratio"]) * strength
        coef = positive - negative
        scores = X @ coef.T + intercept + (0 if self.offset is None else self.offset)
        losses, _, residuals = losses_of(scores, self.y)
        residuals = residuals * shares[:, None]
        slopes = residuals.T @ X + l2 * coef
        value = shares @ losses + np.sum(l2 * coef**2) / 2 + np.sum(l1 * (positive + negative))
        return value, (slopes + l1, l1 - slopes, residuals.sum(axis=0) * self.parameters["fit_intercept"])

    def value(self, coef, intercept):
        coef = coef.astype(np.float64)
        return self.evaluate(np.maximum(coef, 0), np.maximum(-coef, 0), intercept.astype(np.float64))[0]

    def least(self, *starts):
        """Return the least J that L-BFGS-B finds from zero, and from starts (coef, intercept) within the bounds."""
        shape = 1 if self.parameters["K"] == 2 else self.parameters["K"], self.X.shape[1]
        lower, upper = (np.broadcast_to(self.parameters[name], shape) for name in ("lower_bounds", "upper_bounds"))
        # Columns are scaled by their root mean square, and what an intercept has in common is left in it.
        X = self.X.astype(np.float64)
        scale = np.sqrt(np.mean(X**2, axis=0))
        scale = np.where(scale > 0, scale, 1.0)
        free, size = np.full(shape[0], np.inf), shape[0] * shape[1]

        def join(positive, negative, intercept):
            return np.concatenate([positive.ravel(), negative.ravel(), intercept]).astype(np.float64)

        lows = join(np.maximum(lower, 0) * scale, np.maximum(-upper, 0) * scale, -free)
        highs = join(np.maximum(upper, 0) * scale, np.maximum(-lower, 0) * scale, free)

        def evaluate(point):
            positive, negative = point[: 2 * size].reshape(2, *shape) / scale
            value, slopes = self.evaluate(positive, negative, point[2 * size :])
            return value, join(slopes[0] / scale, slopes[1] / scale, slopes[2])

        options = {"maxiter": 300, "maxfun": 300, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 20}
        found = []
        for coef, intercept in [(np.zeros(shape), np.zeros(shape[0])), *starts]:
            point = join(np.maximum(coef, 0) * scale, np.maximum(-coef, 0) * scale, intercept)
            point, bounds = np.clip(point, lows, highs), list(zip(lows, highs, strict=True))
            found.append(evaluate(point)[0])
            found.append(minimize(evaluate, point, jac=True, bounds=bounds, method="L-BFGS-B", options=options).fun)
        return min(found)


def draw(seed, types=TYPES):
    generator = np.random.default_rng(seed)
    chance = generator.uniform
    n_classes, n = int(generator.choice([2, 3, 4, 5, 8, 12])), int(np.exp(chance(np.log(2), np.log(81))))
    n, d = max(n, n_classes), int(np.exp(chance(0, np.log(61))))
    K, kind = 1 if n_classes == 2 else n_classes, types[generator.integers(len(types))]
    X = generator.normal(size=(n, d)) * 10 ** chance(-1, 3, size=d if chance() < 0.5 else 1)
    if chance() < 0.3:
        X += generator.normal(size=d) * X.std(axis=0) * 10 ** chance(0, 1.5)
    if kind not in (np.float64, np.float32) or chance() < 0.4:
        limits = np.iinfo(kind) if kind not in (np.float64, np.float32) else np.iinfo(np.int16)
        X = np.clip(np.round(X), limits.min, limits.max)
    X = X.astype(kind)
    y = generator.permutation(np.arange(n) % n_classes)
    if chance() < 0.3:
        y = np.append(np.arange(n_classes), generator.integers(n_classes, size=n - n_classes))
    if chance() < 0.15:
        y = generator.dirichlet(np.full(n_classes, 0.3), size=n)
    weights = generator.choice([generator.uniform(0.1, 3, n), generator.integers(1, 4, n)]) if chance() < 0.3 else None
    offset = 10 ** chance(0, 3) * generator.normal(size=(n, K)) if chance() < 0.4 else None
    lower, upper = np.full((K, d), -np.inf), np.full((K, d), np.inf)
    if chance() < 0.8:
        size, part = 10 ** chance(-3, 1), chance(0.1, 0.9)
        first, second = np.round(generator.normal(size=(2, K, d)) * size, 3)
        lower = np.where(chance(size=(K, d)) < part, np.minimum(first, second), -np.inf)
        upper = np.where(chance(size=(K, d)) < part, np.maximum(first, second), np.inf)
        fixed = chance(size=(K, d)) < chance(0, 0.5) ** 2
        lower, upper = np.where(fixed, first, lower), np.where(fixed, first, upper)
        if chance() < 0.4:
            lower = np.where(first > 0, np.minimum(lower, 0), lower)
            upper = np.where(first > 0, np.maximum(upper, 0), upper)
    factors = np.ones(d)
    if chance() < 0.3:
        factors = generator.choice([0.0, 0.5, 1.0, 10.0], size=d)
    parameters = {
        "K": n_classes,
        "C": np.inf if chance() < 0.15 else 10 ** chance(-3, 3),
        "l1_ratio": float(generator.choice([0.0, 0.0, 0.5, 1.0, 1.0])),
        "penalty_factors": factors,
        "lower_bounds": lower,
        "upper_bounds": upper,
        "fit_intercept": chance() < 0.7,
        "solver": str(generator.choice(["auto", "auto", "auto", "lbfgs", "newton-cg"])),
        "tol": 10 ** chance(-6, -4),
    }
    return Problem(X, y, weights, offset, parameters)
