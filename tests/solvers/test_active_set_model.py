"""Active-set steps: their subgradient is zero, their violation is that of a dense model, and fits use them safely."""

import numpy as np
import pytest
from objectives import begin, build_objective, evaluate
from scipy import sparse

from fastlin.solvers import active_set_model, proximal_newton
from fastlin.solvers.active_set_model import ActiveSetModel
from fastlin.solvers.quadratic import ColumnModel
from fastlin.solvers.stopping import Stopping
from fastlin.solvers.tuning import MAX_FAILED_STEPS


def make_text(n=300, d=400, n_words=20, seed=0):
    """Return sparse rows in which some columns are frequent, and labels of a sparse model."""
    generator = np.random.default_rng(seed)
    probabilities = 1 / (10 + np.arange(d))
    words = generator.choice(d, (n, n_words), p=probabilities / probabilities.sum())
    X = sparse.csr_array((np.ones(words.size), words.ravel(), np.arange(0, words.size + 1, n_words)), (n, d))
    X.sum_duplicates()
    coef = generator.normal(size=d) * (generator.random(d) < 0.2)
    return X, (X @ coef + generator.logistic(size=n) > 0).astype(int)


def minimize(objective, tol):
    return proximal_newton.minimize(begin(objective, Stopping(objective, tol, "suboptimality", 500)))


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("margin", [0.0, 1e-3])
def test_the_subgradient_of_active_coordinates_is_zero(margin, fit_intercept):
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=5e-4, fit_intercept=fit_intercept)
    point = evaluate(objective, minimize(objective, 1e-1).parameters)
    hessian, thresholds = point.hessian(), objective.penalty.thresholds
    model = ActiveSetModel(point, np.diag(hessian)[None].copy(), margin)
    projected = model.minimize(1e-9)
    is_active = (point.parameters != 0) | (np.abs(point.gradient) > (1 - margin) * thresholds)
    is_active[:, -1] = fit_intercept
    signs = np.where(point.parameters != 0, np.sign(point.parameters), -np.sign(point.gradient))
    slopes = point.gradient + (model.minimizer - point.parameters) @ hessian
    # The residual of the limit, and the rounding errors of the products.
    tolerance = (0.5 * margin + 1e-7) * thresholds.max()
    assert np.abs(slopes + (1 - margin) * thresholds * signs)[is_active].max() <= tolerance
    np.testing.assert_array_equal(model.minimizer[~is_active], point.parameters[~is_active])
    violation = (np.abs(slopes[:, :-1]) / thresholds[:-1]).max() - 1
    assert model.violation == pytest.approx(max(0.0, violation), rel=1e-6, abs=1e-9)
    has_crossed_zero = (model.minimizer * signs < 0) & (thresholds > 0)
    assert has_crossed_zero.any()
    np.testing.assert_array_equal(projected, np.where(has_crossed_zero, 0, model.minimizer))


@pytest.fixture
def violations(monkeypatch):
    """Return a list to which each active-set step appends its violation."""
    recorded, minimize_model = [], ActiveSetModel.minimize

    def record(self, accuracy):
        minimizer = minimize_model(self, accuracy)
        recorded.append(self.violation)
        return minimizer

    monkeypatch.setattr(ActiveSetModel, "minimize", record)
    return recorded


@pytest.fixture(autouse=True)
def use_models_by_columns(monkeypatch):
    """Use the models of large problems for small problems as well."""
    monkeypatch.setattr(proximal_newton, "SMALL_HESSIAN_SIZE", 0)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("C", [1.0, 30.0, 1e3])
def test_fits_with_active_set_steps_are_certified(C, fit_intercept, violations, monkeypatch):
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=1 / (C * len(labels)), fit_intercept=fit_intercept)
    solution = minimize(objective, 1e-4)
    # The last steps no longer violate the conditions of the dual problem.
    assert len(violations) > 1 and violations[-1] <= 1e-3
    monkeypatch.setattr(proximal_newton, "_allows_active_set", lambda objective: False)
    n_steps = len(violations)
    minimum = minimize(objective, 1e-9)
    assert len(violations) == n_steps and solution.converged and minimum.converged
    assert minimum.value - minimum.certificate <= solution.value <= minimum.value + solution.certificate
    allowed_gap = 1e-4 * min(solution.value, objective.compute_start_value() - solution.value)
    assert solution.certificate <= allowed_gap


