"""The rules of stopping, one by one."""

from types import SimpleNamespace

import numpy as np
import pytest
from objectives import evaluate, make_objective, minimum_of, objective_over, with_budget

from fastlin.solvers import choose
from fastlin.solvers.solution import AT_FLOOR, LIMITED, REACHED, SEPARABLE, STALLED, STOPPED
from fastlin.solvers.stopping import LENIENCE, PERSISTENCE, ROUNDING, Stopping


def find_minimum(objective):
    """Return the least J, and the parameters where it lies."""
    minimum, *best = minimum_of(objective)
    return minimum, objective.coordinates.to_parameters(*best)


def find_point_with_gain(objective):
    """Return the Point halfway from the model without features to the minimum: less than half of J is gained there."""
    return objective.at(0.5 * (find_minimum(objective)[1] + objective.start()))


def make_estimate(value, largest_entry):
    """Return what the rules ask of a point in float32."""
    return SimpleNamespace(value=value, squares=0.0, largest_entry=largest_entry, precision=np.float32)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_what_is_asked_for_is_tol_times_what_features_gain_or_times_a_smaller_objective(n_classes):
    objective, _ = make_objective(40, 3, n_classes, l2=0.05)
    stopping, point = Stopping(objective, 1e-3, "suboptimality", 100), find_point_with_gain(objective)
    gain = -sum(fraction * np.log(fraction) for fraction in objective.class_weights.tolist()) - point.value
    assert 0 < gain < point.value
    assert stopping.asked(point) == pytest.approx(1e-3 * gain, rel=1e-9)
    assert stopping.asked(point, 1e-5) == pytest.approx(1e-5 * gain, rel=1e-9)
    # Nothing is gained at the start, and next to nothing may be left of the gap.
    start = objective.at(objective.start())
    assert stopping.asked(start) < 1e-27 < stopping.observe(start)
    assert stopping.asked(make_estimate(0.1, 1.0)) == 1e-3 * 0.1
    # A smaller objective counts as the smallest value.
    for smallest, part, is_criterion_met in [(0.0, 0.9, False), (0.01, 0.9, True), (0.01, 1.1, False)]:
        stopping = Stopping(objective, 1e-4, "suboptimality", 1000, smallest_value=smallest)
        assert stopping.is_criterion_met(make_estimate(1e-9, 1.0), part * 1e-4 * 0.01, np.inf) == is_criterion_met


def test_the_quadratic_penalty_tells_a_gain_that_rounding_hides():
    objective, _ = make_objective(40, 3, 2, l2=1e14)
    solution = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=100)
    point, start = objective.at(solution.parameters), objective.at(objective.start())
    # J falls by less than its last digit, and the gap of the gradient proves that half of the digits are there.
    assert 0 < point.squares < 1e-16 * point.value
    assert point.squares == pytest.approx(start.natural_gap, rel=1e-6)
    assert solution.converged and point.natural_gap <= 1e-6 * point.squares


def test_the_best_points_seen_in_float64_give_the_solution_and_the_bounds():
    objective, parameters = make_objective(40, 3, 3, l2=0.05)
    minimum, best = find_minimum(objective)
    stopping = Stopping(objective, 1e-4, "suboptimality", 100)
    point, better = objective.at(parameters), objective.at(0.5 * best)
    far = stopping.observe(point)
    for other in (better, objective.at(2 * parameters), objective.at(best, np.float32)):
        stopping.observe(other)
    solution = stopping.solution(STALLED)
    np.testing.assert_array_equal(solution.parameters, 0.5 * best)
    assert (solution.value, solution.converged) == (better.value, False)
    np.testing.assert_array_equal(solution.gradient, better.gradient)
    assert solution.value - minimum <= solution.certificate < np.inf
    stopping.observe(objective.at(best))
    assert stopping.observe(point) == pytest.approx(float(point.value - minimum), rel=1e-9)
    assert far > 1.01 * (point.value - minimum)


