"""Batches of problems: sums compared with NumPy, independence between problems, and certificates."""

import numpy as np
import pytest
import reference
from conftest import mark_params
from scipy import sparse

from fastlin.kernels.linear.sparse_rows import PROBLEMS_PER_GROUP
from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import CategoricalColumn, TableMatrix, as_matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.problem_batch import MIN_BATCH_SIZE, BatchProblem, BatchRows, ProblemBatch, choose_batch_size
from fastlin.objective.rounding import UNIT_ROUNDOFF


def make_rows(X, *, fit_intercept=True, factors=None, l2=0.01, batch_size=16, offsets=None, n_classes=2):
    """Return the `BatchRows` of X, and the scaled rows as a dense array in extended precision."""
    matrix = X if isinstance(X, TableMatrix) else as_matrix(X)
    factors = np.ones(matrix.shape[1]) if factors is None else factors
    coordinates = choose_coordinates(matrix.measure(), l2, factors, fit_intercept)
    K = 1 if n_classes == 2 else n_classes
    rows = BatchRows(matrix, coordinates, factors, fit_intercept, batch_size, offsets, K)
    scaled = matrix.densify(slice(None)).astype(np.longdouble) * coordinates.scale + coordinates.shift
    scaled[:, coordinates.vanishing_columns] = 0
    return rows, np.column_stack([scaled, np.full(len(scaled), float(fit_intercept))])


def make_X(kind, n=300, d=6):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, d)) + 3
    match kind:
        case "sparse" | "sparse float32":
            X = sparse.csr_array(X * (generator.random((n, d)) < 0.3))
            return X.astype(np.float32) if kind == "sparse float32" else X
        case "sparse bool":
            X = sparse.csr_array(generator.random((n, d)) < 0.3)
            X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
            return X
        case "one-hot":
            return sparse.csr_array(np.eye(d)[generator.integers(d, size=n)])
        case "table":
            return TableMatrix([X[:, 0], CategoricalColumn(generator.integers(0, 4, n).astype(np.int8), 4), X[:, 1]])
        case "wide":
            return generator.normal(size=(n, 300)).T.copy().T
        case "uint8":
            return generator.integers(0, 255, (n, d)).astype(np.uint8)
    return X.astype(kind)


def sample_offsets(n, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 1)) * 10.0 ** generator.uniform(-1, 1) + generator.normal()


def sample_problems(n, n_problems, seed=0, is_weighted=False, n_classes=2, has_l1=False):
    generator = np.random.default_rng(seed)
    for _ in range(n_problems):
        if n_classes == 2:
            labels = (generator.random(n) < generator.uniform(0.05, 0.95)).astype(np.uint8)
        else:
            labels = generator.choice(n_classes, n, p=generator.dirichlet(np.ones(n_classes)))
        labels[:n_classes] = np.arange(n_classes)
        weights = generator.integers(0, 4, n).astype(float) if is_weighted else None
        if is_weighted:
            weights[:n_classes] = 1
        l2, l1 = 10.0 ** generator.uniform(-4, 0), 10.0 ** generator.uniform(-3, -1) if has_l1 else 0.0
        yield BatchProblem(labels, l2, weights, l1=l1)


def fill_problem_batch(rows, problems):
    batch = ProblemBatch(rows, len(problems), problems[0].weights is not None)
    return batch, np.array([batch.take(slot, problem) for slot, problem in enumerate(problems)])


