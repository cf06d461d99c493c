"""What shuffling does to the training of 2 against 3: its spikes, its speed, and how good it becomes.

Spikes are the deviation of successive differences of validation accuracy or training loss, after the first epoch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.early_stopping import N_ORDERS
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.studies.trends import take_median

# A fall of the validation accuracy is a dip where it is at least this part of the largest fall.
DIP = 0.25
MOST_DIPS = 10
# The end of a training is its last ten epochs: one validation says little.
LATE_EPOCHS = 10
# What the measures of speed and of the end are called, and for the end whether less (1) or more (-1) is better.
LABELS = {
    "steps_to_the_loss": "first step at the loss",
    "steps_of_the_mean_to_the_loss": "the same, mean of five validations",
    "last_step_above_a_loss": "last step above the higher loss",
    "mean_late_accuracy": "mean accuracy of the last ten epochs",
    "worst_late_accuracy": "worst accuracy of the last ten epochs",
    "final_validation_loss": "last validation loss",
}
SPEEDS = "steps_to_the_loss", "steps_of_the_mean_to_the_loss", "last_step_above_a_loss"
ENDS = {"mean_late_accuracy": -1, "worst_late_accuracy": -1, "final_validation_loss": 1}


def run(settings: Settings) -> Results:
    """Train at full length in order and by 10 seeds, and with early stopping by 20; 3 and 4 where quick."""
    settings.notify("in order")
    in_order = course.train_binary(settings, shuffle=False)
    seeds, shuffled = course.train_orders(settings, 3 if settings.quick else 10)
    settings.notify("early stopping")
    stopped_in_order = course.train_binary(settings, shuffle=False, early_stopping=True)
    _, stopped = course.train_orders(settings, 4 if settings.quick else N_ORDERS, early_stopping=True)
    protocol = course.find_protocol(settings.data, settings.quick)
    plain, *others = (measure(trained, protocol) for trained in (in_order, *shuffled))
    median: dict[str, Any] = {name: take_median(row[name] for row in others) for name in plain}
    pair = {"in order": stopped_in_order, "shuffled": stopped[0]}
    # The losses become smoother as a training goes on, so that both are measured up to the earlier stop.
    n_common = min(trained.last_step for trained in pair.values())
    spikes = {name: measure_spikes(trained, n_common) for name, trained in pair.items()}
    smaller = {
        name: sum(later[name] < earlier[name] for earlier, later in ((plain, median), tuple(spikes.values())))
        for name in ("accuracy_spikes", "loss_spikes")
    }
    dips = find_dips(in_order)
    return Results(
        parameters={
            **course.describe_training(settings, "binary"),
            "seeds": seeds,
            "loss_to_reach": protocol.loss_to_reach,
            "loss_to_stay_below": protocol.loss_to_stay_below,
        },
        merits={
            "full_length": {"in order": _take_spikes(plain), "shuffled, median": _take_spikes(median)},
            "early_stopping": spikes,
            "comparisons": 2,
            "comparisons_with_smaller_spikes_of_accuracy": smaller["accuracy_spikes"],
            "comparisons_with_smaller_spikes_of_loss": smaller["loss_spikes"],
            "speed": {
                "epochs to the early stop": compare(stopped_in_order.last_epoch, [one.last_epoch for one in stopped]),
                **{LABELS[name]: compare(plain[name], [row[name] for row in others]) for name in SPEEDS},
            },
            "validation": {
                LABELS[name]: compare(plain[name], [row[name] for row in others], sign) for name, sign in ENDS.items()
            },
            "batches_per_epoch": in_order.steps_per_epoch,
            "steps_between_validations_of_a_batch": _steps_to_the_same_batch(in_order),
            "dips_in_order": dips,
            **count_dips(dips),
        },
        series={"full length": {"in order": in_order, "shuffled": shuffled[0]}, "early stopping": pair},
    )


def _take_spikes(row):
    return {name: row[name] for name in ("accuracy_spikes", "loss_spikes")}


def compare(plain: float | None, others: list[float | None], sign: int = 1) -> dict[str, Any]:
    """Return a measure in order, its median over shuffled orders, and how many orders are better and worse.

    Less is better, or more with a sign of -1; None, a measure that was not reached, counts as the worst.
    """
    place, *values = (np.inf if value is None else sign * value for value in (plain, *others))
    median = float(np.median(values))
    return {
        "in order": plain,
        "shuffled, median": sign * median if np.isfinite(median) else None,
        "better": sum(value < place for value in values),
        "worse": sum(value > place for value in values),
        "of": len(values),
    }


def count_dips(dips: dict[str, Any]) -> dict[str, Any]:
    """Return the number of dips, and the batch (from 0) that most of them follow."""
    batches = [dip["batch"] for dip in dips.values()]
    most = max(batches, key=batches.count) if batches else None
    return {"dips": len(batches), "batch_of_most_dips": most, "dips_after_that_batch": batches.count(most)}


def measure_spikes(trained: course.Trained, n_steps: float = np.inf) -> dict[str, float]:
    """Return the spikes of a training, over all steps or over the first n_steps only."""
    histories = {"accuracy_spikes": trained.val["accuracy"], "loss_spikes": trained.train["loss"]}
    return {name: trained.measure_spikes(history, n_steps) for name, history in histories.items()}


def measure(trained: course.Trained, protocol: course.Protocol) -> dict[str, Any]:
    """Return the spikes of a training, the steps to its losses, and how good it is at the end."""
    losses = trained.val["loss"]
    accuracies = list(trained.val["accuracy"].values())[-LATE_EPOCHS * course.VALIDATIONS :]
    steps, means = course.average(losses)
    averaged = dict(zip(steps.tolist(), means, strict=True))
    above = [step for step, value in losses.items() if value > protocol.loss_to_stay_below]
    return {
        **measure_spikes(trained),
        "steps_to_the_loss": find_step(losses, protocol.loss_to_reach),
        "steps_of_the_mean_to_the_loss": find_step(averaged, protocol.loss_to_reach),
        "last_step_above_a_loss": above[-1] if above else 0,
        "final_validation_loss": course.last(trained.val["loss"]),
        "mean_late_accuracy": float(np.mean(accuracies)),
        "worst_late_accuracy": float(min(accuracies)),
    }


def find_step(history: Mapping[int, float], loss: float) -> int | None:
    """Return the first step at which a history is at most `loss`, or None where there is none."""
    return next((step for step, value in history.items() if value <= loss), None)


def find_dips(trained: course.Trained) -> dict[str, Any]:
    """Return the deepest dips of the validation accuracy after the first epoch, by number.

    Each has step, epoch and batch of the epoch, counted from 0, and the accuracies before and at the dip.
    """
    accuracies = {s: value for s, value in trained.val["accuracy"].items() if s >= trained.steps_per_epoch}
    steps, values = np.array(list(accuracies)), np.array(list(accuracies.values()))
    falls = -np.diff(values)
    deepest = np.argsort(-falls, kind="stable")[:MOST_DIPS]
    places = np.sort(deepest[(falls[deepest] >= DIP * falls.max()) & (falls[deepest] > 0)]) + 1
    return {
        str(number): {
            "step": int(steps[place]),
            "epoch": int(steps[place]) // trained.steps_per_epoch,
            "batch": int(steps[place]) % trained.steps_per_epoch,
            "accuracy_before": float(values[place - 1]),
            "accuracy": float(values[place]),
        }
        for number, place in enumerate(places, start=1)
    }


def _steps_to_the_same_batch(trained):
    """Return the number of steps until a validation follows the same batch of an epoch again."""
    steps_per_validation = max(1, trained.steps_per_epoch // course.VALIDATIONS)
    return int(np.lcm(trained.steps_per_epoch, steps_per_validation))
