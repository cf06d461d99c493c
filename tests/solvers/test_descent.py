"""The descent over few parameters: its minimum, its matrices, its certificates, and the same bits whoever looks on."""

from itertools import pairwise, product

import numpy as np
import pytest
from objectives import begin, make_objective, minimum_of, objective_over

from fastlin.kernels.linear import quasi_newton
from fastlin.objective.objective import RangeError
from fastlin.solvers import choose, descent
from fastlin.solvers.solution import LIMITED, REACHED, SLOW, STOPPED
from fastlin.solvers.stopping import Stopping


def minimize(objective, tol=1e-10, max_iter=200, rule="suboptimality", on_iteration=None, start=None):
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration)
    return descent.minimize(begin(objective, stopping, start))


@pytest.fixture(params=[True, False], ids=["in the cache", "by passes"])
def way(monkeypatch, request):
    """Whether the descent works in the cache, or by passes of the matrix."""
    if not request.param:
        monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    return request.param


def test_the_minimum_is_found_and_certified(way):
    for n_classes, options in (
        (2, {"columns": "badly scaled"}),
        (3, {"columns": "constant"}),
        (2, {"fit_intercept": False}),
        (3, {"weighted": False}),
        (3, {"numbers": np.array([0, 1, 1, 5, 9, *range(20, 60)])}),
        (4, {"penalty_factors": np.array([0.5, 2.0, 1.0, 3.0, 0.1])}),
    ):
        objective, _ = make_objective(60, 5, n_classes, l2=0.01, **options)
        assert descent.suits(objective)
        found, (expected, *best) = minimize(objective), minimum_of(objective)
        assert found.stop_reason == REACHED and found.converged
        assert minimize(objective, rule="gradient").stop_reason == REACHED
        assert expected - 1e-12 <= found.value <= expected + found.certificate
        assert found.certificate <= 1e-10 * found.value
        best = objective.coordinates.to_parameters(*best)
        np.testing.assert_allclose(found.parameters, best, atol=1e-4, err_msg=str(options))
        values = [iteration.objective for iteration in found.history]
        assert all(after <= before * (1 + 1e-14) for before, after in pairwise(values))
        assert found.n_passes >= len(values) * objective.n_rows / 60


def test_who_looks_on_changes_no_bits(way):
    # At a loose tol, which is undercut, and at a tight one.
    for seed, tol in (*product(range(20), (1e-3, 1e-4)), (4, 1e-10)):
        objective, _ = make_objective(50 + 7 * seed, 6, 2 + seed % 3, l2=1e-3)
        seen = []
        alone = minimize(objective, tol)
        watched = minimize(objective, tol, on_iteration=lambda *news, seen=seen: seen.append(news))
        np.testing.assert_array_equal(alone.parameters, watched.parameters)
        assert [news[:2] for news in seen] == list(enumerate(watched.history, 1))
        assert [i.objective for i in alone.history] == [i.objective for i in watched.history]
    # What a callback keeps stays.
    for _, iteration, parameters in seen:
        assert objective.at(parameters()).value == pytest.approx(iteration.objective, rel=1e-14)
    stopped = minimize(objective, on_iteration=lambda n_iter, *_: n_iter == 2)
    assert (stopped.stop_reason, stopped.n_iter) == (STOPPED, 2)
    np.testing.assert_array_equal(stopped.parameters, seen[1][2]())


def test_it_hands_over_where_it_takes_too_long(way, monkeypatch):
    objective, _ = make_objective(60, 5, 3, l2=1e-6)
    monkeypatch.setattr(descent, "SWITCH_AFTER", 2)
    assert minimize(objective).stop_reason == SLOW
    whole = choose.minimize(objective, solver="auto", tol=1e-8, max_iter=100)
    assert whole.stop_reason == REACHED and whole.n_iter > 2


def test_a_start_of_which_only_the_intercept_is_off_is_settled_and_one_out_of_range_raises(way):
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    start = minimize(objective).parameters
    start[:, -1] += [0.02, -0.01, 0.0]
    found = minimize(objective, tol=1e-8, start=start)
    assert found.stop_reason == REACHED
    assert found.value <= minimum_of(objective)[0] * (1 + 1e-8)
    with pytest.raises(RangeError, match="not finite"):
        minimize(objective, start=np.full(objective.shape, 1e300))