def test_rounding_counts_in_certificates_and_in_the_end_where_it_leaves_room():
    objective, _ = make_objective(60, 3, 3, l2=0.05)
    minimum, best = find_minimum(objective)
    # Far above the digits of the gradient, and below those of J.
    point, bound = objective.at(best), 1e-17
    gain = objective.value_at_start() - point.value
    stopping = Stopping(objective, 2 * bound / gain, "suboptimality", 100)
    assert stopping.begin(point) < bound
    assert stopping.asked(point) == pytest.approx(2 * bound, rel=1e-9)
    certificate = stopping.certify(point)
    assert certificate == point.value - point.lower_bound() + point.rounding > 3 * bound
    # What is asked for is less than the rounding, which then does not count.
    assert stopping.why(point, bound, np.inf) == REACHED
    for part, is_criterion_met in ((0.5, False), (-0.5, True)):
        stopping.tol = (certificate - part * bound) / gain
        assert stopping.is_criterion_met(point, bound, np.inf) == is_criterion_met
    stopping.record(point, bound)
    assert stopping.history[0].bound == stopping.solution(REACHED).certificate == certificate
    assert point.value - minimum <= certificate


def test_a_float32_point_counts_neither_for_the_lower_bound_nor_as_an_end():
    objective, parameters = make_objective(40, 3, 2, l2=0.05)
    stopping = Stopping(objective, 1e9, "suboptimality", 100)
    single, double = objective.at(parameters, np.float32), objective.at(parameters)
    bound = stopping.observe(single)
    assert stopping.is_criterion_met(single, bound, np.inf)
    assert stopping.why(single, bound, np.inf) is None
    assert stopping.why(double, stopping.observe(double), np.inf) == REACHED


def test_the_excess_rule_looks_at_the_bound_and_without_one_at_the_decrement():
    objective, _ = make_objective(40, 3, 2, l2=0.05)
    point = find_point_with_gain(objective)
    asked = 1e-3 * (objective.value_at_start() - point.value)
    for part in (0.9, 1.1):
        stopping = Stopping(objective, 1e-3, "suboptimality", 100)
        assert stopping.is_criterion_met(point, np.inf, part * asked) == (part < 1)
        # Rounding of all of J is not left out.
        assert not stopping.is_criterion_met(point, 0.9 * asked, np.inf)
        stopping.note_dual(point.value - part * asked, 0.0)
        assert stopping.is_criterion_met(point, part * asked, 0.0) == (part < 1)


def test_the_gradient_rule_looks_at_its_largest_entry_by_the_columns_as_they_are_and_at_what_is_left_to_gain():
    objective, _ = make_objective(40, 3, 2, columns="badly scaled", l2=0.05)
    point = find_point_with_gain(objective)
    largest = point.largest_entry
    left = largest * (objective.value_at_start() - point.value)
    for part, bound, decrement, is_criterion_met in (
        (1.01, 0.0, np.inf, True),
        (1.01, np.inf, left, True),
        (1.01, 1.02 * left, 1.02 * left, False),
        (0.99, 0.0, 0.0, False),
    ):
        assert (
            Stopping(objective, part * largest, "gradient", 100).is_criterion_met(point, bound, decrement)
            == is_criterion_met
        )


def test_iterations_are_recorded_and_passed_on_until_the_callback_asks_to_stop():
    objective, parameters = make_objective(40, 3, 2, l2=0.05)
    heard = []
    stopping = Stopping(objective, 1e-6, "suboptimality", 100, lambda *news: heard.append(news) or news[0] == 2)
    point = objective.at(parameters)
    with np.errstate(all="ignore"), pytest.raises(OverflowError, match="not finite at the start"):
        stopping.begin(objective.at(1e200 * parameters))
    assert stopping.begin(point) == stopping.observe(point)
    for stop_reason in (None, LIMITED):
        stopping.record(point, 0.25)
        assert stopping.why(point, 1.0, 1.0) == stop_reason
    assert [news[:2] for news in heard] == list(enumerate(stopping.history, 1))
    assert all(parameters() is point.parameters for *_, parameters in heard)
    first, second = stopping.history
    assert first[:4] == (point.value, stopping.certify(point), point.largest_entry, objective.n_passes)
    assert 0 <= first.seconds <= second.seconds
    solution = stopping.solution(LIMITED)
    assert (solution.stop_reason, solution.converged, solution.n_iter) == (STOPPED, False, 2)
    assert stopping.solution(REACHED).stop_reason == REACHED


