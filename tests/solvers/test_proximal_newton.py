"""Proximal Newton, compared with known optima, a proximal gradient reference and the optimality conditions."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import reference
from conftest import COLUMN_KINDS, assert_bitwise_equal, distort_columns, make_problem, mark_params
from objectives import (
    begin,
    build_objective,
    compute_largest_subgradient_entry,
    evaluate,
    find_reference_minimum,
    get_data,
    make_objective,
    replace_budget,
)
from scipy import optimize, sparse, special

from fastlin.kernels.machine.threads import limit_threads
from fastlin.solvers import proximal_newton
from fastlin.solvers.quadratic import ColumnModel, HessianModel
from fastlin.solvers.solution import AT_ROUNDING_LIMIT, CONVERGED, MAX_ITER_REACHED
from fastlin.solvers.stopping import Stopping


@pytest.fixture(params=["by hessian", "by columns"])
def model(request, monkeypatch):
    """Return the kind of quadratic model that steps use, for any number of parameters."""
    monkeypatch.setattr(proximal_newton, "SMALL_HESSIAN_SIZE", 10**9 if request.param == "by hessian" else 0)
    return request.param


@pytest.fixture
def models(monkeypatch):
    """Return a list to which each new quadratic model is appended."""
    made, make_model = [], proximal_newton.make_model
    monkeypatch.setattr(
        proximal_newton, "make_model", lambda *arguments: made.append(make_model(*arguments)) or made[-1]
    )
    return made


def minimize(objective, start=None, tol=1e-12, rule="suboptimality", max_iter=200):
    return proximal_newton.minimize(begin(objective, Stopping(objective, tol, rule, max_iter), start))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("l1", "l2"), [(0.03, 0.0), (0.02, 0.05), (1e-3, 0.0)])
def test_both_models_reach_the_minimum(model, l1, l2, grouped):
    for n_classes, fit_intercept in [(2, True), (3, False), (3, True), (5, True)]:
        factors = np.array([1.0, 0.5, 9.0, 1.0, 2.0, 0.1])
        options = {"penalty_factors": factors, "group_lasso": grouped, "fit_intercept": fit_intercept}
        objective, _ = make_objective(80, 6, n_classes, l1=l1, l2=l2, **options)
        solution = minimize(objective)
        minimum, expected_coef, expected_intercept = find_reference_minimum(objective)
        assert solution.converged
        assert solution.n_iter < 30
        end = objective.at(solution.parameters)
        assert minimum - solution.value <= end.rounding
        assert solution.value - minimum <= solution.certificate <= 1e-11 + end.rounding + end.dual_value_rounding < 1e-9
        coef, intercept, rise = objective.finish(solution, np.float64)
        assert 0 <= rise <= 1e-11
        assert compute_largest_subgradient_entry(objective, coef, intercept) < 1e-6
        np.testing.assert_array_equal(coef == 0, expected_coef == 0)
        assert l1 < 0.01 or (coef == 0).any()
        np.testing.assert_allclose(coef, expected_coef, atol=1e-5)
        expected_intercept -= expected_intercept.mean() * (n_classes > 2)
        np.testing.assert_allclose(intercept, expected_intercept, atol=1e-5)


@pytest.mark.parametrize("columns", COLUMN_KINDS[1:])
def test_ill_conditioned_sparse_columns_reach_the_minimum(model, columns):
    for n_classes, grouped in [(2, False), (3, True), (3, False)]:
        X, labels, weights, *_ = make_problem(80, 6, n_classes)
        X = distort_columns(X, columns)
        scale = np.maximum(X.std(axis=0), 1e-3)
        options = {"weights": weights, "penalty_factors": scale, "group_lasso": grouped}
        objective = build_objective(sparse.csr_array(X), labels, n_classes, l1=0.02, **options)
        solution, (minimum, expected, _) = minimize(objective, tol=1e-10), find_reference_minimum(objective)
        coef, *_ = objective.finish(solution, np.float64)
        assert solution.converged
        assert solution.value == pytest.approx(float(minimum), rel=1e-9)
        np.testing.assert_allclose(coef * scale, expected * scale, atol=1e-4)
        np.testing.assert_array_equal(coef == 0, expected == 0)


@pytest.mark.parametrize("seed", [51, 103, 129, 140])
def test_zeroing_steps_are_accepted_despite_rounding_errors(seed):
    # If all coefficients of a column change equally, J changes only through the L1 penalty. Without the rule for the
    # slopes, such steps stopped at 1e-9 to 1e-10 of J.
    generator = np.random.default_rng(seed)
    K, d = int(generator.integers(3, 6)), int(generator.integers(4, 9))
    X = generator.normal(size=(100, d)).astype(np.float32 if seed % 2 else np.float64)
    labels = (X @ generator.normal(size=(d, K)) + generator.gumbel(size=(100, K))).argmax(axis=1)
    labels[:K] = np.arange(K)
    objective = build_objective(X, labels, K, l1=float(generator.choice([0.005, 0.02, 0.05])))
    solution = minimize(objective)
    end = objective.at(solution.parameters)
    assert solution.certificate <= 1e-11 + end.rounding + end.dual_value_rounding


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_the_bound_of_every_iteration_holds(model, columns):
    for grouped, n_classes in product((False, True), (2, 4)):
        X, labels, weights, *_ = make_problem(60, 6, n_classes)
        X = distort_columns(X, columns)
        options = {"penalty_factors": np.maximum(X.std(axis=0), 0.01), "group_lasso": grouped}
        objective = build_objective(X, labels, n_classes, weights=weights, l1=0.01, **options)
        parameters = np.random.default_rng(0).normal(size=objective.shape)
        solution = minimize(objective, parameters)
        minimum, *_ = find_reference_minimum(objective)
        assert solution.converged
        assert solution.n_iter > 2
        values = np.array([step.objective for step in solution.history])
        bounds = np.array([step.bound for step in solution.history])
        assert (values[:-1] > values[-1]).any()
        assert (values - minimum <= bounds).all()
        assert (values - minimum >= -1e-13).all()
        assert bounds[-1] < 1e-11
        for n_steps in (1, 2):
            cut = minimize(objective, parameters, max_iter=n_steps)
            assert cut.n_iter == n_steps
            assert (cut.stop_reason, cut.converged) == (MAX_ITER_REACHED, False)
            np.testing.assert_array_equal([step.objective for step in cut.history], values[:n_steps])
            assert 0 < cut.value - minimum <= cut.certificate


@pytest.mark.parametrize("n_classes", [2, 4])
def test_all_coefficients_are_zero_above_a_critical_penalty(model, n_classes):
    for grouped in (False, True):
        for columns in ("plain", "badly scaled"):
            X, labels, weights, *_ = make_problem(80, 5, n_classes)
            X = distort_columns(X, columns)
            factors = X.std(axis=0) * [1, 0.5, 2, 1, 3]
            fractions = np.bincount(labels, weights) / weights.sum()
            intercept = np.log(fractions[1:] / fractions[0]) if n_classes == 2 else np.log(fractions)
            slopes = reference.gradient(X, labels, np.zeros((len(intercept), 5)), intercept, weights)[0].astype(float)
            sizes = reference.compute_magnitudes(slopes, grouped).max(axis=0)
            critical_l1, first = (sizes / factors).max(), (sizes / factors).argmax()
            options = {"weights": weights, "penalty_factors": factors, "group_lasso": grouped}
            for l1 in (critical_l1 * (1 + 1e-6), 10 * critical_l1, 1e100 * critical_l1, 1e200 * critical_l1):
                objective = build_objective(X, labels, n_classes, l1=l1, **options)
                for start in (None, np.ones(objective.shape)):
                    solution = minimize(objective, start)
                    coef, actual, rise = objective.finish(solution, np.float64)
                    assert not coef.any()
                    assert solution.converged
                    assert solution.certificate + rise <= 1e-11
                    np.testing.assert_allclose(actual, intercept - intercept.mean() * (n_classes > 2), atol=1e-5)
            objective = build_objective(X, labels, n_classes, l1=critical_l1 * (1 - 1e-4), **options)
            coef, *_ = objective.finish(minimize(objective, tol=1e-14), np.float64)
            assert coef[:, first].any()
            assert not np.delete(coef, first, axis=1).any()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_disjoint_features_have_the_closed_form_solution(model, kind):
    # Each row has one nonzero feature: sigmoid(w) = (fraction of its rows in class 1) -+ l1 / frequency.
    generator = np.random.default_rng(0)
    features = np.repeat(np.arange(6), [50, 80, 30, 40, 60, 40])
    labels = (generator.uniform(size=300) < np.array([0.9, 0.1, 0.5, 0.55, 0.7, 0.2])[features]).astype(int)
    feature_frequencies = np.bincount(features) / 300
    fraction = np.bincount(features, labels) / np.bincount(features)
    X = sparse.csr_array(np.eye(6)[features]) if kind == "sparse" else np.eye(6)[features]
    for l1 in (0.02, 0.03, 0.05):
        objective = build_objective(X, labels, 2, l1=l1, fit_intercept=False)
        coef, *_ = objective.finish(minimize(objective, tol=1e-15), np.float64)
        shrunken_fractions = (
            np.sign(fraction - 0.5) * np.maximum(np.abs(fraction - 0.5) - l1 / feature_frequencies, 0) + 0.5
        )
        expected = np.log(shrunken_fractions / (1 - shrunken_fractions))
        assert (expected == 0).any() and (expected != 0).any()
        np.testing.assert_array_equal(coef[0] == 0, expected == 0)
        np.testing.assert_allclose(coef[0], expected, atol=1e-6)


def test_a_class_without_rows(model):
    for grouped in (False, True):
        X, labels, *_ = make_problem(60, 4, 3)
        objective, present = (build_objective(X, labels, n, l1=0.02, group_lasso=grouped) for n in (4, 3))
        solution = minimize(objective, tol=1e-6)
        # J has no minimum: if the intercept of the absent class tends to minus infinity, J approaches the minimum of
        # the problem without that class.
        assert solution.value == pytest.approx(minimize(present).value, rel=1e-3)
        coef, *_ = objective.finish(solution, np.float64)
        np.testing.assert_allclose(coef[3], 0, atol=1e-3 if grouped else 0)


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_a_tiny_tol_stops_at_the_rounding_limit(model, columns):
    for tol, (n_classes, grouped) in product((1e-10, 1e-15, 0.0), [(2, False), (4, True), (4, False)]):
        objective, _ = make_objective(80, 6, n_classes, columns=columns, l1=0.01, l2=1e-3, group_lasso=grouped)
        solution = minimize(objective, tol=tol)
        assert solution.converged
        assert solution.stop_reason in ((AT_ROUNDING_LIMIT,) if tol == 0 else (CONVERGED, AT_ROUNDING_LIMIT))
        assert solution.n_iter < 60
        assert solution.certificate <= (1e-10 if columns != "shifted" else 1e-7) * solution.value


def test_a_fit_from_the_solution_makes_no_iterations(model):
    for n_classes in (2, 4):
        objective, _ = make_objective(80, 6, n_classes, l1=0.01)
        solution = minimize(objective, tol=1e-12)
        for rule in ("suboptimality", "gradient"):
            again = minimize(objective, solution.parameters, tol=1e-5, rule=rule)
            assert (again.n_iter, again.converged, again.value) == (0, True, solution.value)
        # If a point has probabilities, it is not evaluated again.
        buffer = objective.make_probability_buffer()
        point = objective.at(solution.parameters, out=buffer)
        n_passes = objective.n_passes
        again = minimize(objective, point, tol=1e-5)
        assert (again.n_iter, objective.n_passes) == (0, n_passes)


def test_the_gradient_rule_bounds_the_smallest_subgradient(model):
    objective, _ = make_objective(80, 6, 3, l1=0.02)
    for tol in (1e-2, 1e-4, 1e-6):
        solution = minimize(objective, tol=tol, rule="gradient")
        assert solution.stop_reason == CONVERGED
        coef, intercept, _ = objective.finish(solution, np.float64)
        # Shifted columns add the intercept's slope times a factor that is at most 1 here.
        assert compute_largest_subgradient_entry(objective, coef, intercept) <= 2 * tol
        assert solution.history[-1].gradient <= tol


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_feature_with_a_factor_of_zero_is_not_penalized(model, n_classes):
    factors = np.array([1.0, 0.0, 1.0, 5.0, 1.0])
    for grouped, l2 in product((False, True), (0.0, 0.01)):
        options = {"penalty_factors": factors, "group_lasso": grouped}
        objective, _ = make_objective(80, 5, n_classes, l1=0.03, l2=l2, **options)
        solution = minimize(objective)
        assert solution.converged and solution.n_iter < 20
        assert {solution.certificate, *(iteration.bound for iteration in solution.history)} == {np.inf}
        assert solution.value == pytest.approx(float(find_reference_minimum(objective)[0]), rel=1e-11)
        coef, intercept, _ = objective.finish(solution, np.float64)
        assert compute_largest_subgradient_entry(objective, coef, intercept) < 1e-5
        assert (coef[:, 1] != 0).all()
        assert not coef[:, 3].any()


def test_a_column_of_zeros_has_a_zero_coefficient_from_any_start(model):
    X, labels, *_ = make_problem(60, 4, 3)
    X[:, 2] = 3.0
    objective = build_objective(X, labels, 3, l1=0.02)
    start = minimize(objective).parameters.copy()
    start[:, 2] = [0.1, 0.0, -0.1]
    solution = minimize(objective, start, tol=1e-10)
    assert solution.stop_reason == CONVERGED
    assert not solution.parameters[:, 2].any()
    assert start[0, 2] == 0.1


@pytest.mark.parametrize("kind", ["dense", *mark_params(pytest.mark.thorough, "sparse")])
def test_results_do_not_depend_on_threads(model, kind, cut_into_blocks):
    cut_into_blocks(50_000)
    X, labels, *_ = make_problem(4000, 60, 4, np.float32)
    if kind == "sparse":
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.7] = 0
        X = sparse.csr_array(X)
    objective = build_objective(X, labels, 4, l1=1e-3)
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            solution = minimize(objective, tol=1e-6)
        results.append([solution.parameters, solution.certificate, solution.converged])
    assert_bitwise_equal(results)
    assert solution.converged


def test_the_working_set_contains_nonzero_coefficients_and_candidates(model):
    for grouped in (False, True):
        objective, _ = make_objective(60, 6, 3, l1=0.03, group_lasso=grouped)
        end = objective.at(minimize(objective).parameters)
        chosen = proximal_newton.choose_working_set(end)
        assert chosen[end.parameters[:, :-1] != 0].all()
        chosen = proximal_newton.choose_working_set(objective.at(objective.start()))
        assert chosen[end.parameters[:, :-1] != 0].mean() > 0.5
        assert not grouped or (chosen == chosen[0]).all()
        heavy, _ = make_objective(60, 6, 3, l1=10.0, group_lasso=grouped)
        assert not proximal_newton.choose_working_set(heavy.at(heavy.start())).any()


def test_the_model_of_a_nearby_solution_reaches_the_same_minimum():
    objective, _ = make_objective(80, 6, 3, l1=0.02)
    first, near = minimize(objective, tol=1e-8), objective.with_penalty(0.0, 0.019)
    fit = begin(near, Stopping(near, 1e-10, "suboptimality", 50), first.parameters, nearby_fit=first)
    again = proximal_newton.minimize(fit)
    assert again.converged
    assert again.value == pytest.approx(float(find_reference_minimum(near)[0]), rel=1e-9)


@pytest.mark.parametrize("n_features", [3, 200])
@pytest.mark.parametrize("kind", ["dense", *mark_params(pytest.mark.thorough, "dense bytes", "sparse bytes")])
def test_without_memory_for_probabilities_the_minimum_is_the_same(models, kind, n_features):
    X, labels, *_ = make_problem(600, n_features, 5, np.uint8)
    X = X if "bytes" in kind else X.astype(np.float64)
    X = sparse.csr_array(X * (np.random.default_rng(0).uniform(size=X.shape) < 0.3)) if "sparse" in kind else X
    objective = build_objective(X, labels, 5, l1=2.0)
    expected = minimize(objective, tol=2e-5, max_iter=300)
    models.clear()
    narrow = replace_budget(objective, 8 * 140 * objective.bytes_per_row)
    assert not narrow.stores_probabilities
    solution = minimize(narrow, tol=2e-5, max_iter=300)
    assert expected.converged and solution.converged
    assert solution.value == pytest.approx(expected.value, rel=2e-6)
    # A column-wise model contains only the sampled rows.
    by_columns = [made for made in models if isinstance(made, ColumnModel)]
    assert bool(by_columns) == (n_features == 200)
    for column_model in by_columns:
        n_rows = column_model._curvature.probabilities.shape[1]
        assert n_rows == column_model._columns.panel.shape[1] == 140


@pytest.mark.thorough
def test_curvature_is_added_if_probabilities_are_saturated(monkeypatch):
    objective, parameters = make_objective(60, 200, 4, l1=1e-3)
    far = objective.center(30 * parameters)
    fractions, make_model = [], proximal_newton.make_model
    monkeypatch.setattr(
        proximal_newton, "make_model", lambda *arguments: fractions.append(arguments[-1]) or make_model(*arguments)
    )
    solution = minimize(objective, far, tol=1e-6, max_iter=300)
    assert solution.converged
    assert max(fractions) > 0
    assert solution.value - find_reference_minimum(objective)[0] <= 1e-6 * solution.value
    # Without mixing, the fit stalls.
    monkeypatch.setattr(
        proximal_newton,
        "make_model",
        lambda point, _, reused_model, mixing_fraction: make_model(point, False, reused_model),
    )
    assert not minimize(objective, far, tol=1e-6, max_iter=300).converged


def test_small_groups_of_copied_columns_do_not_delay_the_others():
    generator = np.random.default_rng(0)
    half = generator.normal(size=(60, 10))
    labels = (0.2 * half @ generator.normal(size=(10, 3)) + generator.gumbel(size=(60, 3))).argmax(axis=1)
    X = np.hstack([half, half]).astype(np.float32)
    objective = build_objective(X, labels, 3, l1=1e-6, group_lasso=True)
    # If steps stopped where a group is nearly zero, 60 iterations would not be enough.
    assert minimize(objective, tol=1e-6, max_iter=12).converged


@pytest.mark.parametrize("group_lasso", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_the_hessian_takes_over_for_nearly_collinear_columns(group_lasso, models, monkeypatch):
    # Without an intercept, columns far from zero are nearly collinear.
    generator = np.random.default_rng(1)
    X = generator.normal(size=(800, 45))
    labels = (X @ generator.normal(size=(45, 15)) + generator.gumbel(size=(800, 15))).argmax(axis=1)
    X += 1000 * generator.normal(size=45)
    options = {"l1": 1e-3, "group_lasso": group_lasso, "fit_intercept": False}
    objective = build_objective(X, labels, 15, **options)
    solution = minimize(objective, tol=1e-8, max_iter=60)
    assert solution.converged
    kinds = [type(made) for made in models]
    assert kinds[: proximal_newton.N_CHEAP_STEPS] == [ColumnModel] * proximal_newton.N_CHEAP_STEPS
    assert set(kinds[proximal_newton.N_CHEAP_STEPS :]) == {HessianModel}
    # A fit with a nearby solution starts with such a Hessian.
    model = proximal_newton.make_model(evaluate(objective, solution.parameters), True)
    models.clear()
    fit = begin(objective, Stopping(objective, 1e-8, "suboptimality", 60), nearby_fit=replace(solution, model=model))
    assert proximal_newton.minimize(fit).converged
    assert {type(made) for made in models} == {HessianModel}
    # If the Hessian exceeds the budget, all models are column-wise. An objective checks the budget only once.
    models.clear()
    monkeypatch.setattr("fastlin.objective.budget.MAX_HESSIAN_PARAMETERS", 600)
    minimize(build_objective(X, labels, 15, **options), tol=1e-8, max_iter=15)
    assert {type(made) for made in models} == {ColumnModel}


def test_sparse_rows_with_many_active_coordinates_use_models_by_columns(models):
    X, labels = sparse.random_array((200, 700), density=0.02, format="csr", rng=0), np.arange(200) % 2
    assert minimize(build_objective(X, labels, 2, l1=1e-5), tol=1e-4).converged
    assert len(models) > proximal_newton.N_CHEAP_STEPS and {type(made) for made in models} == {ColumnModel}


def make_sparse_objective(n, d, n_classes, n_entries, C, fit_intercept, l1_ratio, seed=0, make=sparse.csr_array):
    """Return J over rows that have few or no entries, with labels that are independent of X."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=n_entries) if seed % 2 else np.ones(n_entries)
    indices = generator.integers(n, size=n_entries), generator.integers(d, size=n_entries)
    labels = generator.integers(n_classes, size=n)
    labels[:n_classes] = np.arange(n_classes)
    penalties = {"l1": l1_ratio / (C * n), "l2": (1 - l1_ratio) / (C * n)}
    X = sparse.csr_array((values, indices), (n, d))
    X.sum_duplicates()
    return build_objective(make(X), labels, n_classes, fit_intercept=fit_intercept, **penalties)


