"""The objective against its definition, finite differences, NumPy and an independent minimum."""

import tracemalloc

import naive
import numpy as np
import pytest
import reference
from conftest import COLUMNS, change_columns, make_objective, make_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import as_matrix
from fastlin.objective import LinearObjective
from fastlin.solvers import choose

DTYPES = [np.float64, np.float32, np.uint8, np.int8, np.int16, np.int32, np.bool_]


def naive_value_and_gradient(objective, parameters):
    """Return J and its derivatives by coef and intercept at the parameters, from the definition."""
    coef, intercept = objective.to_coefficients(parameters)
    weights = objective.weights if len(objective.weights) else np.ones(len(objective.matrix.X))
    loss, gradient, intercept_gradient = naive.loss_and_gradient(
        objective.matrix.X, objective.labels, weights, coef, intercept
    )
    total = weights.sum()
    value = loss / total + 0.5 * objective.l2 * np.sum(coef**2)
    return value, np.array(gradient) / total + objective.l2 * coef, np.array(intercept_gradient) / total


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("n", "n_classes"), [(30, 2), (30, 3), (30, 7), (4, 2), (4, 3)])
def test_value_is_the_definition(n, n_classes, weighted, fit_intercept, columns):
    objective, parameters = make_objective(
        n, 6, n_classes, columns=columns, weighted=weighted, fit_intercept=fit_intercept, l2=0.3
    )
    evaluation = objective.evaluate(parameters)
    value, gradient, intercept_gradient = naive_value_and_gradient(objective, parameters)
    assert evaluation.value == pytest.approx(value, rel=1e-11)
    assert evaluation.loss <= evaluation.value
    assert objective.n_passes == 1
    largest = np.abs(gradient).max()
    if fit_intercept:
        largest = max(largest, np.abs(intercept_gradient).max())
    assert evaluation.largest_entry == pytest.approx(largest, rel=1e-7)
    assert evaluation.precision is np.float64
    assert evaluation.is_finite


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_gradient_by_central_differences(n_classes, l2, columns):
    objective, parameters = make_objective(25, 5, n_classes, columns=columns, l2=l2)
    gradient = objective.evaluate(parameters).gradient
    step = 1e-5
    generator = np.random.default_rng(1)
    for _ in range(5):
        direction = generator.normal(size=parameters.shape)
        ahead, behind = (objective.evaluate(parameters + s * direction).value for s in (step, -step))
        assert (ahead - behind) / (2 * step) == pytest.approx(np.sum(gradient * direction), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_hessian_products_are_differences_of_the_gradient(n_classes, columns, fit_intercept):
    objective, parameters = make_objective(25, 5, n_classes, columns=columns, fit_intercept=fit_intercept, l2=0.2)
    step = 1e-5
    generator = np.random.default_rng(1)
    for _ in range(3):
        direction = generator.normal(size=parameters.shape)
        if not fit_intercept:
            direction[:, -1] = 0
        ahead, behind = (objective.evaluate(parameters + s * direction).gradient for s in (step, -step))
        objective.evaluate(parameters)
        np.testing.assert_allclose(
            objective.hessian_product(direction), (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_the_hessian_holds_the_products_with_unit_vectors(n_classes, fit_intercept):
    objective, parameters = make_objective(25, 4, n_classes, fit_intercept=fit_intercept, l2=0.2)
    objective.evaluate(parameters)
    hessian = objective.hessian()
    assert hessian.shape == (parameters.size, parameters.size)
    np.testing.assert_array_equal(hessian, hessian.T)
    for place in range(parameters.size):
        if not fit_intercept and place % 5 == 4:
            assert not hessian[place].any()
            continue
        unit = np.zeros(parameters.size)
        unit[place] = 1
        product = objective.hessian_product(unit.reshape(parameters.shape)).ravel()
        np.testing.assert_allclose(hessian[place], product, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("some", [True, False])
def test_grams_are_numpys(dtype, fit_intercept, some):
    objective, _ = make_objective(50, 7, 3, dtype, fit_intercept=fit_intercept, l2=0.1)
    generator = np.random.default_rng(3)
    rows = generator.permutation(50)[:20] if some else np.empty(0, np.int64)
    row_weights = generator.uniform(size=(2, 20 if some else 50))
    found = objective.gram(rows, row_weights, np.float64)
    scaled = objective.matrix.X.astype(float) * objective.scale + objective.shift
    scaled = np.column_stack([scaled, np.full(50, float(fit_intercept))])[rows if some else slice(None)]
    for weights, gram in zip(row_weights, found, strict=True):
        expected = scaled.T @ (weights[:, None] * scaled) / objective.total_weight
        np.testing.assert_allclose(gram, expected, atol=1e-12)
    assert objective.n_passes == pytest.approx(0.4 if some else 1.0)
    in_float32 = objective.gram(rows, row_weights, np.float32)
    assert in_float32.dtype == np.float32
    np.testing.assert_allclose(in_float32, found, atol=1e-4)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_parameters_and_coefficients_are_each_others_inverse_and_give_the_same_scores(n_classes, columns):
    objective, parameters = make_objective(20, 5, n_classes, columns=columns, l2=0.1)
    coef, intercept = objective.to_coefficients(parameters)
    np.testing.assert_allclose(objective.to_parameters(coef, intercept), parameters, rtol=1e-9, atol=1e-9)
    scaled = objective.matrix.X * objective.scale + objective.shift
    expected = scaled @ parameters[:, :-1].T + parameters[:, -1]
    np.testing.assert_allclose(objective.matrix.X @ coef.T + intercept, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("columns", COLUMNS)
def test_scaled_columns_have_a_mean_near_zero_and_a_spread_of_order_one(columns):
    objective, _ = make_objective(200, 5, 2, columns=columns)
    scaled = objective.matrix.X * objective.scale + objective.shift
    varied = np.ptp(objective.matrix.X, axis=0) > 0
    mean = np.average(scaled, axis=0, weights=objective.weights)
    variance = np.average((scaled - mean) ** 2, axis=0, weights=objective.weights)
    assert (np.abs(mean) < 1e-2).all()
    assert (variance[varied] > 0.4).all()
    assert (variance < 2.1).all()
    np.testing.assert_allclose(objective.mean_squares[:-1], mean**2 + variance, rtol=1e-6)
    assert objective.mean_squares[-1] == 1
    np.testing.assert_array_equal(np.log2(objective.scale) % 1, 0)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_penalties_are_the_curvature_of_the_penalty(n_classes):
    objective, parameters = make_objective(20, 5, n_classes, columns="badly scaled", l2=0.7)
    coef, _ = objective.to_coefficients(parameters)
    assert np.sum(objective.penalties * parameters**2) == pytest.approx(0.7 * np.sum(coef**2), rel=1e-12)
    assert objective.penalties[-1] == 0


def test_without_intercept_its_gradient_is_zero_and_nothing_is_shifted():
    objective, parameters = make_objective(20, 3, 4, fit_intercept=False)
    evaluation = objective.evaluate(parameters)
    assert not evaluation.gradient[:, -1].any()
    assert not objective.hessian_product(parameters)[:, -1].any()
    assert not objective.shift.any()
    assert not objective.start().any()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_start_is_the_best_point_without_features(n_classes):
    objective, parameters = make_objective(40, 3, n_classes)
    start = objective.start()
    assert not start[:, :-1].any()
    evaluation = objective.evaluate(start)
    np.testing.assert_allclose(evaluation.gradient[:, -1], 0, atol=1e-14)
    shares = objective.class_weights
    assert evaluation.value == pytest.approx(-np.sum(shares * np.log(shares)), rel=1e-12)
    assert start.shape == parameters.shape


@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_layout_gives_the_value_of_float64(dtype, layout):
    generator = np.random.default_rng(0)
    data = generator.integers(0, 2 if dtype is np.bool_ else 100, (60, 9)).astype(dtype)
    labels = generator.integers(0, 3, 60)
    match layout:
        case "C":
            X = data
        case "F":
            X = np.asfortranarray(data)
        case "strided":
            X = np.repeat(np.repeat(data, 2, axis=1), 3, axis=0)[::3, ::2]
        case "reversed":
            X = np.ascontiguousarray(data[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_array_equal(X, data)
    expected_objective = LinearObjective(data.astype(np.float64), labels, 3, l2=0.1)
    parameters = generator.normal(size=(3, 10))
    expected = expected_objective.evaluate(parameters)
    objective = LinearObjective(X, labels, 3, l2=0.1)
    np.testing.assert_array_equal(objective.scale, expected_objective.scale)
    found = objective.evaluate(parameters)
    assert found.value == pytest.approx(expected.value, rel=1e-13)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-13)
    # The kernels are compiled for each type, layout and precision: the rest of them for one layout only.
    if layout == "C":
        product = expected_objective.hessian_product(parameters)
        np.testing.assert_allclose(objective.hessian_product(parameters), product, atol=1e-13)
        in_float32 = objective.evaluate(parameters, np.float32)
        assert in_float32.value == pytest.approx(expected.value, rel=1e-5)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_float32_is_near_float64(n_classes, dtype, columns):
    X, labels, weights, _, _ = make_problem(300, 8, n_classes)
    objective = LinearObjective(change_columns(X, columns).astype(dtype), labels, n_classes, weights=weights, l2=0.1)
    assert objective.allows_float32
    parameters = np.random.default_rng(1).normal(size=(objective.n_rows_coef, 9))
    single, double = (objective.evaluate(parameters, precision) for precision in (np.float32, np.float64))
    # A float32 column near 1e4 is itself known to 5e-4 of its spread only, which both precisions read alike.
    tolerance = 2e-3 if columns == "shifted" else 1e-5
    assert single.value == pytest.approx(double.value, rel=tolerance)
    np.testing.assert_allclose(single.gradient, double.gradient, atol=tolerance)
    assert single.precision is np.float32
    assert single.gradient.dtype == np.float64
    assert single.value != double.value


def test_float32_sums_over_rows_in_float64():
    # Float32 gradients added in float32 would be off by 1e-3.
    n = 200_000
    X = np.full((n, 1), 0.1, np.float32)
    objective = LinearObjective(X, np.zeros(n, np.int64), 2, fit_intercept=False)
    gradient = objective.evaluate(np.zeros((1, 2)), np.float32).gradient
    expected = 0.5 * float(np.float32(0.1)) * objective.scale[0]
    assert gradient[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("columns", [None, "given"])
def test_no_copy_of_the_data_is_made(columns):
    X, labels, weights, _, _ = make_problem(20_000, 40, 3, np.float32)
    measured = columns and as_matrix(X).measure(weights)
    warmed = LinearObjective(X[:50], labels[:50], 3, l2=0.1)
    warmed.evaluate(warmed.start())
    warmed.hessian_product(warmed.start())
    tracemalloc.start()
    objective = LinearObjective(X, labels, 3, weights=weights, l2=0.1, columns=measured)
    objective.evaluate(objective.start())
    objective.hessian_product(objective.start())
    objective.evaluate(objective.start(), np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(objective.matrix.X, X)
    # Labels, weights and at most one array (K, n) a precision, all smaller than X.
    assert peak < 0.8 * X.nbytes


def test_read_only_data_are_used_in_place():
    X, labels, _, _, _ = make_problem(20, 3, 3)
    X.flags.writeable = False
    labels.flags.writeable = False
    before = X.copy()
    objective = LinearObjective(X, labels, 3)
    assert np.shares_memory(objective.matrix.X, X)
    objective.evaluate(objective.start())
    assert not X.flags.writeable
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_bits_do_not_depend_on_threads(dtype, precision):
    objective, parameters = make_objective(60_000, 40, 10, dtype, l2=0.1)
    assert objective.passes._n_blocks > 3
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            evaluation = objective.evaluate(parameters, precision)
            sample = objective.sample(500)
            sample.evaluate(parameters, precision)
            results.append(
                (
                    evaluation.value,
                    evaluation.gradient,
                    objective.hessian_product(parameters),
                    objective.settle_intercept(parameters, evaluation),
                    objective.lower_bound(parameters, evaluation),
                    sample.hessian(),
                    objective.matrix.measure(objective.weights).spread,
                )
            )
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("factor", [1e150, 1e-150])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_unit_of_the_data_does_not_matter(factor, n_classes):
    X, labels, weights, _, _ = make_problem(40, 4, n_classes)
    expected_objective = LinearObjective(X, labels, n_classes, weights=weights)
    objective = LinearObjective(X * factor, labels, n_classes, weights=weights)
    assert not objective.allows_float32
    generator = np.random.default_rng(2)
    coef, intercept = generator.normal(size=(expected_objective.n_rows_coef, 4)), generator.normal(size=1)
    expected = expected_objective.evaluate(expected_objective.to_parameters(coef, intercept))
    parameters = objective.to_parameters(coef / factor, intercept)
    found = objective.evaluate(parameters)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.largest_entry == pytest.approx(
        max(
            np.abs(naive_value_and_gradient(objective, parameters)[1]).max(),
            np.abs(naive_value_and_gradient(objective, parameters)[2]).max(),
        ),
        rel=1e-9,
    )
    assert np.isfinite(objective.hessian()).all()
    assert found.is_finite


@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_centering_keeps_the_value_and_sums_to_zero(l2):
    objective, parameters = make_objective(20, 3, 4, l2=l2)
    centred = objective.center(parameters)
    before, after = objective.evaluate(parameters), objective.evaluate(centred)
    assert after.loss == pytest.approx(before.loss, rel=1e-12)
    assert after.value - after.loss == pytest.approx(
        0.5 * l2 * np.sum(objective.to_coefficients(centred)[0] ** 2), rel=1e-9, abs=1e-15
    )
    assert (after.value < before.value) or l2 == 0
    coef, intercept = objective.to_coefficients(centred)
    np.testing.assert_allclose(coef.sum(axis=0), 0, atol=1e-14)
    assert intercept.sum() == pytest.approx(0, abs=1e-13)
    two_classes, parameters = make_objective(20, 3, 2)
    np.testing.assert_array_equal(two_classes.center(parameters), parameters)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_sample_is_the_objective_of_its_rows_in_the_same_coordinates(n_classes, weighted):
    objective, parameters = make_objective(90, 4, n_classes, columns="shifted", weighted=weighted, l2=0.3)
    sample = objective.sample(30)
    assert sample.n_rows == len(sample.rows) == len(np.unique(sample.rows)) == 30
    alone = LinearObjective(
        objective.matrix.X[sample.rows], objective.labels[sample.rows], n_classes, l2=0.3,
        weights=objective.weights[sample.rows] if weighted else None,
    )  # fmt: skip
    found = sample.evaluate(parameters)
    expected = alone.evaluate(alone.to_parameters(*sample.to_coefficients(parameters)))
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.largest_entry == pytest.approx(expected.largest_entry, rel=1e-6)
    for of_sample, of_all in zip(
        sample.to_coefficients(parameters), objective.to_coefficients(parameters), strict=True
    ):
        np.testing.assert_array_equal(of_sample, of_all)
    np.testing.assert_allclose(sample.class_weights, alone.class_weights, rtol=1e-12)
    assert objective.n_passes == sample.n_passes == pytest.approx(1 / 3)
    assert objective.n_rows == 90
    step = 1e-5
    ahead, behind = (sample.evaluate(parameters + s * parameters).gradient for s in (step, -step))
    sample.evaluate(parameters)
    np.testing.assert_allclose(sample.hessian_product(parameters), (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        sample.hessian() @ parameters.ravel(), sample.hessian_product(parameters).ravel(), atol=1e-12
    )


def test_a_sample_has_the_shares_of_the_classes_and_no_row_of_weight_zero():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    generator.shuffle(labels)
    weights = generator.integers(0, 2, 1000).astype(float)
    X = generator.normal(size=(1000, 2))
    sample = LinearObjective(X, labels, 3).sample(100)
    counts = np.bincount(labels[sample.rows])
    assert (np.abs(counts - [70, 25, 5]) <= 1).all()
    weighted = LinearObjective(X, labels, 3, weights=weights)
    assert (weights[weighted.sample(300).rows] > 0).all()
    everything = weighted.sample(5000)
    np.testing.assert_array_equal(everything.rows, np.flatnonzero(weights))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_settling_the_intercept_brings_its_gradient_near_zero(n_classes):
    objective, parameters = make_objective(80, 3, n_classes, l2=0.1)
    parameters *= 0.3
    for _ in range(5):
        evaluation = objective.evaluate(parameters)
        parameters = objective.settle_intercept(parameters, evaluation)
    np.testing.assert_allclose(objective.evaluate(parameters).gradient[:, -1], 0, atol=1e-14)
    without, parameters = make_objective(20, 3, n_classes, fit_intercept=False)
    assert without.settle_intercept(parameters, without.evaluate(parameters)) is None


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_with_a_stationary_intercept_the_lower_bound_is_the_natural_gap_below(n_classes, fit_intercept):
    objective, parameters = make_objective(80, 3, n_classes, fit_intercept=fit_intercept, l2=0.1)
    parameters *= 0.3
    for _ in range(6 if fit_intercept else 0):
        parameters = objective.settle_intercept(parameters, objective.evaluate(parameters))
    evaluation = objective.evaluate(parameters)
    gap = np.sum((evaluation.gradient[:, :-1] / objective.scale) ** 2) / (2 * 0.1)
    assert objective.natural_gap(evaluation) == pytest.approx(gap, rel=1e-12)
    assert evaluation.value - objective.lower_bound(parameters, evaluation) == pytest.approx(gap, rel=1e-9)


def test_without_penalty_there_is_no_lower_bound():
    objective, parameters = make_objective(30, 3, 3, l2=0.0)
    evaluation = objective.evaluate(parameters)
    assert objective.lower_bound(parameters, evaluation) == -np.inf
    assert objective.natural_gap(evaluation) == np.inf


def test_a_class_of_no_weight_has_a_lower_bound():
    X, labels, _, _, _ = make_problem(30, 3, 3)
    _, parameters = make_objective(30, 3, 3)
    weights = (labels != 1).astype(float)
    objective = LinearObjective(X, labels, 3, weights=weights, l2=0.1)
    # The intercept of the class falls without end: in the limit the others are alone.
    others = LinearObjective(X[labels != 1], (labels[labels != 1] > 1).astype(int), 2, l2=0.1 / 2)
    minimum = choose.minimize(others, None, solver="auto", tol=1e-12, max_iter=100).value
    for distance in (0.0, 1.0, 5.0):
        far = parameters.copy()
        far[1, -1] -= distance
        bound = objective.lower_bound(far, objective.evaluate(far))
        assert -np.inf < bound <= minimum + 1e-12


@pytest.mark.parametrize("penalty", [1e-6, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "n_classes", "weighted"), [(40, 2, True), (40, 4, False), (5, 2, False), (7, 3, True)])
def test_no_point_has_a_lower_bound_above_the_minimum(n, n_classes, weighted, fit_intercept, columns, penalty):
    objective, parameters = make_objective(
        n, 6, n_classes, columns=columns, weighted=weighted, fit_intercept=fit_intercept, l2=penalty, seed=n
    )
    minimum, coef, intercept = reference.minimum(
        objective.matrix.X, objective.labels, n_classes, penalty, objective.weights if weighted else None, fit_intercept
    )
    best = objective.to_parameters(coef, intercept)
    assert objective.evaluate(best).value == pytest.approx(minimum, rel=1e-9)
    generator = np.random.default_rng(5)
    bounds = []
    for distance in np.logspace(-8, 2, 21):
        for centre in (best, np.zeros_like(best)):
            point = centre + distance * generator.normal(size=parameters.shape)
            if not fit_intercept:
                point[:, -1] = 0
            evaluation = objective.evaluate(point)
            bounds.append(objective.lower_bound(point, evaluation))
            assert bounds[-1] <= minimum + 1e-14 * max(1, evaluation.value)
    assert np.isfinite(bounds).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(6, 40),
    d=st.integers(1, 6),
    n_classes=st.integers(2, 5),
    exponent=st.floats(-5, 2),
    distance=st.floats(-6, 1),
    fit_intercept=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_lower_bound_holds_for_random_problems(n, d, n_classes, exponent, distance, fit_intercept, seed):
    generator = np.random.default_rng(seed)
    X, labels = generator.normal(size=(n, d)), np.arange(n) % n_classes
    weights = generator.uniform(0.1, 3, n)
    l2 = 10**exponent
    minimum, coef, intercept = reference.minimum(X, labels, n_classes, l2, weights, fit_intercept)
    objective = LinearObjective(X, labels, n_classes, weights=weights, l2=l2, fit_intercept=fit_intercept)
    point = objective.to_parameters(coef, intercept)
    point += 10**distance * generator.normal(size=point.shape) * ([1] * d + [fit_intercept])
    evaluation = objective.evaluate(point)
    assert evaluation.value >= minimum * (1 - 1e-13)
    assert objective.lower_bound(point, evaluation) <= minimum + 1e-14 * max(1, evaluation.value)


@pytest.mark.parametrize(("dtype", "coef_dtype"), [(np.uint8, np.float64), (np.float32, np.float64)])
def test_scores_of_mixed_types(dtype, coef_dtype):
    X, _, _, coef, intercept = make_problem(3000, 30, 4, dtype)
    scores = as_matrix(X).compute_scores(coef.astype(coef_dtype), intercept)
    assert scores.dtype == coef_dtype
    np.testing.assert_allclose(scores, X.astype(float) @ coef.T + intercept, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(
        as_matrix(X).find_best_class(coef.astype(coef_dtype), intercept), scores.argmax(axis=1)
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_are_measured_as_numpy_does(dtype):
    generator = np.random.default_rng(0)
    X = generator.integers(0, 2 if dtype is np.bool_ else 100, (50, 4)).astype(dtype)
    weights = generator.uniform(size=50)
    columns = as_matrix(X).measure(weights)
    values = X.astype(float)
    mean = np.average(values, axis=0, weights=weights)
    np.testing.assert_allclose(columns.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(
        columns.spread, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights)), rtol=1e-10
    )
    np.testing.assert_allclose(
        columns.root_mean_square, np.sqrt(np.average(values**2, axis=0, weights=weights)), rtol=1e-10
    )
    np.testing.assert_array_equal(columns.largest, np.abs(values).max(axis=0))
    assert columns.finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_columns_with_numbers_that_are_not_finite_are_reported(bad):
    X = np.random.default_rng(0).normal(size=(30, 3))
    X[29, 2] = bad
    assert not as_matrix(X).measure().finite


def test_the_intercept_of_many_columns_does_not_depend_on_the_threads_of_blas():
    generator = np.random.default_rng(0)
    X = generator.normal(3.0, 1.0, (40, 100_000))
    objective = LinearObjective(X, np.arange(40) % 2, 2, l2=0.1)
    parameters = generator.normal(size=(1, 100_001))
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            coef, intercept = objective.to_coefficients(parameters)
            found.append((intercept, objective.to_parameters(coef, intercept)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_the_certificate_counts_the_rounding_of_a_large_intercept():
    X, labels, *_ = make_problem(60, 3, 2)
    objective = LinearObjective(X + 1e10, labels, 2, l2=0.1)
    solution = choose.minimize(objective, None, solver="auto", tol=1e-12, max_iter=100)
    _, intercept, certificate = objective.finish(solution, np.float64)
    assert certificate >= solution.certificate + 0.2 * (np.finfo(np.float64).eps * intercept[0]) ** 2


def make_separable(n_classes, n=400, weighted=False, rows=None):
    """Return an objective whose rows are mostly decided at the returned parameters."""
    generator = np.random.default_rng(n_classes)
    labels = generator.integers(0, n_classes, n)
    X = generator.normal(size=(n, 4)) + 3 * np.eye(max(4, n_classes))[labels][:, :4]
    weights = generator.uniform(0.5, 2, n) if weighted else None
    objective = LinearObjective(X, labels, n_classes, weights=weights, l2=1e-5, rows=rows)
    coef = 5 * np.eye(max(4, n_classes))[:n_classes, :4] if n_classes > 2 else np.array([[-5.0, 5.0, 0.0, 0.0]])
    return objective, objective.to_parameters(coef, np.zeros(len(coef)))


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_a_narrowed_objective_touches_the_whole_one(n_classes, weighted, some):
    rows = np.arange(0, 400, 2) if some else None
    objective, parameters = make_separable(n_classes, weighted=weighted, rows=rows)
    evaluation = objective.evaluate(parameters)
    narrowed = objective.narrow(evaluation)
    assert narrowed is not objective
    assert narrowed.n_rows < 0.7 * objective.n_rows
    found = narrowed.evaluate(parameters)
    assert found.value == pytest.approx(evaluation.value, rel=1e-12)
    np.testing.assert_allclose(found.gradient, evaluation.gradient, rtol=1e-9, atol=1e-14)
    # Tangents lie below what they touch, and near by only a little.
    generator = np.random.default_rng(1)
    for size, part in ((1.0, np.inf), (0.01, 1e-5)):
        step = size * generator.normal(size=parameters.shape)
        whole, partial = objective.evaluate(parameters + step).value, narrowed.evaluate(parameters + step).value
        assert partial <= whole * (1 + 1e-12)
        assert whole - partial < part * whole
    assert narrowed.n_passes == objective.n_passes


def test_an_objective_whose_rows_are_undecided_is_not_narrowed():
    objective, _ = make_objective(60, 3, 3, l2=0.1)
    assert objective.narrow(objective.evaluate(np.zeros(objective.shape))) is objective


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("outside", [0.3, 7.0])
def test_a_column_that_does_not_vary_where_rows_count_has_no_part_in_the_model(make, outside):
    generator = np.random.default_rng(0)
    X = np.column_stack([np.full(30, 0.3), generator.normal(size=(30, 2))])
    labels, weights = generator.integers(0, 3, 30), generator.uniform(0.1, 1, 30)
    X[0, 0], weights[0] = outside, 0
    objective = LinearObjective(make(X), labels, 3, weights=weights)
    objective.evaluate(np.random.default_rng(1).normal(size=(3, 4)))
    assert not objective.evaluate(objective.start()).gradient[:, 0].any()
    hessian = objective.hessian().reshape(3, 4, 3, 4)
    assert not hessian[:, 0].any()
    assert not hessian[:, :, :, 0].any()
    assert hessian[:, 1:, :, 1:].any()


def test_settling_does_not_move_all_intercepts_at_once():
    objective, parameters = make_objective(60, 4, 3, l2=1e-3)
    evaluation = objective.evaluate(parameters)
    settled = objective.settle_intercept(parameters, evaluation)
    assert settled[:, -1].sum() == pytest.approx(parameters[:, -1].sum(), abs=1e-12)
    assert np.abs(objective.evaluate(settled).gradient[:, -1]).max() < np.abs(evaluation.gradient[:, -1]).max()
