"""Objectives with offsets and targets, and what certificates know of the offsets."""

import numpy as np
import pytest
from conftest import data_of, make_offset

from fastlin.objective.rows import OffsetRange


def test_no_row_differs_by_more_than_the_spread(monkeypatch):
    generator = np.random.default_rng(0)
    for n_rows_coef, size, weighted in [(1, 1.0, False), (1, 1e3, True), (3, 1e3, False), (40, 1e-3, True)]:
        offsets = generator.normal(size=(200, n_rows_coef)) + size * generator.normal(size=n_rows_coef)
        weights = generator.uniform(0, 2, 200) if weighted else np.empty(0)
        if weighted:
            # Rows without weight may have any.
            weights[::5], offsets[::5] = 0, 1e9
        shares = weights / weights.sum() if weighted else np.full(200, 1 / 200)
        total_weight = weights.sum() if weighted else 200.0
        found = OffsetRange.of(offsets, weights, total_weight)
        of_classes = np.column_stack([np.zeros(200), offsets]) if n_rows_coef == 1 else offsets
        of_classes = of_classes.astype(np.longdouble)[shares > 0] - found.mean
        spreads = of_classes.max(axis=1) - of_classes.min(axis=1)
        assert spreads.max() <= found.spread <= 3 * spreads.max()
        norm = np.sqrt(shares[shares > 0] @ np.sum(offsets.astype(np.longdouble)[shares > 0] ** 2, axis=1))
        assert norm * (1 - 1e-15) <= found.root_mean_square <= norm * (1 + 1e-12)
        assert found.spread + np.abs(found.mean).max() <= found.reach
        # Some rows at a time.
        monkeypatch.setattr("fastlin.objective.rows.NUMBERS_TOGETHER", 30)
        for one, other in zip(OffsetRange.of(offsets, weights, total_weight), found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * size)
        monkeypatch.undo()


def test_offsets_that_all_rows_share_have_no_spread():
    of_rows = np.linspace(0, 1, 20)[:, None] + [[1, 2, 3]]
    for offsets in (np.full((20, 1), 1e3), np.tile([1e3, -5.0, 7.0], (20, 1)), of_rows):
        found = OffsetRange.of(offsets, np.empty(0), 20.0)
        assert found.spread < 1e-9
        assert np.ptp(found.mean) == pytest.approx(max(np.ptp(offsets[0]), offsets[0, 0] * (offsets.shape[1] == 1)))


def test_offsets_and_targets_have_a_start_and_features_of_classes():
    for n_classes, size, soft, fit_intercept in [
        (2, 2.0, True, True),
        (2, 0.0, True, True),
        (4, 1e3, False, True),
        (40, 2.0, True, False),
    ]:
        objective, _ = make_offset(300, 5, n_classes, size, soft, l2=0.3, fit_intercept=fit_intercept)
        X, labels, weights = data_of(objective)
        shares = weights / weights.sum()
        of_classes = np.eye(n_classes)[labels] if labels.ndim == 1 else labels
        np.testing.assert_allclose(objective.class_weights, shares @ of_classes, rtol=1e-12)
        coordinates = objective.coordinates
        features = (shares[:, None] * of_classes).T @ (X * coordinates.scale + coordinates.shift)
        np.testing.assert_allclose(objective.rows.class_features(), features, atol=1e-12)
        start = objective.at(objective.start())
        assert objective.value_at_start() == pytest.approx(start.value, rel=1e-12)
        if size == 1e3:
            # The intercepts make up for what all rows have, so that it is no worse than a start without offsets.
            assert start.value < 10
        # Samples and parts take theirs along.
        rows = objective.rows
        parts = rows.take(np.arange(7, 80)), rows.take(np.r_[0:7, 80:300])
        parameters = 0.1 * np.ones(objective.shape) * np.arange(objective.shape[1])
        found, *of_parts = (each.total_weight * each.evaluate(parameters)[0] for each in (rows, *parts))
        assert sum(of_parts) == pytest.approx(found, rel=1e-12)
