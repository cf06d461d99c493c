"""L-BFGS: its float32 phase, its preconditioners and refreshes, and the combination of the last steps."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference
from conftest import make_objective, make_problem

from fastlin.objective import LinearObjective
from fastlin.solvers import lbfgs, preconditioners
from fastlin.solvers.stopping import Stopping

PRECONDITIONERS = [preconditioners.diagonal, preconditioners.shared_block, preconditioners.class_blocks]


def minimize(objective, tol=1e-8, rule="excess", max_iter=500, precondition=preconditioners.class_blocks, **options):
    stopping = Stopping(objective, tol, rule, max_iter)
    return lbfgs.minimize(objective, objective.start(), stopping, precondition=precondition, **options)


def minimum_of(objective):
    return reference.minimum(
        objective.matrix.X, objective.labels, max(2, objective.n_rows_coef), objective.l2, objective.weights
    )[0]


@pytest.mark.parametrize("precondition", PRECONDITIONERS)
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("refreshes", [(), (2, 5)])
def test_every_preconditioner_leads_to_the_minimum(precondition, n_classes, refreshes):
    objective, _ = make_objective(150, 6, n_classes, l2=1e-3)
    solution = minimize(objective, precondition=precondition, refreshes=refreshes)
    assert solution.converged
    assert solution.value - minimum_of(objective) <= solution.certificate <= 1e-8 * solution.value


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("columns", ["plain", "badly scaled", "shifted"])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_a_phase_in_float32_ends_with_a_certificate_in_float64(n_classes, columns, tol):
    objective, _ = make_objective(150, 4, n_classes, columns=columns, l2=1e-3)
    precisions = []
    evaluate = objective.evaluate

    def evaluate_and_tell(parameters, precision=np.float64):
        precisions.append(precision)
        return evaluate(parameters, precision)

    objective.evaluate = evaluate_and_tell
    solution = minimize(objective, tol=tol, precision=np.float32)
    assert precisions[0] is np.float32
    assert precisions[-1] is np.float64
    assert solution.converged
    minimum = minimum_of(objective)
    assert -1e-14 * minimum <= solution.value - minimum <= solution.certificate
    assert evaluate(solution.parameters).value == solution.value
    if columns == "plain":
        assert solution.certificate <= tol * solution.value


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("max_iter", [0, 1, 3])
def test_an_end_by_max_iter_comes_from_float64_too(precision, max_iter):
    objective, _ = make_objective(150, 6, 4, l2=1e-4)
    solution = minimize(objective, max_iter=max_iter, precision=precision)
    assert solution.n_iter == max_iter
    assert not solution.converged
    assert objective.evaluate(solution.parameters).value == solution.value
    assert solution.value - minimum_of(objective) <= solution.certificate < np.inf


def test_the_preconditioner_is_built_anew_after_the_iterations_asked_for():
    objective, _ = make_objective(150, 6, 4, l2=1e-4)
    built = []

    def precondition(objective, parameters):
        built.append(parameters)
        return preconditioners.class_blocks(objective, parameters)

    solution = minimize(objective, precondition=precondition, refreshes=(2, 4), tol=1e-10)
    assert solution.n_iter > 4
    assert len(built) == 3
    np.testing.assert_array_equal(built[0], objective.start())


@pytest.mark.parametrize("n_classes", [2, 4])
def test_more_iterations_than_pairs_are_kept_still_converge(n_classes):
    X, labels, *_ = make_problem(200, 30, n_classes)
    # Columns that are much alike, which the diagonal does not know.
    X += 5 * X[:, :1]
    objective = LinearObjective(X, labels, n_classes, l2=1e-6)
    solution = minimize(objective, precondition=preconditioners.diagonal, tol=1e-9)
    assert solution.n_iter > lbfgs.N_PAIRS
    assert solution.converged
    minimum, *_ = reference.minimum(X, labels, n_classes, 1e-6)
    assert solution.value - minimum <= 1e-9 * minimum


def add(pairs, step, change):
    """Let pairs take in a step from one point to another and the change of the gradient."""
    before = SimpleNamespace(parameters=np.ones(step.size), gradient=np.ones(step.size))
    pairs.add(before, SimpleNamespace(parameters=1 + step.ravel(), gradient=1 + change.ravel()))


def test_the_combination_of_the_last_steps_is_the_least_squares_solution():
    objective, parameters = make_objective(100, 3, 3, l2=0.01)
    generator = np.random.default_rng(0)
    pairs = lbfgs._Pairs(parameters.size, objective)
    # Gradient changes of a quadratic with the Hessian of the objective.
    objective.evaluate(parameters)
    hessian = objective.hessian()
    steps = generator.normal(size=(4, parameters.size))
    for step in steps:
        add(pairs, step, hessian @ step)
    evaluation = objective.evaluate(parameters)
    foreseen, candidate = pairs.smallest_gradient(parameters, evaluation, np.inf)
    root = np.sqrt(pairs._weights)
    changes = (hessian @ steps.T) * root[:, None]
    best, *_ = np.linalg.lstsq(changes, root * evaluation.gradient.ravel(), rcond=None)
    np.testing.assert_allclose(candidate.ravel(), parameters.ravel() - steps.T @ best, rtol=1e-4, atol=1e-5)
    left = root * evaluation.gradient.ravel() - changes @ best
    assert foreseen == pytest.approx(0.5 * left @ left, rel=1e-4)
    assert pairs.smallest_gradient(parameters, evaluation, 0.99 * foreseen) == (np.inf, None)
    assert pairs.smallest_gradient(parameters, evaluation, 0.0) == (np.inf, None)


def test_the_direction_inverts_the_hessian_along_the_newest_change():
    objective, parameters = make_objective(100, 3, 3, l2=0.01)
    pairs = lbfgs._Pairs(parameters.size, objective)
    objective.evaluate(parameters)
    preconditioner = preconditioners.class_blocks(objective, parameters)
    generator = np.random.default_rng(0)
    hessian = objective.hessian()
    for _ in range(3):
        step = generator.normal(size=parameters.shape)
        change = (hessian @ step.ravel()).reshape(step.shape)
        add(pairs, step, change)
    direction, decrement = pairs.direction(change, preconditioner)
    np.testing.assert_allclose(direction, -step, rtol=1e-8, atol=1e-10)
    assert decrement == pytest.approx(0.5 * np.sum(step * change), rel=1e-9)


def test_a_pair_without_curvature_is_left_out():
    objective, parameters = make_objective(20, 3, 2, l2=0.1)
    pairs = lbfgs._Pairs(parameters.size, objective)
    add(pairs, parameters, -parameters)
    add(pairs, 0 * parameters, parameters)
    assert pairs.n_pairs == 0
    add(pairs, parameters, parameters)
    assert pairs.n_pairs == 1


def count_narrowed(objective):
    """Return a list that grows by the number of rows of each objective that `narrow` makes."""
    made, narrow = [], objective.narrow

    def narrow_and_tell(evaluation):
        made.append(narrow(evaluation))
        return made[-1]

    objective.narrow = narrow_and_tell
    return made


def make_hard(n=3_000):
    """Return an objective with a weak penalty, that takes many iterations and decides most rows."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, n)
    X = generator.normal(size=(n, 40)) * np.linspace(0.7, 0.01, 40) + 2.5 * np.eye(40)[labels]
    return LinearObjective(X, labels, 5, l2=1e-7)


