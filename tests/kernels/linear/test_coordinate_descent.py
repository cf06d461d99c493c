"""Coordinate descent on quadratic models, compared with their optimality conditions in NumPy."""

import itertools

import numpy as np
import pytest
import reference
from conftest import JIT_ENABLED

from fastlin.kernels.linear import coordinate_descent as kernels
from fastlin.kernels.linear.operands import Curvature
from fastlin.kernels.linear.penalties import PenaltyArrays
from fastlin.kernels.machine.threads import run_blocks

N, D = 24, 5
CLASSES = [1, 3, 4] if JIT_ENABLED else [1, 3]
MAX_SWEEPS = 3000 if JIT_ENABLED else 400
# The storage of columns: in a dense panel of a dtype, as sparse entries, or a mixture of both.
STORAGE_KINDS = ["float64", "uint8", "float32", "entries", "mixed"]
EACH_GROUPING = pytest.mark.parametrize("grouped", [False, True])
EACH_DESCENT = pytest.mark.parametrize("by", ["hessian", "columns"])


class Model:
    """A penalized quadratic model around random coefficients, with kernel operands and reference results."""

    def __init__(self, n_classes, grouped, storage="float64", fit_intercept=True):
        self.generator = generator = np.random.default_rng(0)
        self.K, self.grouped, self.bounds = n_classes, grouped, ()
        self.work = np.float32 if storage in ("uint8", "float32") else np.float64
        self._store_columns(storage)
        # The fourth feature is not penalized. The second one has only an L1 penalty. The penalty removes the third one.
        self.thresholds = np.array([0.06, 0.05, 5.0, 0.0, 0.02, 0.0])
        self.curvatures = np.array([0.1, 0.0, 0.02, 0.0, 0.01, 0.0])
        self.weights = generator.uniform(0, 2, N) / N
        scores, labels = generator.normal(size=(N, n_classes)), generator.integers(0, max(2, n_classes), N)
        _, probabilities, residuals = reference.evaluate_losses(scores, labels)
        self.probabilities = np.ascontiguousarray(probabilities.T, self.work)
        weights, p = self.weights.astype(self.work), self.probabilities
        self.curved = weights * p * (1 - p)
        self.rows = Curvature(weights, self.curved if n_classes == 1 else p)
        self.origin = generator.normal(size=(n_classes, D + 1)) * (generator.uniform(size=D + 1) < 0.5)
        rows = np.column_stack([self.columns.T, np.full(N, float(fit_intercept))])
        self.gradient = (residuals * self.weights[:, None]).T @ rows + self.curvatures * self.origin
        hessian = reference.hessian(np.column_stack([self.columns.T, np.ones(N)]), self.weights, probabilities)
        if not fit_intercept:
            hessian[D :: D + 1] = hessian[:, D :: D + 1] = 0
        self.hessian = hessian + np.diag(np.tile(self.curvatures, n_classes))

    def _store_columns(self, storage):
        """Set the columns x~, with shape (D, N), and the arrays that store them."""
        generator = self.generator
        raw = np.where(generator.uniform(size=(D, N)) < 0.5, generator.integers(1, 9, (D, N)), 0)
        scales, shifts = 2.0 ** generator.integers(-3, 0, D), generator.normal(size=D).round(3)
        whole = {"entries": np.zeros(D, bool), "mixed": np.arange(D) % 2 == 0}.get(storage, np.ones(D, bool))
        # Sparse entries are not shifted.
        shifts[~whole] = 0
        panel = raw[whole].astype("float64" if storage in ("entries", "mixed") else storage)
        positions = np.where(whole, np.cumsum(whole) - 1, -1)
        order = [generator.permutation(np.flatnonzero(row)) for row in np.where(whole[:, None], 0, raw)]
        # The types are those of sparse and dense matrices.
        starts = np.cumsum([0] + [len(rows) for rows in order]).astype(np.int32)
        indices = np.concatenate(order)
        values = raw[np.repeat(np.arange(D), np.diff(starts)), indices].astype(float)
        entry_arrays = starts, indices.astype(np.int32), values
        self.storage = panel, positions, *entry_arrays, scales.astype(self.work), shifts.astype(self.work)
        self.columns = raw * scales[:, None] + shifts[:, None]

    def value(self, point):
        """Return the value of the model, without its constant term, at a point of shape (K, D + 1)."""
        step = (point - self.origin).ravel()
        penalty = (reference.compute_magnitudes(point, self.grouped) * self.thresholds).sum()
        return step @ self.gradient.ravel() + step @ self.hessian @ step / 2 + penalty

    def slopes(self, point):
        return self.gradient + (self.hessian @ (point - self.origin).ravel()).reshape(self.K, -1)

    def violation(self, point, is_ignored_entry=False):
        """Return the largest entry of the minimum-norm subgradient of the model at a point."""
        entries = reference.min_norm_subgradient(self.slopes(point), point, self.thresholds, self.grouped)
        return np.where(is_ignored_entry, 0, entries).max()

    @property
    def penalty(self):
        roots = np.sqrt(self.curvatures[:-1])
        return PenaltyArrays(self.curvatures, self.thresholds, roots, self.grouped, *self.bounds)

    def set_bounds(self):
        """Set bounds: a positive interval, an interval around zero, a lower bound, two equal bounds, and no bounds."""
        lower, upper = np.full((2, self.K, D + 1), np.inf) * np.array([-1, 1])[:, None, None]
        lower[:, 0], upper[:, 0], lower[:, 1], upper[:, 1], lower[:, 2] = 0.1, 0.4, -0.2, 0.3, 0.0
        lower[-1, 3] = upper[-1, 3] = -0.7
        self.bounds = lower, upper
        self.origin = np.clip(self.origin, lower, upper)

    def check_minimum(self, point, tolerance):
        """Assert that a point minimizes the model within the bounds, and that some bounds are active."""
        lower, upper = self.bounds
        assert ((lower <= point) & (point <= upper)).all()
        is_at_bound = (point == lower) | (point == upper)
        assert is_at_bound[:, :3].any() and is_at_bound[-1, 3] and not is_at_bound[:, 4:].any()
        assert self.violation(point, is_ignored_entry=is_at_bound) < tolerance
        slopes = self.slopes(point) + self.thresholds * np.sign(point)
        is_nonzero_bound = is_at_bound & (lower < upper) & (point != 0)
        assert (np.where(point == lower, slopes, -slopes)[is_nonzero_bound] > -tolerance).all()
        is_zero_bound = is_at_bound & (point == 0)
        assert (
            self.slopes(point)[is_zero_bound]
            > -np.broadcast_to(self.thresholds, point.shape)[is_zero_bound] - tolerance
        ).all()


