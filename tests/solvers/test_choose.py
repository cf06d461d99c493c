"""Every solver, on problems whose minimum is known."""

import numpy as np
import pytest
from conftest import COLUMN_KINDS, assert_bitwise_equal, make_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from objectives import (
    build_objective,
    find_reference_minimum,
    get_row_offsets,
    make_objective,
    make_offset_objective,
    make_scale_free_objective,
    replace_budget,
    value_of,
)

from fastlin.kernels.machine.threads import limit_threads
from fastlin.solvers import choose, descent, lbfgs, newton, preconditioners, row_space_lbfgs, starting_points
from fastlin.solvers.solution import MAX_ITER_REACHED, SEPARABLE_CLASSES

METHODS = {
    "rows": row_space_lbfgs.minimize,
    "descent": descent.minimize,
    "lbfgs": starting_points.minimize_by_lbfgs,
    "conjugate_gradients": newton.minimize_by_conjugate_gradients,
    "cholesky": newton.minimize_by_cholesky,
    "proximal_newton": starting_points.minimize_by_proximal_newton,
}
SOLVERS = ["auto", "lbfgs", "newton-cg", "newton-cholesky"]


@pytest.fixture(params=[*SOLVERS, "auto by passes", "lbfgs with limited memory"])
def solver(request, monkeypatch):
    """Return the name of each solver. The variants disable methods for small problems to test those for large ones."""
    if request.param == "auto by passes":
        monkeypatch.setattr(descent, "MAX_WORK_IN_CACHE", 0)
    if request.param == "lbfgs with limited memory":
        monkeypatch.setattr(descent, "is_suitable", lambda objective: False)
    return request.param.split()[0]


def minimize(objective, solver, starts=(), tol=1e-12, max_iter=1000, **options):
    return choose.minimize(objective, starts, solver=solver, tol=tol, max_iter=max_iter, **options)


def make_objectives(columns):
    """Yield objectives with a kind of columns, or with offsets and targets."""
    repeated = {"l2": 0.02, "row_indices": np.repeat(np.arange(60), np.random.default_rng(4).integers(0, 4, 60))}
    if columns != "offsets":
        for fit_intercept in (True, False):
            for n, n_classes, options in [
                (80, 2, {"l2": 1e-4}),
                (80, 3, {"l2": 0.1, "weighted": False}),
                (12, 4, {"l2": 0.1}),
                (12, 4, {"l2": 1e-4}),
                (80, 4, {"l2": 0.01, "penalty_factors": np.array([0.5, 2.0, 1.0, 3.0, 0.1])}),
                (60, 2, repeated),
                (60, 3, repeated),
            ]:
                yield make_objective(n, 5, n_classes, columns=columns, fit_intercept=fit_intercept, **options)[0]
        return
    for n_classes, size, soft, options in [
        (2, 2.0, False, {"l2": 1e-3}),
        (2, 1e3, True, {"l2": 1e-3}),
        (2, 1.0, True, {"l2": 0.0}),
        (4, 2.0, True, {"l2": 1e-3, "fit_intercept": False}),
        (4, 1e3, False, {"l2": 0.1}),
        (4, 2.0, True, {"l2": 1e-3, "l1": 0.02}),
        (2, 2.0, False, {"l2": 0.0, "l1": 0.02}),
    ]:
        make = make_scale_free_objective if "l1" in options else make_objective
        yield make_offset_objective(80, 6, n_classes, size, soft, make=make, **options)[0]


