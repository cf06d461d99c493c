"""Coordinate descent on quadratic models against their optimality conditions in NumPy."""

import itertools

import naive
import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.linear.coordinate_descent import (
    DescentState,
    ModelArrays,
    WorkingColumns,
    descend_by_columns,
    descend_by_hessian,
    fill_block_curvatures,
    fill_block_least,
)
from fastlin.kernels.linear.operands import Curvature
from fastlin.kernels.linear.penalties import PenaltyArrays
from fastlin.kernels.machine.threads import run_blocks

N, D = 24, 5
CLASSES = [1, 3, 4] if COMPILED else [1, 3]
MAX_SWEEPS = 3000 if COMPILED else 400
# How columns are kept: whole in panels of a type, as entries, or some one way and some the other.
STORAGES = ["float64", "uint8", "float32", "entries", "mixed"]


class Model:
    """A penalised quadratic model around random coefficients, with everything that a kernel takes, and its oracle."""

    def __init__(self, n_classes, grouped, storage="float64", fit_intercept=True, seed=0):
        self.generator = generator = np.random.default_rng(seed)
        self.K, self.grouped, self.bounds = n_classes, grouped, None
        self.work = np.float32 if storage in ("uint8", "float32") else np.float64
        self._keep_columns(storage)
        # The fourth feature has a factor of zero; the second is penalised by its size alone, the third left out.
        self.thresholds = np.array([0.06, 0.05, 5.0, 0.0, 0.02, 0.0])
        self.curvatures = np.array([0.1, 0.0, 0.02, 0.0, 0.01, 0.0])
        self.weights = generator.uniform(0, 2, N) / N
        scores = generator.normal(size=(N, n_classes))
        if n_classes == 1:
            p = 1 / (1 + np.exp(-scores))
            residuals = p - generator.integers(0, 2, (N, 1))
        else:
            p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            residuals = p - np.eye(n_classes)[generator.integers(0, n_classes, N)]
        self.probabilities = np.ascontiguousarray(p.T, self.work)
        self.origin = generator.normal(size=(n_classes, D + 1)) * (generator.uniform(size=D + 1) < 0.5)
        rows = np.column_stack([self.columns.T, np.full(N, float(fit_intercept))])
        self.gradient = (residuals * self.weights[:, None]).T @ rows + self.curvatures * self.origin
        hessian = np.array(naive.class_pair_hessian(self.columns.T, self.weights, p))
        if not fit_intercept:
            hessian[D :: D + 1] = hessian[:, D :: D + 1] = 0
        self.hessian = hessian + np.diag(np.tile(self.curvatures, n_classes))

    def _keep_columns(self, storage):
        """Set the columns x~ (D, N) and the arrays that they are kept in."""
        generator = self.generator
        raw = np.where(generator.uniform(size=(D, N)) < 0.5, generator.integers(1, 9, (D, N)), 0)
        scales, shifts = 2.0 ** generator.integers(-3, 0, D), generator.normal(size=D).round(3)
        whole = {"entries": np.zeros(D, bool), "mixed": np.arange(D) % 2 == 0}.get(storage, np.ones(D, bool))
        # Entries are not shifted.
        shifts[~whole] = 0
        panel = raw[whole].astype("float64" if storage in ("entries", "mixed") else storage)
        places = np.where(whole, np.cumsum(whole) - 1, -1)
        order = [
            generator.permutation(np.flatnonzero(row)) if not kept else [] for row, kept in zip(raw, whole, strict=True)
        ]
        # As sparse and dense matrices have them.
        index_dtype = np.int64 if whole.all() else np.int32
        starts = np.cumsum([0] + [len(rows) for rows in order]).astype(index_dtype)
        indices = np.concatenate(order).astype(index_dtype)
        values = np.concatenate([raw[j, rows] for j, rows in enumerate(map(np.int64, order))]).astype(float)
        of_entries = starts, indices, values
        self.kept = panel, places, *of_entries, scales.astype(self.work), shifts.astype(self.work)
        self.columns = raw * scales[:, None] + shifts[:, None]

    def value(self, point):
        """Return the model (without its constant) at a point Z (K, D + 1)."""
        step = (point - self.origin).ravel()
        sizes = np.sqrt((point**2).sum(axis=0)) if self.grouped else np.abs(point).sum(axis=0)
        return step @ self.gradient.ravel() + step @ self.hessian @ step / 2 + sizes @ self.thresholds

    def penalty_of(self, values, j):
        """Return the penalty of the coefficients (K,) of feature j."""
        size = np.sqrt((values**2).sum()) if self.grouped else np.abs(values).sum()
        return self.thresholds[j] * size + self.curvatures[j] / 2 * (values**2).sum()

    def slopes(self, point):
        """Return the gradient (K, D + 1) of the smooth model at a point."""
        return self.gradient + (self.hessian @ (point - self.origin).ravel()).reshape(self.K, -1)

    def violation(self, point, exempt=None):
        """Return how far the smallest subgradient of the model at a point is from zero, in its largest entry."""
        slopes, largest = self.slopes(point), 0.0
        for j, threshold in enumerate(self.thresholds):
            for rows in [slice(None)] if self.grouped else [slice(k, k + 1) for k in range(self.K)]:
                z, slope = point[rows, j], slopes[rows, j]
                size, steepness = np.sqrt((z**2).sum()), np.sqrt((slope**2).sum())
                if exempt is None or not exempt[rows, j].any():
                    left = slope + threshold * z / size if size > 0 else max(steepness - threshold, 0)
                    largest = max(largest, np.abs(left).max())
        return largest

    def sweeps_by_hessian(self, point, slopes, n_sweeps, only_active=False):
        """Sweep in place; return the decreases."""
        flat, flat_slopes = point.reshape(-1), slopes.reshape(-1)
        return [
            descend_by_hessian(self.hessian, flat_slopes, self.penalty, self.K, only_active, flat)
            for _ in range(n_sweeps)
        ]

    @property
    def penalty(self):
        """The penalty as the kernels take it."""
        bounds = () if self.bounds is None else self.bounds
        return PenaltyArrays(self.curvatures, self.thresholds, np.sqrt(self.curvatures[:-1]), self.grouped, *bounds)

    def confine(self):
        """Give the parameters bounds: one above zero, one on either side, one from below, one that fixes, and none."""
        lower, upper = np.full((2, self.K, D + 1), np.inf) * np.array([-1, 1])[:, None, None]
        lower[:, 0], upper[:, 0], lower[:, 1], upper[:, 1], lower[:, 2] = 0.1, 0.4, -0.2, 0.3, 0.0
        lower[-1, 3] = upper[-1, 3] = -0.7
        self.bounds = lower, upper
        self.origin = np.clip(self.origin, lower, upper)

    def check_minimum(self, point, tolerance):
        """Assert that a point lies within the bounds, some of them met, and no move within them leads further down."""
        lower, upper = self.bounds
        assert ((lower <= point) & (point <= upper)).all()
        is_held = (point == lower) | (point == upper)
        assert is_held[:, :3].any() and is_held[-1, 3] and not is_held[:, 4:].any()
        assert self.violation(point, exempt=is_held) < tolerance
        slopes = self.slopes(point) + self.thresholds * np.sign(point)
        is_open = is_held & (lower < upper) & (point != 0)
        assert (np.where(point == lower, slopes, -slopes)[is_open] > -tolerance).all()
        at_zero = is_held & (point == 0)
        assert (self.slopes(point)[at_zero] > -np.broadcast_to(self.thresholds, point.shape)[at_zero] - tolerance).all()

    def start_by_columns(self, working_set):
        """Return the columns, the model and the state of a descent over a working set (K, D)."""
        features, classes = np.nonzero(working_set.T)
        columns = WorkingColumns(*self.kept, features, classes)
        curvatures, origins = np.full(len(features), np.nan), self.origin[classes, features]
        run_blocks(fill_block_curvatures, 2, columns, self.rows, curvatures)
        of_intercepts = self.hessian.reshape(self.K, D + 1, self.K, D + 1)[:, -1, :, -1].diagonal().copy()
        gradient = self.gradient[classes, features]
        model = ModelArrays(gradient, curvatures, origins, self.gradient[:, -1].copy(), of_intercepts)
        scores, means = np.zeros((self.K, N), self.work), np.zeros(N, self.work)
        return columns, model, DescentState(origins.copy(), np.zeros(self.K), scores, means)

    @property
    def rows(self):
        """The curvature of the rows as the kernels take it."""
        return Curvature(self.weights.astype(self.work), self.probabilities)

    def sweeps_by_columns(self, descent, n_sweeps, only_active=False):
        """Sweep in place; return the decreases."""
        columns, model, state = descent
        return [
            descend_by_columns(columns, self.rows, self.penalty, model, only_active, state) for _ in range(n_sweeps)
        ]

    def slope_rounding(self, descent):
        """Return by how much a slope can be off: by the scores that were updated, and by N rounded additions."""
        state, step = descent[-1], self.point(descent) - self.origin
        exact = step[:, :-1] @ self.columns + step[:, -1:]
        exact -= (self.probabilities * exact).sum(axis=0)
        found = state.scores - state.means
        off = np.abs(found - exact) + (N + 8) * np.finfo(self.work).eps * np.abs(found)
        return ((self.weights * self.probabilities * off) @ np.abs(self.columns).T).max()

    def point(self, descent):
        """Return the point (K, D + 1) that a descent by columns has reached."""
        columns, _, state = descent
        point = self.origin.copy()
        point[columns.classes, columns.features] = state.parameters
        point[:, -1] += state.intercept_steps
        return point


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", CLASSES)
def test_sweeps_by_hessian_reach_the_minimum_of_the_model(n_classes, grouped):
    for fit_intercept in (True, False):
        model = Model(n_classes, grouped, fit_intercept=fit_intercept)
        point, slopes = model.origin.copy(), model.gradient.copy()
        before = model.value(point)
        assert model.violation(point) > 0.05
        for n_sweeps in [1, 2] + [10] * (MAX_SWEEPS // 10):
            value = model.value(point)
            decreases = model.sweeps_by_hessian(point, slopes, n_sweeps)
            # A sweep keeps its promise, but for rounding.
            assert value - model.value(point) >= sum(decreases) - 1e-14
            np.testing.assert_allclose(slopes, model.slopes(point), atol=1e-12)
            if decreases[-1] < 1e-19:
                break
        assert model.violation(point) < 1e-8
        assert model.value(point) < before
        penalised = point[:, model.thresholds > 0]
        assert (penalised == 0).any() and (penalised != 0).any()
        if not fit_intercept:
            np.testing.assert_array_equal(point[:, -1], model.origin[:, -1])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("grouped", [False, True])
def test_sweeps_by_columns_reach_the_minimum_of_the_model(grouped, storage):
    for n_classes, fit_intercept in [(1, True), (3, True), (3, False), (CLASSES[-1], True)]:
        model = Model(n_classes, grouped, storage, fit_intercept)
        tolerance = 2e-5 if model.work is np.float32 else 1e-8
        descent = model.start_by_columns(np.ones((n_classes, D), bool))
        for n_sweeps in [1, 2] + [10] * (MAX_SWEEPS // 10):
            value = model.value(model.point(descent))
            decreases = model.sweeps_by_columns(descent, n_sweeps)
            assert value - model.value(model.point(descent)) >= sum(decreases) - tolerance / 10
            if decreases[-1] < tolerance**2 * 1e-3:
                break
        point = model.point(descent)
        assert model.violation(point) < tolerance + model.slope_rounding(descent)
        assert model.slope_rounding(descent) < (1e-3 if model.work is np.float32 else 1e-11)
        penalised = point[:, model.thresholds > 0]
        assert (penalised == 0).any() and (penalised != 0).any()
        if not fit_intercept:
            assert not descent[-1].intercept_steps.any()


def test_sweeps_keep_to_bounds():
    for n_classes, storage in itertools.product(CLASSES, ("float64", "entries")):
        model = Model(n_classes, False, storage)
        model.confine()
        point, slopes = model.origin.copy(), model.gradient.copy()
        descent = model.start_by_columns(np.ones((n_classes, D), bool))
        for n_sweeps in [1] + [10] * (MAX_SWEEPS // 10):
            value = model.value(point)
            decreases = model.sweeps_by_hessian(point, slopes, n_sweeps)
            assert value - model.value(point) >= sum(decreases) - 1e-14
            if decreases[-1] + model.sweeps_by_columns(descent, n_sweeps)[-1] < 1e-20:
                break
        np.testing.assert_allclose(slopes, model.slopes(point), atol=1e-12)
        for end in (point, model.point(descent)):
            model.check_minimum(end, 1e-7)
        assert model.value(point) == pytest.approx(model.value(model.point(descent)), rel=1e-12)
        # Among the active ones what is at a bound stays, whatever its slope.
        is_held = (point == model.bounds[0]) | (point == model.bounds[1])
        slopes += np.where(is_held, 100.0, 0.0)
        before = point.copy()
        model.sweeps_by_hessian(point, slopes, 3, only_active=True)
        np.testing.assert_array_equal(point[is_held], before[is_held])


@pytest.mark.parametrize("storage", ["float64", "entries"])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_working_set_is_minimised_alone(grouped, storage):
    for n_classes in CLASSES:
        model = Model(n_classes, grouped, storage)
        working_set = np.ones((n_classes, D), bool)
        working_set[:, 1] = False
        if not grouped:
            working_set[0, 4] = False
        descent = model.start_by_columns(working_set)
        for _ in range(MAX_SWEEPS // 10):
            if model.sweeps_by_columns(descent, 10)[-1] < 1e-19:
                break
        point, outside = model.point(descent), np.column_stack([~working_set, np.zeros(n_classes, bool)])
        np.testing.assert_array_equal(point[outside], model.origin[outside])
        assert model.violation(point, exempt=outside) < 1e-8 < 1e-4 < model.violation(point)


@pytest.mark.parametrize("by", ["hessian", "columns"])
@pytest.mark.parametrize("grouped", [False, True])
def test_visits_of_the_active_leave_features_at_zero_there(grouped, by):
    for n_classes in CLASSES:
        model = Model(n_classes, grouped)
        model.origin[:, :] = 0
        model.origin[:, [0, 4]] = 0.5 * np.arange(1, n_classes + 1)[:, None]
        at_zero = ~model.origin.any(axis=0)
        at_zero[-1] = False
        for only_active in (True, False):
            if by == "hessian":
                point, slopes = model.origin.copy(), model.gradient.copy()
                decrease, *_ = model.sweeps_by_hessian(point, slopes, 1, only_active)
            else:
                descent = model.start_by_columns(np.ones((n_classes, D), bool))
                decrease, *_ = model.sweeps_by_columns(descent, 1, only_active)
                point = model.point(descent)
            assert decrease > 0
            assert (point[:, 0] != model.origin[:, 0]).any()
            # The fourth feature is not penalised and leaves zero where it may.
            assert point[:, at_zero].any() == (not only_active)


@pytest.mark.parametrize("by", ["hessian", "columns"])
@pytest.mark.parametrize("grouped", [False, True])
def test_after_a_sweep_no_shift_over_the_classes_is_left(grouped, by):
    model = Model(3, grouped)
    if by == "hessian":
        point = model.origin.copy()
        model.sweeps_by_hessian(point, model.gradient.copy(), 1)
    else:
        descent = model.start_by_columns(np.ones((3, D), bool))
        model.sweeps_by_columns(descent, 1)
        point = model.point(descent)
    for j in np.flatnonzero(model.thresholds):
        least, *moved = (model.penalty_of(point[:, j] + shift, j) for shift in [0.0, *np.linspace(-2, 2, 401)])
        assert least <= min(moved) + 1e-14


@pytest.mark.parametrize("n_classes", CLASSES)
def test_a_coordinate_without_curvature_stays(n_classes):
    model = Model(n_classes, False)
    model.hessian[:], model.curvatures[:] = 0, 0
    point, slopes = model.origin.copy(), model.gradient.copy()
    assert model.sweeps_by_hessian(point, slopes, 1) == [0]
    # Only a shift over the classes may move it.
    np.testing.assert_allclose(point - point[:1], model.origin - model.origin[:1], atol=1e-14)


@pytest.mark.parametrize("storage", STORAGES)
def test_curvatures_are_the_diagonal_of_the_hessian(storage):
    for n_classes in CLASSES:
        model = Model(n_classes, False, storage)
        descent = model.start_by_columns(np.arange(n_classes * D).reshape(n_classes, D) % 3 != 1)
        columns, found, _ = descent
        diagonal = model.hessian.diagonal().reshape(n_classes, D + 1) - model.curvatures
        tolerance = 1e-5 if model.work is np.float32 else 1e-12
        expected = diagonal[columns.classes, columns.features]
        np.testing.assert_allclose(found.curvatures, expected, rtol=tolerance, atol=1e-15)


def test_models_of_a_lot_tell_the_changes_of_their_pairs_and_end_at_their_least_points():
    generator, B, n_pairs = np.random.default_rng(0), 5, 3
    hessian, curvatures = np.cov(generator.normal(size=(D, 40))), generator.uniform(0.1, 2, B)
    bent = np.cov(generator.normal(size=(D, 40))) + 0.1 * np.eye(D)
    moves = generator.normal(size=(B, n_pairs, D))
    changes = moves @ bent
    products = np.einsum("bpj,bpj->bp", moves, changes)
    # A problem with a pair less, and one without any.
    products[1, 1], products[2] = 0, 0
    penalty = generator.uniform(0, 0.2, (B, D)), np.where(generator.random((B, D)) < 0.7, 0.3, 0.0)
    slopes, start = generator.normal(size=(2, B, D))
    least, places = start.copy(), np.array([0, 1, 2, 4])
    given = hessian, curvatures, penalty, (moves, changes, products), 1e-13, slopes, least
    run_blocks(fill_block_least, 3, places, *given)
    np.testing.assert_array_equal(least[3], start[3])
    for b in places:
        model = curvatures[b] * hessian + np.diag(penalty[0][b])
        for move, change in zip(moves[b][products[b] > 0], changes[b][products[b] > 0], strict=True):
            model += np.outer(change, change) / (move @ change)
            before = model - np.outer(change, change) / (move @ change)
            model -= np.outer(before @ move, before @ move) / (move @ before @ move)
            np.testing.assert_allclose(model @ move, change, rtol=1e-10)
        gradient, thresholds = slopes[b] + model @ (least[b] - start[b]), penalty[1][b]
        beyond = np.where(least[b] != 0, gradient + thresholds * np.sign(least[b]), 0)
        np.testing.assert_allclose(beyond, 0, atol=1e-6)
        assert (np.abs(gradient) <= thresholds + 1e-6)[least[b] == 0].all()
    assert 0 < np.mean(least[places] == 0) < 1