def test_singular_one_hot_columns_end_the_use_of_active_set_steps(violations):
    # The columns of each variable sum to one, so the Hessian of the active coordinates is singular.
    generator = np.random.default_rng(0)
    n, n_variables, n_categories = 800, 4, 30
    codes = generator.integers(0, n_categories, (n, n_variables)) + n_categories * np.arange(n_variables)
    X = sparse.csr_array((np.ones(codes.size), codes.ravel(), np.arange(0, codes.size + 1, n_variables)))
    labels = (X @ generator.normal(size=X.shape[1]) + generator.logistic(size=n) > 0).astype(int)
    solution = minimize(build_objective(X, labels, 2, l1=1 / (100 * n), fit_intercept=True), 1e-4)
    assert solution.converged and solution.n_iter <= 30
    assert 0 < len(violations) <= 10


@pytest.mark.parametrize("factor", [3.0, -30.0])
def test_steps_that_must_be_shortened_end_the_use_of_active_set_steps(factor, monkeypatch):
    n_calls = 0

    def minimize_badly(self, accuracy):
        nonlocal n_calls
        n_calls += 1
        return factor * self._point.parameters

    monkeypatch.setattr(ActiveSetModel, "minimize", minimize_badly)
    X, labels = make_text()
    solution = minimize(build_objective(X, labels, 2, l1=1e-4, fit_intercept=True), 1e-8)
    assert solution.converged and 1 <= n_calls <= 2 * MAX_FAILED_STEPS


@pytest.mark.parametrize("max_iter", [1, 4, 7])
def test_max_iter_limits_active_set_steps(max_iter):
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=1e-4, fit_intercept=True)
    start = begin(objective, Stopping(objective, 1e-9, "suboptimality", max_iter))
    solution = proximal_newton.minimize(start)
    assert solution.n_iter == max_iter and not solution.converged
    assert solution.certificate > 0


@pytest.mark.parametrize("kind", ["offsets", "weights", "factors", "rows"])
def test_fits_with_other_data_are_certified(kind, violations):
    X, labels = make_text()
    generator = np.random.default_rng(1)
    options = {
        "offsets": {"offsets": generator.normal(size=(len(labels), 1))},
        "weights": {"weights": generator.choice([0.0, 1.0, 5.0], len(labels))},
        "factors": {"penalty_factors": 10.0 ** generator.uniform(-1, 6, X.shape[1])},
        "rows": {"row_indices": np.arange(0, len(labels), 2)},
    }[kind]
    objective = build_objective(X, labels, 2, l1=3e-4, fit_intercept=True, **options)
    solution, minimum = minimize(objective, 1e-4), minimize(objective, 1e-9)
    assert violations and solution.converged
    assert minimum.value - minimum.certificate <= solution.value <= minimum.value + solution.certificate


def test_a_fit_from_its_solution_is_certified():
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=1e-4, fit_intercept=True)
    solution = minimize(objective, 1e-10)
    for tol in (1e-4, 1e-8, 1e-10):
        again = proximal_newton.minimize(
            begin(objective, Stopping(objective, tol, "suboptimality", 50), solution.parameters)
        )
        assert again.converged and again.n_iter <= 5


def test_the_estimated_diagonal_is_close_to_the_hessian():
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=1e-3, fit_intercept=False)
    point = evaluate(objective, minimize(objective, 1e-2).parameters)
    working_set = proximal_newton.choose_working_set(point)
    diagonal = ColumnModel(point, point, working_set, np.float64).estimate_hessian_diagonal()
    expected = np.diag(point.hessian())[None]
    np.testing.assert_allclose(diagonal[:, :-1][working_set], expected[:, :-1][working_set], rtol=1e-10)
    assert (diagonal[:, :-1] <= 4 * expected[:, :-1] + 1e-9).mean() > 0.9


def test_a_step_makes_a_limited_number_of_products(monkeypatch):
    X, labels = make_text()
    objective = build_objective(X, labels, 2, l1=1e-5, fit_intercept=False)
    point = evaluate(objective, minimize(objective, 1e-1).parameters)
    model = ActiveSetModel(point, np.diag(point.hessian())[None].copy(), 0.0)
    monkeypatch.setattr(active_set_model, "MAX_STEP_PRODUCTS", 3)
    n_passes = objective.n_passes
    model.minimize(1e-12)
    # Another product computes the violation.
    assert objective.n_passes - n_passes == 4