def begin_square(start=(3.0, -2.0), matrix=((1.0, 0.0), (0.0, 4.0))):
    """Return a descent at start of J = (v1^2 + 4 v2^2) / 2 with a matrix, and what judges its trial."""
    walk = quasi_newton.Descent.at(np.array([start]), 1.0, np.array([0.5, 0.5]), np.array([1.0, 0.0]), 1.0, 0.0)

    assert walk.state[0].n_trials == quasi_newton.NOT_STARTED

    def evaluate_and_monitor():
        v = walk.row(quasi_newton.TRIAL)
        walk.row(quasi_newton.TOTAL)[:] = [[0.0, 4.0 * v[0, 1]]]
        return quasi_newton.check_step(walk, 2.0 * v[0, 1] ** 2)

    assert evaluate_and_monitor() == quasi_newton.ACCEPTED
    assert quasi_newton.update_direction(walk, 1e-9, np.inf)
    quasi_newton.set_matrix(walk, np.array([matrix]) - np.diag([1.0, 0.0]))
    return walk, evaluate_and_monitor


def test_steps_that_are_too_long_or_too_short_are_mended():
    for factor, is_too_long in ((1 / 20, True), (20.0, False)):
        walk, evaluate_and_monitor = begin_square(matrix=factor * np.diag([1.0, 4.0]))
        start = float(walk.now["value"])
        assert start == pytest.approx(4.5 + 8)
        assert not quasi_newton.update_direction(walk, 1e-9, np.inf) and walk.now["slope"] < 0
        outcomes = [evaluate_and_monitor()]
        while outcomes[-1] == quasi_newton.SEARCHING:
            assert (walk.now["high"] > 0) == is_too_long or walk.now["step"] > 1
            outcomes.append(evaluate_and_monitor())
        assert outcomes[0] == quasi_newton.SEARCHING and outcomes[-1] == quasi_newton.ACCEPTED
        assert walk.now["value"] < 0.7 * start


def test_a_new_matrix_drops_the_pairs_and_an_exact_one_takes_one_step():
    walk, evaluate_and_monitor = begin_square(matrix=((1.0, 0.0), (0.0, 0.75)))
    for _ in range(2):
        quasi_newton.update_direction(walk, 1e-9, np.inf)
        while evaluate_and_monitor() == quasi_newton.SEARCHING:
            pass
    assert walk.now["n_pairs"] > 0
    quasi_newton.set_matrix(walk, np.diag([0.0, 4.0])[None])
    quasi_newton.update_direction(walk, 1e-9, np.inf)
    assert walk.now["n_pairs"] == 0
    assert evaluate_and_monitor() == quasi_newton.ACCEPTED
    np.testing.assert_allclose(walk.row(quasi_newton.PARAMETERS), 0, atol=1e-12)


def turn_around(walk):
    """Let the trial of a descent lie the other way."""
    walk.row(quasi_newton.DIRECTION)[:] *= -1
    walk.row(quasi_newton.TRIAL)[:] = walk.row(quasi_newton.PARAMETERS) + walk.row(quasi_newton.DIRECTION)


def test_a_direction_that_does_not_descend_stalls_and_a_search_that_fails_ends_at_the_last_point(monkeypatch):
    # The gradient of an intercept is a difference of probabilities, at most 1.
    start, outcomes = (3.0, -0.2), []
    walk, evaluate_and_monitor = begin_square(start)
    while quasi_newton.STALLED not in outcomes:
        quasi_newton.update_direction(walk, 1e-9, np.inf)
        turn_around(walk)
        outcomes.append(quasi_newton.SEARCHING)
        while outcomes[-1] == quasi_newton.SEARCHING:
            outcomes.append(evaluate_and_monitor())
    np.testing.assert_allclose(walk.row(quasi_newton.PARAMETERS), [start], rtol=1e-12)
    monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    update_direction = quasi_newton.update_direction
    monkeypatch.setattr(quasi_newton, "update_direction", lambda walk, *given: update_direction(walk, *given) or turn_around(walk))
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    found = minimize(objective)
    assert not found.converged
    assert found.value == objective.at(found.parameters).value
    assert found.value - found.certificate <= minimum_of(objective)[0]