def test_a_fit_that_cannot_go_on_says_whether_it_is_there():
    objective, _ = make_objective(40, 3, 2, l2=0.05)
    point = find_point_with_gain(objective)
    half, floor = 0.5e-6 * (objective.value_at_start() - point.value), ROUNDING[np.float64] * point.value
    for rule, bound, decrement, stop_reason in (
        ("suboptimality", half, 1.0, REACHED),
        ("suboptimality", 0.01 * point.value, 0.5 * floor, AT_FLOOR),
        # A bound that proves no digit of J says that so small an estimate is wrong.
        ("suboptimality", point.value, 0.5 * floor, STALLED),
        ("suboptimality", point.value, 2 * floor, STALLED),
        ("gradient", 0.0, 2 * floor, STALLED),
    ):
        assert Stopping(objective, 1e-6, rule, 100).why_stalled(point, bound, decrement) == stop_reason


def test_a_gain_below_the_rounding_of_columns_far_from_zero_cannot_be_seen():
    generator = np.random.default_rng(0)
    X, labels = 1e6 + generator.normal(size=(40, 3)), generator.integers(0, 2, 40)
    objective = objective_over(X, labels, 2, l2=1e-12, fit_intercept=False)
    point = objective.at(objective.coordinates.to_parameters(np.array([[0.3, 0.4, -0.7]]), np.zeros(1)))
    assert 1e-9 * point.value < point.rounding < 1e-6 * point.value
    # As far as tol does not care.
    for decrement, stop_reason in ((0.5 * point.rounding, AT_FLOOR), (1e-5 * point.value, STALLED)):
        assert Stopping(objective, 1e-3, "suboptimality", 100).why_stalled(point, point.value, decrement) == stop_reason


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separated_classes_are_noticed_without_penalty_only(n_classes):
    X, labels = np.arange(12.0)[:, None], np.arange(12) * n_classes // 12
    slopes = np.array([[1.0]]) if n_classes == 2 else np.array([[-1.0], [0.0], [1.0]])
    cuts = np.array([-5.5]) if n_classes == 2 else np.array([3.5, 0.0, -7.5])
    one_wrong, weights = np.where(np.arange(12) == 0, 1, labels), np.where(np.arange(12) == 0, 1e-9, 1.0)
    for given, options, factor, is_separated in (
        (labels, {}, 1.0, False),
        (labels, {}, 100.0, True),
        (labels, {"l2": 1e-300}, 100.0, False),
        # Of little weight, so that the loss is small.
        (one_wrong, {"weights": weights}, 100.0, False),
    ):
        objective = objective_over(X, given, n_classes, **options)
        point = objective.at(objective.coordinates.to_parameters(factor * slopes, factor * cuts))
        assert factor == 1 or point.loss < 1e-6
        stopping = Stopping(objective, 0.0, "suboptimality", 100)
        assert (stopping.why(point, np.inf, np.inf) == SEPARABLE) == is_separated


