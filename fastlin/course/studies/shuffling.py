"""What shuffling does to the training of 2 against 3: its spikes, its speed, and how good it becomes.

The size of the spikes is the standard deviation of the differences between successive values, taken from the second
epoch on. It is measured for the validation accuracy and for the training loss.
"""

from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings

# A fall of the validation accuracy is a dip where it is at least this part of the largest fall.
DIP = 0.25
MOST_DIPS = 10


def run(settings: Settings) -> Results:
    """Train at full length in order and by 10 seeds, 3 where quick, and with early stopping in both ways."""
    settings.notify("in order")
    in_order = course.train_binary(settings, shuffle=False)
    seeds, shuffled = course.train_orders(settings, 3 if settings.quick else 10)
    settings.notify("early stopping")
    stopped = {
        "in order": course.train_binary(settings, shuffle=False, early_stopping=True),
        "shuffled": course.train_binary(settings, shuffle=True, early_stopping=True),
    }
    loss = course.find_protocol(settings.data, settings.quick).loss_to_reach
    plain, *others = (measure(trained, loss) for trained in (in_order, *shuffled))
    sooner, later = _count_orders(plain, others, "steps_to_the_loss")
    lower, higher = _count_orders(plain, others, "final_validation_loss")
    # The losses become smoother as a training goes on, so that both are measured up to the earlier stop.
    n_common = min(trained.last_step for trained in stopped.values())
    return Results(
        parameters={**course.describe_training(settings, "binary"), "seeds": seeds, "loss_to_reach": loss},
        merits={
            "full_length": {"in order": plain, "shuffled, median": _median(others)},
            "early_stopping": {name: measure_spikes(trained, n_common) for name, trained in stopped.items()},
            "orders": len(seeds),
            "orders_that_reach_the_loss_sooner": sooner,
            "orders_that_reach_the_loss_later": later,
            "orders_with_a_lower_final_validation_loss": lower,
            "orders_with_a_higher_final_validation_loss": higher,
            "batches_per_epoch": in_order.steps_per_epoch,
            "steps_between_validations_of_a_batch": _steps_to_the_same_batch(in_order),
            "dips_in_order": find_dips(in_order),
        },
        series={"full length": {"in order": in_order, "shuffled": shuffled[0]}, "early stopping": stopped},
    )


def measure_spikes(trained: course.Trained, n_steps: float = np.inf) -> dict[str, float]:
    """Return the spikes of a training, over all steps or over the first n_steps only."""
    histories = {"accuracy_spikes": trained.val["accuracy"], "loss_spikes": trained.train["loss"]}
    return {name: trained.measure_spikes(history, n_steps) for name, history in histories.items()}


def measure(trained: course.Trained, loss: float) -> dict[str, Any]:
    """Return the spikes of a training, the steps to a validation loss, and the last validation loss and accuracy."""
    return {
        **measure_spikes(trained),
        "steps_to_the_loss": steps_to(trained, loss),
        "final_validation_loss": course.last(trained.val["loss"]),
        "final_validation_accuracy": course.last(trained.val["accuracy"]),
    }


def steps_to(trained: course.Trained, loss: float) -> int | None:
    """Return the first step at which the validation loss is at most `loss`, or None where there is none."""
    return next((step for step, value in trained.val["loss"].items() if value <= loss), None)


def find_dips(trained: course.Trained) -> dict[str, Any]:
    """Return the deepest dips of the validation accuracy after the first epoch, by the number of the dip.

    Each has its step, its epoch, the number of its batch in the epoch, and the accuracies before and at the dip. Steps,
    epochs and batches are counted from 0, and the validation comes after the batch.
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
    """Return after how many steps a validation comes after the same batch of an epoch again."""
    steps_per_validation = max(1, trained.steps_per_epoch // 5)
    return int(np.lcm(trained.steps_per_epoch, steps_per_validation))


def _count_orders(plain, others, name):
    """Return how many of the others have less, and how many have more, of a measure than the training in order."""
    value = _or_infinity(plain[name])
    values = [_or_infinity(row[name]) for row in others]
    return sum(other < value for other in values), sum(other > value for other in values)


def _or_infinity(value):
    """Return a measure as a number; one that a training has not reached, None, counts as infinite."""
    return np.inf if value is None else value


def _median(rows):
    """Return the median of each measure, None where it is infinite."""
    medians = {}
    for name in rows[0]:
        median = np.median([_or_infinity(row[name]) for row in rows])
        medians[name] = float(median) if np.isfinite(median) else None
    return medians
