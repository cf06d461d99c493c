"""The studies of the course on MNIST find what the documents publish."""

import json
from pathlib import Path

import numpy as np
import pytest

from fastlin.course import datasets
from fastlin.course.studies import binary, course_training
from fastlin.course.studies.settings import Settings
from tests.course.studies.judging import run_and_judge

RECORD = Path(__file__).parents[3] / "docs" / "studies" / "claims.json"
# The validations of 2 against 3 on MNIST are 6 steps apart, those of the random split 5. Rounding differs between
# processors, which may move a stop by one of them.
STEPS_PER_VALIDATION = 6


def test_early_stopping_on_mnist_stops_where_numpy_does(mnist):
    trained = course_training.train(Settings(mnist), "binary", shuffle=False, early_stopping=True)
    assert trained.steps_per_epoch == 31
    assert trained.last_step == pytest.approx(33.5 * 31, abs=0.05 * 31 + STEPS_PER_VALIDATION)
    assert min(trained.val["loss"].values()) < 0.067


def test_one_batch_of_mnist_dunks_the_accuracy(mnist):
    trained = course_training.train(Settings(mnist), "binary", shuffle=False)
    dips = binary.find_dips(trained)
    assert binary.count_dips(trained) == {"dips": 8, "batch_of_most_dips": 18, "dips_after_that_batch": 8}
    # Validations are 6 steps apart and epochs 31, so that they meet after the same batch each 186 steps.
    assert np.diff(dips).tolist() == 7 * [186]
    assert binary.find_step(trained.val["loss"], 0.07) == pytest.approx(474, abs=STEPS_PER_VALIDATION)


@pytest.mark.slow
def test_the_studies_find_the_published_verdicts_and_numbers(mnist_folder):
    """All studies together take a minute or two with the 60,000 and 10,000 images of MNIST."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    names = ["binary", "early_stopping", "shuffling", "softmax", "l2_weights", "l2_sweep", "l2_norm"]
    found, rows = run_and_judge(Settings(datasets.load_mnist(folder=mnist_folder)), names)
    expected = [(row["says"], row["verdict"]) for row in record["claims"] if row["study"] in names]
    assert [(row["says"], row["verdict"]) for row in rows] == expected
    # One of the 2,000 validation images of a random split is .0005.
    for study, merit, within in (
        ("early_stopping", "stop_steps_of_random_splits", {"abs": STEPS_PER_VALIDATION}),
        ("early_stopping", "stop_epochs_shuffled", {"abs": STEPS_PER_VALIDATION / 31}),
        ("softmax", "random_split_mean_late_validation_accuracy", {"abs": 0.0005}),
        ("l2_norm", "squared_norm", {"rel": 0.005}),
        ("l2_sweep", "best_validation_accuracy", {"abs": 0.0005}),
        ("l2_weights", "largest_difference_of_the_conventions", {"abs": 0}),
    ):
        assert found[study].merits[merit] == pytest.approx(record["merits"][study][merit], **within), merit