def test_with_few_rows_undecided_the_minimum_is_the_same():
    objective = make_hard()
    made = count_narrowed(objective)
    narrowed = minimize(objective, tol=1e-6, precision=np.float32, precondition=preconditioners.diagonal, max_iter=2000)
    assert made
    assert min(part.n_rows for part in made) < objective.n_rows / 2
    whole = make_hard()
    expected = minimize(whole, tol=1e-8, precondition=preconditioners.class_blocks, max_iter=2000)
    assert narrowed.converged
    assert expected.converged
    assert abs(narrowed.value - expected.value) <= 2e-6 * expected.value
    assert narrowed.value - expected.value <= narrowed.certificate


def test_tangents_that_mislead_are_left(monkeypatch):
    objective = make_hard(600)
    # All rows but one by their tangents: J falls without end along them.
    monkeypatch.setattr("fastlin.objective.DECIDED", np.inf)
    made = count_narrowed(objective)
    solution = minimize(objective, tol=1e-6, precision=np.float32, precondition=preconditioners.diagonal, max_iter=2000)
    assert made
    assert solution.converged
    reached = minimize(make_hard(600), tol=1e-8, max_iter=2000)
    assert abs(solution.value - reached.value) <= 2e-6 * reached.value


def test_the_preconditioner_of_a_fit_serves_the_next():
    objective, _ = make_objective(150, 6, 4, l2=1e-3)
    first = minimize(objective)
    near = LinearObjective(objective.matrix, objective.labels, 4, weights=objective.weights, l2=8e-4)

    def build(*_):
        raise AssertionError("it was built anew")

    again = minimize(near, precondition=build, preconditioner=first.preconditioner)
    assert again.converged
    assert again.value == pytest.approx(minimize(near).value, rel=1e-8)
