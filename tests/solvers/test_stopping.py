"""The stopping rules."""

from types import SimpleNamespace

import numpy as np
import pytest
from objectives import build_objective, evaluate, find_reference_minimum, make_objective, replace_budget

from fastlin.solvers import choose
from fastlin.solvers.solution import (
    AT_ROUNDING_LIMIT,
    CONVERGED,
    MAX_ITER_REACHED,
    SEPARABLE_CLASSES,
    STALLED,
    STOPPED_BY_CALLBACK,
)
from fastlin.solvers.stopping import (
    GAP_RELAXATION_FACTOR,
    N_RECENT_ITERATIONS,
    VALUE_EPS,
    Stopping,
)


def find_minimum(objective):
    """Return the minimum of J and its parameters."""
    minimum, *best = find_reference_minimum(objective)
    return minimum, objective.coordinates.to_parameters(*best)


def find_improved_point(objective):
    """Return the `Point` halfway from the null model to the minimum. Its improvement is less than half of J."""
    return objective.at(0.5 * (find_minimum(objective)[1] + objective.start()))


def make_float32_point(value, largest_subgradient_entry):
    """Return a stand-in for a float32 point with the attributes that the rules use."""
    return SimpleNamespace(
        value=value, squares=0.0, largest_subgradient_entry=largest_subgradient_entry, precision=np.float32
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_allowed_gap_is_relative_to_the_improvement_or_objective(n_classes):
    objective, _ = make_objective(40, 3, n_classes, l2=0.05)
    stopping, point = Stopping(objective, 1e-3, "suboptimality", 100), find_improved_point(objective)
    gain = -sum(fraction * np.log(fraction) for fraction in objective.class_weights.tolist()) - point.value
    assert 0 < gain < point.value
    assert stopping.allowed_gap(point) == pytest.approx(1e-3 * gain, rel=1e-9)
    assert stopping.allowed_gap(point, 1e-5) == pytest.approx(1e-5 * gain, rel=1e-9)
    # At the start there is no improvement, so the allowed gap is almost zero.
    start = objective.at(objective.start())
    assert stopping.allowed_gap(start) < 1e-27 < stopping.update_bounds(start)
    assert stopping.allowed_gap(make_float32_point(0.1, 1.0)) == 1e-3 * 0.1
    # `objective_floor` replaces a smaller objective.
    for smallest, factor, is_criterion_met in [(0.0, 0.9, False), (0.01, 0.9, True), (0.01, 1.1, False)]:
        stopping = Stopping(objective, 1e-4, "suboptimality", 1000, objective_floor=smallest)
        assert (
            stopping.is_criterion_met(make_float32_point(1e-9, 1.0), factor * 1e-4 * 0.01, np.inf) == is_criterion_met
        )


def test_the_quadratic_penalty_replaces_an_improvement_hidden_by_rounding():
    objective, _ = make_objective(40, 3, 2, l2=1e14)
    solution = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=100)
    point, start = objective.at(solution.parameters), objective.at(objective.start())
    # J decreases by less than the last digit of J, and the gradient's gap certifies half of the digits.
    assert 0 < point.squares < 1e-16 * point.value
    assert point.squares == pytest.approx(start.stationary_gap, rel=1e-6)
    assert solution.converged and point.stationary_gap <= 1e-6 * point.squares


def test_the_best_point_in_float64_is_the_solution():
    objective, parameters = make_objective(40, 3, 3, l2=0.05)
    minimum, best = find_minimum(objective)
    stopping = Stopping(objective, 1e-4, "suboptimality", 100)
    point, better = objective.at(parameters), objective.at(0.5 * best)
    far = stopping.update_bounds(point)
    for other in (better, objective.at(2 * parameters), objective.at(best, np.float32)):
        stopping.update_bounds(other)
    solution = stopping.make_solution(STALLED)
    np.testing.assert_array_equal(solution.parameters, 0.5 * best)
    assert (solution.value, solution.converged) == (better.value, False)
    np.testing.assert_array_equal(solution.gradient, better.gradient)
    assert solution.value - minimum <= solution.certificate < np.inf
    stopping.update_bounds(objective.at(best))
    assert stopping.update_bounds(point) == pytest.approx(float(point.value - minimum), rel=1e-9)
    assert far > 1.01 * (point.value - minimum)


