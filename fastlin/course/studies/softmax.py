"""Loss and accuracy of softmax regression of all ten digits, and whether and where it overfits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings
from fastlin.typing import FloatArray, IntArray

# Curves are averaged over so many successive validations, which make an epoch.
WINDOW = 5
# The step from which report B sees overfitting.
RANDOM_SPLIT_FROM = 3_800


def run(settings: Settings) -> Results:
    """Train for the epochs of the data set, 5 where quick; on MNIST also on report B's random split."""
    settings.notify("ten digits")
    trained = course.train_softmax(settings)
    X_train, Y_train, X_val, Y_val = course.softmax_data(settings.data, False)
    n_last = len(X_val) // 5
    last_fifth = np.mean(trained.model.forward(X_val[-n_last:]).argmax(axis=1) == Y_val[-n_last:].argmax(axis=1))
    steps, gap = accuracy_gap(trained)
    merits = {
        "steps": trained.last_step,
        **course.measure_end(trained, X_train, Y_train),
        "final_accuracy_on_last_fifth_of_validation_images": float(last_fifth),
        "train_accuracy_overtakes_at_step": find_onset(steps, gap),
        **find_bottom(trained),
    }
    series = {"trained": trained, "gap_steps": steps, "gap": gap}
    if course.has_random_split(settings.data):
        settings.notify("random split")
        random_split = course.train_softmax(settings, random_split=True)
        late = [value for step, value in random_split.val["accuracy"].items() if step >= RANDOM_SPLIT_FROM]
        if late:
            merits |= {
                "random_split_mean_late_validation_accuracy": float(np.mean(late)),
                "random_split_least_late_validation_accuracy": min(late),
                "random_split_greatest_late_validation_accuracy": max(late),
            }
        bottom = find_bottom(random_split)
        rise = bottom["last_mean_validation_loss"] / bottom["lowest_validation_loss"] - 1
        merits |= {
            "random_split_lowest_validation_loss_at_step": bottom["lowest_validation_loss_at_step"],
            "random_split_rise_of_validation_loss": rise,
            "random_split_train_accuracy_overtakes_at_step": find_onset(*accuracy_gap(random_split)),
        }
    return Results(course.describe_training(settings, "softmax"), merits, series)


def accuracy_gap(trained: course.Trained) -> tuple[IntArray, FloatArray]:
    """Return steps and training minus validation accuracy, averaged over WINDOW validations."""
    train, val = trained.train["accuracy"], trained.val["accuracy"]
    return average({step: train[step] - value for step, value in val.items()})


def average(history: Mapping[int, float]) -> tuple[IntArray, FloatArray]:
    """Return the means of WINDOW successive values, and the steps of the last values of the windows."""
    return np.array(list(history))[WINDOW - 1 :], np.convolve(list(history.values()), np.ones(WINDOW) / WINDOW, "valid")


def find_onset(steps: IntArray, gap: FloatArray) -> int | None:
    """Return the step from which on the training accuracy stays above the validation accuracy, or None."""
    if len(gap) == 0 or gap[-1] <= 0:
        return None
    below = np.flatnonzero(gap <= 0)
    return int(steps[below[-1] + 1]) if len(below) else int(steps[0])


def find_bottom(trained: course.Trained) -> dict[str, Any]:
    """Return where the averaged validation loss is lowest, how low it is there, and where it and the accuracy end."""
    (steps, losses), (_, accuracies) = (average(trained.val[name]) for name in ("loss", "accuracy"))
    lowest = int(losses.argmin())
    # The accuracy rises until the end where its mean over the last tenth is above that over the tenth before.
    tenth = max(1, len(accuracies) // 10)
    return {
        "lowest_validation_loss_at_step": int(steps[lowest]),
        "lowest_validation_loss": float(losses[lowest]),
        "last_mean_validation_loss": float(losses[-1]),
        "validation_accuracy_last_tenth": float(accuracies[-tenth:].mean()),
        "validation_accuracy_tenth_before": float(accuracies[-2 * tenth : -tenth].mean()),
    }
