"""Points: values do not change, and buffers can be reused."""

import numpy as np
import pytest
from conftest import assert_bitwise_equal
from objectives import evaluate, make_objective, make_scale_free_objective, replace_budget

from fastlin.matrices import matrix

PENALTIES = {"smooth": {"l2": 0.1}, "by size": {"l2": 0.02, "l1": 0.05}}


def get_point_values(point):
    """Return all values of a point that do not need probabilities."""
    sums = (
        point.value,
        point.loss,
        point.slope,
        point.squared_dual_norm,
        point.largest_subgradient_entry,
        point.stationary_gap,
    )
    return [*sums, point.parameters.copy(), point.gradient.copy(), point.lower_bound(), point.rounding]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_point_does_not_change_when_others_are_evaluated(n_classes, penalty):
    objective, parameters = make_scale_free_objective(60, n_classes, "shifted", **PENALTIES[penalty])
    buffer = objective.make_probability_buffer()
    # This is the first point of the objective. A later pass computes the class features.
    point = objective.at(0.5 * parameters, out=buffer)
    get_buffer_values = lambda: [point.probabilities.copy(), point.hessian(), point.optimize_intercept()]  # noqa: E731
    before, values_before = get_buffer_values(), get_point_values(point)
    other_point = evaluate(objective, -parameters)
    optimized = other_point.optimize_intercept()
    np.testing.assert_array_equal(optimized[:, :-1], other_point.parameters[:, :-1])
    evaluate(objective, 3 * parameters, np.float32).hessian_product(parameters)
    objective.at(parameters)
    objective.sample(20).at(parameters)
    assert_bitwise_equal([before, get_buffer_values()])
    objective.at(7 * parameters, out=buffer).lower_bound()
    assert_bitwise_equal([values_before, get_point_values(point)])
    assert other_point.value != point.value


def make_probability_accessors(point):
    """Return functions that access the values of a point for which the point needs its probabilities."""
    product = lambda: point.hessian_product(point.parameters)  # noqa: E731
    return (
        lambda: point.probabilities,
        lambda: list(point.curvatures()),
        product,
        point.hessian,
        point.compute_loss_hessian,
    )


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_probabilities_without_a_buffer_or_in_a_reused_one_raise(precision):
    objective, parameters = make_objective(30, 3, 3, l2=0.1)
    buffer = objective.make_probability_buffer()
    point = objective.at(parameters, precision, out=buffer)
    assert point.has_probabilities
    for access_probabilities in make_probability_accessors(point):
        access_probabilities()
    other = objective.at(2 * parameters, precision, out=buffer)
    assert other.has_probabilities
    narrow = evaluate(replace_budget(objective, 0), parameters)
    for unusable_point, message in (
        (point, "were overwritten"),
        (objective.at(parameters), "without a buffer"),
        (narrow, "without a buffer"),
    ):
        assert not unusable_point.has_probabilities
        # A point without a buffer optimizes the intercept without probabilities.
        for access_probabilities in (
            *make_probability_accessors(unusable_point),
            *([unusable_point.optimize_intercept] if unusable_point is point else []),
        ):
            with pytest.raises(RuntimeError, match=message):
                access_probabilities()
    # Values that do not need probabilities are available and equal without a buffer.
    assert_bitwise_equal([get_point_values(point), get_point_values(objective.at(parameters, precision))])
    np.testing.assert_array_equal(evaluate(objective, 2 * parameters, precision).probabilities, other.probabilities)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_intercept_is_optimized_in_batches_without_a_buffer(monkeypatch, n_classes, weighted):
    objective, parameters = make_objective(90, 3, n_classes, columns="shifted", weighted=weighted, l2=0.1)
    expected = evaluate(objective, parameters).optimize_intercept()
    for max_rows in (90, 7):
        monkeypatch.setattr(matrix, "PROBABILITY_BATCH_BYTES", 8 * max_rows * len(parameters))
        before = objective.n_passes
        optimized = objective.at(parameters).optimize_intercept()
        np.testing.assert_allclose(optimized, expected, rtol=1e-9, atol=1e-11)
        assert objective.n_passes - before == pytest.approx(2)
    # Without memory for the matrix, the intercept is not optimized.
    assert replace_budget(objective, 0).at(parameters).optimize_intercept() is None


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_hessian_rows_are_products_with_unit_vectors(n_classes):
    for fit_intercept in (True, False):
        objective, parameters = make_objective(25, 4, n_classes, fit_intercept=fit_intercept, l2=0.2)
        point = evaluate(objective, parameters)
        hessian = point.hessian()
        assert hessian.shape == (parameters.size, parameters.size)
        np.testing.assert_array_equal(hessian, hessian.T)
        for index, unit in enumerate(np.eye(parameters.size)):
            if not fit_intercept and index % 5 == 4:
                assert not hessian[index].any()
                continue
            product = point.hessian_product(unit.reshape(parameters.shape)).ravel()
            np.testing.assert_allclose(hessian[index], product, atol=1e-13)
        curvatures = np.tile(objective.penalty.curvatures, len(parameters))
        np.testing.assert_array_equal(hessian, point.compute_loss_hessian() + np.diag(curvatures))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_optimizing_the_intercept_reduces_its_gradient_to_zero(n_classes):
    objective, parameters = make_objective(80, 3, n_classes, l2=0.1)
    parameters *= 0.3
    total = parameters[:, -1].sum()
    for _ in range(5):
        parameters = evaluate(objective, parameters).optimize_intercept()
    np.testing.assert_allclose(objective.at(parameters).gradient[:, -1], 0, atol=1e-14)
    # The sum over the classes does not change.
    assert n_classes == 2 or parameters[:, -1].sum() == pytest.approx(total, abs=1e-12)
    # There is no step if all probabilities are 0 or 1, or if there is no intercept.
    saturated_parameters = np.zeros_like(parameters)
    saturated_parameters[0, -1] = 5000.0
    without, parameters = make_objective(20, 3, n_classes, fit_intercept=False)
    for point in (evaluate(objective, saturated_parameters), evaluate(without, parameters)):
        assert point.optimize_intercept() is None