def test_rounding_errors_above_the_allowed_gap_are_ignored():
    objective, _ = make_objective(60, 3, 3, l2=0.05)
    minimum, best = find_minimum(objective)
    # The bound is far above the rounding error of the gradient but below that of J.
    point, bound = objective.at(best), 1e-17
    gain = objective.compute_start_value() - point.value
    stopping = Stopping(objective, 2 * bound / gain, "suboptimality", 100)
    assert stopping.begin(point) < bound
    assert stopping.allowed_gap(point) == pytest.approx(2 * bound, rel=1e-9)
    certificate = stopping.certify(point)
    assert certificate == point.value - point.lower_bound() + point.rounding > 3 * bound
    # The allowed gap is smaller than the rounding error, which is ignored in this case.
    assert stopping.find_stop_reason(point, bound, np.inf) == CONVERGED
    for factor, is_criterion_met in ((0.5, False), (-0.5, True)):
        stopping.tol = (certificate - factor * bound) / gain
        assert stopping.is_criterion_met(point, bound, np.inf) == is_criterion_met
    stopping.record(point, bound)
    assert stopping.history[0].bound == stopping.make_solution(CONVERGED).certificate == certificate
    assert point.value - minimum <= certificate


def test_a_float32_point_does_not_stop_a_fit():
    objective, parameters = make_objective(40, 3, 2, l2=0.05)
    stopping = Stopping(objective, 1e9, "suboptimality", 100)
    float32_point, float64_point = objective.at(parameters, np.float32), objective.at(parameters)
    bound = stopping.update_bounds(float32_point)
    assert stopping.is_criterion_met(float32_point, bound, np.inf)
    assert stopping.find_stop_reason(float32_point, bound, np.inf) is None
    assert stopping.find_stop_reason(float64_point, stopping.update_bounds(float64_point), np.inf) == CONVERGED


def test_the_suboptimality_rule_uses_the_bound_or_else_the_decrement():
    objective, _ = make_objective(40, 3, 2, l2=0.05)
    point = find_improved_point(objective)
    allowed_gap = 1e-3 * (objective.compute_start_value() - point.value)
    for factor in (0.9, 1.1):
        stopping = Stopping(objective, 1e-3, "suboptimality", 100)
        assert stopping.is_criterion_met(point, np.inf, factor * allowed_gap) == (factor < 1)
        # A rounding error as large as J is not ignored.
        assert not stopping.is_criterion_met(point, 0.9 * allowed_gap, np.inf)
        stopping.update_dual_value(point.value - factor * allowed_gap, 0.0)
        assert stopping.is_criterion_met(point, factor * allowed_gap, 0.0) == (factor < 1)


def test_the_gradient_rule_requires_a_small_gradient_and_gap():
    objective, _ = make_objective(40, 3, 2, columns="badly scaled", l2=0.05)
    point = find_improved_point(objective)
    largest = point.largest_subgradient_entry
    allowed_gap = largest * (objective.compute_start_value() - point.value)
    for factor, bound, decrement, is_criterion_met in (
        (1.01, 0.0, np.inf, True),
        (1.01, np.inf, allowed_gap, True),
        (1.01, 1.02 * allowed_gap, 1.02 * allowed_gap, False),
        (0.99, 0.0, 0.0, False),
    ):
        assert (
            Stopping(objective, factor * largest, "gradient", 100).is_criterion_met(point, bound, decrement)
            == is_criterion_met
        )


def test_iterations_are_recorded_until_the_callback_stops_the_fit():
    objective, parameters = make_objective(40, 3, 2, l2=0.05)
    records = []
    stopping = Stopping(objective, 1e-6, "suboptimality", 100, lambda *record: records.append(record) or record[0] == 2)
    point = objective.at(parameters)
    with np.errstate(all="ignore"), pytest.raises(OverflowError, match="not finite at the start"):
        stopping.begin(objective.at(1e200 * parameters))
    assert stopping.begin(point) == stopping.update_bounds(point)
    for stop_reason in (None, MAX_ITER_REACHED):
        stopping.record(point, 0.25)
        assert stopping.find_stop_reason(point, 1.0, 1.0) == stop_reason
    assert [record[:2] for record in records] == list(enumerate(stopping.history, 1))
    assert all(parameters() is point.parameters for *_, parameters in records)
    first, second = stopping.history
    assert first[:4] == (point.value, stopping.certify(point), point.largest_subgradient_entry, objective.n_passes)
    assert 0 <= first.seconds <= second.seconds
    solution = stopping.make_solution(MAX_ITER_REACHED)
    assert (solution.stop_reason, solution.converged, solution.n_iter) == (STOPPED_BY_CALLBACK, False, 2)
    assert stopping.make_solution(CONVERGED).stop_reason == CONVERGED


