"""The training loop on learners whose losses and scores are written down: how it ends, and what it keeps."""

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fastlin.training import BestCheckpoint, DivergedError, Patience, loop, train


@dataclass(frozen=True)
class Record:
    """The step of a stretch, and what its validation returned."""

    first: int
    score: float | None = None


class Script:
    """Something whose parameters are the steps it has taken; "scores" are what its validations return.

    An exception among the scores is raised by that validation; `diverges_at` names the step that raises DivergedError.
    """

    def __init__(self, scores=(), diverges_at=None, diverges_at_end=False):
        self.taken, self.calls = [], []
        self._scores = list(scores)
        self._diverges_at, self._diverges_at_end = diverges_at, diverges_at_end

    def take(self, n_steps, steps_per_validation):
        """Yield the record of each step, validated after so many."""
        for step in range(n_steps):
            record = self.advance(step)
            is_validated = steps_per_validation is not None and step % steps_per_validation == 0
            yield self.validate(record) if is_validated else record

    def advance(self, step):
        self.calls.append(("advance", step))
        self.taken = [*self.taken, step]
        if step == self._diverges_at:
            raise DivergedError
        return Record(step)

    def validate(self, record):
        self.calls.append(("validate", record.first))
        score = self._scores[record.first]
        if isinstance(score, BaseException):
            raise score
        return replace(record, score=score)

    def save(self):
        return list(self.taken)

    def restore(self, saved):
        self.taken = list(saved)

    def check_end(self):
        if self._diverges_at_end:
            raise DivergedError


def score_of(record):
    return record.score


def loss_of(record):
    """Return the score of a record by the losses 3, 1, 2, 4, of which less is better."""
    return -[3, 1, 2, 4][record.first]


def run(script, n_steps=4, steps_per_validation=1, **rules):
    steps = script.take(n_steps, steps_per_validation)
    return train(steps, script.save, script.restore, check_end=script.check_end, **rules)


def assert_is(training, script, ended, n_records, n_kept):
    assert (training.ended, len(training.records), training.last.n_records) == (ended, n_records, n_records)
    assert training.n_kept == n_kept
    assert script.taken == list(range(n_kept))


def test_a_whole_training_keeps_the_last_checkpoint_or_the_best():
    script = Script([0.1, 0.4, 0.4, 0.3])
    training = run(script)
    assert_is(training, script, "limit", 4, 4)
    assert [record.score for record in training.records] == [0.1, 0.4, 0.4, 0.3]
    script = Script([0.1, 0.4, 0.4, 0.3])
    assert_is(run(script, best=BestCheckpoint(score_of)), script, "limit", 4, 2)
    # A score of what a stretch began with decides nothing here.
    script = Script([0.1, 0.4, 0.4, 0.3])
    assert_is(run(script, best=BestCheckpoint(loss_of, judges_start=True)), script, "limit", 4, 4)


def test_validations_run_between_the_stretches():
    script = Script([0.1, 0.2, 0.3])
    run(script, 3)
    assert [name for name, _ in script.calls] == ["advance", "validate"] * 3


def test_patience_ends_the_training():
    script = Script([0.3, 0.2, 0.1, 0.5, 0.6])
    training = run(script, 5, patience=Patience(score_of, 1))
    assert_is(training, script, "patience", 3, 3)
    script = Script([0.3, 0.2, 0.1, 0.5, 0.6])
    training = run(script, 5, patience=Patience(score_of, 1), best=BestCheckpoint(score_of))
    assert_is(training, script, "patience", 3, 1)
    assert [name for name, _ in script.calls].count("validate") == 3
    # Exhausted by the last validation.
    script = Script([0.3, 0.2])
    assert_is(run(script, 2, patience=Patience(score_of, 0)), script, "patience", 2, 2)


def test_checkpoints_without_validation_are_not_judged():
    script = Script([0.3, None, 0.2, None, 0.1, None])
    training = run(script, 6, 2, patience=Patience(score_of, 1), best=BestCheckpoint(score_of))
    assert_is(training, script, "patience", 5, 1)
    assert [record.score for record in training.records] == [0.3, None, 0.2, None, 0.1]


