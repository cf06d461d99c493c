"""The quasi-Newton method for few parameters: minimum, matrices, certificates and reproducibility."""

from itertools import pairwise, product

import numpy as np
import pytest
from objectives import begin, build_objective, find_reference_minimum, make_objective

from fastlin.kernels.linear import quasi_newton
from fastlin.objective.objective import FloatRangeError
from fastlin.solvers import choose, descent
from fastlin.solvers.solution import CONVERGED, MAX_ITER_REACHED, STOPPED_BY_CALLBACK, TOO_SLOW
from fastlin.solvers.stopping import Stopping


def minimize(objective, tol=1e-10, max_iter=200, rule="suboptimality", on_iteration=None, start=None):
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration)
    return descent.minimize(begin(objective, stopping, start))


@pytest.fixture(params=[True, False], ids=["in the cache", "by passes"])
def uses_cached_iterations(monkeypatch, request):
    """Return whether iterations run in the cache. Otherwise, they run by passes of the matrix."""
    if not request.param:
        monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    return request.param


def test_the_minimum_is_found_and_certified(uses_cached_iterations):
    for n_classes, options in (
        (2, {"columns": "badly scaled"}),
        (3, {"columns": "constant"}),
        (2, {"fit_intercept": False}),
        (3, {"weighted": False}),
        (3, {"row_indices": np.array([0, 1, 1, 5, 9, *range(20, 60)])}),
        (4, {"penalty_factors": np.array([0.5, 2.0, 1.0, 3.0, 0.1])}),
    ):
        objective, _ = make_objective(60, 5, n_classes, l2=0.01, **options)
        assert descent.is_suitable(objective)
        solution, (expected, *best) = minimize(objective), find_reference_minimum(objective)
        assert solution.stop_reason == CONVERGED and solution.converged
        assert minimize(objective, rule="gradient").stop_reason == CONVERGED
        assert expected - 1e-12 <= solution.value <= expected + solution.certificate
        assert solution.certificate <= 1e-10 * solution.value
        best = objective.coordinates.to_parameters(*best)
        np.testing.assert_allclose(solution.parameters, best, atol=1e-4, err_msg=str(options))
        values = [iteration.objective for iteration in solution.history]
        assert all(after <= before * (1 + 1e-14) for before, after in pairwise(values))
        assert solution.n_passes >= len(values) * objective.n_rows / 60


def test_a_callback_does_not_change_the_results(uses_cached_iterations):
    # Fits are more accurate than a loose tol. The last tol is tight.
    for seed, tol in (*product(range(20), (1e-3, 1e-4)), (4, 1e-10)):
        objective, _ = make_objective(50 + 7 * seed, 6, 2 + seed % 3, l2=1e-3)
        records = []
        alone = minimize(objective, tol)
        observed_solution = minimize(
            objective, tol, on_iteration=lambda *record, records=records: records.append(record)
        )
        np.testing.assert_array_equal(alone.parameters, observed_solution.parameters)
        assert [record[:2] for record in records] == list(enumerate(observed_solution.history, 1))
        assert [i.objective for i in alone.history] == [i.objective for i in observed_solution.history]
    # Parameters that a callback stores do not change.
    for _, iteration, parameters in records:
        assert objective.at(parameters()).value == pytest.approx(iteration.objective, rel=1e-14)
    stopped = minimize(objective, on_iteration=lambda n_iter, *_: n_iter == 2)
    assert (stopped.stop_reason, stopped.n_iter) == (STOPPED_BY_CALLBACK, 2)
    np.testing.assert_array_equal(stopped.parameters, records[1][2]())


def test_slow_fits_are_handed_over(uses_cached_iterations, monkeypatch):
    objective, _ = make_objective(60, 5, 3, l2=1e-6)
    monkeypatch.setattr(descent, "SWITCH_THRESHOLD", 2)
    assert minimize(objective).stop_reason == TOO_SLOW
    whole = choose.minimize(objective, solver="auto", tol=1e-8, max_iter=100)
    assert whole.stop_reason == CONVERGED and whole.n_iter > 2


def test_the_intercept_of_a_start_is_optimized(uses_cached_iterations):
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    start = minimize(objective).parameters
    start[:, -1] += [0.02, -0.01, 0.0]
    solution = minimize(objective, tol=1e-8, start=start)
    assert solution.stop_reason == CONVERGED
    assert solution.value <= find_reference_minimum(objective)[0] * (1 + 1e-8)
    with pytest.raises(FloatRangeError, match="not finite"):
        minimize(objective, start=np.full(objective.shape, 1e300))


