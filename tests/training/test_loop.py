"""The training loop with scripted losses and scores: its stopping rules, and the checkpoint that it keeps."""

import copy
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pytest
from conftest import run_until_line

from fastlin.training import BestCheckpoint, DivergedError, EarlyStopping, loop, train

get_score = attrgetter("score")


@dataclass(frozen=True)
class ScriptedRecord:
    """A record of some steps: the index of the first step, and the validation score."""

    first: int
    score: float | None


class ScriptedLearner:
    """A learner whose parameters are the list of its steps. A validation returns or raises the next scripted score."""

    def __init__(self, scores=(), diverging_step=None, is_divergent_at_end=False):
        self.taken, self.scores = [], list(scores)
        self._diverging_step, self._is_divergent_at_end = diverging_step, is_divergent_at_end

    def take(self, n_steps, steps_per_validation):
        for step in range(n_steps):
            self.taken = [*self.taken, step]
            if step == self._diverging_step:
                raise DivergedError
            score = None
            if steps_per_validation is not None and step % steps_per_validation == 0:
                score = self.scores[step]
            if isinstance(score, BaseException):
                raise score
            yield ScriptedRecord(step, score)

    def save(self):
        return list(self.taken)

    def restore(self, saved):
        self.taken = list(saved)

    def check_final_state(self):
        if self._is_divergent_at_end:
            raise DivergedError


def negate_loss(record):
    """Return minus the loss of a record. The losses of the four records are 3, 1, 2 and 4."""
    return -[3, 1, 2, 4][record.first]


def run(script, n_steps=4, steps_per_validation=1, **rules):
    steps = script.take(n_steps, steps_per_validation)
    return train(steps, script.save, script.restore, check_final_state=script.check_final_state, **rules)


def assert_training(training, script, stop_reason, n_records, n_kept_records):
    assert (training.stop_reason, len(training.records), training.last.n_records) == (stop_reason, n_records, n_records)
    assert training.n_kept_records == n_kept_records
    assert script.taken == list(range(n_kept_records))


BEST_SCORE_CHECKPOINT, LOWEST_LOSS_CHECKPOINT = (
    BestCheckpoint(get_score),
    BestCheckpoint(negate_loss, is_scored_at_start=True),
)
STOPPING_RULE = {"monitor": EarlyStopping(get_score, 1)}
RISING_SCORES, FALLING_SCORES, OTHER_SCORES = [0.1, 0.4, 0.4, 0.3], [0.3, 0.2, 0.1, 0.5, 0.6], [0.1, 0.5, 0.2]
# The script, the number of steps, the rules, how the training ends, the number of records, and the number of records
# before the checkpoint that is kept.
TRAINING_CASES = [
    (ScriptedLearner(RISING_SCORES), 4, {}, "limit", 4, 4),
    (ScriptedLearner(RISING_SCORES), 4, {"best": BEST_SCORE_CHECKPOINT}, "limit", 4, 2),
    # A score of the parameters with which a record starts has no effect here.
    (ScriptedLearner(RISING_SCORES), 4, {"best": LOWEST_LOSS_CHECKPOINT}, "limit", 4, 4),
    (ScriptedLearner(), 0, STOPPING_RULE | {"best": BEST_SCORE_CHECKPOINT}, "limit", 0, 0),
    (ScriptedLearner(FALLING_SCORES), 5, STOPPING_RULE, "patience", 3, 3),
    (ScriptedLearner(FALLING_SCORES), 5, STOPPING_RULE | {"best": BEST_SCORE_CHECKPOINT}, "patience", 3, 1),
    (ScriptedLearner([0.3, 0.2]), 2, {"monitor": EarlyStopping(get_score, 0)}, "patience", 2, 2),
    (
        ScriptedLearner([0.3, None, 0.2, None, 0.1, None]),
        6,
        STOPPING_RULE | {"best": BEST_SCORE_CHECKPOINT, "validation_interval": 2},
        "patience",
        5,
        1,
    ),
    (ScriptedLearner(OTHER_SCORES, diverging_step=3), 4, {}, "diverged", 3, 3),
    (ScriptedLearner(OTHER_SCORES, diverging_step=3), 4, {"best": BEST_SCORE_CHECKPOINT}, "diverged", 3, 2),
    # The record with the lowest loss starts with the parameters after one step.
    (
        ScriptedLearner(diverging_step=3),
        4,
        {"best": LOWEST_LOSS_CHECKPOINT, "validation_interval": None},
        "diverged",
        3,
        1,
    ),
    (ScriptedLearner(diverging_step=0), 4, {"best": BEST_SCORE_CHECKPOINT}, "diverged", 0, 0),
    (ScriptedLearner([0.1, DivergedError()]), 4, {}, "diverged", 1, 1),
    (ScriptedLearner([0.5, 0.1, KeyboardInterrupt(), 0.2]), 4, {"best": BEST_SCORE_CHECKPOINT}, "interrupted", 2, 2),
    (ScriptedLearner(is_divergent_at_end=True), 3, {"validation_interval": None}, "diverged", 2, 2),
    (
        ScriptedLearner(is_divergent_at_end=True),
        3,
        {"best": LOWEST_LOSS_CHECKPOINT, "validation_interval": None},
        "diverged",
        2,
        1,
    ),
]


@pytest.mark.parametrize(("script", "n_steps", "rules", "stop_reason", "n_records", "n_kept_records"), TRAINING_CASES)
def test_training_follows_its_stopping_rules(script, n_steps, rules, stop_reason, n_records, n_kept_records):
    script, rules = copy.deepcopy(script), dict(rules)
    validation_interval = rules.pop("validation_interval", 1)
    training = run(script, n_steps, validation_interval, **rules)
    assert_training(training, script, stop_reason, n_records, n_kept_records)
    validated = [
        script.scores[step] if validation_interval and step % validation_interval == 0 else None
        for step in range(n_records)
    ]
    assert [record.score for record in training.records] == validated


@pytest.mark.parametrize("rule", [None, BEST_SCORE_CHECKPOINT], ids=["last", "best"])
def test_ctrl_c_at_any_line_leaves_a_consistent_checkpoint(rule):
    scores = [0.1, 0.9, 0.2]

    def train_until_line(interrupted_line=np.inf):
        """Return the script, its training or None, and the number of executed lines of the training loop."""
        script = ScriptedLearner(scores)
        rules = {"best": rule, "on_checkpoint": lambda training: None}
        return script, *run_until_line(lambda: run(script, 3, **rules), [loop.__file__], interrupted_line)

    numbers = set()
    for line in range(1, train_until_line()[2] + 1):
        script, training, _ = train_until_line(line)
        if training is None:
            assert script.taken in ([], [0, 1, 2], [0, 1])
        else:
            n_records = len(training.records)
            assert_training(training, script, "interrupted", n_records, n_records)
            assert [record.score for record in training.records] == scores[:n_records]
            numbers.add(n_records)
    assert numbers == {0, 1, 2, 3}


def test_other_errors_are_raised():
    with pytest.raises(RuntimeError, match="on purpose"):
        run(ScriptedLearner([0.1, RuntimeError("on purpose")]))