def minimize_with_scipy(objective):
    """Return the value of J that SciPy's L-BFGS-B finds over the positive and negative parts of the coefficients."""
    X, labels, _ = get_data(objective)
    K, d = objective.shape[0], objective.shape[1] - 1
    by_class, penalty = np.eye(max(2, K))[labels], objective.penalty

    def evaluate_split_coef(parts):
        above, below, intercept = parts[: K * d].reshape(K, d), parts[K * d : -K].reshape(K, d), parts[-K:]
        scores = X @ (above - below).T + intercept
        scores = np.hstack([np.zeros((len(X), 2 - K)), scores]) if K == 1 else scores
        residuals = (special.softmax(scores, axis=1) - by_class)[:, -K:] / len(X)
        slopes = residuals.T @ X + penalty.l2 * (above - below)
        intercept_gradient = residuals.sum(axis=0) * objective.fit_intercept
        value = (special.logsumexp(scores, axis=1) - np.sum(by_class * scores, axis=1)).mean()
        value += penalty.l1 * parts[:-K].sum() + 0.5 * penalty.l2 * np.sum((above - below) ** 2)
        return value, np.concatenate([(slopes + penalty.l1).ravel(), (penalty.l1 - slopes).ravel(), intercept_gradient])

    start, bounds = np.zeros(K * (2 * d + 1)), [(0, None)] * (2 * K * d) + [(None, None)] * K
    options = {"maxiter": 100, "ftol": 1e-12, "gtol": 1e-10}
    result = optimize.minimize(evaluate_split_coef, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return result.fun


def assert_certified_in_few_steps(
    n, d, n_classes, n_entries, C, fit_intercept, l1_ratio, seed=0, make=sparse.csr_array
):
    objective = make_sparse_objective(n, d, n_classes, n_entries, C, fit_intercept, l1_ratio, seed, make)
    solution = minimize(objective, tol=1e-4, max_iter=1000)
    assert solution.converged
    allowed_gap = 1e-4 * min(solution.value, objective.compute_start_value() - solution.value)
    assert solution.certificate <= allowed_gap
    # If a column separates classes, a Newton step divides the probabilities of wrong classes by e until their sum is n
    # times the threshold, that is, 1 / C. Rows with several such columns need these steps for each column in turn.
    n_steps = 3 * np.log(C * n) + proximal_newton.N_CHEAP_STEPS
    assert solution.n_iter <= n_steps
    assert solution.n_passes <= 10 * n_steps
    other = minimize_with_scipy(objective)
    # The value of J from SciPy is not below the minimum.
    assert solution.value - solution.certificate <= other
    assert solution.value <= other + allowed_gap
    return solution.n_iter


# Rows, columns, classes, entries, C, intercept and l1_ratio. Without second-order bounds, these problems take more than
# 50 steps.
@pytest.mark.parametrize(
    "problem",
    [
        (200, 160, 4, 160, 1e5, True, 1.0),
        *mark_params(
            pytest.mark.thorough, *[((150, 160, 5, 120, 1e5, True, 1.0),), ((500, 160, 4, 750, 3e4, True, 1.0),)]
        ),
    ],
)
def test_a_small_penalty_takes_few_steps(problem):
    assert_certified_in_few_steps(*problem)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_rows_of_few_entries_take_few_steps(seed):
    generator = np.random.default_rng(seed)
    n, d = (int(10 ** generator.uniform(*ends)) for ends in ((2, 2.7), (1.3, 2.3)))
    n_entries = int(n * 10 ** generator.uniform(-0.3, 0.3))
    problem_options = 10 ** generator.uniform(0, 6), bool(generator.integers(2)), generator.choice([1.0, 0.9])
    assert_certified_in_few_steps(n, d, int(generator.integers(2, 7)), n_entries, *problem_options, seed=seed)


@pytest.mark.parametrize("n_classes", [5, 8])
def test_classes_that_share_their_rows_take_few_steps(n_classes):
    # If only one column contains rows of two classes, its two coefficients have almost no joint curvature. Without
    # joint steps for both, the fit takes 71 steps with five classes and more than 1,000 with eight.
    problem = 400, 600, n_classes, 1200, 1.8e5, True, 1.0
    assert assert_certified_in_few_steps(*problem) <= 25
    # A dense array takes as few steps.
    assert assert_certified_in_few_steps(*problem, make=sparse.csr_array.toarray) <= 25