@pytest.mark.parametrize("n_classes", [2, 3])
def test_settling_turns_a_small_gradient_into_a_bound(n_classes):
    objective, _ = make_objective(200, 3, n_classes, l2=1e-3)
    _, best = find_minimum(objective)
    # An intercept that is off by little, whose repair costs more than tol allows.
    best[0, -1] += 1e-4
    point, stopping = evaluate(objective, best), Stopping(objective, 1e-6, "suboptimality", 100)
    assert stopping.observe(point) > 1e-6 * point.value
    assert point.natural_gap <= 1e-6 * point.value
    # Where there is no memory nothing can be settled, and no pass is made.
    n_passes = objective.n_passes
    assert stopping.examine(with_budget(objective, 0).at(best)) > 1e-6 * point.value
    assert objective.n_passes == n_passes + 1
    assert stopping.examine(point) <= 1e-6 * point.value
    assert objective.n_passes == n_passes + 2
    # The settled point is beside the point, whose probabilities stay.
    assert point.has_probabilities


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_point_in_float32_without_probabilities_is_settled_in_float64(n_classes):
    objective, _ = make_objective(400, 3, n_classes, l2=1e-3)
    _, best = find_minimum(objective)
    best[0, -1] += 1e-3
    point, stopping = objective.at(best, np.float32), Stopping(objective, 1e-4, "suboptimality", 100)
    assert stopping.observe(point) > 1e-4 * point.value
    n_passes = objective.n_passes
    # What is proven of the settled point holds for all others.
    assert max(stopping.examine(point), stopping.observe(point)) <= 1e-4 * point.value
    # The probabilities once more, and the settled point in float32 and, since it has arrived, in float64.
    assert objective.n_passes == n_passes + 3
    assert stopping.solution(LIMITED).certificate <= 1e-4 * point.value


def test_a_gradient_that_stays_small_ends_a_fit_farther_from_the_minimum():
    objective, _ = make_objective(40, 3, 3, l2=0.05)
    tol = 1e-4
    stopping = Stopping(objective, tol, "gradient", 100)
    entries = np.full(30, 0.9 * tol)
    # It is small now and then, and from the 20th iteration on.
    entries[10], entries[19] = 1.1 * tol, 1.1 * tol
    met, lenient = [], LENIENCE * tol * 0.4
    for place, entry in enumerate(entries, start=1):
        point = make_estimate(0.4, entry)
        stopping.record(point, np.inf)
        answers = {stopping.is_criterion_met(point, 0.09, 0.9 * lenient) for _ in range(2)}
        assert len(answers) == 1
        met += [place] * (answers == {True})
        # Where J may be far above the minimum the estimate is not enough.
        for bound, decrement in ((0.09, 1.1 * lenient), (0.11, 0.9 * lenient), (np.inf, 0.9 * lenient)):
            assert not stopping.is_criterion_met(point, bound, decrement)
    assert met == [*range(1 + PERSISTENCE, 11), *range(12 + PERSISTENCE, 20), *range(21 + PERSISTENCE, 31)]
    # A large tol is left as it is, and who asks but now and then gets the same answers.
    for tol, is_lenient in ((1e-2, False), (1e-4, True)):
        stopping, point = Stopping(objective, tol, "gradient", 100), make_estimate(0.4, 0.5 * tol)
        for place in range(1, 31):
            stopping.record(point, 0.09)
            if place % 2 == 0:
                assert stopping.is_criterion_met(point, 0.09, 1.1 * tol * point.value) == (
                    is_lenient and place > PERSISTENCE
                )


def test_only_rows_that_are_right_without_their_offsets_are_separated():
    X = np.linspace(-1, 1, 20)[:, None]
    odd, right = (np.arange(20) % 2).astype(np.int32), (X[:, 0] > 0).astype(np.int32)
    for labels, given, is_separated in (
        # The offsets are right where the column is not, and there is a minimum.
        (odd, {"offsets": 30.0 * (2 * odd[:, None] - 1)}, False),
        (right, {"offsets": np.full((20, 1), 3.0)}, True),
        # Soft labels have a minimum wherever the rows lie.
        (right, {"targets": np.where(right, 0.9, 0.1)[:, None]}, False),
    ):
        objective = objective_over(X, labels, 2, **given)
        solution = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=1000)
        assert (solution.stop_reason == SEPARABLE) == is_separated
        assert solution.converged or "offsets" in given
        assert labels is right or solution.value < 1e-9
