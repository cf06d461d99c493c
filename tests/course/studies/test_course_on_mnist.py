"""The studies of the course on MNIST: what they find, and the verdicts on the claims."""

import numpy as np
import pytest

from fastlin.course import datasets
from fastlin.course.studies import binary, course_training
from fastlin.course.studies.settings import Settings
from tests.course.studies.judging import run_and_judge

# The validations of 2 against 3 on MNIST are 6 steps apart, those of the random split 5. Rounding differs between
# processors, which may move a stop by one of them.
STEPS_PER_VALIDATION, STEPS_PER_VALIDATION_RANDOM = 6, 5


@pytest.fixture(scope="module")
def whole_mnist(mnist_folder):
    """Settings with all 60,000 and 10,000 images of MNIST; all studies together take a minute or two there."""
    return Settings(datasets.load_mnist(60_000, mnist_folder))


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
def test_stops_on_mnist(whole_mnist):
    found, rows = run_and_judge(whole_mnist, ["binary", "early_stopping"])
    spikes = found["binary"].merits["accuracy_spikes_of_random_splits"]
    assert all(value < 0.7 * found["binary"].merits["accuracy_spikes"] for value in spikes.values())
    merits = found["early_stopping"].merits
    steps = merits["stop_steps_of_random_splits"]
    assert list(steps.values()) == pytest.approx([546, 726, 591], abs=STEPS_PER_VALIDATION_RANDOM)
    assert len(merits["stop_epochs_shuffled"]) == merits["orders_stopped_before_the_limit"] == 20
    # The first and the last stop are stated with one digit after the point.
    within = 0.05 + STEPS_PER_VALIDATION / 31
    assert min(merits["stop_epochs_shuffled"]) == pytest.approx(13.0, abs=within)
    assert max(merits["stop_epochs_shuffled"]) == pytest.approx(34.7, abs=within)
    # The stops of A and B depend on the order and on the draw.
    assert [row["verdict"] for row in rows] == [*3 * ["confirmed"], *2 * ["depends on the setting"]]


@pytest.mark.slow
def test_shuffling_on_mnist(whole_mnist):
    found, rows = run_and_judge(whole_mnist, ["shuffling"])
    merits = found["shuffling"].merits
    touch, left = (merits["speed"][name] for name in ("first step at the loss", "last step above the higher loss"))
    assert touch["in order"] == pytest.approx(474, abs=STEPS_PER_VALIDATION)
    assert touch["shuffled, median"] == pytest.approx(534, abs=STEPS_PER_VALIDATION)
    assert left["in order"] == pytest.approx(1506, abs=STEPS_PER_VALIDATION)
    assert left["better"] == left["of"] == 10
    assert merits["steps_between_validations_of_a_batch"] == 186
    for measured in (merits["full_length"], merits["early_stopping"]):
        plain, shuffled = measured.values()
        assert shuffled["accuracy_spikes"] < 0.7 * plain["accuracy_spikes"]
        assert shuffled["loss_spikes"] < 0.9 * plain["loss_spikes"]
    # Shuffling is calmer; sooner by some measures and later by another; and better but by the last loss.
    assert [row["verdict"] for row in rows] == [
        *2 * ["confirmed"],
        *2 * ["depends on the measure"],
        "confirmed",
    ]


@pytest.mark.slow
def test_ten_digits_of_mnist(whole_mnist):
    found, rows = run_and_judge(whole_mnist, ["softmax"])
    merits = found["softmax"].merits
    # One of the 2,000 validation images is .0005.
    assert merits["random_split_mean_late_validation_accuracy"] == pytest.approx(0.9228, abs=0.0005)
    # Validations are 31 steps apart; rounding may move the step by one of them.
    assert merits["steps_of_overtaking"]["seed 0"] == pytest.approx(1860, abs=31)
    assert merits["steps_of_overtaking"]["random split 0"] is None
    assert merits["trainings"] == 8
    # The validation accuracy still rises, far more slowly than before step 3,800 and than the training accuracy.
    verdicts = ["confirmed", "shows signs", "contradicted", "shows signs", "confirmed"]
    assert [row["verdict"] for row in rows] == verdicts


@pytest.mark.slow
def test_penalties_on_mnist(whole_mnist):
    found, rows = run_and_judge(whole_mnist, ["l2_weights", "l2_sweep", "l2_norm"])
    norms = list(found["l2_norm"].merits["squared_norm"].values())
    # These are half of the last digits that are stated, and so for the accuracies.
    for norm, (stated, within) in zip(
        norms, [(0.361, 0.0005), (2.74, 0.005), (10.9, 0.05), (21.4, 0.05), (24.0, 0.05)], strict=True
    ):
        assert norm == pytest.approx(stated, abs=within)
    best = list(found["l2_sweep"].merits["best_validation_accuracy"].values())
    assert best == pytest.approx([0.833, 0.885, 0.911, 0.916, 0.917], abs=0.0005)
    assert found["l2_weights"].merits["largest_difference_of_the_conventions"] == 0
    verdicts = {(row["reports"], row["says"]): row["verdict"] for row in rows}
    others = {key: verdict for key, verdict in verdicts.items() if verdict != "confirmed"}
    # Both models have a line for the 1, a penalty helps no network, and steps of batches keep the gradient from zero.
    assert [(reports, verdict) for (reports, _), verdict in others.items()] == [
        ("B", "not confirmed"),
        ("C", "not confirmed"),
        ("B", "contradicted"),
    ]
    assert len(verdicts) == len(rows) == 11