def test_a_training_that_diverges_goes_back():
    script = Script([0.1, 0.5, 0.2], diverges_at=3)
    assert_is(run(script), script, "diverged", 3, 3)
    script = Script([0.1, 0.5, 0.2], diverges_at=3)
    assert_is(run(script, best=BestCheckpoint(score_of)), script, "diverged", 3, 2)
    # The stretch of the lowest loss began with the parameters after one step.
    script = Script(diverges_at=3)
    assert_is(run(script, 4, None, best=BestCheckpoint(loss_of, judges_start=True)), script, "diverged", 3, 1)
    script = Script(diverges_at=0)
    assert_is(run(script, best=BestCheckpoint(score_of)), script, "diverged", 0, 0)
    script = Script([0.1, DivergedError()])
    assert_is(run(script), script, "diverged", 1, 1)


def test_a_last_stretch_whose_parameters_are_of_no_use_does_not_count():
    script = Script(diverges_at_end=True)
    assert_is(run(script, 3, None), script, "diverged", 2, 2)
    script = Script(diverges_at_end=True)
    assert_is(run(script, 3, None, best=BestCheckpoint(loss_of, judges_start=True)), script, "diverged", 2, 1)


def test_ctrl_c_while_validating_leaves_that_stretch_out():
    script = Script([0.5, 0.1, KeyboardInterrupt(), 0.2])
    training = run(script, best=BestCheckpoint(score_of))
    assert_is(training, script, "interrupted", 2, 2)
    assert [record.score for record in training.records] == [0.5, 0.1]


@pytest.mark.parametrize("rule", [None, BestCheckpoint(score_of)], ids=["last", "best"])
def test_ctrl_c_at_any_line_leaves_a_whole_checkpoint(rule):
    scores = [0.1, 0.9, 0.2]

    def train_until(last_line=np.inf):
        """Return the script, what it met (None for KeyboardInterrupt) and the lines of the loop gone through."""
        script, n_lines = Script(scores), 0

        def count_line(frame, event, argument):
            nonlocal n_lines
            n_lines += event == "line"
            if n_lines >= last_line:
                raise KeyboardInterrupt
            return count_line

        before = sys.gettrace()
        sys.settrace(lambda frame, *_: count_line if frame.f_code.co_filename == loop.__file__ else None)
        try:
            training = run(script, 3, best=rule, on_checkpoint=lambda training: None)
        except KeyboardInterrupt:
            training = None
        finally:
            sys.settrace(before)
        return script, training, n_lines

    numbers = set()
    for line in range(1, train_until()[2] + 1):
        script, training, _ = train_until(line)
        if training is None:
            # Before the first stretch, or when the training has ended.
            assert script.taken in ([], [0, 1, 2], [0, 1])
        else:
            n_records = len(training.records)
            assert_is(training, script, "interrupted", n_records, n_records)
            for record in training.records:
                assert record.score == scores[record.first]
            numbers.add(n_records)
    assert numbers == {0, 1, 2, 3}


def test_on_checkpoint_sees_each_checkpoint():
    seen = []
    run(Script([0.1, 0.2, 0.3]), 3, on_checkpoint=lambda training: seen.append(len(training.records)))
    assert sorted(set(seen)) == [1, 2, 3]
    assert seen == sorted(seen)

    def interrupt(training):
        if len(training.records) == 2:
            raise KeyboardInterrupt

    script = Script([0.1, 0.2, 0.3])
    assert_is(run(script, 3, on_checkpoint=interrupt), script, "interrupted", 2, 2)


def test_another_error_is_raised():
    with pytest.raises(RuntimeError, match="on purpose"):
        run(Script([0.1, RuntimeError("on purpose")]))


def test_a_training_without_steps_keeps_what_it_began_with():
    script = Script()
    assert_is(run(script, 0, patience=Patience(score_of, 1), best=BestCheckpoint(score_of)), script, "limit", 0, 0)