@pytest.mark.parametrize("columns", [*COLUMN_KINDS, "offsets"])
def test_every_solver_reaches_the_minimum(solver, columns):
    for objective in make_objectives(columns):
        minimum, coef, intercept = find_reference_minimum(objective)
        solution = minimize(objective, solver)
        actual_coef, actual_intercept, rise = objective.finish(solution, np.float64)
        suboptimality = value_of(objective, actual_coef, actual_intercept) - minimum
        # If columns are far from zero, the terms of a score cancel, and rounding errors are relative to the terms.
        size = np.abs(get_row_offsets(objective)).max()
        terms = np.abs(objective.matrix.X) @ np.abs(actual_coef).T + np.abs(actual_intercept) + size
        rounding = (objective.shape[1] + 2) * np.finfo(np.longdouble).eps * max(terms.max(), minimum)
        assert -rounding <= suboptimality <= min(solution.certificate + rise, 1e-8 * minimum)
        if columns not in ("badly scaled", "shifted"):
            np.testing.assert_allclose(actual_coef, coef, atol=1e-5)
            changes = actual_intercept - intercept
            changes -= changes.mean() * (len(coef) > 1)
            np.testing.assert_allclose(changes, 0, atol=1e-5 + 1e-12 * size)
            assert solution.converged
        assert (actual_intercept != 0).any() == objective.fit_intercept
        # The solver is accurate enough to certify the tolerance.
        if columns == "offsets":
            solution = minimize(objective, "auto", tol=1e-6)
            assert solution.converged
            assert solution.value - minimum <= solution.certificate <= 1.01e-6 * solution.value


def test_a_distant_start_reaches_the_same_minimum(solver):
    for n_classes, l2 in ((2, 0.0), (2, 1e-3), (3, 0.0), (3, 1e-3)):
        objective, parameters = make_objective(80, 4, n_classes, l2=l2)
        near, *far = (minimize(objective, solver, starts=[size * parameters]).value for size in (0, 10, 1000))
        assert far == pytest.approx([near, near], rel=1e-7)


def test_the_history_records_every_iteration(solver):
    for n_classes in (2, 4):
        objective, _ = make_objective(100, 5, n_classes, l2=1e-3)
        records = []
        solution = minimize(objective, solver, on_iteration=lambda *record, records=records: records.append(record))
        assert solution.n_iter == len(solution.history) > 1
        assert [record[:2] for record in records] == list(enumerate(solution.history, 1))
        record = np.array([(i.objective, i.bound, i.gradient, i.n_passes, i.seconds) for i in solution.history])
        assert np.isfinite(record).all()
        values, bounds, gradients, n_passes, seconds = record.T
        minimum, *_ = find_reference_minimum(objective)
        assert (np.diff(values) <= 1e-13 * minimum).all()
        assert (values - minimum <= bounds).all()
        assert (np.diff(n_passes) > 0).all() and n_passes[-1] <= objective.n_passes
        assert (np.diff(seconds) >= 0).all()
        assert solution.value <= values[-1]
        assert gradients[-1] < 1e-4 * gradients[0]


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_the_best_start_is_used(solver):
    objective, parameters = make_objective(100, 5, 3, l2=0.1)
    best = minimize(objective, solver, tol=1e-9).parameters
    before = best.copy()
    for starts in ([best], [parameters, best, -parameters], [best, 5 * parameters], [np.inf * parameters, best]):
        again = minimize(objective, solver, starts=starts, tol=1e-6)
        assert again.converged and again.n_iter <= 1
    np.testing.assert_array_equal(best, before)
    # A better start replaces an infinite one.
    alone, far = (minimize(objective, solver, starts=starts) for starts in ([], [np.inf * parameters]))
    assert far.value == alone.value


def test_max_iter_ends_a_fit_with_a_finite_solution(solver):
    objective, _ = make_objective(100, 5, 3, l2=1e-4)
    solution = minimize(objective, solver, max_iter=1, tol=1e-12)
    assert (solution.n_iter, solution.converged, solution.stop_reason) == (1, False, MAX_ITER_REACHED)
    assert np.isfinite(solution.parameters).all()
    assert solution.value - find_reference_minimum(objective)[0] <= solution.certificate < np.inf


@pytest.mark.parametrize(("n_classes", "dtype"), [(2, np.float64), (3, np.float32)])
def test_a_tol_of_zero_converges_at_the_rounding_limit(solver, n_classes, dtype):
    for columns in COLUMN_KINDS:
        X = make_objective(200, 4, n_classes, columns=columns)[0].matrix.X.astype(dtype)
        labels = make_objective(200, 4, n_classes)[0].rows.labels
        objective = build_objective(X, labels, n_classes, l2=0.01)
        solution = minimize(objective, solver, tol=0.0)
        assert solution.converged
        assert solution.n_iter < 300
        assert solution.value == pytest.approx(float(find_reference_minimum(objective)[0]), rel=1e-11)


