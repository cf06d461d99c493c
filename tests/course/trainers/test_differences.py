"""What a trainer warns of once, and what it leaves alone because it was told so."""

import re
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from naive_course import N_FEATURES, Model, make_data

import fastlin
from fastlin.course import trainers
from fastlin.course.trainers import differences
from fastlin.exceptions import CourseWarning


def make_worse(*, patience=4, **options):
    """Return a trainer on few rows with a large step, so that the validation loss soon rises; an epoch has 4 steps."""
    data = make_data(3, n_train=40, n_val=200)
    model = trainers.SoftmaxModel(n_inputs=N_FEATURES, n_outputs=3)
    return trainers.SoftmaxTrainer(model, 2.0, 10, True, *data, patience=patience, seed=3, progress=False, **options)


def count_steps(n_epochs=20, **options):
    return len(make_worse(**options).train(n_epochs)[0]["loss"])


def test_a_training_that_early_stopping_would_have_ended_is_warned_of_once():
    n_steps = count_steps(early_stopping=True)
    words = rf"a patience of 4 .* after {n_steps} of its 80 steps; .*early_stopping=True to .*early_stopping=False to"
    with pytest.warns(CourseWarning, match=words) as warned:
        assert count_steps() == 80
    assert warned[0].filename == __file__
    assert count_steps() == 80


def test_a_warning_that_is_made_an_error_loses_no_training():
    expected, trainer = make_worse(early_stopping=False), make_worse()
    assert trainer.histories is None
    histories = expected.train(20)
    with pytest.raises(CourseWarning, match="Early stopping"):
        trainer.train(20)
    assert trainer.histories == expected.histories == histories
    np.testing.assert_array_equal(trainer.model.w, expected.model.w)


def test_a_training_that_ends_where_it_was_told_to_is_not_warned_of():
    assert count_steps(early_stopping=False) == 80
    # Early stopping would not end the first of these, and the second only after its last step.
    for patience, n_steps in ((4, 5), (3, 4)):
        assert count_steps(early_stopping=True, patience=patience) == n_steps
        assert count_steps(1, patience=patience) == 4
    with pytest.warns(CourseWarning, match="after 4 of its 8 steps"):
        count_steps(2, patience=3)


class LogisticTrainer(trainers.BaseTrainer):
    """A trainer as the course's scripts write it."""

    def train_step(self, X_batch, Y_batch):
        outputs = self.model.forward(X_batch)
        self.model.backward(X_batch, outputs, Y_batch)
        self.model.w = self.model.w - self.learning_rate * self.model.grad
        return 0.5


make_plain = partial(Model, num_outputs=1)


def train(kind, model):
    kind(model, 0.1, 16, False, *make_data(1), early_stopping=False, progress=False).train(1)


REGRESSION = "If your model is logistic regression, use fastlin.trainers."
ALONE = " without methods of your own for this speed, or inherit from "
REPLACE_TRAINER = f"Use fastlin.trainers.LogisticTrainer{ALONE}it"
REPLACE_MODEL = f"{REGRESSION}BinaryModel{ALONE}it"
REPLACE_BOTH = f"{REGRESSION}LogisticTrainer and fastlin.trainers.BinaryModel{ALONE}them"


@pytest.mark.parametrize(
    ("kind", "make_model", "methods", "advice"),
    [
        (LogisticTrainer, lambda: trainers.BinaryModel(N_FEATURES), "LogisticTrainer.train_step", REPLACE_TRAINER),
        (trainers.LogisticTrainer, make_plain, "Model.forward, Model.backward", REPLACE_MODEL),
        (LogisticTrainer, make_plain, "LogisticTrainer.train_step, Model.forward, Model.backward", REPLACE_BOTH),
    ],
)
def test_methods_that_a_script_of_the_course_writes_are_warned_of_once(kind, make_model, methods, advice):
    words = rf"^Your own {re.escape(methods)} run in NumPy, .* {re.escape(advice)} to keep yours without"
    with pytest.warns(CourseWarning, match=words) as warned:
        train(kind, make_model())
    assert warned[0].filename == __file__
    train(kind, make_model())


def test_a_model_that_is_no_regression_is_silenced_by_the_filter_that_the_warning_names():
    options = {"early_stopping": False, "progress": False}
    trainer = trainers.SoftmaxTrainer(Model(), 0.1, 16, False, *make_data(3), **options)
    with pytest.warns(CourseWarning, match="If your model is softmax regression, use ") as warned:
        trainer.train(1)
    differences._given.clear()
    (line,) = re.findall(r"warnings\.filterwarnings\(.*\)", str(warned[0].message))
    with warnings.catch_warnings():
        exec(line, {"warnings": warnings, "fastlin": fastlin})
        trainer.train(1)


def test_methods_that_replace_ours_on_purpose_are_not_warned_of():
    class OwnStep(trainers.LogisticTrainer):
        train_step = LogisticTrainer.train_step

    class Unchanged(trainers.BaseTrainer):
        pass

    class OwnForward(trainers.BinaryModel):
        forward = Model.forward

    for kind in (OwnStep, Unchanged):
        for model in (trainers.BinaryModel(N_FEATURES), OwnForward(N_FEATURES)):
            train(kind, model)


def test_the_warning_has_the_published_times():
    page = (Path(__file__).parents[3] / "docs" / "benchmarks" / "races.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| the course's softmax training, .* (float\d\d) \| [\d. /]+ \| [\d. /]+ \| ([\d.]+) \|", page, re.MULTILINE
    )
    assert {dtype: float(times) for dtype, times in rows} == differences.NUMPY_TIMES
