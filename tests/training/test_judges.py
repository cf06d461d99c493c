"""Patience and the best checkpoint, against their rules written down once more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlin.training import BestCheckpoint, Checkpoint, Patience

SCORES = st.lists(st.sampled_from([None, 0.0, 0.1, 0.2, 0.25, 0.3, 0.5, np.nan]), max_size=12)


def itself(record):
    return record


@settings(max_examples=200)
@given(
    scores=SCORES,
    n_allowed=st.integers(0, 3),
    tol=st.sampled_from([None, 0.0, 0.05, 0.2]),
    n_renewals=st.integers(0, 2),
)
def test_patience_counts_records_without_an_improvement(scores, n_allowed, tol, n_renewals):
    patience = Patience(itself, n_allowed, tol, n_renewals=n_renewals)
    best, n_worse, n_renewed = None, 0, 0
    for score in scores:
        patience = patience.after(score)
        if score is not None and best is None:
            best = score
        elif score is not None:
            improves = score > best if tol is None else score >= best + tol
            n_worse = 0 if improves else n_worse + 1
            best = score if score > best else best
            if n_worse > n_allowed and n_renewed < n_renewals:
                n_worse, n_renewed = 0, n_renewed + 1
        assert (patience.n_worse, patience.n_renewed) == (n_worse, n_renewed)
        assert patience.is_exhausted == (n_worse > n_allowed)


def test_patience_is_a_value_and_may_have_no_end():
    patience = Patience(itself, 0).after(1.0)
    assert patience.after(0.5).is_exhausted
    assert not patience.is_exhausted
    assert not Patience(itself, np.inf).after(1.0).after(np.nan).is_exhausted


@pytest.mark.parametrize("judges_start", [False, True])
@settings(max_examples=100)
@given(scores=SCORES.filter(lambda scores: np.nan not in scores))
def test_the_first_of_the_best_checkpoints_is_kept(judges_start, scores):
    checkpoints = [Checkpoint(number, None) for number in range(len(scores) + 1)]
    best = BestCheckpoint(itself, judges_start)
    for number, score in enumerate(scores):
        best = best.after(score, checkpoints[number], checkpoints[number + 1])
    judged = [(score, -number) for number, score in enumerate(scores) if score is not None]
    if judged:
        score, number = max(judged)
        assert best.best_score == score
        assert best.checkpoint is checkpoints[-number + (not judges_start)]
    else:
        assert best.checkpoint is None


def test_a_score_that_is_no_number_is_never_better():
    first, second, third = (Checkpoint(number, None) for number in range(3))
    best = BestCheckpoint(itself).after(0.5, first, second).after(np.nan, second, third)
    assert best.checkpoint is second
