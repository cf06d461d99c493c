"""An objective's rows: weights, samples, offsets, class sums, influence and the number of passes."""

import numpy as np
import pytest
from conftest import make_problem, mark_params
from objectives import build_objective, evaluate, get_data, make_objective, make_offset_objective
from scipy import sparse

from fastlin.objective.rows import OffsetRange, multiply_weights_by_counts, sample_row_positions, split_row_positions


def test_the_gram_of_no_rows_is_zero():
    objective, _ = make_objective(20, 3, 3)
    gram = objective.rows.gram(np.empty(0, np.int64), np.empty((2, 0)), np.float32)
    assert (gram.shape, gram.dtype, objective.n_passes) == ((2, 4, 4), np.float32, 0)
    assert not gram.any()


@pytest.mark.parametrize("has_indices", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_rows_and_classes(weighted, has_indices):
    X, labels, weights, *_ = make_problem(40, 3, 3)
    row_indices = np.array([5, 5, 1, 30, 30, 30, 2, 9]) if has_indices else np.arange(40)
    sample_weight, weights = (weights, weights) if weighted else (None, np.ones(40))
    objective = build_objective(X, labels, 4, weights=sample_weight, row_indices=row_indices if has_indices else None)
    # A row is included as often as its index occurs.
    total_weights = np.bincount(row_indices, minlength=40) * weights
    np.testing.assert_array_equal(multiply_weights_by_counts(row_indices, sample_weight, 40), total_weights)
    fractions = np.bincount(labels, total_weights, minlength=4)
    np.testing.assert_allclose(objective.class_weights, fractions / fractions.sum(), rtol=1e-14)
    assert objective.rows.total_weight == pytest.approx(total_weights.sum(), rel=1e-14)
    assert objective.n_rows == len(row_indices)
    actual = np.broadcast_to(objective.rows.get_weights(objective.rows.row_indices), objective.n_rows)
    np.testing.assert_array_equal(actual, weights[row_indices])


@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.thorough, np.float32, np.uint8)])
def test_class_features_are_float64_even_if_the_fit_is_in_float32(dtype):
    for n_classes, weighted in [(2, True), (3, True), (3, False)]:
        X, labels, weights, *_ = make_problem(2000, 5, n_classes, dtype)
        sample_weight, weights = (weights, weights) if weighted else (None, np.ones(2000))
        objectives = [build_objective(X, labels, n_classes, weights=sample_weight, l2=0.1) for _ in range(2)]
        for objective, precision in zip(objectives, (np.float32, np.float64), strict=True):
            # Points in float32 do not provide the features. A float64 point at zero provides them, which saves a pass.
            objective.at(objective.start(), precision).lower_bound()
            n_passes = objective.n_passes
            scaled = X.astype(np.longdouble) * objective.coordinates.scale + objective.coordinates.shift
            fractions = np.eye(n_classes)[labels] * (weights / weights.sum(dtype=np.longdouble))[:, None]
            actual = objective.rows.class_features()
            assert actual.dtype == np.float64
            np.testing.assert_allclose(actual, (fractions.T @ scaled).astype(float), rtol=1e-13, atol=1e-14)
            assert precision is np.float32 or objective.n_passes == n_passes == 1


def test_passes_of_subsets_are_counted():
    objective, parameters = make_objective(80, 3, 3, l2=0.1)
    point = evaluate(objective, parameters)
    point.hessian_product(parameters)
    point.hessian()
    assert objective.n_passes == 3
    part = objective.sample(20)
    part.at(parameters)
    assert objective.n_passes == part.n_passes == 3.25
    other, _ = make_objective(80, 3, 3, l2=0.1)
    assert other.n_passes == 0


def test_lower_bounds_do_not_depend_on_earlier_points():
    bounds = []
    for is_first in (True, False):
        objective, parameters = make_objective(60, 4, 3, l2=0.1, columns="shifted")
        if not is_first:
            # All bounds use the class sums from this point.
            objective.at(objective.start())
        point = objective.at(parameters)
        bounds.append(point.lower_bound())
    assert abs(bounds[0] - bounds[1]) <= point.dual_value_rounding


