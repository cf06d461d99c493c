"""Row-space fits: equal objectives and minima, and the rule for choosing the row space."""

from itertools import product

import numpy as np
import pytest
from conftest import assert_bitwise_equal, make_offsets_and_targets
from objectives import (
    begin,
    build_objective,
    evaluate,
    find_reference_minimum,
    make_objective,
    replace_budget,
    value_of,
)
from scipy import sparse

from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import dense
from fastlin.objective import row_space as spaces
from fastlin.objective.row_space import RowLine, RowSpace, multiply, multiply_without_intercepts
from fastlin.solvers import choose, lbfgs, line_search, row_space_lbfgs
from fastlin.solvers.solution import AT_ROUNDING_LIMIT, CONVERGED, MAX_ITER_REACHED, STALLED, TOO_SLOW
from fastlin.solvers.stopping import Stopping

KINDS = ["dense", "sparse"]
MINIMIZE_OPTIONS = {"solver": "auto", "tol": 1e-8, "max_iter": 1000}
OPTIONS = {
    "plain": {},
    "no intercept": {"fit_intercept": False},
    "factors": {"penalty_factors": np.linspace(0.3, 2, 80)},
    "without weights": {"weights": None},
    "offsets and soft labels": {"soft": True},
    "some rows, one twice": {
        "row_indices": np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 9, 11, 13, 15, 16, 17, 20, 23, 24, 25])
    },
}


def make_wide_objective(n_classes, kind="dense", n=26, d=80, columns="plain", **options):
    """Return an objective with more columns than rows."""
    objective, _ = make_objective(n, d, n_classes, columns=columns, l2=0.01)
    X = objective.matrix.X
    X = X if kind == "dense" else sparse.csr_array(X * (np.abs(X) > 0.7 * X.std()))
    options = {"l2": 0.01, "weights": np.random.default_rng(3).uniform(0.5, 2, n)} | options
    labels = np.arange(n) % n_classes
    if options.pop("soft", False):
        options["offsets"], options["targets"] = make_offsets_and_targets(labels, n_classes)
    return build_objective(X, labels, n_classes, **options)


def make_vector(space):
    """Return a random vector with its scores. The vector is centered, because J needs centered parameters."""
    multipliers, K = space.zeros()[0], space.objective.n_rows_coef
    multipliers[:-1, :K] = np.random.default_rng(0).normal(size=(len(multipliers) - 1, K)) / len(multipliers)
    multipliers[-1, :K] = np.linspace(-0.5, 0.6, K) * space.objective.fit_intercept
    multipliers[:, :K] -= multipliers[:, :K].mean(axis=1, keepdims=True) * (K > 1)
    return space.make_vector(multipliers)


def minimize(objective, tol=1e-8, max_iter=1000, nearby_fit=None):
    stopping = Stopping(objective, tol, "suboptimality", max_iter)
    return row_space_lbfgs.minimize(begin(objective, stopping, nearby_fit=nearby_fit))


@pytest.fixture(params=product(KINDS, (2, 4), OPTIONS), ids=str)
def objective(request):
    """Return an objective for each kind of X, number of classes and options."""
    kind, n_classes, name = request.param
    return make_wide_objective(n_classes, kind, **OPTIONS[name])