def start_quadratic_descent(start=(3.0, -2.0), matrix=((1.0, 0.0), (0.0, 4.0))):
    """Return a `Descent` on J = (v1^2 + 4 v2^2) / 2, and a function that evaluates its trial step.

    The descent starts at `start` with the approximate Hessian `matrix`.
    """
    minimizer = quasi_newton.Descent.at(np.array([start]), 1.0, np.array([0.5, 0.5]), np.array([1.0, 0.0]), 1.0, 0.0)

    assert minimizer.state[0].n_trials == quasi_newton.NOT_STARTED

    def evaluate_trial():
        v = minimizer.row(quasi_newton.TRIAL_PARAMETERS)
        minimizer.row(quasi_newton.TRIAL_LOSS_GRADIENT)[:] = [[0.0, 4.0 * v[0, 1]]]
        return quasi_newton.check_step(minimizer, 2.0 * v[0, 1] ** 2)

    assert evaluate_trial() == quasi_newton.ACCEPTED
    assert quasi_newton.update_direction(minimizer, 1e-9, np.inf)
    quasi_newton.set_matrix(minimizer, np.array([matrix]) - np.diag([1.0, 0.0]))
    return minimizer, evaluate_trial


def test_steps_that_are_too_long_or_too_short_are_corrected():
    for factor, is_too_long in ((1 / 20, True), (20.0, False)):
        minimizer, evaluate_trial = start_quadratic_descent(matrix=factor * np.diag([1.0, 4.0]))
        start = float(minimizer.now["value"])
        assert start == pytest.approx(4.5 + 8)
        assert not quasi_newton.update_direction(minimizer, 1e-9, np.inf) and minimizer.now["slope"] < 0
        line_search_states = [evaluate_trial()]
        while line_search_states[-1] == quasi_newton.SEARCH_CONTINUES:
            assert (minimizer.now["high"] > 0) == is_too_long or minimizer.now["step"] > 1
            line_search_states.append(evaluate_trial())
        assert (
            line_search_states[0] == quasi_newton.SEARCH_CONTINUES and line_search_states[-1] == quasi_newton.ACCEPTED
        )
        assert minimizer.now["value"] < 0.7 * start


def test_a_new_inverse_hessian_drops_the_pairs():
    minimizer, evaluate_trial = start_quadratic_descent(matrix=((1.0, 0.0), (0.0, 0.75)))
    for _ in range(2):
        quasi_newton.update_direction(minimizer, 1e-9, np.inf)
        while evaluate_trial() == quasi_newton.SEARCH_CONTINUES:
            pass
    assert minimizer.now["n_pairs"] > 0
    quasi_newton.set_matrix(minimizer, np.diag([0.0, 4.0])[None])
    quasi_newton.update_direction(minimizer, 1e-9, np.inf)
    assert minimizer.now["n_pairs"] == 0
    assert evaluate_trial() == quasi_newton.ACCEPTED
    np.testing.assert_allclose(minimizer.row(quasi_newton.PARAMETERS), 0, atol=1e-12)


def reverse_direction(minimizer):
    """Reverse the direction and the trial step of a `Descent`."""
    minimizer.row(quasi_newton.DIRECTION)[:] *= -1
    minimizer.row(quasi_newton.TRIAL_PARAMETERS)[:] = minimizer.row(quasi_newton.PARAMETERS) + minimizer.row(
        quasi_newton.DIRECTION
    )


def test_an_ascent_direction_stalls_at_the_last_point(monkeypatch):
    # The gradient with respect to an intercept is a difference of probabilities, at most 1.
    start, line_search_states = (3.0, -0.2), []
    minimizer, evaluate_trial = start_quadratic_descent(start)
    while quasi_newton.STALLED not in line_search_states:
        quasi_newton.update_direction(minimizer, 1e-9, np.inf)
        reverse_direction(minimizer)
        line_search_states.append(quasi_newton.SEARCH_CONTINUES)
        while line_search_states[-1] == quasi_newton.SEARCH_CONTINUES:
            line_search_states.append(evaluate_trial())
    np.testing.assert_allclose(minimizer.row(quasi_newton.PARAMETERS), [start], rtol=1e-12)
    monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    update_direction = quasi_newton.update_direction
    monkeypatch.setattr(
        quasi_newton,
        "update_direction",
        lambda minimizer, *arguments: update_direction(minimizer, *arguments) or reverse_direction(minimizer),
    )
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    solution = minimize(objective)
    assert not solution.converged
    assert solution.value == objective.at(solution.parameters).value
    assert solution.value - solution.certificate <= find_reference_minimum(objective)[0]


def test_max_iter_includes_iterations_of_another_solver(uses_cached_iterations):
    objective, _ = make_objective(60, 5, 3, l2=1e-3)
    for n_before, max_iter in ((3, 5), (descent.SWITCH_THRESHOLD, 1000)):
        stopping = Stopping(objective, 1e-10, "suboptimality", max_iter)
        for _ in range(n_before):
            stopping.record_values(1.0, 1.0, 1.0, objective.start)
        solution = descent.minimize(begin(objective, stopping))
        assert solution.stop_reason == (MAX_ITER_REACHED if max_iter == 5 else CONVERGED)
        assert n_before < solution.n_iter <= max_iter


