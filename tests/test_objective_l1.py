"""The penalties by size in the objective: value, subgradient, lower bound, centring and rounding."""

import numpy as np
import pytest
import reference
from conftest import COLUMNS, change_columns, make_objective, make_problem

from fastlin import objective as objective_module
from fastlin.matrices import DenseMatrix
from fastlin.objective import LinearObjective
from fastlin.solvers import choose, preconditioners
from fastlin.solvers.solution import Solution

FACTORS = np.array([1.0, 0.5, 3.0, 1.0, 0.1, 2.0])
# l1 and l2 where the columns have a spread of order one.
PENALTIES = [(0.05, 0.0), (0.05, 0.02), (1e-3, 0.5), (1e-3, 0.0)]


def make_sized(n, n_classes, columns="plain", factors=FACTORS, seed=0, **options):
    """Return an objective whose penalty weighs all columns alike, whatever their scale, and parameters."""
    X, *_ = make_problem(n, 6, n_classes, seed=seed)
    spread = np.maximum(change_columns(X, columns).std(axis=0), 1e-3) if columns == "badly scaled" else 1.0
    return make_objective(n, 6, n_classes, columns=columns, penalty_factors=factors * spread, seed=seed, **options)


def oracle(objective):
    """Return the arguments of the reference for the data and the penalty of an objective."""
    data = objective.matrix.X, objective.labels
    options = {"l1": objective.l1, "factors": objective._factors, "group_by_class": objective.group_by_class}
    return data, (objective.l2, objective.weights if len(objective.weights) else None), options


def value_of(objective, coef, intercept):
    data, numbers, options = oracle(objective)
    return reference.objective(*data, coef, intercept, *numbers, **options)


def minimum_of(objective):
    """Return the least J and the parameters where it lies, by the reference."""
    data, (l2, weights), options = oracle(objective)
    n_classes = max(2, objective.n_rows_coef)
    l1 = options.pop("l1")
    minimum, coef, intercept = reference.sparse_minimum(
        *data, n_classes, l2, l1, weights, objective.fit_intercept, **options
    )
    return minimum, objective.to_parameters(coef, intercept)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_value_is_the_definition(n_classes, grouped, fit_intercept, columns):
    objective, parameters = make_sized(
        30, n_classes, columns, fit_intercept=fit_intercept, l1=0.4, l2=0.3, group_by_class=grouped
    )
    evaluation = objective.evaluate(parameters)
    coef, intercept = objective.to_coefficients(parameters)
    assert evaluation.value == pytest.approx(value_of(objective, coef, intercept), rel=1e-11)
    sizes = np.sqrt((coef**2).sum(axis=0)) if grouped else np.abs(coef).sum(axis=0)
    assert objective.size_penalty(parameters) == pytest.approx(0.4 * sizes @ objective._factors, rel=1e-12)
    assert evaluation.value > objective.size_penalty(parameters) > 0
    assert not objective.is_smooth
    assert objective.is_bounded


def test_a_factor_of_zero_frees_its_feature_and_a_penalty_of_zero_is_none():
    factors = np.array([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])
    objective, parameters = make_objective(30, 6, 3, l1=0.4, l2=0.2, penalty_factors=factors)
    assert not objective.is_bounded
    moved = parameters.copy()
    moved[:, 1] = 0
    assert objective.size_penalty(moved) == objective.size_penalty(parameters) > 0
    assert objective.thresholds[1] == objective.penalties[1] == objective.thresholds[-1] == 0
    evaluation = objective.evaluate(parameters)
    assert objective.lower_bound(parameters, evaluation) == -np.inf
    assert make_objective(30, 6, 3, l1=0.0, l2=0.2, penalty_factors=factors)[0].is_smooth
    assert make_objective(30, 6, 3, l1=0.4, penalty_factors=np.zeros(6))[0].is_smooth


