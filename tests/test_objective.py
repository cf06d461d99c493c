"""The objective against its definition, finite differences and scikit-learn's."""

import naive
import numpy as np
import pytest
from conftest import make_problem

from fastlin.kernels.threads import limit_threads
from fastlin.objective import LinearObjective, compute_scores


def make_objective(n, d, n_classes, dtype=np.float64, **options):
    X, labels, weights, coef, intercept = make_problem(n, d, n_classes, dtype)
    return LinearObjective(X, labels, n_classes, weights=weights, **options), coef, intercept


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_value_is_the_definition(n_classes):
    objective, coef, intercept = make_objective(30, 4, n_classes, l2=0.3)
    loss, *_ = naive.loss_and_gradient(objective.X, objective.labels, objective.weights, coef, intercept)
    expected = loss / objective.weights.sum() + 0.15 * np.sum(coef**2)
    value, _, _ = objective.value_and_gradient(coef, intercept)
    assert value == pytest.approx(expected, rel=1e-12)
    assert objective.n_passes == 1


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_gradient_by_central_differences(n_classes, l2):
    objective, coef, intercept = make_objective(25, 3, n_classes, l2=l2)
    _, gradient, intercept_gradient = objective.value_and_gradient(coef, intercept)
    step = 1e-6
    generator = np.random.default_rng(1)
    for _ in range(5):
        direction, intercept_direction = generator.normal(size=coef.shape), generator.normal(size=intercept.shape)
        ahead, behind = (
            objective.value_and_gradient(coef + s * direction, intercept + s * intercept_direction)[0]
            for s in (step, -step)
        )
        slope = np.sum(gradient * direction) + intercept_gradient @ intercept_direction
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_without_intercept_its_gradient_is_zero():
    objective, coef, _ = make_objective(20, 3, 4, fit_intercept=False)
    assert not objective.value_and_gradient(coef, np.zeros(4))[2].any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_bits_do_not_depend_on_threads(dtype):
    objective, coef, intercept = make_objective(60_000, 40, 10, dtype, l2=0.1)
    assert len(objective._losses) > 3
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            results.append(objective.value_and_gradient(coef, intercept))
    for value, gradient, intercept_gradient in results[1:]:
        assert value == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])
        np.testing.assert_array_equal(intercept_gradient, results[0][2])


def test_uint8_gives_what_float64_gives():
    X, labels, weights, coef, intercept = make_problem(500, 20, 5, np.uint8)
    results = [
        LinearObjective(data, labels, 5, weights=weights, l2=0.1).value_and_gradient(coef, intercept)
        for data in (X, X.astype(np.float64))
    ]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-14)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12, atol=1e-12)


def test_float32_sums_over_rows_in_float64():
    # A million equal float32 gradients added in float32 would be off by 1e-3.
    n = 200_000
    X = np.full((n, 1), 0.1, np.float32)
    objective = LinearObjective(X, np.zeros(n, np.int64), 2)
    _, gradient, _ = objective.value_and_gradient(np.zeros((1, 1)), np.zeros(1))
    assert gradient[0, 0] == pytest.approx(0.5 * float(np.float32(0.1)), rel=1e-6)


def test_centering_keeps_the_value_and_sums_to_zero():
    objective, coef, intercept = make_objective(20, 3, 4, l2=0.0)
    centered = objective.center(coef, intercept)
    assert objective.value_and_gradient(*centered)[0] == pytest.approx(
        objective.value_and_gradient(coef, intercept)[0], rel=1e-12
    )
    np.testing.assert_allclose(centered[0].sum(axis=0), 0, atol=1e-14)
    assert centered[1].sum() == pytest.approx(0, abs=1e-14)
    two_classes, coef, intercept = make_objective(20, 3, 2)
    assert two_classes.center(coef, intercept) == (coef, intercept)


def test_read_only_data_are_used_in_place():
    X, labels, _, coef, intercept = make_problem(20, 3, 3)
    X.flags.writeable = False
    objective = LinearObjective(X, labels, 3)
    assert np.shares_memory(objective.X, X)
    objective.value_and_gradient(coef, intercept)
    assert not X.flags.writeable


@pytest.mark.parametrize(("dtype", "coef_dtype"), [(np.uint8, np.float64), (np.float32, np.float64)])
def test_scores_of_mixed_types(dtype, coef_dtype):
    X, _, _, coef, intercept = make_problem(3000, 30, 4, dtype)
    scores = compute_scores(X, coef.astype(coef_dtype), intercept)
    assert scores.dtype == coef_dtype
    np.testing.assert_allclose(scores, X.astype(float) @ coef.T + intercept, rtol=1e-10, atol=1e-10)
