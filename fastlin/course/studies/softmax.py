"""Loss and accuracy of softmax regression of all ten digits, and the signs of overfitting that they show."""

from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.studies.trends import average_slopes, fit_slope, take_median
from fastlin.typing import FloatArray, IntArray

# The step from which report B sees a plateau.
RANDOM_SPLIT_FROM = 3_800
N_SEEDS = 5


def run(settings: Settings) -> Results:
    """Train for the epochs of the data set, 5 where quick, by five seeds; on MNIST also on images drawn at random."""
    settings.notify("ten digits")
    trained = course.train_softmax(settings)
    X_train, Y_train, X_val, Y_val = course.softmax_data(settings.data, None)
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
    merits["rise_of_validation_loss"] = merits["last_mean_validation_loss"] / merits["lowest_validation_loss"] - 1
    seeds = course.choose_seeds(settings, 2 if settings.quick else N_SEEDS)
    onsets, gaps, growths = {}, [], []

    def measure_gap(name, one):
        """Note from which step the gap of a training stays open, how wide it is in the end, and how it grows."""
        steps, gap = accuracy_gap(one)
        onsets[name] = find_onset(steps, gap)
        gaps.append(100 * float(gap[-max(1, len(gap) // 10) :].mean()))
        means = dict(zip(steps[:: course.VALIDATIONS], gap[:: course.VALIDATIONS], strict=True))
        growths.append(fit_slope(means, one.last_step / 2, n_averaged=1))

    for seed in seeds:
        settings.notify(f"seed {seed}")
        measure_gap(f"seed {seed}", course.train_softmax(settings, seed=seed))
    late, before, after, training = [], [], [], []
    for split, drawn in course.train_splits(settings, course.train_softmax):
        measure_gap(f"random split {split}", drawn)
        accuracies = drawn.val["accuracy"]
        late.append([value for step, value in accuracies.items() if step >= RANDOM_SPLIT_FROM])
        before.append(fit_slope(accuracies, drawn.steps_per_epoch, RANDOM_SPLIT_FROM))
        after.append(fit_slope(accuracies, RANDOM_SPLIT_FROM))
        training.append(fit_slope(drawn.train["accuracy"], RANDOM_SPLIT_FROM))
    growth = average_slopes(growths)
    merits |= {
        "steps_of_overtaking": onsets,
        "median_step_of_overtaking": take_median(onsets.values()),
        "gap_in_points": float(np.mean(gaps)),
        "growth_of_the_gap": growth.change,
        "error_of_the_growth": growth.error,
        "trainings": len(gaps),
    }
    if late and late[0]:
        merits |= {
            "random_split_mean_late_validation_accuracy": float(np.mean(late[0])),
            "random_split_least_late_validation_accuracy": min(late[0]),
            "random_split_greatest_late_validation_accuracy": max(late[0]),
            "random_splits": len(late),
            "slopes_of_accuracy_in_points": {
                name: average_slopes(slopes)._asdict()
                for name, slopes in (
                    ("validation, before step 3,800", before),
                    ("validation, after it", after),
                    ("training, after it", training),
                )
            },
        }
    series = {"trained": trained, "gap_steps": steps, "gap": gap}
    return Results({**course.describe_training(settings, "softmax"), "seeds": seeds}, merits, series)


def accuracy_gap(trained: course.Trained) -> tuple[IntArray, FloatArray]:
    """Return steps and training minus validation accuracy, averaged over an epoch's validations."""
    train, val = trained.train["accuracy"], trained.val["accuracy"]
    return course.average({step: train[step] - value for step, value in val.items()})


def find_onset(steps: IntArray, gap: FloatArray) -> int | None:
    """Return the step from which on the training accuracy stays above the validation accuracy, or None."""
    if len(gap) == 0 or gap[-1] <= 0:
        return None
    below = np.flatnonzero(gap <= 0)
    return int(steps[below[-1] + 1]) if len(below) else int(steps[0])


def find_bottom(trained: course.Trained) -> dict[str, Any]:
    """Return where the averaged validation loss is lowest, how low it is there, and where it ends."""
    steps, losses = course.average(trained.val["loss"])
    lowest = int(losses.argmin())
    return {
        "lowest_validation_loss_at_step": int(steps[lowest]),
        "lowest_validation_loss": float(losses[lowest]),
        "last_mean_validation_loss": float(losses[-1]),
    }
