"""Lower bounds on the minimum and their rounding errors, compared with sums in extended precision."""

from itertools import product

import numpy as np
import pytest
import reference
from conftest import COLUMN_KINDS, distort_columns, make_offsets_and_targets, make_problem, mark_params
from objectives import (
    build_objective,
    evaluate,
    find_reference_minimum,
    get_data,
    get_penalty_arguments,
    get_row_offsets,
    make_objective,
    make_scale_free_objective,
)
from scipy import sparse

from fastlin.objective.duality import find_linearized_dual_value
from fastlin.solvers.quadratic import HessianModel

# l1 and l2 for columns whose standard deviations are of order one.
L1_PENALTIES = [(0.05, 0.0), (0.05, 0.02), (1e-3, 0.5), (1e-3, 0.0)]
# l1, l2, grouped, and the size of the offsets.
PENALTIES_WITHOUT_OFFSETS = [
    (0, 1e-6, False, 0),
    (0, 0.1, False, 0),
    (0.02, 0, False, 0),
    (1e-3, 0.05, True, 0),
    (0.01, 0, True, 0),
]
PENALTIES_WITH_OFFSETS = [
    (l1, l2, False, size) for l1, l2 in ((0, 1e-4), (0.02, 0), (1e-3, 0.05)) for size in (0.0, 30.0, 1e3)
]
# Rows, features, classes, kind of X, columns, weights and intercept.
SHAPES = [
    (1, 2, 2, "dense", "plain", "none", True),
    (3, 40, 2, "dense", "shifted", "some", True),
    (12, 6, 10, "dense", "badly scaled", "none", False),
    (80, 5, 3, "dense", "shifted", "huge", True),
    (80, 300, 2, "float32", "plain", "some", True),
    (500, 6, 10, "float32", "badly scaled", "huge", True),
    (500, 40, 3, "uint8", "plain", "some", True),
    (3000, 1, 3, "dense", "constant", "none", True),
    (12, 300, 3, "sparse", "shifted", "huge", True),
    (500, 6, 10, "sparse", "badly scaled", "some", True),
    (3000, 40, 3, "sparse", "plain", "some", True),
]


def exact_value_and_bound(objective, parameters):
    """Return J and the dual objective in extended precision. The coefficients must be within their bounds."""
    X, labels, weights = get_data(objective)
    scale, shift = objective.coordinates.scale.astype(np.longdouble), objective.coordinates.shift
    X, options, box = X.astype(np.longdouble) * scale + shift, get_penalty_arguments(objective), objective.penalty.box
    coef, intercept, grouped = parameters[:, :-1], parameters[:, -1], options["group_lasso"]
    curvatures = options["l2"] * options["factors"].astype(np.longdouble) * scale**2
    thresholds = options["l1"] * options["factors"].astype(np.longdouble) * scale
    sizes = np.sqrt(np.sum(coef.astype(np.longdouble) ** 2, axis=0)) if grouped else np.abs(coef).sum(axis=0)
    offsets = get_row_offsets(objective)
    loss = reference.mean_loss(X, labels, coef, intercept, weights, offsets)
    value = loss + np.sum(curvatures * coef.astype(np.longdouble) ** 2) / 2 + np.sum(thresholds * sizes)
    options = {"weights": weights, "fit_intercept": objective.fit_intercept, "grouped": grouped, "offsets": offsets}
    options["bounds"] = (
        None if box is None else (box.parameter_lower_bounds[:, :-1], box.parameter_upper_bounds[:, :-1])
    )
    bound = reference.dual_value(X, labels, coef, intercept, curvatures, thresholds, **options)
    return value, bound


