"""Stretches of a training: where they end, and which of them are validated."""

from itertools import pairwise

import pytest

from fastlin.training import Schedule


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(n_steps=40, steps_per_validation=3, steps_per_epoch=8),
        Schedule(n_steps=40, steps_per_validation=1, steps_per_epoch=4),
        Schedule(n_steps=40, steps_per_validation=3, steps_per_epoch=8, longest_stretch=2),
        Schedule(n_steps=40, steps_per_validation=10 / 3, longest_stretch=1),
        Schedule(n_steps=40, steps_per_epoch=7),
        Schedule(n_steps=40),
        Schedule(n_steps=0, steps_per_validation=3, steps_per_epoch=8),
    ],
    ids=str,
)
def test_checkpoints_follow_validated_steps_and_ends_of_epochs(schedule):
    stretches = list(schedule.stretches())
    validated = [
        schedule.steps_per_validation is not None and step % schedule.steps_per_validation == 0
        for step in range(schedule.n_steps)
    ]
    ends_epoch = [
        schedule.steps_per_epoch is not None and (step + 1) % schedule.steps_per_epoch == 0
        for step in range(schedule.n_steps)
    ]
    # The stretches are whole, in order, and none is empty or too long.
    assert [stretch.first for stretch in stretches] == [0, *(stretch.end for stretch in stretches)][: len(stretches)]
    assert all(0 < stretch.end - stretch.first <= (schedule.longest_stretch or 40) for stretch in stretches)
    assert [stretch.is_validated for stretch in stretches] == [validated[stretch.end - 1] for stretch in stretches]
    ends = {stretch.end for stretch in stretches}
    due = {step + 1 for step in range(schedule.n_steps) if validated[step] or ends_epoch[step]}
    assert due <= ends
    assert max(ends, default=0) == schedule.n_steps
    # Without a limit of their length, stretches end nowhere else.
    if schedule.longest_stretch is None:
        assert ends - due <= {schedule.n_steps}
    else:
        assert all(
            second - first == schedule.longest_stretch or second in due | {schedule.n_steps}
            for first, second in pairwise(sorted({0} | ends))
        )