def some_zeros(objective, parameters, seed=0):
    """Return the parameters with zeros: of two whole features, and of single classes of others."""
    parameters = parameters.copy()
    parameters[:, [1, 3]] = 0
    parameters[np.random.default_rng(seed).uniform(size=parameters.shape) < 0.3] = 0
    return parameters


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("l1", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_largest_entry_is_that_of_the_smallest_subgradient(n_classes, l1, grouped, fit_intercept, columns):
    objective, parameters = make_sized(
        30, n_classes, columns, l1=l1, l2=0.1, group_by_class=grouped, fit_intercept=fit_intercept
    )
    parameters = some_zeros(objective, parameters)
    coef, intercept = objective.to_coefficients(parameters)
    data, numbers, options = oracle(objective)
    expected = reference.violation(*data, coef, intercept, *numbers, fit_intercept, **options)
    found = objective.evaluate(objective.to_parameters(coef, intercept)).largest_entry
    assert found == pytest.approx(expected, rel=1e-6 if columns == "shifted" else 1e-9)


@pytest.mark.parametrize("l1", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_smallest_subgradient_lies_between_the_slopes_on_both_sides(n_classes, l1):
    # Of the reference that the one before compares with.
    objective, parameters = make_sized(30, n_classes, l1=l1, l2=0.1)
    parameters = some_zeros(objective, parameters)
    coef, intercept = objective.to_coefficients(parameters)
    data, numbers, options = oracle(objective)
    step, value, largest, kinks = 1e-6, value_of(objective, coef, intercept), 0.0, 0
    for place in np.ndindex(coef.shape):
        ahead, behind = coef.copy(), coef.copy()
        ahead[place] += step
        behind[place] -= step
        right = (value_of(objective, ahead, intercept) - value) / step
        left = (value - value_of(objective, behind, intercept)) / step
        largest = max(largest, abs(np.clip(0, min(left, right), max(left, right))))
        kinks += right - left > 1e-4
    assert kinks == np.count_nonzero(coef == 0) > 0
    assert reference.violation(*data, coef, intercept, *numbers, False, **options) == pytest.approx(largest, abs=1e-5)


@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
@pytest.mark.parametrize(
    ("columns", "fit_intercept"),
    # Without an intercept the reference takes too many steps where columns are far from zero.
    [(columns, True) for columns in COLUMNS] + [("plain", False), ("badly scaled", False), ("constant", False)],
)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("n", "n_classes", "weighted"), [(40, 2, True), (40, 4, False), (8, 2, False), (9, 3, True)])
def test_no_point_has_a_lower_bound_above_the_minimum(n, n_classes, weighted, grouped, columns, fit_intercept, l1, l2):
    objective, _ = make_sized(
        n, n_classes, columns, l1=l1, l2=l2, weighted=weighted, fit_intercept=fit_intercept, group_by_class=grouped,
        seed=n,
    )  # fmt: skip
    minimum, best = minimum_of(objective)
    generator = np.random.default_rng(5)
    largest = -np.inf
    for distance in np.logspace(-8, 2, 11):
        for centre in (best, np.zeros_like(best)):
            for direction in (
                generator.normal(size=best.shape),
                np.eye(1, best.size, best.size - 1).reshape(best.shape),
            ):
                point = centre + distance * direction
                point[:, -1] *= fit_intercept
                evaluation = objective.evaluate(point)
                bound = objective.lower_bound(point, evaluation)
                assert np.isfinite(bound)
                assert bound <= minimum + 1e-13 * max(1, evaluation.value)
                assert evaluation.value >= minimum * (1 - 1e-9)
                largest = max(largest, bound)
    # Next to the minimum the bound is next to it, too.
    assert largest >= minimum * (1 - 1e-4)


@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_at_the_minimum_the_lower_bound_is_tight(n_classes, grouped, columns, l1, l2):
    objective, _ = make_sized(60, n_classes, columns, l1=l1, l2=l2, group_by_class=grouped)
    minimum, best = minimum_of(objective)
    evaluation = objective.evaluate(best)
    assert evaluation.value == pytest.approx(minimum, rel=1e-9)
    assert minimum - 1e-7 < objective.lower_bound(best, evaluation) <= minimum * (1 + 1e-13)
    assert evaluation.largest_entry < 1e-6 * max(1, 1 / objective.scale.min())


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_the_bound_is_the_best_point_on_the_way_from_the_labels(l1, l2, n_classes, grouped):
    objective, parameters = make_sized(40, n_classes, l1=l1, l2=l2, group_by_class=grouped, fit_intercept=False)
    ways = []
    for size in (0.03, 0.3, 3.0):
        point = size * parameters
        evaluation = objective.evaluate(point)
        coef, intercept = objective.to_coefficients(point)
        data, (_, weights), _ = oracle(objective)
        features = reference.gradient(*data, coef, intercept, weights)[0].astype(float)
        entropy = evaluation.loss - np.sum(features * coef)
        sizes = np.sqrt((features**2).sum(axis=0))[None] if grouped else np.abs(features)
        parts = np.linspace(0, 1, 20_001)[:, None, None]
        excess = np.maximum(parts * sizes - l1 * FACTORS, 0)
        if l2 > 0:
            duals = parts[:, 0, 0] * entropy - (excess**2 / (2 * l2 * FACTORS)).sum(axis=(1, 2))
        else:
            duals = np.where(excess.max(axis=(1, 2)) > 1e-12, -np.inf, parts[:, 0, 0] * entropy)
        best = np.argmax(duals)
        ways.append(best)
        bound = objective.lower_bound(point, evaluation)
        assert duals[best] - 1e-12 <= bound <= duals[best] + 1e-4 * entropy
    assert min(ways) < 20_000


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("grouped", [False, True])
def test_far_out_the_bound_is_at_least_that_of_the_labels(n_classes, grouped):
    # There the entropy that the intercept leaves is below zero, and less of it better.
    objective, parameters = make_sized(40, n_classes, l1=1e-3, l2=10.0, group_by_class=grouped)
    parameters[:, -1] += 30 * np.arange(1, 1 + len(parameters))
    evaluation = objective.evaluate(parameters)
    assert 0 <= objective.lower_bound(parameters, evaluation) <= minimum_of(objective)[0]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_centring_keeps_what_is_penalised_by_its_size(l2, grouped, fit_intercept):
    factors = np.array([1.0, 0.0, 2.0, 1.0, 0.0, 1.0])
    objective, parameters = make_sized(
        20, 4, "shifted", factors, l1=0.1, l2=l2, group_by_class=grouped, fit_intercept=fit_intercept
    )
    parameters[:, 3] = 0
    centred = objective.center(parameters)
    before, after = objective.evaluate(parameters), objective.evaluate(centred)
    assert after.loss == pytest.approx(before.loss, rel=1e-10)
    coef, intercept = objective.to_coefficients(centred)
    np.testing.assert_allclose(coef[:, factors == 0].sum(axis=0), 0, atol=1e-13)
    assert abs(intercept.sum()) < 1e-9
    assert not centred[:, 3].any()
    if grouped:
        np.testing.assert_allclose(coef.sum(axis=0), 0, atol=1e-13)
        assert after.value < before.value
    else:
        np.testing.assert_array_equal(centred[:, :-1][:, factors > 0], parameters[:, :-1][:, factors > 0])
        assert after.value == pytest.approx(before.value, rel=1e-10)
    if not fit_intercept:
        np.testing.assert_array_equal(intercept, 0)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_certificate_covers_rounding_to_float32(n_classes, grouped, columns):
    excesses, unrounded = [], []
    for seed in range(3):
        objective, _ = make_sized(80, n_classes, columns, l1=0.01, l2=1e-3, group_by_class=grouped, seed=seed)
        solution = choose.minimize(objective, None, solver="auto", tol=1e-12, max_iter=200)
        coef, intercept, certificate = objective.finish(solution, np.float32)
        assert coef.dtype == intercept.dtype == np.float32
        np.testing.assert_array_equal(coef == 0, solution.parameters[:, :-1] == 0)
        excesses.append(value_of(objective, coef, intercept) - minimum_of(objective)[0])
        assert -1e-14 < excesses[-1] <= certificate
        assert certificate < (1e-4 if columns == "shifted" else 1e-6)
        unrounded.append(solution.certificate)
        assert solution.certificate < 1e-11
    # Far from zero an intercept in float32 is off by 1e-4: without what that adds the certificate would not hold.
    assert columns != "shifted" or max(excesses) > 1e3 * max(unrounded)


@pytest.mark.parametrize("grouped", [False, True])
def test_what_rounding_adds_counts_the_size_where_the_loss_is_flat(grouped):
    X, labels = np.linspace(-1, 1, 20)[:, None].repeat(3, axis=1), np.arange(20) // 10
    objective = LinearObjective(X, labels, 2, l1=1.0, group_by_class=grouped)
    for seed in range(5):
        coef = 1000 * np.random.default_rng(seed).uniform(1, 2, (1, 3))
        parameters = objective.to_parameters(coef, np.zeros(1))
        evaluation = objective.evaluate(parameters)
        assert np.abs(evaluation.gradient).max() < 1e-10
        solution = Solution(parameters, evaluation.value, evaluation.gradient, 0.0, True, "", [])
        rounded, intercept, certificate = objective.finish(solution, np.float32)
        assert abs(value_of(objective, rounded, intercept) - value_of(objective, coef, np.zeros(1))) <= certificate < 1


@pytest.mark.parametrize("n_features", [3, 200])
def test_without_room_for_probabilities_the_minimum_is_the_same(monkeypatch, n_features):
    X, labels, *_ = make_problem(400, n_features, 5, np.uint8)
    expected = choose.minimize(LinearObjective(X, labels, 5, l1=2.0), None, solver="auto", tol=1e-6, max_iter=300)
    # Room for those of a hundred rows, twice.
    monkeypatch.setattr(objective_module, "MAX_PROBABILITY_BYTES", 8000)
    monkeypatch.setattr(preconditioners, "MAX_SAMPLE_BYTES", 8000)
    matrix = DenseMatrix(X)
    matrix.nbytes = 0
    objective = LinearObjective(matrix, labels, 5, l1=2.0)
    assert not objective.keeps_probabilities
    solution = choose.minimize(objective, None, solver="auto", tol=1e-6, max_iter=300)
    assert expected.converged and solution.converged
    assert solution.value == pytest.approx(expected.value, rel=2e-6)