def test_sampled_rows_have_the_total_weight(monkeypatch):
    monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    generator, get_sample_weights, sums = np.random.default_rng(0), descent._PassIterations._get_sample_weights, []

    def record_weights(self):
        sums.append((len(self._sampled_positions), np.sum(get_sample_weights(self))))
        return get_sample_weights(self)

    monkeypatch.setattr(descent._PassIterations, "_get_sample_weights", record_weights)
    for n, n_empty in ((4_000, 0), (90, 40)):
        if n_empty:
            monkeypatch.setattr(descent, "sample_row_positions", lambda n_rows, n_sampled_rows: np.arange(40))
        weights = np.where(np.arange(n) < n_empty, 0.0, generator.uniform(1, 2, n))
        X, labels = generator.normal(size=(n, 3)), (np.arange(n) % 2).astype(np.int32)
        solution = minimize(build_objective(X, labels, 2, weights=weights, l2=0.01))
        assert solution.stop_reason == CONVERGED and np.isfinite(solution.certificate)
        n_sampled_rows, total = sums[-1]
        assert (n_sampled_rows < n) == (n_empty == 0)
        assert total == pytest.approx(weights.sum(), rel=1e-12)


def test_class_blocks_replace_hessians_that_are_too_large(monkeypatch):
    monkeypatch.setattr(descent, "SMALL_HESSIAN_SIZE", 0)
    monkeypatch.setattr(descent, "ITERATION_WORK", 0)
    set_matrix, kinds = quasi_newton.set_matrix, []

    def record_matrix_kind(minimizer, *arguments):
        set_matrix(minimizer, *arguments)
        kinds.append(minimizer.now["kind"])

    monkeypatch.setattr(quasi_newton, "set_matrix", record_matrix_kind)
    objective, _ = make_objective(60, 5, 4, columns="badly scaled", l2=1e-7)
    solution = minimize(objective)
    assert quasi_newton.CLASS_MATRICES in kinds and quasi_newton.FULL_HESSIAN not in kinds
    assert solution.stop_reason == CONVERGED
    assert solution.value <= find_reference_minimum(objective)[0] + solution.certificate


def test_a_nearby_start_gets_its_own_inverse_hessian(uses_cached_iterations, monkeypatch):
    steps, matrix_ages = descent._CachedIterations if uses_cached_iterations else descent._PassIterations, []
    run_iterations = steps.run_iterations

    def record_matrix_age(self, *arguments):
        matrix_ages.append(int(self._descent.now["n_matrix_steps"]))
        return run_iterations(self, *arguments)

    monkeypatch.setattr(steps, "run_iterations", record_matrix_age)
    for has_expensive_matrix, n_classes in product((True, False), (2, 3)):
        monkeypatch.setattr(descent, "N_CHEAP_STEPS", 0.0 if has_expensive_matrix else np.inf)
        objective, _ = make_objective(80, 5, n_classes, l2=1e-3)
        cold_solution = minimize(objective)
        matrix_ages.clear()
        warm_solution = minimize(objective, start=cold_solution.parameters * 1.1)
        assert matrix_ages[0] == (quasi_newton.NO_MATRIX if has_expensive_matrix else quasi_newton.STALE_MATRIX)
        assert warm_solution.stop_reason == CONVERGED and 0 < warm_solution.n_iter < cold_solution.n_iter + 5
        np.testing.assert_allclose(warm_solution.parameters, cold_solution.parameters, atol=1e-4)


def test_small_fits_are_more_accurate_than_a_loose_tol(uses_cached_iterations):
    objective, _ = make_objective(60, 5, 3, l2=0.01)
    expected = find_reference_minimum(objective)[0]
    loose_tol_solution = minimize(objective, tol=1e-3)
    assert loose_tol_solution.stop_reason == CONVERGED and loose_tol_solution.value <= expected * (1 + 1e-5)
    # If a fit stops at max_iter before it reaches that accuracy, its error is still within tol.
    n_sufficient_iterations = next(
        n for n, iteration in enumerate(loose_tol_solution.history, 1) if iteration.bound <= 1e-3 * iteration.objective
    )
    assert n_sufficient_iterations < loose_tol_solution.n_iter
    limited_solution = minimize(objective, tol=1e-3, max_iter=n_sufficient_iterations)
    assert limited_solution.stop_reason == CONVERGED and limited_solution.n_iter == n_sufficient_iterations
    bounds = [minimize(objective, tol=tol).certificate for tol in (1e-6, 9e-7, 1e-8, 1e-10)]
    assert max(bounds[:3]) <= 1.01e-8 * objective.compute_start_value() and bounds[3] <= bounds[2]