class HessianDescent:
    def __init__(self, model):
        self.model, self.point, self.slopes = model, model.origin.copy(), model.gradient.copy()

    def sweep(self, n_sweeps, should_skip_inactive=False):
        model, flat = self.model, (self.slopes.reshape(-1), self.point.reshape(-1))
        return [
            kernels.descend_by_hessian(model.hessian, flat[0], model.penalty, model.K, should_skip_inactive, flat[1])
            for _ in range(n_sweeps)
        ]


class ColumnDescent:
    """Column-wise coordinate descent from the origin of a model.

    The descent uses all coordinates, or those of a working set of shape (K, D).
    """

    def __init__(self, model, working_set=None):
        self.model = model
        # Views have different Numba types, for which kernels would be compiled again, so the arrays are copied.
        features, classes = map(np.copy, np.nonzero(np.ones((D, model.K)) if working_set is None else working_set.T))
        self.columns = kernels.WorkingColumns(*model.storage, features, classes)
        curvatures, expansion_point = np.full(len(features), np.nan), model.origin[classes, features]
        run_blocks(kernels.fill_block_curvatures, 2, self.columns, model.curved, curvatures)
        diagonal = model.hessian.diagonal().reshape(model.K, D + 1)
        expected = (diagonal - model.curvatures)[classes, features]
        tolerance = 1e-5 if model.work is np.float32 else 1e-12
        np.testing.assert_allclose(curvatures, expected, rtol=tolerance, atol=1e-15)
        gradient, intercept_gradient = model.gradient[classes, features], model.gradient[:, -1].copy()
        self.arrays = kernels.ModelArrays(
            gradient, curvatures, expansion_point, intercept_gradient, diagonal[:, -1].copy()
        )
        scores, means = np.zeros((model.K, N), model.work), np.zeros(0 if model.K == 1 else N, model.work)
        self.state = kernels.DescentState(expansion_point.copy(), np.zeros(model.K), scores, means)

    def sweep(self, n_sweeps, should_skip_inactive=False):
        arguments = self.columns, self.model.rows, self.model.penalty, self.arrays, should_skip_inactive, self.state
        return [kernels.descend_by_columns(*arguments) for _ in range(n_sweeps)]

    @property
    def point(self):
        point = self.model.origin.copy()
        point[self.columns.classes, self.columns.features] = self.state.parameters
        point[:, -1] += self.state.intercept_steps
        return point

    def compute_slope_error_bound(self):
        """Return a bound on the error of a slope due to the updated scores and N rounded additions."""
        model, state, step = self.model, self.state, self.point - self.model.origin
        exact = step[:, :-1] @ model.columns + step[:, -1:]
        exact -= (model.probabilities * exact).sum(axis=0)
        factors = model.weights * model.probabilities
        actual = factors * (state.scores - state.means) if model.K > 1 else state.scores
        score_errors = np.abs(actual - factors * exact) + (N + 8) * np.finfo(model.work).eps * np.abs(actual)
        return (score_errors @ np.abs(model.columns).T).max()