def test_a_row_point_equals_the_point_of_its_parameters(objective):
    space = RowSpace(objective)
    n_passes = objective.n_passes
    vector = make_vector(space)
    point = space.at(vector)
    assert objective.n_passes == pytest.approx(n_passes + 2 * objective.n_rows / 26)
    parameter_point = evaluate(objective, space.to_parameters(vector))
    assert point.value == pytest.approx(parameter_point.value, rel=1e-12)
    expected = value_of(objective, *objective.coordinates.convert_to_coefficients(parameter_point.parameters))
    assert point.value == pytest.approx(float(expected), rel=1e-12)
    # The gradient's norm in the inner product equals that of the certificate, where shifts are rounded to float32.
    square = multiply_without_intercepts(point.gradient, point.gradient)
    assert square == pytest.approx(parameter_point.squared_dual_norm, rel=1e-7)
    np.testing.assert_allclose(
        point.gradient[0, -1, : objective.n_rows_coef], parameter_point.gradient[:, -1], atol=1e-13
    )
    assert (
        point.max_gradient_entry >= parameter_point.largest_subgradient_entry * (1 - 1e-12)
        or (objective.coordinates.scale > 1).any()
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_row_space_line_has_the_values_of_the_objective(kind, n_classes):
    objective = make_wide_objective(n_classes, kind)
    space = RowSpace(objective)
    start, direction = space.start(), make_vector(space)
    line, step, change = RowLine(space, start, direction), 0.7, 1e-5
    value, slope = line(step)
    end = line.end()
    assert value == end.value == pytest.approx(space.at(end.vector).value, rel=1e-14)
    assert slope == pytest.approx((line(step + change)[0] - line(step - change)[0]) / (2 * change), rel=1e-7)
    assert slope == pytest.approx(multiply(direction, end.gradient), rel=1e-10)


def test_the_minimum_is_reached_and_certified(objective):
    solution = minimize(objective)
    assert (solution.converged, solution.stop_reason) == (True, CONVERGED)
    minimum, coef, intercept = find_reference_minimum(objective)
    assert -1e-14 * minimum <= solution.value - minimum <= solution.certificate <= 1e-8 * solution.value
    actual = objective.finish(solution, np.float64)
    np.testing.assert_allclose(actual[0], coef, atol=1e-3)
    np.testing.assert_allclose(actual[1], intercept, atol=1e-3)
    values = [iteration.objective for iteration in solution.history]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_are_valid_for_badly_scaled_columns(kind):
    for columns in ("shifted", "badly scaled", "constant"):
        objective = make_wide_objective(3, kind, columns=columns)
        solution = choose.minimize(objective, **{**MINIMIZE_OPTIONS, "tol": 1e-6})
        assert solution.converged
        assert solution.value - float(find_reference_minimum(objective)[0]) <= solution.certificate


def test_inaccurate_inner_products_are_not_kept(monkeypatch):
    near, far = make_wide_objective(2), make_wide_objective(2, columns="shifted")
    compute_row_products, allows_gram = type(near.matrix).row_products, []
    monkeypatch.setattr(
        type(near.matrix),
        "row_products",
        lambda *arguments: allows_gram.append(arguments[-1]) or compute_row_products(*arguments),
    )
    for objective in (near, far, replace_budget(near, 4 * 8 * 26**2 - 1)):
        RowSpace(objective)
    assert allows_gram == [True, False, False]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_results_do_not_depend_on_threads(monkeypatch, cut_into_blocks, kind, n_classes):
    cut_into_blocks(1_000)
    monkeypatch.setattr(dense, "PANEL_BYTES", 1)
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            solution = minimize(make_wide_objective(n_classes, kind))
        results.append([solution.parameters, solution.certificate])
    assert_bitwise_equal(results)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_with_another_penalty_starts_from_the_solution(kind):
    objective = make_wide_objective(8, kind)
    first = minimize(objective)
    again = minimize(objective, nearby_fit=first)
    assert again.n_iter == 0
    assert again.value == pytest.approx(first.value, rel=1e-14)
    other = objective.with_penalty(0.008, 0.0)
    before, vector = (
        RowSpace(objective).to_parameters(first.row_space_point.vector),
        RowSpace(other).start(first.row_space_point),
    )
    np.testing.assert_allclose(RowSpace(other).to_parameters(vector), before)
    near_solution, cold_solution = minimize(other, nearby_fit=first), minimize(other)
    assert near_solution.n_iter < cold_solution.n_iter
    assert near_solution.value == pytest.approx(cold_solution.value, rel=1e-8)
    solution_of_chosen_solver = choose.minimize(other, [first.parameters], nearby_fit=first, **MINIMIZE_OPTIONS)
    np.testing.assert_array_equal(solution_of_chosen_solver.parameters, near_solution.parameters)


def test_any_parameters_have_a_row_space_representation(objective):
    space = RowSpace(objective)
    # Most of these parameters are outside the row space, which only increases the penalty.
    parameters = 0.1 * np.random.default_rng(5).normal(size=objective.shape)
    parameters[:, -1] *= objective.fit_intercept
    parameters = objective.center(parameters)
    for tolerance in (1e-2, 1e-9):
        vector = space.represent_parameters(parameters, tolerance)
        actual, original = (evaluate(objective, p).value for p in (space.to_parameters(vector), parameters))
        assert space.at(vector).value == pytest.approx(actual, rel=1e-9)
        assert actual <= (1 + tolerance) * original
    solution = minimize(objective, tol=1e-9)
    actual = space.to_parameters(space.represent_parameters(solution.parameters, 1e-12))
    np.testing.assert_allclose(actual, solution.parameters, atol=1e-3 * np.abs(solution.parameters).max())


def test_a_start_in_the_coefficients_is_represented_in_the_row_space(monkeypatch):
    objective = make_wide_objective(4)
    first, near = minimize(objective, tol=1e-9), objective.with_penalty(0.009, 0.0)
    with monkeypatch.context() as context:
        context.setattr(lbfgs, "minimize", None)
        again, warm, far = (
            choose.minimize(other, [size * first.parameters], **MINIMIZE_OPTIONS)
            for other, size in ((objective, 1), (near, 1), (near, 1e6))
        )
    assert again.n_iter == 0 and again.value == pytest.approx(first.value, rel=1e-8)
    assert warm.converged and warm.n_iter < minimize(near).n_iter == far.n_iter
    assert warm.value == pytest.approx(float(find_reference_minimum(near)[0]), rel=1e-7)
    # A sequence of one-iteration fits also converges.
    parameters, values = objective.start(), []
    for _ in range(60):
        solution = choose.minimize(objective, [parameters], **{**MINIMIZE_OPTIONS, "max_iter": 1})
        parameters = solution.parameters
        values.append(solution.value)
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[-1] - first.value <= 1e-6 * first.value
    # If computing the representation is too slow, the fit stays in coefficient space.
    monkeypatch.setattr(spaces, "MAX_GRAM_PRODUCTS", 0)
    assert (
        row_space_lbfgs.minimize(begin(objective, Stopping(objective, 1e-8, "suboptimality", 9), first.parameters))
        is None
    )
    coefficient_solution = choose.minimize(near, [first.parameters], **MINIMIZE_OPTIONS)
    assert coefficient_solution.converged and coefficient_solution.row_space_point is None


def test_fits_that_overflow_or_stall_continue_in_the_coefficients(monkeypatch):
    objective, search_step, calls = make_wide_objective(8), line_search.search_step, []
    assert minimize(build_objective(1e160 * objective.matrix.X, objective.rows.labels, 8, l2=1e-2)) is None
    # The first line search fails.
    monkeypatch.setattr(
        line_search,
        "search_step",
        lambda *arguments, **options: calls.append(0) or (search_step(*arguments, **options) if calls[1:] else None),
    )
    solution = choose.minimize(objective, **MINIMIZE_OPTIONS)
    assert solution.converged
    assert solution.value == pytest.approx(float(find_reference_minimum(objective)[0]), rel=1e-8)
    monkeypatch.setattr(line_search, "search_step", lambda *a, **k: None)
    assert minimize(objective).stop_reason == STALLED


def test_the_row_space_suits_smooth_bounded_penalties_of_wide_data():
    assert row_space_lbfgs.is_suitable(make_wide_objective(3))
    assert row_space_lbfgs.is_suitable(make_wide_objective(3, "sparse", soft=True))
    for objective in (
        make_wide_objective(3, n=27),
        make_wide_objective(3, "sparse", n=27),
        make_wide_objective(3, l1=0.01),
        make_wide_objective(3, l2=0.0),
        make_wide_objective(3, penalty_factors=np.append(0.0, np.ones(79))),
        make_wide_objective(3, row_indices=np.arange(12)),
        make_wide_objective(3, weights=(np.arange(26) % 3 > 0).astype(float)),
        replace_budget(make_wide_objective(3), 1000),
    ):
        assert not row_space_lbfgs.is_suitable(objective)


def test_the_direction_is_that_of_the_recursion_in_the_inner_product():
    space = RowSpace(make_wide_objective(3))
    pairs, points = row_space_lbfgs.RowPairs(space), [space.at(space.start())]
    for _ in range(4):
        direction = pairs.direction(points[-1])
        assert multiply(direction, points[-1].gradient) < 0
        line = RowLine(space, points[-1].vector, direction)
        line(0.5)
        points.append(line.end())
        pairs.add(*((point.vector, point.gradient) for point in points[-2:]))
    before, last = points[-2:]
    direction = pairs.direction(last)
    # The scores still match the multipliers, and H maps the last gradient change to the last step.
    np.testing.assert_allclose(direction[1], space.make_vector(direction[0])[1], atol=1e-10)
    forms = [table.ravel() for table in last.gradient - before.gradient]
    step, _ = pairs.multiply_inverse_hessian(forms, np.copy)
    np.testing.assert_allclose(step, (last.vector - before.vector)[0].ravel(), atol=1e-12)


def test_slow_fits_continue_in_the_coefficients():
    generator = np.random.default_rng(0)
    X = np.cumsum(generator.normal(size=(120, 400)), axis=1)
    labels = np.digitize(X[:, 200] + 20 * generator.normal(size=120), [-20, 0, 20])
    objective = build_objective(X, labels, 4, l2=1e-6)
    assert row_space_lbfgs.is_suitable(objective)
    row_space_solution, solution = (
        minimize(objective, tol=1e-6),
        choose.minimize(objective, **{**MINIMIZE_OPTIONS, "tol": 1e-6}),
    )
    assert (row_space_solution.stop_reason, solution.converged) == (TOO_SLOW, True)
    assert row_space_solution.n_iter >= row_space_lbfgs.SWITCH_THRESHOLD
    assert solution.value <= row_space_solution.value


@pytest.mark.parametrize("kind", KINDS)
def test_solver_lbfgs_bounds_the_gradient_by_tol(kind):
    objective = make_wide_objective(4, kind)
    solution = choose.minimize(objective, solver="lbfgs", tol=1e-5, max_iter=1000)
    assert solution.converged
    assert evaluate(objective, solution.parameters).largest_subgradient_entry <= 1e-5


def test_a_tol_of_zero_stops_at_max_iter_or_the_rounding_limit():
    solution = minimize(make_wide_objective(3), max_iter=2)
    assert (solution.n_iter, solution.converged, solution.stop_reason) == (2, False, MAX_ITER_REACHED)
    assert solution.certificate > 1e-8 * solution.value
    objective = make_wide_objective(8)
    solution = choose.minimize(objective, **{**MINIMIZE_OPTIONS, "tol": 0.0})
    assert solution.stop_reason in (AT_ROUNDING_LIMIT, STALLED)
    assert abs(solution.value - float(find_reference_minimum(objective)[0])) <= 1e-12 * solution.value