def sum_score_magnitudes(objective, parameters):
    """Return the sum of the magnitudes of the terms of all scores, averaged over the rows."""
    X, _, weights = get_data(objective)
    scaled, shift = X * objective.coordinates.scale, objective.coordinates.shift
    # Entries of sparse data are not centered.
    terms = np.abs(scaled) + np.abs(shift) if sparse.issparse(objective.matrix.X) else np.abs(scaled + shift)
    return (
        np.average(terms, axis=0, weights=weights) @ np.abs(parameters[:, :-1]).sum(axis=0)
        + np.abs(parameters[:, -1]).sum()
    )


@pytest.mark.parametrize(
    "offset", ["no offset", *mark_params(pytest.mark.thorough, "offset", "offset and soft labels")]
)
@pytest.mark.parametrize(("n", "d", "n_classes", "kind", "columns", "weights", "fit_intercept"), SHAPES)
def test_the_rounding_errors_of_value_and_lower_bound_are_bounded(
    n, d, n_classes, kind, columns, weights, fit_intercept, offset
):
    X, y, random_weights, *_ = make_problem(n, d, n_classes, np.uint8 if kind == "uint8" else np.float64)
    y[:n_classes] = np.arange(min(n, n_classes))
    X = X if kind == "uint8" else distort_columns(X, columns)
    if kind == "sparse":
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.6] = 0
        X = sparse.csr_array(X)
    X = X.astype(np.float32) if kind == "float32" else X
    weights = {"none": None, "some": random_weights, "huge": np.where(y == 0, 1e12, 1.0) * random_weights}[weights]
    standard_deviation = 10.0 ** np.random.default_rng(d).uniform(-4, 4, d) if columns == "badly scaled" else np.ones(d)
    options = {"weights": weights, "penalty_factors": standard_deviation, "fit_intercept": fit_intercept}
    generator = np.random.default_rng(n + d)
    for l1, l2, grouped, size in PENALTIES_WITHOUT_OFFSETS if offset == "no offset" else PENALTIES_WITH_OFFSETS:
        if offset != "no offset":
            offsets, targets = make_offsets_and_targets(y, n_classes, size, standard_deviation=size)
            options |= {"offsets": offsets if size else None, "targets": targets if "soft" in offset else None}
        objective = build_objective(X, y, n_classes, l1=l1, l2=l2, group_lasso=grouped, **options)
        for distance in (0.0, 1e-3, 0.3, 3.0) if size else (0.0, 1e-3, 0.3, 3.0, 100.0):
            parameters = distance * generator.normal(size=objective.shape)
            if l1 > 0 and not size:
                parameters[:, :-1] *= generator.uniform(size=parameters[:, :-1].shape) < 0.4
            parameters[:, -1] *= fit_intercept
            if size == 1e3 and fit_intercept:
                # If the intercepts compensate for the offsets, the terms of each score cancel.
                parameters[:, -1] -= objective.rows.offset_range.mean[-len(parameters) :]
            point = objective.at(parameters)
            value, bound = exact_value_and_bound(objective, parameters)
            assert abs(point.value - value) <= point.rounding
            assert point.lower_bound() <= bound <= value + 1e-16 * (value + size)
            # Rounding errors are relative to the terms of the scores, which can be far larger than the loss.
            assert point.rounding <= 1e-12 * (value + sum_score_magnitudes(objective, parameters) + 10 * size)


def test_the_dual_value_of_the_reference_is_below_the_minimum():
    # This checks the reference itself.
    for n_classes, l1, l2, grouped in [
        (2, 0, 0.1, False),
        (3, 0, 1e-3, False),
        (4, 0.02, 0, False),
        (4, 0.02, 0.1, True),
    ]:
        objective, parameters = make_scale_free_objective(40, n_classes, l1=l1, l2=l2, group_lasso=grouped)
        minimum, coef, intercept = find_reference_minimum(objective)
        best = objective.coordinates.to_parameters(coef, intercept)
        for distance in (1.0, 0.1, 1e-3, 1e-5):
            value, bound = exact_value_and_bound(objective, best + distance * parameters)
            assert bound < minimum < value
        assert exact_value_and_bound(objective, best)[1] == pytest.approx(float(minimum), rel=1e-12)


