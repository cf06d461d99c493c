"""The null model: intercepts and their loss against the minimum of the reference, and the lower bound on each side."""

import numpy as np
import pytest
import reference
from conftest import assert_same_bits, make_problem
from objectives import data_of, make_offset, objective_over, offsets_of, value_of

from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective.null_model import fit_null_model
from fastlin.objective.rounding import UNIT_ROUNDOFF


def draw_offsets(kind, n, n_rows_coef, seed=0):
    """Return offsets (n, n_rows_coef), most of them skewed."""
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
    """Return the least mean loss of the intercepts alone, by the reference."""
    X, labels, weights = data_of(objective)
    given = {"weights": weights, "fit_intercept": objective.fit_intercept, "offsets": offsets_of(objective)}
    return reference.minimum(np.zeros((len(X), 1)), labels, objective.rows.n_classes, 1.0, **given)[0]


def bound_looseness(offsets, intercepts, value):
    """Return what rounding may take from the lower bound: 200 roundings of class sums, at what an exchange costs."""
    reach = np.ptp(offsets) + np.abs(offsets).max() + np.abs(intercepts).max()
    # The derivatives that are left are roundings too. Two classes exchange what either has too much, up to all.
    return 800 * UNIT_ROUNDOFF * (value + len(intercepts) * (1 + 2 * reach))


@pytest.mark.parametrize("kind", ["normal", "two values", "skewed", "far apart"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_null_model_is_the_minimum_and_its_bound_is_below_but_near(n_classes, kind):
    X, labels, weights, *_ = make_problem(120, 2, n_classes)
    for seed, options in enumerate(
        [{}, {"weights": weights}, {"numbers": np.arange(10, 90)}, {"fit_intercept": False}]
    ):
        offsets = draw_offsets(kind, 120, 1 if n_classes == 2 else n_classes, seed)
        objective = objective_over(X, labels, n_classes, l2=0.1, offsets=offsets, **options)
        found, least = objective.null_model, find_minimum(objective)
        assert found.lower_bound <= least <= found.value * (1 + 1e-13)
        assert found.value - found.lower_bound <= bound_looseness(offsets, found.intercepts, found.value)
        at_start = value_of(objective, np.zeros((objective.n_rows_coef, 2)), found.intercepts)
        assert found.value == pytest.approx(float(at_start), rel=1e-13)
        assert objective.value_at_start() == found.value
        assert objective.start()[:, -1].tolist() == found.intercepts.tolist()
        # It takes no pass over X, and is found once for all penalties.
        assert objective.n_passes == 0
        assert objective.with_penalty(1.0, 0.0).null_model.intercepts is found.intercepts


@pytest.mark.parametrize("n_classes", [2, 4])
def test_soft_labels_count_as_the_labels_of_the_null_model(n_classes):
    for size in (0.0, 1.0, 20.0):
        objective, _ = make_offset(80, 2, n_classes, size, l2=0.1)
        found, least = objective.null_model, find_minimum(objective)
        assert found.lower_bound <= least * (1 + 1e-14)
        assert found.lower_bound >= least * (1 - 1e-10)


def test_a_class_without_weight_leaves_the_null_model_of_the_others():
    X, labels, weights, *_ = make_problem(90, 2, 3)
    offsets = draw_offsets("two values", 90, 4)
    # The last class has no row, and the first none of weight.
    weights[labels == 0] = 0
    for given in (None, offsets):
        objective = objective_over(X, labels, 4, weights=weights, l2=0.1, offsets=given)
        rest = objective_over(
            X, np.maximum(labels - 1, 0), 2, weights=weights, l2=0.1,
            offsets=None if given is None else given[:, [2]] - given[:, [1]],
        )  # fmt: skip
        least = float(find_minimum(rest))
        assert not objective.start().any()
        assert least * (1 - 1e-10) <= objective.null_model.lower_bound <= least * (1 + 1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_bounds_that_exclude_zero_give_the_coefficients_of_the_null_model(n_classes):
    X, labels, weights, *_ = make_problem(120, 3, n_classes)
    K = 1 if n_classes == 2 else n_classes
    lower, upper = np.full((K, 3), -np.inf), np.full((K, 3), np.inf)
    lower[0, 0], upper[-1, 1] = 0.5, -0.25
    coef = np.zeros((K, 3))
    coef[0, 0], coef[-1, 1] = 0.5, -0.25
    for offsets in (None, draw_offsets("two values", 120, K)):
        for fit_intercept in (True, False):
            given = {"weights": weights, "offsets": offsets, "fit_intercept": fit_intercept}
            objective = objective_over(X, labels, n_classes, l2=0.3, l1=0.01, bounds=(lower, upper), **given)
            scores = X @ coef.T + (0.0 if offsets is None else offsets)
            least = find_minimum(objective_over(X, labels, n_classes, **{**given, "offsets": scores}))
            least += 0.15 * np.sum(coef**2) + 0.01 * np.sum(np.abs(coef))
            found = objective.null_model
            assert least * (1 - 1e-10) <= found.lower_bound <= least <= found.value * (1 + 1e-13)
            assert objective.at(objective.start()).value == pytest.approx(objective.value_at_start(), rel=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e12])
def test_offsets_of_any_size_have_a_bound(size, n_classes):
    generator, (X, labels, weights, *_) = np.random.default_rng(0), make_problem(60, 1, n_classes)
    for offsets in (generator.standard_cauchy((60, 3)), np.sign(generator.normal(size=(60, 3)))):
        offsets = size * offsets[:, : 1 if n_classes == 2 else 3]
        found = objective_over(X, labels, n_classes, weights=weights, l2=0.1, offsets=offsets).null_model
        assert np.isfinite([*found.intercepts, found.value]).all()
        losses = reference.losses_of(offsets + found.intercepts.astype(np.longdouble), labels)[0]
        assert found.value == pytest.approx(float(np.average(losses, weights=weights)), rel=1e-12)
        assert 0 <= found.lower_bound <= found.value


def test_rows_are_summed_part_by_part_on_any_number_of_threads(monkeypatch):
    X, labels, weights, *_ = make_problem(500, 1, 3)
    offsets = draw_offsets("skewed", 500, 3)
    rows = objective_over(X, labels, 3, weights=weights, offsets=offsets).rows
    given = rows.own_samples(), rows.class_weights, rows.offset_range
    whole = fit_null_model(*given)
    monkeypatch.setattr("fastlin.objective.null_model.SCORES_PER_BATCH", 100)
    parts = []
    for n_threads in (1, 2):
        with limit_threads(n_threads):
            parts.append(fit_null_model(*given))
    assert_same_bits(parts)
    np.testing.assert_allclose(parts[0].intercepts, whole.intercepts, rtol=1e-12)
    assert parts[0].value == pytest.approx(whole.value, rel=1e-14)
