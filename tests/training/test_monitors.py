"""Early stopping and the best checkpoint, compared with naive implementations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlin.training import BestCheckpoint, Checkpoint, EarlyStopping

SCORE_LISTS = st.lists(st.sampled_from([None, 0.0, 0.1, 0.2, 0.25, 0.3, 0.5, np.nan]), max_size=12)


def identity(record):
    return record


@settings(max_examples=200)
@given(
    scores=SCORE_LISTS,
    max_without_improvement=st.integers(0, 3),
    tol=st.sampled_from([None, 0.0, 0.05, 0.2]),
    max_rate_reductions=st.integers(0, 2),
)
def test_early_stopping_counts_records_without_improvement(scores, max_without_improvement, tol, max_rate_reductions):
    monitor = EarlyStopping(identity, max_without_improvement, tol, max_rate_reductions=max_rate_reductions)
    best, n_without_improvement, n_rate_reductions = None, 0, 0
    for score in scores:
        monitor = monitor.updated_with_record(score)
        if score is not None and best is None:
            best = score
        elif score is not None:
            is_improvement = score > best if tol is None else score >= best + tol
            n_without_improvement = 0 if is_improvement else n_without_improvement + 1
            best = score if score > best else best
            if n_without_improvement > max_without_improvement and n_rate_reductions < max_rate_reductions:
                n_without_improvement, n_rate_reductions = 0, n_rate_reductions + 1
        assert (monitor.n_without_improvement, monitor.n_rate_reductions) == (
            n_without_improvement,
            n_rate_reductions,
        )
        assert monitor.is_patience_exhausted == (n_without_improvement > max_without_improvement)


@pytest.mark.parametrize("is_scored_at_start", [False, True])
@settings(max_examples=100)
@given(scores=SCORE_LISTS)
def test_the_first_of_equally_good_checkpoints_is_kept(is_scored_at_start, scores):
    checkpoints = [Checkpoint(number, None) for number in range(len(scores) + 1)]
    best, expected, best_score = BestCheckpoint(identity, is_scored_at_start), None, None
    for number, score in enumerate(scores):
        best = best.updated_with_record(score, checkpoints[number], checkpoints[number + 1])
        if score is not None and (best_score is None or score > best_score):
            expected, best_score = checkpoints[number + (not is_scored_at_start)], score
        assert best.checkpoint is expected
        assert best.best_score is best_score
