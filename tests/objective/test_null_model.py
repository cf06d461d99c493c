"""The null model: intercepts and loss, compared with the reference, and the lower bound."""

import numpy as np
import pytest
import reference
from conftest import assert_bitwise_equal, make_problem
from objectives import build_objective, get_data, get_row_offsets, make_offset_objective, value_of

from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective.null_model import fit_null_model
from fastlin.objective.rounding import UNIT_ROUNDOFF


def sample_offsets(kind, n, n_rows_coef, seed=0):
    """Return offsets of shape (n, n_rows_coef), sampled from a distribution."""
    generator = np.random.default_rng(seed)
    shape = n, n_rows_coef
    match kind:
        case "normal":
            return 3 + generator.normal(size=shape)
        case "two values":
            return np.where(generator.random(shape) < 0.1, 8.0, -1.0)
        case "skewed":
            return generator.exponential(5.0, shape) ** 1.5
    return 100 * generator.normal(size=shape)


def find_minimum(objective):
    """Return the minimum of the mean loss over the intercepts, computed by the reference."""
    X, labels, weights = get_data(objective)
    options = {"weights": weights, "fit_intercept": objective.fit_intercept, "offsets": get_row_offsets(objective)}
    return reference.minimum(np.zeros((len(X), 1)), labels, objective.rows.n_classes, 1.0, **options)[0]


def bound_rounding_errors(offsets, intercepts, value):
    """Bound the rounding error of the lower bound: 200 roundings of class sums times the cost of moving probability."""
    reach = np.ptp(offsets) + np.abs(offsets).max() + np.abs(intercepts).max()
    # The remaining derivatives are rounding errors too. All probability of a class may move to another class.
    return 800 * UNIT_ROUNDOFF * (value + len(intercepts) * (1 + 2 * reach))


@pytest.mark.parametrize("kind", ["normal", "two values", "skewed", "far apart"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_null_model_minimizes_the_loss(n_classes, kind):
    X, labels, weights, *_ = make_problem(120, 2, n_classes)
    for seed, options in enumerate(
        [{}, {"weights": weights}, {"row_indices": np.arange(10, 90)}, {"fit_intercept": False}]
    ):
        offsets = sample_offsets(kind, 120, 1 if n_classes == 2 else n_classes, seed)
        objective = build_objective(X, labels, n_classes, l2=0.1, offsets=offsets, **options)
        null_model, minimum = objective.null_model, find_minimum(objective)
        assert null_model.lower_bound <= minimum <= null_model.value * (1 + 1e-13)
        assert null_model.value - null_model.lower_bound <= bound_rounding_errors(
            offsets, null_model.intercepts, null_model.value
        )
        value_at_intercepts = value_of(objective, np.zeros((objective.n_rows_coef, 2)), null_model.intercepts)
        assert null_model.value == pytest.approx(float(value_at_intercepts), rel=1e-13)
        assert objective.compute_start_value() == null_model.value
        assert objective.start()[:, -1].tolist() == null_model.intercepts.tolist()
        # The null model needs no pass over X and is computed once for all penalties.
        assert objective.n_passes == 0
        assert objective.with_penalty(1.0, 0.0).null_model.intercepts is null_model.intercepts


@pytest.mark.parametrize("n_classes", [2, 4])
def test_soft_labels_have_a_null_model(n_classes):
    for size in (0.0, 1.0, 20.0):
        objective, _ = make_offset_objective(80, 2, n_classes, size, l2=0.1)
        null_model, minimum = objective.null_model, find_minimum(objective)
        assert null_model.lower_bound <= minimum * (1 + 1e-14)
        assert null_model.lower_bound >= minimum * (1 - 1e-10)


def test_a_class_without_weight_does_not_change_the_null_model():
    X, labels, weights, *_ = make_problem(90, 2, 3)
    offsets = sample_offsets("two values", 90, 4)
    # The last class has no rows, and all rows of the first class have weight zero.
    weights[labels == 0] = 0
    for row_offsets in (None, offsets):
        objective = build_objective(X, labels, 4, weights=weights, l2=0.1, offsets=row_offsets)
        rest = build_objective(
            X, np.maximum(labels - 1, 0), 2, weights=weights, l2=0.1,
            offsets=None if row_offsets is None else row_offsets[:, [2]] - row_offsets[:, [1]],
        )  # fmt: skip
        minimum = float(find_minimum(rest))
        assert not objective.start().any()
        assert minimum * (1 - 1e-10) <= objective.null_model.lower_bound <= minimum * (1 + 1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_bounds_that_exclude_zero_set_the_coefficients_of_the_null_model(n_classes):
    X, labels, weights, *_ = make_problem(120, 3, n_classes)
    K = 1 if n_classes == 2 else n_classes
    lower, upper = np.full((K, 3), -np.inf), np.full((K, 3), np.inf)
    lower[0, 0], upper[-1, 1] = 0.5, -0.25
    coef = np.zeros((K, 3))
    coef[0, 0], coef[-1, 1] = 0.5, -0.25
    for offsets in (None, sample_offsets("two values", 120, K)):
        for fit_intercept in (True, False):
            options = {"weights": weights, "offsets": offsets, "fit_intercept": fit_intercept}
            objective = build_objective(X, labels, n_classes, l2=0.3, l1=0.01, bounds=(lower, upper), **options)
            scores = X @ coef.T + (0.0 if offsets is None else offsets)
            minimum = find_minimum(build_objective(X, labels, n_classes, **{**options, "offsets": scores}))
            minimum += 0.15 * np.sum(coef**2) + 0.01 * np.sum(np.abs(coef))
            null_model = objective.null_model
            assert minimum * (1 - 1e-10) <= null_model.lower_bound <= minimum <= null_model.value * (1 + 1e-13)
            assert objective.at(objective.start()).value == pytest.approx(objective.compute_start_value(), rel=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e12])
def test_the_null_model_has_a_bound_for_offsets_of_any_size(size, n_classes):
    generator, (X, labels, weights, *_) = np.random.default_rng(0), make_problem(60, 1, n_classes)
    for offsets in (generator.standard_cauchy((60, 3)), np.sign(generator.normal(size=(60, 3)))):
        offsets = size * offsets[:, : 1 if n_classes == 2 else 3]
        null_model = build_objective(X, labels, n_classes, weights=weights, l2=0.1, offsets=offsets).null_model
        assert np.isfinite([*null_model.intercepts, null_model.value]).all()
        losses = reference.evaluate_losses(offsets + null_model.intercepts.astype(np.longdouble), labels)[0]
        assert null_model.value == pytest.approx(float(np.average(losses, weights=weights)), rel=1e-12)
        assert 0 <= null_model.lower_bound <= null_model.value


def test_the_null_model_does_not_depend_on_threads(monkeypatch):
    X, labels, weights, *_ = make_problem(500, 1, 3)
    offsets = sample_offsets("skewed", 500, 3)
    rows = build_objective(X, labels, 3, weights=weights, offsets=offsets).rows
    arguments = rows.select_samples(), rows.class_weights, rows.offset_range
    whole = fit_null_model(*arguments)
    monkeypatch.setattr("fastlin.objective.null_model.SCORES_PER_BATCH", 100)
    parts = []
    for n_threads in (1, 2):
        with limit_threads(n_threads):
            parts.append(fit_null_model(*arguments))
    assert_bitwise_equal(parts)
    np.testing.assert_allclose(parts[0].intercepts, whole.intercepts, rtol=1e-12)
    assert parts[0].value == pytest.approx(whole.value, rel=1e-14)