def evaluate_in_dtype_of_X(X, problem, parameters, unit_curvatures, offsets=0.0):
    """Return the loss, J, the gradient of J, and the mean of p_k p_l for each pair of classes, in the dtype of X.

    The parameters have shape (m,). X has shape (n, d + 1), with a column for the intercept. `unit_curvatures` are those
    of `BatchRows`. J excludes any L1 penalty.
    """
    labels, l2, weights, *_ = problem
    K = len(parameters) // X.shape[1]
    s = (np.ones(len(X)) if weights is None else weights).astype(X.dtype)
    s /= s.sum()
    scores = X @ parameters.reshape(K, -1).T.astype(X.dtype) + np.reshape(offsets, (-1, 1))
    losses, p, residuals = reference.evaluate_losses(scores, labels)
    p = np.column_stack([1 - p, p]) if K == 1 else p
    pairs = [np.sum(s * p[:, k] * p[:, m]) for k in range(p.shape[1]) for m in range(k + 1, p.shape[1])]
    value = s @ losses + np.sum(l2 * unit_curvatures * parameters**2) / 2
    return s @ losses, value, (residuals.T * s @ X).ravel() + l2 * unit_curvatures * parameters, pairs


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        *((kind, "") for kind in ("float64", "float32", "uint8", "wide", "sparse", "one-hot", "table")),
        ("float64", "offsets"),
        ("sparse", "offsets"),
        ("table", "offsets"),
        ("float64", "four classes"),
        ("table", "four classes"),
        ("float64", "l1"),
        ("sparse float32", ""),
        ("sparse bool", ""),
        *mark_params(pytest.mark.thorough, *((kind, "offsets") for kind in ("float32", "uint8", "wide", "one-hot"))),
        *mark_params(pytest.mark.thorough, *((kind, "four classes") for kind in ("float32", "uint8", "wide"))),
    ],
)
def test_sums_agree_with_numpy(kind, variant, is_weighted):
    offsets, n_classes = sample_offsets(300) if variant == "offsets" else None, 4 if variant == "four classes" else 2
    rows, X = make_rows(make_X(kind), offsets=offsets, n_classes=n_classes, batch_size=24)
    options = {"is_weighted": is_weighted, "n_classes": n_classes, "has_l1": variant == "l1"}
    problems = list(sample_problems(rows.n_rows, PROBLEMS_PER_GROUP + 3, **options))
    batch, starts = fill_problem_batch(rows, problems)
    parameters = starts + 0.5 * np.random.default_rng(1).normal(size=starts.shape)
    points = batch.evaluate(parameters)
    for b, problem in enumerate(problems):
        loss, value, gradient, pairs = evaluate_in_dtype_of_X(
            X, problem, parameters[b], rows.unit_curvatures, 0 if offsets is None else offsets
        )
        value += problem.l1 * np.sum(rows.thresholds * np.abs(parameters[b]))
        penalty = (problem.l2 * rows.unit_curvatures * parameters[b]).reshape(rows.n_rows_coef, -1)
        vanishing_columns = rows.coordinates.vanishing_columns
        gradient.reshape(penalty.shape)[:, vanishing_columns] = penalty[:, vanishing_columns]
        np.testing.assert_allclose([points.loss[b], points.value[b]], [loss, value], rtol=1e-12)
        np.testing.assert_allclose(points.curvatures[b], pairs, rtol=1e-12)
        np.testing.assert_allclose(points.gradient[b], gradient, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n_classes", "size"), [(2, None), (2, 1.0), (2, 30.0), (2, 1e3), (4, None)])
def test_a_problem_starts_at_the_null_model(n_classes, size, fit_intercept):
    offsets = None if size is None else 3 + size * np.random.default_rng(0).normal(size=(300, 1))
    rows, _ = make_rows(make_X("float64"), offsets=offsets, n_classes=n_classes, fit_intercept=fit_intercept)
    batch, starts = fill_problem_batch(
        rows, list(sample_problems(rows.n_rows, 9, is_weighted=True, n_classes=n_classes))
    )
    points = batch.evaluate(starts)
    if fit_intercept:
        np.testing.assert_allclose(points.loss_gradient.reshape(9, rows.n_rows_coef, -1)[..., -1], 0, atol=1e-14)
    # The lower bounds are below J because of rounding errors of class sums and scores.
    reach = 1.0 if size is None else 4 * np.abs(offsets).max()
    assert (batch.null_objective <= points.value * (1 + 1e-13)).all()
    np.testing.assert_allclose(batch.null_objective, points.value, rtol=1e-13, atol=400 * UNIT_ROUNDOFF * reach)
    assert fit_intercept or not starts.any()


@pytest.mark.parametrize(
    ("kind", "n_classes"), [("float64", 2), ("wide", 2), ("sparse", 2), ("table", 2), ("float64", 4), ("table", 4)]
)
def test_results_do_not_depend_on_other_problems_or_threads(kind, n_classes):
    rows, _ = make_rows(make_X(kind, n=3000), batch_size=24, n_classes=n_classes)
    problems = list(sample_problems(rows.n_rows, 24, is_weighted=True, n_classes=n_classes))
    batch, starts = fill_problem_batch(rows, problems)
    whole = batch.evaluate(starts)
    for n_threads, indices in [(1, [5]), (2, [3, 5, 20]), (1, [5, *range(6, 17)])]:
        subset, subset_start_parameters = fill_problem_batch(rows, [problems[slot] for slot in indices])
        with limit_threads(n_threads):
            points = subset.evaluate(subset_start_parameters)
        for subset_values, batch_values in zip(points, whole, strict=True):
            np.testing.assert_array_equal(subset_values, batch_values[indices])
    batch.keep(np.array([5]))
    for actual, batch_values in zip(batch.evaluate(starts[[5]]), whole, strict=True):
        np.testing.assert_array_equal(actual, batch_values[[5]])


def find_certificates(seed, has_l1):
    """Check the certificates of a problem at points that approach the minimizer, and return the certificates."""
    generator, reach = np.random.default_rng(seed), 1 if has_l1 else 2
    n, d = generator.integers(8 if has_l1 else 6, 40), generator.integers(1, 5)
    n_classes = 2 if has_l1 else (2, 2, 3, 5)[seed % 4]
    X = generator.normal(size=(n, d)) * 10.0 ** generator.uniform(-reach, reach, d)
    X += 10.0 ** generator.uniform(-2, reach)
    fit_intercept, factors = bool(generator.integers(4)), 10.0 ** generator.uniform(-1, 1, d)
    offsets = sample_offsets(n, seed) if seed % 4 == 1 else None
    rows, scaled = make_rows(X, fit_intercept=fit_intercept, factors=factors, offsets=offsets, n_classes=n_classes)
    offsets = 0.0 if offsets is None else offsets
    (problem,) = sample_problems(n, 1, seed, bool(generator.integers(2)), n_classes, has_l1)
    problem = problem._replace(l2=problem.l2 * generator.integers(2)) if has_l1 else problem
    batch, (start,) = fill_problem_batch(rows, [problem])
    variant = {"weights": problem.weights, "fit_intercept": fit_intercept, "offsets": offsets, "factors": factors}
    minimum, *model = reference.sparse_minimum(X, problem.labels, n_classes, problem.l2, problem.l1, **variant)
    minimizer, bounds = rows.coordinates.to_parameters(*model).ravel(), []
    sizes = (1e-2, 1e-5, 1e-9, 0.0) if has_l1 else (1e-2, 1e-5, 1e-8)
    # All distances use one direction, because the intercept's slope can vary by a factor of 1000 between directions.
    direction = generator.normal(size=rows.size)
    for near, size in [(start, 1.0), (start, 1e-2), *((minimizer, size) for size in sizes)]:
        # At zero, an L1 penalty changes to first order.
        is_free = near != 0 if has_l1 and seed % 3 else np.ones(rows.size, bool)
        is_free[d :: d + 1] = fit_intercept
        parameters = near + size * direction * is_free
        bounds.append(batch.certify(parameters[None], batch.evaluate(parameters[None]))[0])
        exact = parameters.astype(np.longdouble)
        value = evaluate_in_dtype_of_X(scaled, problem, exact, rows.unit_curvatures, offsets)[1]
        value += problem.l1 * np.sum(rows.thresholds * np.abs(exact))
        # This bounds the rounding error of the two values of J in extended precision.
        largest = np.max(np.abs(scaled) @ np.abs(exact.reshape(-1, d + 1)).T + np.abs(offsets))
        rounding = max(1e-18, 2 * np.finfo(np.longdouble).eps * (n * minimum + (d + 4) * largest))
        assert value - minimum <= bounds[-1] * (1 + 1e-12) + rounding, f"seed {seed}"
    return bounds


@pytest.mark.parametrize(
    ("has_l1", "first", "last"),
    [
        (False, 0, 40),
        (True, 0, 40),
        *mark_params(pytest.mark.thorough, (False, 40, 300), (True, 40, 300)),
        *mark_params(pytest.mark.slow, (False, 300, 4000), (True, 300, 3000)),
    ],
)
def test_certificates_bound_the_suboptimality(has_l1, first, last):
    for seed in range(first, last):
        bounds = find_certificates(seed, has_l1)
        if has_l1:
            # The distance and a slope's rounding error are relative to the threshold, which is at least 1e-5.
            assert bounds[-1] <= 1e-7, f"seed {seed}"
            assert bounds[-2] <= 0.01 * bounds[-3] + 1e-5, f"seed {seed}"
        else:
            # At a thousandth of the distance, the certificate is about a millionth.
            assert bounds[-1] <= 1e-4 * bounds[-2] + 1e-9, f"seed {seed}"


def test_the_certificate_is_quadratic_in_the_intercept_slope():
    for n_classes in (2, 4):
        rows, _ = make_rows(make_X("float64"), n_classes=n_classes)
        (problem,) = sample_problems(rows.n_rows, 1, n_classes=n_classes)
        batch, starts = fill_problem_batch(rows, [problem._replace(l2=0.1)])
        # Only one intercept changes, so only its term matters.
        is_last_intercept, bounds = np.arange(rows.size) == rows.size - 1, []
        for distance in (1e-2, 1e-3):
            moved = starts + distance * is_last_intercept
            points = batch.evaluate(moved)
            bounds.append(batch.certify(moved, points._replace(gradient=points.loss_gradient * is_last_intercept))[0])
        assert bounds[0] / bounds[1] == pytest.approx(100, rel=0.1)


def test_the_batch_size_is_a_multiple_of_its_minimum_and_limits_memory():
    for n, d in [(10, 1), (1000, 20), (20_000, 768), (10_000_000, 5), (100, 100_000)]:
        batch_size = choose_batch_size(n, d)
        assert batch_size % MIN_BATCH_SIZE == choose_batch_size(n, d, 3) % MIN_BATCH_SIZE == 0
        assert choose_batch_size(n, d, 3) <= batch_size
        assert batch_size == MIN_BATCH_SIZE or batch_size * 9 * n <= 1 << 26
        sparse_batch_size = choose_batch_size(n, d, is_sparse=True)
        assert sparse_batch_size % PROBLEMS_PER_GROUP == 0
        assert sparse_batch_size == PROBLEMS_PER_GROUP or sparse_batch_size * 9 * n <= 1 << 26