DESCENTS = {"hessian": HessianDescent, "columns": ColumnDescent}


def find_minimum(descent, decrease_tolerance, rounding):
    """Sweep until the decrease is below decrease_tolerance, and check that each sweep gives the predicted decrease."""
    model = descent.model
    for n_sweeps in [1, 2] + [10] * (MAX_SWEEPS // 10):
        value, decreases = model.value(descent.point), descent.sweep(n_sweeps)
        assert value - model.value(descent.point) >= sum(decreases) - rounding
        if decreases[-1] < decrease_tolerance:
            break
    return descent.point


@pytest.mark.parametrize(
    ("by", "storage"), [("hessian", "float64"), *(("columns", storage) for storage in STORAGE_KINDS)]
)
@EACH_GROUPING
def test_sweeps_reach_the_minimum_of_the_model(grouped, by, storage):
    for n_classes, fit_intercept in itertools.product(CLASSES, (True, False)):
        model = Model(n_classes, grouped, storage, fit_intercept)
        tolerance = 2e-5 if model.work is np.float32 else 1e-8
        descent, rounding = DESCENTS[by](model), 0.0
        assert model.violation(descent.point) > 0.05
        point = find_minimum(descent, tolerance**2 * 1e-3, tolerance / 10 if by == "columns" else 1e-14)
        if by == "columns":
            rounding = descent.compute_slope_error_bound()
            assert rounding < (1e-3 if model.work is np.float32 else 1e-11)
        else:
            np.testing.assert_allclose(descent.slopes, model.slopes(point), atol=1e-12)
        assert model.violation(point) < tolerance + rounding
        penalized = point[:, model.thresholds > 0]
        assert (penalized == 0).any() and (penalized != 0).any()
        assert fit_intercept or (point[:, -1] == model.origin[:, -1]).all()


@pytest.mark.parametrize("storage", ["float64", "entries"])
@pytest.mark.parametrize("n_classes", CLASSES)
def test_sweeps_respect_bounds(n_classes, storage):
    model = Model(n_classes, False, storage)
    model.set_bounds()
    descent, by_columns = HessianDescent(model), ColumnDescent(model)
    points = [find_minimum(by, 1e-20, 1e-14) for by in (descent, by_columns)]
    np.testing.assert_allclose(descent.slopes, model.slopes(descent.point), atol=1e-12)
    for point in points:
        model.check_minimum(point, 1e-7)
    assert model.value(points[0]) == pytest.approx(model.value(points[1]), rel=1e-12)
    # Sweeps over active coordinates do not change coordinates at a bound, regardless of the slope.
    is_at_bound, before = (descent.point == model.bounds[0]) | (descent.point == model.bounds[1]), descent.point.copy()
    descent.slopes += np.where(is_at_bound, 100.0, 0.0)
    descent.sweep(3, should_skip_inactive=True)
    np.testing.assert_array_equal(descent.point[is_at_bound], before[is_at_bound])


@pytest.mark.parametrize("storage", STORAGE_KINDS)
@EACH_GROUPING
def test_only_the_working_set_is_changed(grouped, storage):
    for n_classes in CLASSES:
        model, working_set = Model(n_classes, grouped, storage), np.ones((n_classes, D), bool)
        working_set[:, 1] = False
        if not grouped:
            working_set[0, 4] = False
        descent, tolerance = ColumnDescent(model, working_set), 2e-5 if model.work is np.float32 else 1e-8
        point = find_minimum(descent, tolerance**2 * 1e-3, tolerance / 10)
        is_outside_working_set = np.column_stack([~working_set, np.zeros(n_classes, bool)])
        np.testing.assert_array_equal(point[is_outside_working_set], model.origin[is_outside_working_set])
        assert (
            model.violation(point, is_ignored_entry=is_outside_working_set)
            < tolerance + descent.compute_slope_error_bound()
        )
        assert model.violation(point) > 1e-4


@EACH_DESCENT
@EACH_GROUPING
def test_sweeps_over_active_coordinates_keep_zeros(grouped, by):
    for n_classes, should_skip_inactive in itertools.product(CLASSES, (True, False)):
        model = Model(n_classes, grouped)
        model.origin[:, :] = 0
        model.origin[:, [0, 4]] = 0.5 * np.arange(1, n_classes + 1)[:, None]
        descent = DESCENTS[by](model)
        assert descent.sweep(1, should_skip_inactive)[0] > 0
        assert (descent.point[:, 0] != model.origin[:, 0]).any()
        # The fourth feature is not penalized. It becomes nonzero unless only active features are updated.
        assert descent.point[:, 1:4].any() == (not should_skip_inactive)


@EACH_DESCENT
@EACH_GROUPING
def test_after_a_sweep_no_shift_of_the_classes_decreases_the_penalty(grouped, by):
    model = Model(3, grouped)
    descent = DESCENTS[by](model)
    descent.sweep(1)
    for j in np.flatnonzero(model.thresholds):
        moved = descent.point[:, [j]] + [0.0, *np.linspace(-2, 2, 401)]
        sizes, squares = reference.compute_magnitudes(moved, grouped).sum(axis=0), (moved**2).sum(axis=0)
        costs = model.thresholds[j] * sizes + model.curvatures[j] / 2 * squares
        assert costs[0] <= costs.min() + 1e-14


@pytest.mark.parametrize("n_classes", CLASSES)
def test_a_coordinate_without_curvature_is_not_changed(n_classes):
    model = Model(n_classes, False)
    model.hessian[:], model.curvatures[:] = 0, 0
    descent = HessianDescent(model)
    assert descent.sweep(1) == [0]
    # The coordinate may change only by a common shift of all classes.
    np.testing.assert_allclose(descent.point - descent.point[:1], model.origin - model.origin[:1], atol=1e-14)


def test_batched_models_are_minimized():
    generator, B, n_pairs = np.random.default_rng(0), 5, 3
    hessian, curvatures = np.cov(generator.normal(size=(D, 40))), generator.uniform(0.1, 2, B)
    curved = np.cov(generator.normal(size=(D, 40))) + 0.1 * np.eye(D)
    parameter_steps = generator.normal(size=(B, n_pairs, D))
    changes = parameter_steps @ curved
    products = np.einsum("bpj,bpj->bp", parameter_steps, changes)
    # One problem has one pair fewer, and one problem has none.
    products[1, 1], products[2] = 0, 0
    penalty = generator.uniform(0, 0.2, (B, D)), np.where(generator.random((B, D)) < 0.7, 0.3, 0.0)
    slopes, start = generator.normal(size=(2, B, D))
    minimizers, positions = start.copy(), np.array([0, 1, 2, 4])
    arguments = hessian, curvatures, penalty, (parameter_steps, changes, products), 1e-13, slopes, minimizers
    run_blocks(kernels.fill_block_minimizers, 3, positions, *arguments)
    np.testing.assert_array_equal(minimizers[3], start[3])
    for b in positions:
        model = curvatures[b] * hessian + np.diag(penalty[0][b])
        for parameter_step, change in zip(
            parameter_steps[b][products[b] > 0], changes[b][products[b] > 0], strict=True
        ):
            model += np.outer(change, change) / (parameter_step @ change)
            before = model - np.outer(change, change) / (parameter_step @ change)
            model -= np.outer(before @ parameter_step, before @ parameter_step) / (
                parameter_step @ before @ parameter_step
            )
            np.testing.assert_allclose(model @ parameter_step, change, rtol=1e-10)
        gradient, thresholds = slopes[b] + model @ (minimizers[b] - start[b]), penalty[1][b]
        subgradient = np.where(minimizers[b] != 0, gradient + thresholds * np.sign(minimizers[b]), 0)
        np.testing.assert_allclose(subgradient, 0, atol=1e-6)
        assert (np.abs(gradient) <= thresholds + 1e-6)[minimizers[b] == 0].all()
    assert 0 < np.mean(minimizers[positions] == 0) < 1