def test_the_stop_reason_of_a_stalled_fit():
    objective, _ = make_objective(40, 3, 2, l2=0.05)
    point = find_improved_point(objective)
    half, floor = 0.5e-6 * (objective.compute_start_value() - point.value), VALUE_EPS[np.float64] * point.value
    for rule, bound, decrement, stop_reason in (
        ("suboptimality", half, 1.0, CONVERGED),
        ("suboptimality", 0.01 * point.value, 0.5 * floor, AT_ROUNDING_LIMIT),
        # If the bound certifies no digit of J, such a small estimate is not reliable.
        ("suboptimality", point.value, 0.5 * floor, STALLED),
        ("suboptimality", point.value, 2 * floor, STALLED),
        ("gradient", 0.0, 2 * floor, STALLED),
    ):
        assert Stopping(objective, 1e-6, rule, 100).find_stall_reason(point, bound, decrement) == stop_reason


def test_decreases_below_the_rounding_error_stop_a_fit():
    generator = np.random.default_rng(0)
    X, labels = 1e6 + generator.normal(size=(40, 3)), generator.integers(0, 2, 40)
    objective = build_objective(X, labels, 2, l2=1e-12, fit_intercept=False)
    point = objective.at(objective.coordinates.to_parameters(np.array([[0.3, 0.4, -0.7]]), np.zeros(1)))
    assert 1e-9 * point.value < point.rounding < 1e-6 * point.value
    # The limit must be within tol.
    for decrement, stop_reason in ((0.5 * point.rounding, AT_ROUNDING_LIMIT), (1e-5 * point.value, STALLED)):
        assert (
            Stopping(objective, 1e-3, "suboptimality", 100).find_stall_reason(point, point.value, decrement)
            == stop_reason
        )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separation_is_detected_only_without_a_penalty(n_classes):
    X, labels = np.arange(12.0)[:, None], np.arange(12) * n_classes // 12
    slopes = np.array([[1.0]]) if n_classes == 2 else np.array([[-1.0], [0.0], [1.0]])
    cuts = np.array([-5.5]) if n_classes == 2 else np.array([3.5, 0.0, -7.5])
    labels_with_one_error, weights = np.where(np.arange(12) == 0, 1, labels), np.where(np.arange(12) == 0, 1e-9, 1.0)
    for y, options, factor, is_separable in (
        (labels, {}, 1.0, False),
        (labels, {}, 100.0, True),
        (labels, {"l2": 1e-300}, 100.0, False),
        # The weight is small, so the loss is small.
        (labels_with_one_error, {"weights": weights}, 100.0, False),
    ):
        objective = build_objective(X, y, n_classes, **options)
        point = objective.at(objective.coordinates.to_parameters(factor * slopes, factor * cuts))
        assert factor == 1 or point.loss < 1e-6
        stopping = Stopping(objective, 0.0, "suboptimality", 100)
        assert (stopping.find_stop_reason(point, np.inf, np.inf) == SEPARABLE_CLASSES) == is_separable


@pytest.mark.parametrize("n_classes", [2, 3])
def test_optimizing_the_intercept_tightens_the_bound(n_classes):
    objective, _ = make_objective(200, 3, n_classes, l2=1e-3)
    _, best = find_minimum(objective)
    # A small error in the intercept loosens the bound by more than tol allows.
    best[0, -1] += 1e-4
    point, stopping = evaluate(objective, best), Stopping(objective, 1e-6, "suboptimality", 100)
    assert stopping.update_bounds(point) > 1e-6 * point.value
    assert point.stationary_gap <= 1e-6 * point.value
    # Without memory, the intercept is not optimized, and no pass is made for it.
    n_passes = objective.n_passes
    assert stopping.update_with_intercept(replace_budget(objective, 0).at(best)) > 1e-6 * point.value
    assert objective.n_passes == n_passes + 1
    assert stopping.update_with_intercept(point) <= 1e-6 * point.value
    assert objective.n_passes == n_passes + 2
    # The optimized point is a new object, so the original point keeps its probabilities.
    assert point.has_probabilities


