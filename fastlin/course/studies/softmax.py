"""Loss and accuracy of softmax regression for all ten digits, and signs of overfitting."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.course_training import VALIDATIONS, take_median
from fastlin.course.studies.settings import Results, Settings
from fastlin.typing import FloatArray, IntArray

# The step at which the plateau starts, according to report B.
RANDOM_SPLIT_FROM = 3_800
N_SEEDS = 5
# A slope is the change over this number of steps.
STEPS = 1_000


class Slope(NamedTuple):
    """A slope in percentage points per 1,000 steps, and its standard error."""

    change: float
    error: float


def study_softmax(settings: Settings) -> Results:
    """Train with five seeds, or with two in a quick study. On MNIST, also train on random splits."""
    settings.notify("ten digits")
    trained = course.train(settings, "softmax")
    steps, gap = accuracy_gap(trained)
    minimum = find_minimum(trained)
    seeds = course.choose_seeds(settings, 2 if settings.quick else N_SEEDS)
    by_seed = course.train_orders(settings, "softmax", seeds)
    by_split = course.train_cases(settings, "softmax", "random split", course.find_splits(settings))
    names = [f"seed {seed}" for seed in by_seed] + [f"random split {split}" for split in by_split]
    onsets, gaps, growths = zip(*map(measure_gap, (*by_seed.values(), *by_split.values())), strict=True)
    growth = average_slopes(growths)
    metrics = {
        "steps": trained.n_steps_run,
        **course.measure_end(trained, *course.load_images(settings.data, "softmax", None)[:2]),
        "train_accuracy_overtakes_at_step": find_onset(steps, gap),
        **minimum,
        "rise_of_validation_loss": minimum["last_mean_validation_loss"] / minimum["lowest_validation_loss"] - 1,
        "steps_of_overtaking": dict(zip(names, onsets, strict=True)),
        "median_step_of_overtaking": take_median(onsets),
        "gap_in_points": float(np.mean(gaps)),
        "growth_of_the_gap": growth.change,
        "error_of_the_growth": growth.error,
        "trainings": len(gaps),
        **measure_plateau(list(by_split.values())),
    }
    series = {"trained": trained, "gap_steps": steps, "gap": gap}
    return Results({**course.describe_training(settings, "softmax"), "seeds": seeds}, metrics, series)


def accuracy_gap(trained: course.Trained) -> tuple[IntArray, FloatArray]:
    """Return steps, and training minus validation accuracy as means over the validations of an epoch."""
    train, val = trained.train["accuracy"], trained.val["accuracy"]
    return course.average({step: train[step] - value for step, value in val.items()})


def measure_gap(trained: course.Trained) -> tuple[int | None, float, Slope]:
    """Return the step from which the gap stays positive, the final gap in percentage points, and the gap's slope."""
    steps, gap = accuracy_gap(trained)
    width = 100 * float(gap[-max(1, len(gap) // 10) :].mean())
    means = dict(zip(steps[::VALIDATIONS], gap[::VALIDATIONS], strict=True))
    return find_onset(steps, gap), width, fit_slope(means, trained.n_steps_run / 2, n_averaged=1)


def find_onset(steps: IntArray, gap: FloatArray) -> int | None:
    """Return the first step from which the gap stays positive, or None if the final gap is not positive."""
    if len(gap) == 0 or gap[-1] <= 0:
        return None
    below = np.flatnonzero(gap <= 0)
    return int(steps[below[-1] + 1]) if len(below) else int(steps[0])


def find_minimum(trained: course.Trained) -> dict[str, Any]:
    """Return the step and the value of the lowest averaged validation loss, and the last averaged loss."""
    steps, losses = course.average(trained.val["loss"])
    lowest = int(losses.argmin())
    return {
        "lowest_validation_loss_at_step": int(steps[lowest]),
        "lowest_validation_loss": float(losses[lowest]),
        "last_mean_validation_loss": float(losses[-1]),
    }


def measure_plateau(drawn: list[course.Trained]) -> dict[str, Any]:
    """Return the late accuracies of the first random split, and the mean slopes of all random splits."""
    late = [value for step, value in drawn[0].val["accuracy"].items() if step >= RANDOM_SPLIT_FROM] if drawn else []
    # Training runs of quick studies end before that step.
    if not late:
        return {}
    slopes = {
        "validation, before step 3,800": [
            fit_slope(trained.val["accuracy"], trained.steps_per_epoch, RANDOM_SPLIT_FROM) for trained in drawn
        ],
        "validation, after it": [fit_slope(trained.val["accuracy"], RANDOM_SPLIT_FROM) for trained in drawn],
        "training, after it": [fit_slope(trained.train["accuracy"], RANDOM_SPLIT_FROM) for trained in drawn],
    }
    return {
        "random_split_mean_late_validation_accuracy": float(np.mean(late)),
        "random_split_least_late_validation_accuracy": min(late),
        "random_split_greatest_late_validation_accuracy": max(late),
        "random_splits": len(drawn),
        "slopes_of_accuracy_in_points": {name: average_slopes(group)._asdict() for name, group in slopes.items()},
    }


def fit_slope(
    history: Mapping[int, float], first: float = 0, end: float = np.inf, n_averaged: int = VALIDATIONS
) -> Slope:
    """Return the Slope of the least-squares line through an accuracy for the steps in [first, end).

    The line is fitted to means of `n_averaged` values, whose residuals are assumed to be independent. With fewer than
    three means, the slope is zero.
    """
    points = np.array([(step, 100 * value) for step, value in history.items() if first <= step < end]).reshape(-1, 2)
    n_means = len(points) // n_averaged
    if n_means < 3:
        return Slope(0.0, 0.0)
    steps, values = points[: n_means * n_averaged].reshape(n_means, n_averaged, 2).mean(axis=1).T
    (change, _), covariance = np.polyfit(steps / STEPS, values, 1, cov=True)
    return Slope(float(change), float(np.sqrt(covariance[0, 0])))


def average_slopes(slopes: Sequence[Slope]) -> Slope:
    """Return the mean Slope. Its error is the larger of two estimates, from the residuals and from the runs."""
    changes, errors = np.array(slopes).T
    n = len(slopes)
    standard_deviation = float(changes.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Slope(float(changes.mean()), max(float(np.sqrt(np.sum(errors**2))) / n, standard_deviation))