def test_steps_that_cancel_each_other_at_the_rounding_limit_stop(solver):
    # Without the stopping rule, one to three of these fits per method cycled until max_iter, on any processor.
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n, d, n_classes = (int(rng.integers(*ends)) for ends in [(20, 300), (1, 6), (2, 4)])
        X = rng.normal(size=(n, d)) + rng.choice([0, 1, 1000, 1e4])
        l2 = 10 ** rng.uniform(-4, 0)
        objective = build_objective(X, (np.arange(n) % n_classes).astype(np.int32), n_classes, l2=l2)
        solution = minimize(objective, solver, tol=0.0)
        assert solution.converged and solution.n_iter < 100


def test_separable_classes_without_a_penalty_stop_at_a_small_loss(solver):
    for n_classes in (2, 3):
        labels = np.arange(60) % n_classes
        X = np.random.default_rng(0).normal(size=(60, 3)) + 20 * np.eye(3)[labels]
        solution = minimize(build_objective(X, labels, n_classes), solver, tol=1e-12)
        assert (solution.stop_reason, solution.converged, solution.certificate) == (SEPARABLE_CLASSES, False, np.inf)
        assert solution.n_iter < 100
        assert solution.value < 1e-3
        assert np.isfinite(solution.parameters).all()


def test_unpenalized_coefficients_sum_to_zero_over_classes(solver):
    for columns in ("plain", "constant", "badly scaled"):
        for n_classes in (2, 3, 5):
            objective, _ = make_objective(200, 3, n_classes, columns=columns)
            solution = minimize(objective, solver)
            assert solution.converged
            # Newton steps with the full Hessian give a certificate.
            is_certified = solver != "lbfgs"
            assert (solution.certificate < 1e-5) if is_certified else (solution.certificate == np.inf)
            coef, intercept, _ = objective.finish(solution, np.float64)
            gradient = objective.at(objective.coordinates.to_parameters(coef, intercept)).gradient
            np.testing.assert_allclose(gradient, 0, atol=2e-5)
            if n_classes > 2:
                np.testing.assert_allclose(coef.sum(axis=0), 0, atol=1e-13 * np.abs(coef).max())
                assert intercept.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_class_whose_rows_have_no_weight(solver, fit_intercept):
    X, labels, *_ = make_problem(100, 3, 3)
    weights = (labels != 1).astype(float)
    without = build_objective(X, labels, 3, weights=weights, l2=0.05, fit_intercept=fit_intercept)
    solution = minimize(without, solver, tol=1e-8)
    assert np.isfinite(solution.parameters).all()
    if not fit_intercept:
        assert solution.value == pytest.approx(float(find_reference_minimum(without)[0]), rel=1e-7)
        return
    # The class's intercept decreases without bound. The limit is the problem with the other two classes.
    two = weights > 0
    binary_objective = build_objective(X[two], labels[two] // 2, 2, l2=0.05 / 2)
    assert solution.value == pytest.approx(minimize(binary_objective, "newton-cholesky", tol=1e-10).value, rel=1e-3)


def test_an_objective_without_a_minimum_is_reproducible(solver):
    X = np.random.RandomState(0).uniform(size=(10, 10))
    labels = np.arange(10) % 2
    results, filler_arrays = [], []
    for repetition in range(40):
        # Previous memory contents must not affect results.
        filler_arrays = [*(filler_arrays if repetition % 3 else []), np.full(1 + 37 * repetition % 400, 1e300)]
        objective = build_objective(X, labels, 2, weights=labels.astype(float), l2=0.2)
        with np.errstate(all="ignore"):
            results.append([minimize(objective, solver, tol=1e-4).parameters])
    assert_bitwise_equal(results)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_do_not_depend_on_threads(solver, dtype):
    labels = np.random.default_rng(2).integers(0, 10, 20_000)
    X = make_objective(20_000, 30, 10, dtype)[0].matrix.X
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            objective = build_objective(X, labels, 10, l2=1e-3)
            solution = minimize(objective, solver, tol=1e-6, max_iter=2)
            results.append([solution.parameters, solution.certificate, solution.value])
    assert objective.rows.passes._n_blocks > 1
    assert_bitwise_equal(results)


def test_every_solver_works_without_memory_for_probabilities(solver):
    objective, _ = make_objective(300, 4, 3, l2=0.01)
    narrow = replace_budget(objective, 16 * 60 * objective.bytes_per_row)
    assert not narrow.stores_probabilities
    solution = minimize(narrow, solver)
    assert solution.value == pytest.approx(minimize(objective, solver).value, rel=1e-9)
    assert solution.converged


def test_solver_names_select_their_methods(monkeypatch):
    narrow, wide, row_space_objective, many = (
        make_objective(*shape, l2=0.1)[0] for shape in ((100, 3, 2), (35, 60, 11), (45, 140, 8), (100, 60, 40))
    )
    # With many rows, the Hessian costs as much as several passes over X in memory. With many columns, its
    # factorization costs that much.
    free, tall_objective, disk_objective, wide_unpenalized_objective = (
        make_objective(*shape)[0] for shape in ((200, 10, 3), (4_000, 10, 3), (4_000, 10, 3), (40, 300, 2))
    )
    disk_objective.matrix.lies_in_memory = False
    l1_objective, _ = make_objective(60, 4, 3, l1=0.02)
    low = replace_budget(narrow, 16 * 20 * narrow.bytes_per_row)
    for name, objective, expected in (
        ("lbfgs", narrow, "descent lbfgs"),
        ("newton-cg", narrow, "cholesky"),
        ("newton-cg", many, "conjugate_gradients"),
        ("newton-cholesky", wide, "cholesky"),
        ("auto", narrow, "descent cholesky"),
        ("auto", wide, "descent lbfgs conjugate_gradients cholesky"),
        ("auto", many, "lbfgs conjugate_gradients cholesky"),
        ("lbfgs", many, "lbfgs"),
        ("auto", free, "cholesky"),
        ("auto", tall_objective, "lbfgs cholesky"),
        ("auto", disk_objective, "cholesky"),
        ("auto", wide_unpenalized_objective, "lbfgs cholesky"),
        ("auto", row_space_objective, "rows descent lbfgs conjugate_gradients cholesky"),
        ("lbfgs", row_space_objective, "rows descent lbfgs"),
        ("newton-cg", row_space_objective, "conjugate_gradients"),
        ("newton-cg", low, "lbfgs"),
        ("newton-cholesky", low, "lbfgs"),
        *((name, l1_objective, "proximal_newton") for name in (*SOLVERS, "liblinear", "saga")),
    ):
        methods = choose.list_methods(objective, name)
        assert methods == [METHODS[method] for method in expected.split()]
    # A fit of this many rows starts on a sample.
    monkeypatch.setattr(choose, "MIN_ROWS_FOR_SAMPLE", 4_000)
    assert not choose.is_hessian_cheap(disk_objective)


def test_fits_of_many_rows_start_on_a_sample(monkeypatch):
    monkeypatch.setattr(starting_points, "MIN_ROWS_FOR_SAMPLE", 25_000)
    monkeypatch.setattr(starting_points, "MIN_SAMPLED_ROWS", 2_500)
    monkeypatch.setattr(descent, "is_suitable", lambda objective: False)
    objectives, solve = [], lbfgs.minimize
    monkeypatch.setattr(
        lbfgs,
        "minimize",
        lambda *arguments, **options: objectives.append(arguments[0].objective) or solve(*arguments, **options),
    )
    X, *_ = make_problem(25_000, 40, 11, np.float32)
    labels = (X @ np.random.default_rng(1).normal(size=(40, 11))).argmax(axis=1)
    weights = np.tile([0, 2.5, 1, 1, 1], 5_000)
    objective = build_objective(X, labels, 11, weights=weights, l2=1e-3)
    first = []
    solution = minimize(objective, "auto", tol=1e-6, on_iteration=lambda n_iter, iteration, _: first.append(iteration))
    sample, whole = objectives
    assert (sample.n_rows, whole) == (2_500, objective)
    strengths = [part.penalty.l2 * part.rows.total_weight for part in (sample, objective)]
    assert strengths[0] == pytest.approx(strengths[1], rel=1e-12)
    start_value = objective.at(objective.start()).value
    assert first[0].objective < 0.5 * start_value
    assert solution.converged
    assert objective.at(solution.parameters).lower_bound() <= solution.value
    assert solution.certificate <= 1e-6 * solution.value
    # With few parameters, the Hessian of another sample is the preconditioner.
    sampled_rows, factorize = [], preconditioners.factorize_sampled_hessian
    monkeypatch.setattr(
        preconditioners,
        "factorize_sampled_hessian",
        lambda sample, point: sampled_rows.append(sample.n_rows) or factorize(sample, point),
    )
    for columns, small_weights in ((X[:, :9], None), (np.c_[X[:, :8], np.arange(25_000) % 500 == 1], weights)):
        small = build_objective(columns.astype(np.float32), labels % 3, 3, weights=small_weights, l2=1e-3)
        solution = minimize(small, "auto", tol=1e-6)
        assert solution.converged and solution.certificate <= 1e-6 * solution.value
    # If there are weights or rare values, the number of rows is random.
    assert len(sampled_rows) == 2 and sampled_rows[0] == 25_000 // 32
    assert abs(sampled_rows[1] - 25_000 // 32) <= 4 * np.sqrt(25_000 // 32)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(6, 50), st.integers(1, 8), st.integers(2, 5))
    | st.sampled_from([(60, 2, 20), (6, 30, 3), (2, 3, 2)]),
    exponent=st.floats(-4, 1),
    name=st.sampled_from(SOLVERS),
    fit_intercept=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_problems_have_valid_certificates(shape, exponent, name, fit_intercept, seed):
    (n, d, n_classes), generator = shape, np.random.default_rng(seed)
    X = generator.normal(size=(n, d)) * 10 ** generator.uniform(-1, 1, d) + generator.normal(size=d)
    weights, labels = generator.uniform(0.1, 2, n), np.arange(n) % n_classes
    objective = build_objective(X, labels, n_classes, weights=weights, l2=10**exponent, fit_intercept=fit_intercept)
    solution = minimize(objective, name, tol=1e-11)
    assert solution.converged
    assert np.abs(solution.gradient).max() < 1e-5
    minimum = find_reference_minimum(objective)[0]
    assert minimum - solution.value <= objective.at(solution.parameters).rounding
    assert solution.value - minimum <= solution.certificate


def test_nearly_collinear_columns_without_a_penalty_are_fitted_to_the_optimum():
    # At the limit of accuracy of L-BFGS, J of four of these problems exceeded the minimum by up to 9e-4.
    for seed in range(5):
        generator = np.random.default_rng(seed)
        X = generator.normal(size=(1000, 23))
        X = np.column_stack([X, X[:, 0] + 3e-6 * generator.normal(size=1000)])
        objective = build_objective(X, generator.integers(0, 5, 1000), 5, l2=0.0)
        solution, exact = (minimize(objective, name, tol=1e-12) for name in ("auto", "newton-cholesky"))
        assert solution.converged and exact.converged, seed
        # Rounding errors of J are about 1e-13.
        assert solution.value == pytest.approx(exact.value, rel=1e-11), seed


@pytest.mark.parametrize("C", [1e2, 1e4, 1e6])
def test_collinear_columns_with_a_weak_penalty_take_few_passes(C):
    # X has eight factors plus noise of size 1e-3. If rounding errors of blocks hide the penalty, fits need many passes.
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(1000, 8))
    X = factors @ generator.normal(size=(8, 200)) + 1e-3 * generator.normal(size=(1000, 200))
    labels = (factors[:, 0] + generator.normal(size=1000) > 0).astype(int)
    solution = minimize(build_objective(X, labels, 2, l2=1 / (C * 1000)), "auto", tol=1e-4)
    assert solution.converged
    assert solution.n_passes < 60
