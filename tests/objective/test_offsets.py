"""What certificates know of offsets, against the offsets themselves."""

import numpy as np
import pytest

from fastlin.objective.offsets import OffsetRange, OffsetSums


def test_no_row_differs_by_more_than_the_spread(monkeypatch):
    generator = np.random.default_rng(0)
    for n_rows_coef, size, weighted in [(1, 1.0, False), (1, 1e3, True), (3, 1e3, False), (40, 1e-3, True)]:
        offsets = generator.normal(size=(200, n_rows_coef)) + size * generator.normal(size=n_rows_coef)
        weights = generator.uniform(0, 2, 200) if weighted else np.empty(0)
        if weighted:
            # Rows without weight may have any.
            weights[::5], offsets[::5] = 0, 1e9
        shares = weights / weights.sum() if weighted else np.full(200, 1 / 200)
        sums = OffsetSums.of(offsets, weights)
        found = OffsetRange.of(sums, weights.sum() if weighted else 200.0)
        of_classes = np.column_stack([np.zeros(200), offsets]) if n_rows_coef == 1 else offsets
        of_classes = of_classes.astype(np.longdouble)[shares > 0] - found.mean
        spreads = of_classes.max(axis=1) - of_classes.min(axis=1)
        assert spreads.max() <= found.spread <= 3 * spreads.max()
        norm = np.sqrt(shares[shares > 0] @ np.sum(offsets.astype(np.longdouble)[shares > 0] ** 2, axis=1))
        assert norm * (1 - 1e-15) <= found.root_mean_square <= norm * (1 + 1e-12)
        assert found.spread + np.abs(found.mean).max() <= found.reach
        # Some rows at a time, and piece by piece.
        monkeypatch.setattr("fastlin.objective.offsets.NUMBERS_TOGETHER", 30)
        pieces = [slice(0, 0), slice(0, 70), slice(70, 200)]
        joined = OffsetSums.join([OffsetSums.of(offsets[part], weights[part]) for part in pieces])
        for one, other in zip(joined, sums, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * size)
        monkeypatch.undo()


def test_offsets_that_all_rows_share_have_no_spread():
    for offsets in (
        np.full((20, 1), 1e3),
        np.tile([1e3, -5.0, 7.0], (20, 1)),
        np.linspace(0, 1, 20)[:, None] + [[1, 2, 3]],
    ):
        found = OffsetRange.of(OffsetSums.of(offsets, np.empty(0)), 20.0)
        assert found.spread < 1e-9
        assert np.ptp(found.mean) == pytest.approx(max(np.ptp(offsets[0]), offsets[0, 0] * (offsets.shape[1] == 1)))