def make_uneven_objective(n, d, kind="dense", **options):
    X, labels, *_ = make_problem(n, d, 3)
    X[: n // 50] *= 30
    X = sparse.csr_array(X) if kind == "sparse" else X
    return build_objective(X, labels, 3, l2=1e-3, **options), X


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_long_rows_have_more_influence(kind):
    objective, X = make_uneven_objective(1000, 40, kind)
    coordinates = objective.coordinates
    rows = X.toarray() if kind == "sparse" else X
    squares = ((rows * coordinates.scale + coordinates.shift) ** 2).sum(axis=1)
    influence = objective.rows.influence
    assert influence.mean() == pytest.approx(1) and influence.min() >= 0.5
    # The mean of four squared sums with random signs has a relative standard deviation of sqrt(1/2).
    deviations = (influence - 0.5) / (0.5 * squares / squares.mean()) - 1
    assert abs(deviations.mean()) < 0.2 and deviations.std() < 1.2
    assert influence[:20].min() > np.median(influence)


def test_influence_is_computed_in_one_pass():
    objective, _ = make_uneven_objective(1000, 5)
    n_passes = objective.n_passes
    whole = objective.rows.influence
    assert objective.rows.influence is whole and objective.n_passes == n_passes + 1
    # A subset uses the same rows, copied or in place.
    for row_indices in (np.arange(0, 1000, 50), np.arange(0, 1000, 2)):
        part, expected = objective.rows.take(row_indices).influence - 0.5, whole[row_indices] - 0.5
        np.testing.assert_allclose(part / part.mean(), expected / expected.mean(), rtol=1e-5, atol=1e-6)
    # The influence of normally distributed rows is not measured.
    even, _ = make_objective(500, 5, 3, l2=1e-3)
    assert even.rows.influence == 1.0 and even.n_passes == 0


def test_other_weights_apply_to_repeated_rows_copied_or_in_place():
    objective, parameters = make_objective(200, 5, 3)
    for row_indices in (np.array([1, 1, 5, 120]), np.arange(0, 200, 2)):
        part = objective.rows.take(row_indices)
        weights = 1.0 + row_indices
        single_rows = [
            objective.rows.take(row_indices[i : i + 1]).with_weights(np.ones(1)) for i in range(len(weights))
        ]
        actual, *losses = (
            rows.evaluate(parameters, None, np.empty(parameters.shape))
            for rows in (part.with_weights(weights), *single_rows)
        )
        expected = np.average(losses, weights=weights)
        assert actual == pytest.approx(expected, rel=1e-12)


def test_rows_without_weight_do_not_change_the_influence():
    X, labels, *_ = make_problem(500, 5, 3)
    X[:10] *= 100
    expected = build_objective(X, labels, 3, l2=1e-3).rows.influence
    X, labels, weights = np.vstack([X, np.full(5, 1e150)]), np.append(labels, 0), np.append(np.ones(500), 0)
    actual = build_objective(X, labels, 3, l2=1e-3, weights=weights).rows.influence
    np.testing.assert_allclose(actual[:500], expected, rtol=1e-5)
    assert actual[500] == 0.5


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_sample_is_the_objective_over_its_rows(n_classes):
    for weighted in (False, True):
        objective, parameters = make_objective(90, 4, n_classes, columns="shifted", weighted=weighted, l2=0.3)
        sample = objective.sample(30)
        row_indices, rows = sample.rows.row_indices, objective.rows
        assert sample.n_rows == len(row_indices) == len(np.unique(row_indices)) == 30
        weights = rows.weights[row_indices] if weighted else None
        alone = build_objective(
            objective.matrix.X[row_indices], rows.labels[row_indices], n_classes, l2=0.3, weights=weights
        )
        actual = evaluate(sample, parameters)
        expected = alone.at(alone.coordinates.to_parameters(*sample.coordinates.convert_to_coefficients(parameters)))
        assert actual.value == pytest.approx(expected.value, rel=1e-9)
        assert actual.largest_subgradient_entry == pytest.approx(expected.largest_subgradient_entry, rel=1e-6)
        assert sample.coordinates is objective.coordinates
        assert sample.penalty is objective.penalty
        np.testing.assert_allclose(sample.class_weights, alone.class_weights, rtol=1e-12)
        assert objective.n_passes == sample.n_passes == pytest.approx(1 / 3)
        assert objective.n_rows == 90
        product = actual.hessian_product(parameters)
        np.testing.assert_allclose(actual.hessian() @ parameters.ravel(), product.ravel(), atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("has_indices", [False, True])
def test_a_sample_has_one_row_per_interval(weighted, has_indices):
    X, labels, *_ = make_problem(300, 2, 5)
    weights = np.random.default_rng(0).integers(0, 2, 300).astype(float) if weighted else None
    rows = np.arange(0, 300, 2) if has_indices else np.arange(300)
    objective = build_objective(X, labels, 5, weights=weights, row_indices=rows if has_indices else None)
    # Rows of weight zero are not sampled.
    rows = rows if weights is None else rows[weights[rows] > 0]
    sample = objective.sample(20).rows.row_indices
    assert np.isin(sample, rows).all()
    positions, interval_starts = np.searchsorted(rows, sample), np.arange(20) * len(rows) / 20
    assert (positions > interval_starts - 1).all() and (positions < interval_starts + len(rows) / 20).all()
    whole = objective.sample(5000).rows.row_indices
    np.testing.assert_array_equal(whole if len(whole) else np.arange(300), rows)


@pytest.mark.parametrize("seed", range(5))
def test_positions_split_between_blocks_select_the_same_rows(seed):
    generator = np.random.default_rng(seed)
    counts = [0, 0, 30, 1, 0, 109, 60, 0]
    values = generator.random(200)
    positions = np.unique([0, *sample_row_positions(200, 40), 199])
    parts = np.split(values, np.cumsum(counts)[:-1])
    actual = [part[fraction] for part, fraction in zip(parts, split_row_positions(positions, counts), strict=True)]
    np.testing.assert_array_equal(np.concatenate(actual), values[positions])


def test_the_offset_range_bounds_differences_between_classes(monkeypatch):
    generator = np.random.default_rng(0)
    for n_rows_coef, size, weighted in [(1, 1.0, False), (1, 1e3, True), (3, 1e3, False), (40, 1e-3, True)]:
        offsets = generator.normal(size=(200, n_rows_coef)) + size * generator.normal(size=n_rows_coef)
        weights = generator.uniform(0, 2, 200) if weighted else np.empty(0)
        if weighted:
            # Offsets of rows without weight have no effect.
            weights[::5], offsets[::5] = 0, 1e9
        fractions = weights / weights.sum() if weighted else np.full(200, 1 / 200)
        total_weight = weights.sum() if weighted else 200.0
        actual = OffsetRange.of(offsets, weights, total_weight)
        by_class = np.column_stack([np.zeros(200), offsets]) if n_rows_coef == 1 else offsets
        by_class = by_class.astype(np.longdouble)[fractions > 0] - actual.mean
        differences = by_class.max(axis=1) - by_class.min(axis=1)
        assert differences.max() <= actual.max_offset_difference <= 3 * differences.max()
        norm = np.sqrt(fractions[fractions > 0] @ np.sum(offsets.astype(np.longdouble)[fractions > 0] ** 2, axis=1))
        assert norm * (1 - 1e-15) <= actual.root_mean_square <= norm * (1 + 1e-12)
        assert actual.max_offset_difference + np.abs(actual.mean).max() <= actual.reach
        # The result is the same in batches of rows.
        monkeypatch.setattr("fastlin.objective.rows.OFFSETS_PER_BATCH", 30)
        for one, other in zip(OffsetRange.of(offsets, weights, total_weight), actual, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * size)
        monkeypatch.undo()
    row_dependent_offsets = np.linspace(0, 1, 20)[:, None] + [[1, 2, 3]]
    for offsets in (np.full((20, 1), 1e3), np.tile([1e3, -5.0, 7.0], (20, 1)), row_dependent_offsets):
        actual = OffsetRange.of(offsets, np.empty(0), 20.0)
        assert actual.max_offset_difference < 1e-9
        assert np.ptp(actual.mean) == pytest.approx(max(np.ptp(offsets[0]), offsets[0, 0] * (offsets.shape[1] == 1)))


def test_class_features_include_targets():
    for n_classes, size, soft, fit_intercept in [
        (2, 2.0, True, True),
        (2, 0.0, True, True),
        (4, 1e3, False, True),
        (40, 2.0, True, False),
    ]:
        objective, _ = make_offset_objective(300, 5, n_classes, size, soft, l2=0.3, fit_intercept=fit_intercept)
        X, labels, weights = get_data(objective)
        fractions = weights / weights.sum()
        by_class = np.eye(n_classes)[labels] if labels.ndim == 1 else labels
        np.testing.assert_allclose(objective.class_weights, fractions @ by_class, rtol=1e-12)
        coordinates = objective.coordinates
        features = (fractions[:, None] * by_class).T @ (X * coordinates.scale + coordinates.shift)
        np.testing.assert_allclose(objective.rows.class_features(), features, atol=1e-12)
        start = objective.at(objective.start())
        assert objective.compute_start_value() == pytest.approx(start.value, rel=1e-12)
        if size == 1e3:
            # The intercepts compensate for constant offsets, so the value is as accurate as without offsets.
            assert start.value < 10
        # Subsets keep their offsets and targets.
        rows = objective.rows
        parts = rows.take(np.arange(7, 80)), rows.take(np.r_[0:7, 80:300])
        parameters = 0.1 * np.ones(objective.shape) * np.arange(objective.shape[1])
        total = np.empty(objective.shape)
        actual, *subset_losses = (r.total_weight * r.evaluate(parameters, None, total) for r in (rows, *parts))
        assert sum(subset_losses) == pytest.approx(actual, rel=1e-12)
