"""Warnings about differences from the course: when they are issued, and how to avoid them."""

import numpy as np
import pytest
from naive_course import N_FEATURES, make_data

from fastlin.course import trainers
from fastlin.exceptions import CourseWarning


def make_overfitting_trainer(*, patience=4, **options):
    """Return a trainer on few rows with a large step, so that the validation loss soon rises; an epoch has 4 steps."""
    data = make_data(3, n_train=40, n_val=200)
    model = trainers.SoftmaxModel(n_inputs=N_FEATURES, n_outputs=3)
    return trainers.SoftmaxTrainer(model, 2.0, 10, True, *data, patience=patience, seed=3, progress=False, **options)


def count_steps(n_epochs=20, **options):
    return len(make_overfitting_trainer(**options).train(n_epochs)[0]["loss"])


def test_a_training_that_early_stopping_would_end_warns_once():
    n_steps = count_steps(early_stopping=True)
    message = (
        rf"a patience of 4 .* after {n_steps} of its 80 steps\. .*early_stopping=True to .*early_stopping=False to"
    )
    with pytest.warns(CourseWarning, match=message) as caught:
        assert count_steps() == 80
    assert caught[0].filename == __file__
    assert count_steps() == 80


def test_a_warning_as_an_error_does_not_lose_the_training():
    expected, trainer = make_overfitting_trainer(early_stopping=False), make_overfitting_trainer()
    assert trainer.histories is None
    histories = expected.train(20)
    with pytest.raises(CourseWarning, match="Early stopping"):
        trainer.train(20)
    assert trainer.histories == expected.histories == histories
    np.testing.assert_array_equal(trainer.model.w, expected.model.w)


def test_an_explicit_early_stopping_argument_does_not_warn():
    assert count_steps(early_stopping=False) == 80
    # With patience 4 the training would not stop early, and with patience 3 only after its last step.
    for patience, n_steps in ((4, 5), (3, 4)):
        assert count_steps(early_stopping=True, patience=patience) == n_steps
        assert count_steps(1, patience=patience) == 4
    with pytest.warns(CourseWarning, match="after 4 of its 8 steps"):
        count_steps(2, patience=3)