def test_iterations_of_another_solver_count(way):
    objective, _ = make_objective(60, 5, 3, l2=1e-3)
    for n_before, max_iter in ((3, 5), (descent.SWITCH_AFTER, 1000)):
        stopping = Stopping(objective, 1e-10, "suboptimality", max_iter)
        for _ in range(n_before):
            stopping.note(1.0, 1.0, 1.0, objective.start)
        found = descent.minimize(begin(objective, stopping))
        assert found.stop_reason == (LIMITED if max_iter == 5 else REACHED)
        assert n_before < found.n_iter <= max_iter


def test_rows_that_are_drawn_weigh_as_much_as_all_and_are_all_where_they_have_no_weight(monkeypatch):
    monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    generator, weigh, sums = np.random.default_rng(0), descent._ByPasses._weigh, []

    def weigh_and_tell(self):
        sums.append((len(self._drawn), np.sum(weigh(self))))
        return weigh(self)

    monkeypatch.setattr(descent._ByPasses, "_weigh", weigh_and_tell)
    for n, n_empty in ((4_000, 0), (90, 40)):
        if n_empty:
            monkeypatch.setattr(descent, "draw_positions", lambda n_rows, n_drawn: np.arange(40))
        weights = np.where(np.arange(n) < n_empty, 0.0, generator.uniform(1, 2, n))
        X, labels = generator.normal(size=(n, 3)), (np.arange(n) % 2).astype(np.int32)
        found = minimize(objective_over(X, labels, 2, weights=weights, l2=0.01))
        assert found.stop_reason == REACHED and np.isfinite(found.certificate)
        n_drawn, total = sums[-1]
        assert (n_drawn < n) == (n_empty == 0)
        assert total == pytest.approx(weights.sum(), rel=1e-12)


def test_blocks_of_classes_take_the_place_of_hessians_that_are_too_large(monkeypatch):
    monkeypatch.setattr(descent, "SMALL_HESSIAN", 0)
    monkeypatch.setattr(descent, "ITERATION_WORK", 0)
    set_matrix, kinds = quasi_newton.set_matrix, []
    told = lambda walk, *given: (set_matrix(walk, *given), kinds.append(walk.now["kind"]))  # noqa: E731
    monkeypatch.setattr(quasi_newton, "set_matrix", told)
    objective, _ = make_objective(60, 5, 4, columns="badly scaled", l2=1e-7)
    found = minimize(objective)
    assert quasi_newton.SEPARATE in kinds and quasi_newton.FULL not in kinds
    assert found.stop_reason == REACHED
    assert found.value <= minimum_of(objective)[0] + found.certificate


def test_a_start_that_is_near_gets_a_matrix_of_its_own_unless_that_is_dear(way, monkeypatch):
    steps, ages = descent._InCache if way else descent._ByPasses, []
    iterate = steps.iterate

    def note_age(self, *given):
        ages.append(int(self._descent.now["n_with_matrix"]))
        return iterate(self, *given)

    monkeypatch.setattr(steps, "iterate", note_age)
    for is_dear, n_classes in product((True, False), (2, 3)):
        monkeypatch.setattr(descent, "ROUNDS", 0.0 if is_dear else np.inf)
        objective, _ = make_objective(80, 5, n_classes, l2=1e-3)
        cold = minimize(objective)
        ages.clear()
        warm = minimize(objective, start=cold.parameters * 1.1)
        assert ages[0] == (quasi_newton.NO_MATRIX if is_dear else quasi_newton.STALE)
        assert warm.stop_reason == REACHED and 0 < warm.n_iter < cold.n_iter + 5
        np.testing.assert_allclose(warm.parameters, cold.parameters, atol=1e-4)


def test_small_fits_undercut_a_loose_tol_and_stop_at_max_iter_within_it(way):
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    expected = minimum_of(objective)[0]
    closer = minimize(objective, tol=1e-3)
    assert closer.stop_reason == REACHED and closer.value <= expected * (1 + 1e-5)
    # Ended by max_iter before it is as close as it would be, it is within tol all the same.
    n_enough = next(n for n, iteration in enumerate(closer.history, 1) if iteration.bound <= 1e-3 * iteration.objective)
    assert n_enough < closer.n_iter
    limited = minimize(objective, tol=1e-3, max_iter=n_enough)
    assert limited.stop_reason == REACHED and limited.n_iter == n_enough
    bounds = [minimize(objective, tol=tol).certificate for tol in (1e-6, 9e-7, 1e-8, 1e-10)]
    assert max(bounds[:3]) <= 1.01e-8 * objective.value_at_start() and bounds[3] <= bounds[2]