@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_intercept_of_a_float32_point_is_optimized_in_float64(n_classes):
    objective, _ = make_objective(400, 3, n_classes, l2=1e-3)
    _, best = find_minimum(objective)
    best[0, -1] += 1e-3
    point, stopping = objective.at(best, np.float32), Stopping(objective, 1e-4, "suboptimality", 100)
    assert stopping.update_bounds(point) > 1e-4 * point.value
    n_passes = objective.n_passes
    # The optimized point's lower bound is valid for all points.
    assert max(stopping.update_with_intercept(point), stopping.update_bounds(point)) <= 1e-4 * point.value
    # The passes compute the probabilities, the optimized float32 point, and the same point in float64. The last pass is
    # needed because the float32 point meets the criterion.
    assert objective.n_passes == n_passes + 3
    assert stopping.make_solution(MAX_ITER_REACHED).certificate <= 1e-4 * point.value


def test_a_gradient_that_stays_small_relaxes_the_allowed_gap():
    objective, _ = make_objective(40, 3, 3, l2=0.05)
    tol = 1e-4
    stopping = Stopping(objective, tol, "gradient", 100)
    entries = np.full(30, 0.9 * tol)
    # The largest entry exceeds tol in two iterations, the last of them the 20th.
    entries[10], entries[19] = 1.1 * tol, 1.1 * tol
    criterion_met_iterations, relaxed_gap = [], GAP_RELAXATION_FACTOR * tol * 0.4
    for n_iter, entry in enumerate(entries, start=1):
        point = make_float32_point(0.4, entry)
        stopping.record(point, np.inf)
        results = {stopping.is_criterion_met(point, 0.09, 0.9 * relaxed_gap) for _ in range(2)}
        assert len(results) == 1
        criterion_met_iterations += [n_iter] * (results == {True})
        # If J may be far above the minimum, the estimate is not enough.
        for bound, decrement in ((0.09, 1.1 * relaxed_gap), (0.11, 0.9 * relaxed_gap), (np.inf, 0.9 * relaxed_gap)):
            assert not stopping.is_criterion_met(point, bound, decrement)
    assert criterion_met_iterations == [
        *range(1 + N_RECENT_ITERATIONS, 11),
        *range(12 + N_RECENT_ITERATIONS, 20),
        *range(21 + N_RECENT_ITERATIONS, 31),
    ]
    # A large tol is not relaxed. Checking only some iterations gives the same results.
    for tol, is_tol_relaxed in ((1e-2, False), (1e-4, True)):
        stopping, point = Stopping(objective, tol, "gradient", 100), make_float32_point(0.4, 0.5 * tol)
        for n_iter in range(1, 31):
            stopping.record(point, 0.09)
            if n_iter % 2 == 0:
                assert stopping.is_criterion_met(point, 0.09, 1.1 * tol * point.value) == (
                    is_tol_relaxed and n_iter > N_RECENT_ITERATIONS
                )


def test_separation_does_not_depend_on_offsets():
    X = np.linspace(-1, 1, 20)[:, None]
    odd, right = (np.arange(20) % 2).astype(np.int32), (X[:, 0] > 0).astype(np.int32)
    for labels, options, is_separable in (
        # The offsets classify the rows correctly that the column does not, so there is a minimum.
        (odd, {"offsets": 30.0 * (2 * odd[:, None] - 1)}, False),
        (right, {"offsets": np.full((20, 1), 3.0)}, True),
        # With soft labels, there is a minimum for any rows.
        (right, {"targets": np.where(right, 0.9, 0.1)[:, None]}, False),
    ):
        objective = build_objective(X, labels, 2, **options)
        solution = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=1000)
        assert (solution.stop_reason == SEPARABLE_CLASSES) == is_separable
        assert solution.converged or "offsets" in options
        assert labels is right or solution.value < 1e-9
