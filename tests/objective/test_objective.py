"""The objective, compared with the definition, finite differences and NumPy."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import COLUMN_KINDS, assert_bitwise_equal, distort_columns, make_problem, mark_params
from objectives import (
    build_objective,
    compute_largest_subgradient_entry,
    evaluate,
    make_objective,
    make_scale_free_objective,
    replace_budget,
    value_of,
)
from scipy import sparse
from threadpoolctl import threadpool_limits

from fastlin.kernels.machine.threads import limit_threads
from fastlin.solvers import choose
from fastlin.solvers.solution import Solution


def set_random_zeros(parameters, seed=0):
    """Return a copy of the parameters. Two features are zero in all classes, and others are zero in some classes."""
    parameters = parameters.copy()
    parameters[:, [1, 3]] = 0
    parameters[np.random.default_rng(seed).uniform(size=parameters.shape) < 0.3] = 0
    return parameters


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_value_agrees_with_the_definition(columns):
    for n, n_classes, l1, grouped, options in [
        (30, 3, 0.0, False, {}),
        (4, 2, 0.0, False, {"weighted": False}),
        (4, 3, 0.0, False, {"weighted": False, "fit_intercept": False}),
        (30, 2, 0.4, True, {}),
        (30, 4, 0.01, False, {"fit_intercept": False}),
        (30, 7, 0.5, True, {}),
    ]:
        objective, parameters = make_scale_free_objective(
            n, n_classes, columns, l1=l1, l2=0.3, group_lasso=grouped, **options
        )
        coef, intercept = objective.coordinates.convert_to_coefficients(
            set_random_zeros(parameters) if l1 else parameters
        )
        point = evaluate(objective, objective.coordinates.to_parameters(coef, intercept))
        assert point.value == pytest.approx(float(value_of(objective, coef, intercept)), rel=1e-11)
        assert point.value > point.loss
        assert point.value > objective.penalty.nonsmooth_value(point.parameters) >= 0
        largest = compute_largest_subgradient_entry(objective, coef, intercept)
        assert point.largest_subgradient_entry == pytest.approx(largest, rel=1e-6 if columns == "shifted" else 1e-9)
        assert (objective.n_passes, point.precision, point.is_finite) == (1, np.float64, True)


@pytest.mark.parametrize(
    ("columns", "n_classes", "fit_intercept"),
    [(c, 3, True) for c in COLUMN_KINDS] + [("plain", K, False) for K in (2, 4)],
)
def test_gradient_and_hessian_products_agree_with_central_differences(columns, n_classes, fit_intercept):
    objective, parameters = make_objective(25, 5, n_classes, columns=columns, fit_intercept=fit_intercept, l2=0.7)
    point = evaluate(objective, parameters)
    if not fit_intercept:
        intercept_entries = point.gradient[:, -1], point.hessian_product(parameters)[:, -1]
        assert (
            not np.any([*intercept_entries]) and not objective.coordinates.shift.any() and not objective.start().any()
        )
    step = 1e-5
    generator = np.random.default_rng(1)
    for _ in range(5):
        direction = generator.normal(size=parameters.shape)
        direction[:, -1] *= fit_intercept
        forward_point, backward_point = (objective.at(parameters + s * direction) for s in (step, -step))
        slope = (forward_point.value - backward_point.value) / (2 * step)
        assert slope == pytest.approx(np.sum(point.gradient * direction), rel=1e-6, abs=1e-7)
        product = (forward_point.gradient - backward_point.gradient) / (2 * step)
        np.testing.assert_allclose(point.hessian_product(direction), product, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_start_is_the_null_model(n_classes):
    objective, parameters = make_objective(40, 3, n_classes)
    start = objective.start()
    assert start.shape == parameters.shape and not start[:, :-1].any()
    point = objective.at(start)
    np.testing.assert_allclose(point.gradient[:, -1], 0, atol=1e-14)
    fractions = objective.class_weights
    assert point.value == pytest.approx(-np.sum(fractions * np.log(fractions)), rel=1e-12)
    assert point.value == pytest.approx(objective.compute_start_value(), rel=1e-12)
    extra_class_objective = build_objective(objective.matrix.X, objective.rows.labels, n_classes + 1)
    assert not extra_class_objective.start().any()
    assert extra_class_objective.compute_start_value() == pytest.approx(np.log(n_classes + 1), rel=1e-15)


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_float32_is_near_float64(columns):
    for n_classes, dtype in [(2, np.float64), (5, np.float32)]:
        X, labels, weights, _, _ = make_problem(300, 8, n_classes)
        objective = build_objective(
            distort_columns(X, columns).astype(dtype), labels, n_classes, weights=weights, l2=0.1
        )
        assert objective.coordinates.allows_float32
        parameters = np.random.default_rng(1).normal(size=objective.shape)
        float32_point, float64_point = (objective.at(parameters, precision) for precision in (np.float32, np.float64))
        # A float32 column near 1e4 has rounding errors of 5e-4 standard deviations.
        tolerance = 2e-3 if columns == "shifted" else 1e-5
        assert float64_point.value != float32_point.value == pytest.approx(float64_point.value, rel=tolerance)
        np.testing.assert_allclose(float32_point.gradient, float64_point.gradient, atol=tolerance)
        assert (float32_point.precision, float32_point.gradient.dtype) == (np.float32, np.float64)


def test_float32_sums_over_rows_in_float64():
    n = 200_000
    X = np.full((n, 1), 0.1, np.float32)
    objective = build_objective(X, np.zeros(n, np.int64), 2, fit_intercept=False)
    gradient = objective.at(np.zeros((1, 2)), np.float32).gradient
    expected = 0.5 * float(np.float32(0.1)) * objective.coordinates.scale[0]
    assert gradient[0, 0] == pytest.approx(expected, rel=1e-6)


# Kernels are also compiled for read-only labels.
@pytest.mark.parametrize("has_writable_labels", [True, *mark_params(pytest.mark.thorough, False)])
def test_read_only_data_are_not_copied(has_writable_labels):
    X, labels, weights, _, _ = make_problem(20_000, 50, 3, np.float32)
    X.flags.writeable, labels.flags.writeable = False, has_writable_labels

    def work():
        objective = build_objective(X, labels, 3, weights=weights, l2=0.1)
        buffer = objective.make_probability_buffer()
        objective.at(objective.start(), out=buffer).hessian_product(objective.start())
        objective.at(objective.start(), np.float32, out=buffer)
        return objective

    work()
    tracemalloc.start()
    objective = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(objective.matrix.X, X)
    # Labels, weights and one array of shape (K, n) are allocated. Together, they are smaller than X.
    assert peak < 0.8 * X.nbytes


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.slow, np.float32, np.uint8)])
def test_results_do_not_depend_on_threads(dtype, n_classes):
    for precision in (np.float64, np.float32) if n_classes > 2 else (np.float64,):
        objective, parameters = make_objective(60_000, 40, n_classes, dtype, l2=0.1)
        assert objective.rows.passes._n_blocks > 3
        results = []
        for n_threads in (1, 2, 3):
            with limit_threads(n_threads):
                point = evaluate(objective, parameters, precision)
                result = [point.value, point.gradient, point.lower_bound(), point.rounding]
                result += [point.hessian_product(parameters), point.optimize_intercept()]
                result += [evaluate(objective.sample(500), parameters, precision).hessian()]
                results.append([*result, objective.matrix.measure(objective.rows.weights).standard_deviation])
        assert_bitwise_equal(results)


@pytest.mark.parametrize("factor", [1e150, 1e-150])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_results_do_not_depend_on_the_unit_of_the_data(factor, n_classes):
    X, labels, weights, coef, intercept = make_problem(40, 4, n_classes)
    expected, objective = (build_objective(data, labels, n_classes, weights=weights) for data in (X, X * factor))
    assert not objective.coordinates.allows_float32
    actual = evaluate(objective, objective.coordinates.to_parameters(coef / factor, intercept))
    value = expected.at(expected.coordinates.to_parameters(coef, intercept)).value
    assert actual.value == pytest.approx(value, rel=1e-12)
    assert actual.largest_subgradient_entry == pytest.approx(
        compute_largest_subgradient_entry(objective, coef / factor, intercept), rel=1e-9
    )
    assert np.isfinite(actual.hessian()).all()
    assert actual.is_finite


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["smooth", "grouped", "by class"])
def test_centering_keeps_the_loss_and_coefficients_with_an_l1_penalty(kind, fit_intercept):
    factors, l1 = np.array([1.0, 0.0, 2.0, 1.0, 0.0, 1.0]), 0.1 * (kind != "smooth")
    columns, rounding = ("plain", 1e-13) if kind == "smooth" else ("shifted", 1e-10)
    for l2 in (0.0, 0.2):
        options = {"l1": l1, "l2": l2, "group_lasso": kind == "grouped", "fit_intercept": fit_intercept}
        objective, parameters = make_scale_free_objective(20, 4, columns, factors, **options)
        parameters[:, 3] = 0
        centered = objective.center(parameters)
        before, after = objective.at(parameters), objective.at(centered)
        assert after.loss == pytest.approx(before.loss, rel=10 * rounding)
        coef, intercept = objective.coordinates.convert_to_coefficients(centered)
        is_centered = (factors == 0) | (kind != "by class")
        np.testing.assert_allclose(coef[:, is_centered].sum(axis=0), 0, atol=1e-13)
        np.testing.assert_array_equal(centered[:, :-1][:, ~is_centered], parameters[:, :-1][:, ~is_centered])
        assert abs(intercept.sum()) < 10 * rounding
        assert not centered[:, 3].any()
        if kind == "by class" or not (l1 or l2):
            assert after.value == pytest.approx(before.value, rel=10 * rounding)
        else:
            assert after.value < before.value
        if not fit_intercept:
            np.testing.assert_array_equal(intercept, 0)
    binary_objective, parameters = make_objective(20, 3, 2)
    np.testing.assert_array_equal(binary_objective.center(parameters), parameters)


def test_the_certificate_includes_the_rounding_of_a_large_intercept():
    X, labels, *_ = make_problem(60, 3, 2)
    objective = build_objective(X + 1e10, labels, 2, l2=0.1)
    solution = choose.minimize(objective, solver="auto", tol=1e-12, max_iter=100)
    _, intercept, increase = objective.finish(solution, np.float64)
    assert increase >= 0.2 * (np.finfo(np.float64).eps * intercept[0]) ** 2


@pytest.mark.parametrize("grouped", [False, True])
def test_the_bound_on_increases_by_rounding_includes_the_penalty(grouped):
    X, labels = np.linspace(-1, 1, 20)[:, None].repeat(3, axis=1), np.arange(20) // 10
    objective = build_objective(X, labels, 2, l1=1.0, group_lasso=grouped)
    for seed in range(5):
        coef = 1000 * np.random.default_rng(seed).uniform(1, 2, (1, 3))
        point = objective.at(objective.coordinates.to_parameters(coef, np.zeros(1)))
        assert np.abs(point.gradient).max() < 1e-10
        solution = Solution(point.parameters, point.value, point.loss, point.gradient, 0.0, "", [], 1.0)
        rounded, intercept, increase = objective.finish(solution, np.float32)
        assert abs(value_of(objective, rounded, intercept) - value_of(objective, coef, np.zeros(1))) <= increase < 1
    with pytest.raises(OverflowError, match="outside the range of float32"):
        objective.finish(replace(solution, parameters=1e40 * point.parameters), np.float32)


def test_changing_the_penalty_equals_a_new_objective():
    options = {"n": 40, "n_classes": 3, "columns": "badly scaled", "group_lasso": True}
    objective, parameters = make_scale_free_objective(l1=0.3, l2=0.2, **options)
    changed_objective, (new_objective, _) = (
        objective.with_penalty(0.7, 0.1),
        make_scale_free_objective(l2=0.7, l1=0.1, **options),
    )
    assert changed_objective.rows is objective.rows
    coef, intercept = changed_objective.coordinates.convert_to_coefficients(parameters)
    actual, expected = (
        changed_objective.at(parameters),
        new_objective.at(new_objective.coordinates.to_parameters(coef, intercept)),
    )
    assert actual.value == pytest.approx(expected.value, rel=1e-12)
    assert actual.largest_subgradient_entry == pytest.approx(expected.largest_subgradient_entry, rel=1e-9)
    assert (objective.penalty.l2, objective.penalty.l1) == (0.2, 0.3)


def test_a_buffer_is_made_if_the_budget_holds_the_probabilities():
    objective, _ = make_objective(100, 3, 4, l2=0.1)
    n_bytes = 100 * 4 * 8
    assert replace_budget(objective, 4 * n_bytes).make_probability_buffer() is not None
    assert replace_budget(objective, 4 * n_bytes - 1).make_probability_buffer() is None
    # The quadratic models of proximal Newton store a second array.
    l1_objective = objective.with_penalty(0.1, 0.1)
    assert replace_budget(l1_objective, 8 * n_bytes).stores_probabilities
    assert not replace_budget(l1_objective, 8 * n_bytes - 1).stores_probabilities


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("outside", [0.3, 7.0])
def test_a_column_that_varies_only_in_rows_without_weight_is_ignored(make, outside):
    generator = np.random.default_rng(0)
    X = np.column_stack([np.full(30, 0.3), generator.normal(size=(30, 2))])
    labels, weights = generator.integers(0, 3, 30), generator.uniform(0.1, 1, 30)
    X[0, 0], weights[0] = outside, 0
    objective = build_objective(make(X), labels, 3, weights=weights)
    assert not objective.at(objective.start()).gradient[:, 0].any()
    hessian = evaluate(objective, np.random.default_rng(1).normal(size=(3, 4))).hessian().reshape(3, 4, 3, 4)
    assert not hessian[:, 0].any()
    assert not hessian[:, :, :, 0].any()
    assert hessian[:, 1:, :, 1:].any()


def test_the_intercept_does_not_depend_on_blas_threads():
    generator = np.random.default_rng(0)
    X = generator.normal(3.0, 1.0, (40, 100_000))
    objective = build_objective(X, np.arange(40) % 2, 2, l2=0.1)
    parameters, actual = generator.normal(size=(1, 100_001)), []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            coef, intercept = objective.coordinates.convert_to_coefficients(parameters)
            actual.append((intercept, objective.coordinates.to_parameters(coef, intercept)))
    assert_bitwise_equal(actual)
