"""Loss and accuracy of softmax regression for all ten digits, and signs of overfitting."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.course_training import VALIDATIONS_PER_EPOCH, compute_median
from fastlin.course.studies.settings import Results, Settings
from fastlin.typing import FloatArray, IntArray

# The step at which the plateau starts, according to report B.
PLATEAU_START = 3_800
N_SEEDS = 5
# A slope is the change over this number of steps.
STEPS_PER_SLOPE_UNIT = 1_000


class Slope(NamedTuple):
    """A slope in percentage points per 1,000 steps, and its standard error."""

    change: float
    error: float


def study_softmax(settings: Settings) -> Results:
    """Train with five seeds, or with two in a quick study. On MNIST, also train on random splits."""
    settings.notify("ten digits")
    trained = course.train(settings, "softmax")
    steps, gap = compute_accuracy_gap(trained)
    minimum = find_lowest_loss(trained)
    seeds = course.choose_seeds(settings, 2 if settings.quick else N_SEEDS)
    models_by_seed = course.train_with_seeds(settings, "softmax", seeds)
    models_by_split = course.train_cases(settings, "softmax", "random split", course.find_random_splits(settings))
    names = [f"seed {seed}" for seed in models_by_seed] + [f"random split {split}" for split in models_by_split]
    overtaking_steps, final_gaps, gap_slopes = zip(
        *map(measure_gap, (*models_by_seed.values(), *models_by_split.values())), strict=True
    )
    growth = compute_mean_slope(gap_slopes)
    metrics = {
        "steps": trained.n_steps_run,
        **course.measure_final_performance(trained, *course.load_images(settings.data, "softmax", None)[:2]),
        "train_accuracy_overtakes_at_step": find_gap_onset(steps, gap),
        **minimum,
        "rise_of_validation_loss": minimum["last_mean_validation_loss"] / minimum["lowest_validation_loss"] - 1,
        "steps_of_overtaking": dict(zip(names, overtaking_steps, strict=True)),
        "median_step_of_overtaking": compute_median(overtaking_steps),
        "gap_in_points": float(np.mean(final_gaps)),
        "growth_of_the_gap": growth.change,
        "error_of_the_growth": growth.error,
        "trainings": len(final_gaps),
        **measure_plateau(list(models_by_split.values())),
    }
    series = {"trained": trained, "gap_steps": steps, "gap": gap}
    return Results({**course.describe_training(settings, "softmax"), "seeds": seeds}, metrics, series)


def compute_accuracy_gap(trained: course.TrainedModel) -> tuple[IntArray, FloatArray]:
    """Return steps, and training minus validation accuracy as means over the validations of an epoch."""
    train, val = trained.train["accuracy"], trained.val["accuracy"]
    return course.average_validations({step: train[step] - value for step, value in val.items()})


def measure_gap(trained: course.TrainedModel) -> tuple[int | None, float, Slope]:
    """Return the step from which the gap stays positive, the final gap in percentage points, and the gap's slope."""
    steps, gap = compute_accuracy_gap(trained)
    width = 100 * float(gap[-max(1, len(gap) // 10) :].mean())
    means = dict(zip(steps[::VALIDATIONS_PER_EPOCH], gap[::VALIDATIONS_PER_EPOCH], strict=True))
    return find_gap_onset(steps, gap), width, fit_slope(means, trained.n_steps_run / 2, n_averaged_steps=1)


def find_gap_onset(steps: IntArray, gap: FloatArray) -> int | None:
    """Return the first step from which the gap stays positive, or None if the final gap is not positive."""
    if len(gap) == 0 or gap[-1] <= 0:
        return None
    nonpositive_indices = np.flatnonzero(gap <= 0)
    return int(steps[nonpositive_indices[-1] + 1]) if len(nonpositive_indices) else int(steps[0])


def find_lowest_loss(trained: course.TrainedModel) -> dict[str, Any]:
    """Return the step and the value of the lowest averaged validation loss, and the last averaged loss."""
    steps, losses = course.average_validations(trained.val["loss"])
    lowest = int(losses.argmin())
    return {
        "lowest_validation_loss_at_step": int(steps[lowest]),
        "lowest_validation_loss": float(losses[lowest]),
        "last_mean_validation_loss": float(losses[-1]),
    }


def measure_plateau(random_split_models: list[course.TrainedModel]) -> dict[str, Any]:
    """Return accuracies of the first random split from PLATEAU_START on, and slopes averaged over all random splits."""
    late_accuracies = (
        [value for step, value in random_split_models[0].val["accuracy"].items() if step >= PLATEAU_START]
        if random_split_models
        else []
    )
    # Training runs of quick studies end before that step.
    if not late_accuracies:
        return {}
    slopes = {
        "validation, before step 3,800": [
            fit_slope(trained.val["accuracy"], trained.steps_per_epoch, PLATEAU_START)
            for trained in random_split_models
        ],
        "validation, after it": [fit_slope(trained.val["accuracy"], PLATEAU_START) for trained in random_split_models],
        "training, after it": [fit_slope(trained.train["accuracy"], PLATEAU_START) for trained in random_split_models],
    }
    return {
        "random_split_mean_late_validation_accuracy": float(np.mean(late_accuracies)),
        "random_split_least_late_validation_accuracy": min(late_accuracies),
        "random_split_greatest_late_validation_accuracy": max(late_accuracies),
        "random_splits": len(random_split_models),
        "slopes_of_accuracy_in_points": {name: compute_mean_slope(group)._asdict() for name, group in slopes.items()},
    }


def fit_slope(
    history: Mapping[int, float], first: float = 0, end: float = np.inf, n_averaged_steps: int = VALIDATIONS_PER_EPOCH
) -> Slope:
    """Return the Slope of the least-squares line through an accuracy for the steps in [first, end).

    The line is fitted to means of `n_averaged_steps` values, whose residuals are assumed to be independent. With fewer
    than three means, the slope is zero.
    """
    points = np.array([(step, 100 * value) for step, value in history.items() if first <= step < end]).reshape(-1, 2)
    n_averaged_points = len(points) // n_averaged_steps
    if n_averaged_points < 3:
        return Slope(0.0, 0.0)
    steps, values = (
        points[: n_averaged_points * n_averaged_steps].reshape(n_averaged_points, n_averaged_steps, 2).mean(axis=1).T
    )
    (change, _), covariance = np.polyfit(steps / STEPS_PER_SLOPE_UNIT, values, 1, cov=True)
    return Slope(float(change), float(np.sqrt(covariance[0, 0])))


def compute_mean_slope(slopes: Sequence[Slope]) -> Slope:
    """Return the mean Slope. Its error is the larger of two estimates, from the residuals and from the runs."""
    changes, errors = np.array(slopes).T
    n = len(slopes)
    standard_deviation = float(changes.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Slope(float(changes.mean()), max(float(np.sqrt(np.sum(errors**2))) / n, standard_deviation))