def test_many_sparse_columns_have_a_small_dual_rounding_error():
    ones = (np.arange(1200) % 10 > 0)[:, None]
    X = sparse.csr_array(np.hstack([np.eye(400)[np.arange(1200) % 400], ones]))
    objective = build_objective(X, np.arange(1200) // 600, 2, l1=1e-4)
    assert objective.at(np.full(objective.shape, 0.01)).dual_value_rounding < 1e-8


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_at_the_minimum_the_lower_bound_is_tight(columns):
    for n_classes, grouped in [(2, False), (4, False), (4, True)]:
        for l1, l2 in [*L1_PENALTIES, (0.0, 0.1)]:
            objective, _ = make_scale_free_objective(60, n_classes, columns, l1=l1, l2=l2, group_lasso=grouped)
            minimum, coef, intercept = find_reference_minimum(objective)
            point = objective.at(objective.coordinates.to_parameters(coef, intercept))
            assert minimum - 1e-7 < point.lower_bound() <= minimum <= point.value + point.rounding
            assert point.value == pytest.approx(float(minimum), rel=1e-9)
            assert point.largest_subgradient_entry < 1e-6 * max(1, 1 / objective.coordinates.scale.min())


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_bound_maximizes_the_dual_between_labels_and_probabilities(n_classes, grouped):
    for (l1, l2), size in product(L1_PENALTIES, (0.03, 0.3, 3.0)):
        objective, parameters = make_scale_free_objective(
            40, n_classes, l1=l1, l2=l2, group_lasso=grouped, fit_intercept=False
        )
        point = objective.at(size * parameters)
        # The reference searches the segment between labels and probabilities.
        bound = float(exact_value_and_bound(objective, point.parameters)[1])
        assert bound - 1e-9 * point.value <= point.lower_bound() <= bound


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("grouped", [False, True])
def test_far_from_the_minimum_the_lower_bound_is_nonnegative(n_classes, grouped):
    # There, moving probability between classes makes the entropy negative, so the labels give a better bound.
    objective, parameters = make_scale_free_objective(40, n_classes, l1=1e-3, l2=10.0, group_lasso=grouped)
    parameters[:, -1] += 30 * np.arange(1, 1 + len(parameters))
    assert 0 <= objective.at(parameters).lower_bound() <= find_reference_minimum(objective)[0]
    with np.errstate(all="ignore"):
        point = objective.at(1e200 * parameters)
        assert (point.is_finite, point.lower_bound()) == (False, -np.inf)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_duality_gap_is_the_stationary_gap_for_an_optimal_intercept(fit_intercept):
    for n_classes in (2, 3, 6):
        objective, parameters = make_objective(80, 3, n_classes, fit_intercept=fit_intercept, l2=0.1)
        parameters *= 0.3
        for _ in range(6 if fit_intercept else 0):
            parameters = evaluate(objective, parameters).optimize_intercept()
        point = objective.at(parameters)
        gap = np.sum((point.gradient[:, :-1] / objective.coordinates.scale) ** 2) / (2 * 0.1)
        assert point.stationary_gap == pytest.approx(gap, rel=1e-12)
        assert point.value - point.lower_bound() == pytest.approx(gap, rel=1e-9)


def test_a_class_without_weight_has_a_lower_bound():
    X, labels, *_ = make_problem(30, 3, 3)
    _, parameters = make_objective(30, 3, 3)
    objective = build_objective(X, labels, 3, weights=(labels != 1).astype(float), l2=0.1)
    # The class's intercept decreases without bound. The limit is the problem without this class.
    others = labels != 1
    minimum = reference.minimum(X[others], labels[others] // 2, 2, 0.1 / 2)[0]
    for distance in (0.0, 1.0, 5.0, 50.0):
        far = parameters.copy()
        far[1, -1] -= distance
        assert -np.inf < objective.at(far).lower_bound() <= minimum


def exact_linearized_dual_value(objective, point, step):
    """Return the dual objective at the linearized probabilities, for an L1 penalty and no intercept.

    The result has extended precision.
    """
    X, labels, weights = get_data(objective)
    X = X.astype(np.longdouble) * objective.coordinates.scale + objective.coordinates.shift
    fractions = weights / weights.sum(dtype=np.longdouble)
    moved = point.linearize_probabilities(step).astype(np.longdouble).T
    moved = np.hstack([1 - moved, moved]) if moved.shape[1] == 1 else moved / moved.sum(axis=1, keepdims=True)
    offsets, targets = get_row_offsets(objective), labels
    if labels.ndim == 1:
        targets = np.eye(moved.shape[1])[labels]
    change = moved - targets
    entropy = fractions @ -np.sum(moved * np.log(np.where(moved > 0, moved, 1)), axis=1)
    entropy += fractions @ np.sum(change[:, -offsets.shape[1] :] * offsets, axis=1)
    slopes = np.einsum("i,ik,ij->kj", fractions, change[:, -len(point.parameters) :], X)
    thresholds = objective.penalty.l1 * objective.penalty.factors * objective.coordinates.scale
    sizes = reference.compute_magnitudes(slopes, objective.penalty.group_lasso)
    sizes = sizes if objective.penalty.group_lasso else np.abs(slopes).max(axis=0)
    return max(entropy, 0) * min(1, np.min(thresholds / np.maximum(sizes, 1e-300)))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_rounding_of_a_linearized_dual_value_is_bounded(kind):
    for (n_classes, grouped), size, columns in product([(2, False), (4, False), (4, True)], (0, 2), COLUMN_KINDS):
        X, labels, weights, *_ = make_problem(60, 6, n_classes)
        X = distort_columns(X, columns)
        X = (
            sparse.csr_array(np.where(np.random.default_rng(0).uniform(size=X.shape) < 0.5, 0, X))
            if kind == "sparse"
            else X
        )
        options = {"l1": 1e-3, "group_lasso": grouped, "fit_intercept": False, "weights": weights}
        if size:
            offsets, _ = make_offsets_and_targets(labels, n_classes, size, 0)
            options["offsets"] = offsets
        objective = build_objective(X, labels, n_classes, **options)
        generator = np.random.default_rng(1)
        for distance in (0.0, 0.1, 3.0):
            point = evaluate(objective, 0.3 * generator.normal(size=objective.shape))
            step = distance * generator.normal(size=objective.shape)
            step[:, -1] = 0
            value, rounding = find_linearized_dual_value(point, step)
            exact = exact_linearized_dual_value(objective, point, step)
            assert abs(value - exact) <= rounding


@pytest.mark.parametrize("grouped", [False, True])
def test_the_linearized_gap_decreases_quadratically_along_newton_steps(grouped):
    for n_classes, fit_intercept in product((2, 4), (True, False)):
        objective, parameters = make_scale_free_objective(
            80, n_classes, l1=0.02, group_lasso=grouped, fit_intercept=fit_intercept
        )
        minimum, coef, intercept = find_reference_minimum(objective)
        best = objective.coordinates.to_parameters(coef, intercept)
        gaps, unlinearized_gaps = [], []
        for distance in (1e-1, 1e-2, 1e-3):
            point = evaluate(objective, best + distance * np.where(best != 0, parameters, 0))
            step = HessianModel(point, point).minimize(1e-12) - point.parameters
            value, rounding = find_linearized_dual_value(point, step)
            assert value - rounding <= minimum
            gaps.append(float(minimum - value))
            unlinearized_gaps.append(float(minimum - point.dual_value))
        # At a tenth of the distance, first-order gaps shrink to a tenth and second-order gaps to a hundredth.
        assert gaps[1] < 0.03 * gaps[0] and gaps[2] < 0.03 * gaps[1] + 1e-12
        assert unlinearized_gaps[2] > 1000 * gaps[2]
