"""Logistic regression for the digits 2 and 3: unshuffled, with early stopping, and shuffled.

The spikes of a history are the standard deviation of the differences between its successive values after the first
epoch. The histories are those of the validation accuracy and of the training loss.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.course_training import compute_median
from fastlin.course.studies.settings import Results, Settings

# Number of training runs with early stopping and shuffled rows.
N_SHUFFLED_RUNS = 20
# The epoch in which report A's training run stops.
REPORTED_STOP_EPOCH = 17
# A decrease of the validation accuracy is a dip if it is at least this fraction of the largest decrease.
MIN_RELATIVE_DIP = 0.25
MAX_DIPS = 10
# Final values are averaged over the last ten epochs of a training run, because a single validation is noisy.
N_FINAL_EPOCHS = 10


def study_binary(settings: Settings) -> Results:
    """Train for 50 epochs (10 in a quick study). On MNIST, also train on random splits."""
    settings.notify("2 against 3")
    trained = course.train(settings, "binary", shuffle=False)
    X_train, Y_train, X_val, _ = course.load_images(settings.data, "binary", None)
    metrics: dict[str, Any] = {
        "train_images": len(X_train),
        "validation_images": len(X_val),
        **course.measure_final_performance(trained, X_train, Y_train),
    }
    models_by_split = course.train_cases(
        settings, "binary", "random split", course.find_random_splits(settings), shuffle=False
    )
    if models_by_split:
        # A random split has only a fifth as many validation images, which makes the spikes larger.
        accuracy_spikes = trained.measure_spikes(trained.val["accuracy"])
        spikes_by_split = {
            split: result.measure_spikes(result.val["accuracy"]) for split, result in models_by_split.items()
        }
        metrics |= {
            "accuracy_spikes": accuracy_spikes,
            "accuracy_spikes_of_random_splits": spikes_by_split,
            "random_splits": len(spikes_by_split),
            "random_splits_with_smaller_spikes": sum(value < accuracy_spikes for value in spikes_by_split.values()),
        }
    return Results({**course.describe_training(settings, "binary"), "shuffle": False}, metrics, {"trained": trained})


def study_early_stopping(settings: Settings) -> Results:
    """Train with early stopping on unshuffled rows, and on rows shuffled with 20 seeds (4 in a quick study).

    On MNIST, also train on random splits.
    """
    settings.notify("in the order of the data")
    in_order = course.train(settings, "binary", shuffle=False, early_stopping=True)
    seeds = course.choose_seeds(settings, 4 if settings.quick else N_SHUFFLED_RUNS)
    shuffled_models = list(course.train_with_seeds(settings, "binary", seeds, early_stopping=True).values())
    stop_epochs = [trained.n_epochs_run for trained in shuffled_models]
    metrics = {
        "stop_epoch_in_order": in_order.n_epochs_run,
        "stop_epoch_of_the_first_order": stop_epochs[0],
        "median_stop_epoch_shuffled": float(np.median(stop_epochs)),
        "stop_epochs_shuffled": sorted(stop_epochs),
        "orders": len(stop_epochs),
        "orders_stopped_before_the_limit": sum(stop < course.MAX_EPOCHS for stop in stop_epochs),
        "orders_that_stop_within_an_epoch_of_17": sum(abs(stop - REPORTED_STOP_EPOCH) <= 1 for stop in stop_epochs),
        "best_validation_loss_in_order": min(in_order.val["loss"].values()),
        "median_best_validation_loss_shuffled": float(
            np.median([min(t.val["loss"].values()) for t in shuffled_models])
        ),
    }
    models_by_split = course.train_cases(
        settings, "binary", "random split", course.find_random_splits(settings), shuffle=False, early_stopping=True
    )
    steps = {split: trained.n_steps_run for split, trained in models_by_split.items()}
    if steps:
        metrics["stop_steps_of_random_splits"] = steps
    limits = {"epochs": course.MAX_EPOCHS, "patience": course.PATIENCE}
    parameters = {**course.describe_training(settings, "binary"), **limits, "seeds": seeds}
    return Results(parameters, metrics, {"in_order": in_order, "shuffled": shuffled_models[0]})


def study_shuffling(settings: Settings) -> Results:
    """Train on unshuffled rows, and on rows shuffled with 10 seeds (3 in a quick study).

    Also train with early stopping, with 20 seeds (4 in a quick study).
    """
    settings.notify("in order")
    in_order = course.train(settings, "binary", shuffle=False)
    seeds = course.choose_seeds(settings, 3 if settings.quick else 10)
    shuffled_models = list(course.train_with_seeds(settings, "binary", seeds).values())
    settings.notify("early stopping")
    unshuffled_stopped_model = course.train(settings, "binary", shuffle=False, early_stopping=True)
    early_stopping_seeds = course.choose_seeds(settings, 4 if settings.quick else N_SHUFFLED_RUNS)
    shuffled_stopped_models = list(
        course.train_with_seeds(settings, "binary", early_stopping_seeds, early_stopping=True).values()
    )
    pair = {"in order": unshuffled_stopped_model, "shuffled": shuffled_stopped_models[0]}
    # Losses become smoother during a training run, so the spikes of both runs are measured up to the earlier stop.
    n_common_steps = min(trained.n_steps_run for trained in pair.values())
    ordered_spikes, *shuffled_spikes = (measure_spikes(trained) for trained in (in_order, *shuffled_models))
    median_spikes = {name: float(np.median([spikes[name] for spikes in shuffled_spikes])) for name in ordered_spikes}
    full_length = {"in order": ordered_spikes, "shuffled, median": median_spikes}
    early_stopping_spikes = {name: measure_spikes(trained, n_common_steps) for name, trained in pair.items()}
    comparisons = [list(rows.values()) for rows in (full_length, early_stopping_spikes)]

    def count_smaller_spikes(name):
        """Return the number of comparisons in which the shuffled order has smaller spikes."""
        return sum(
            shuffled_values[name] < unshuffled_values[name] for unshuffled_values, shuffled_values in comparisons
        )

    training_settings = course.find_training_settings(settings)
    training_speeds = [measure_training_speed(trained, training_settings) for trained in (in_order, *shuffled_models)]
    final_measures = [measure_final_performance(trained) for trained in (in_order, *shuffled_models)]
    return Results(
        parameters={
            **course.describe_training(settings, "binary"),
            "seeds": seeds,
            "loss_to_reach": training_settings["loss_to_reach"],
            "loss_to_stay_below": training_settings["loss_to_stay_below"],
        },
        metrics={
            "full_length": full_length,
            "early_stopping": early_stopping_spikes,
            "comparisons": len(comparisons),
            "comparisons_with_smaller_spikes_of_accuracy": count_smaller_spikes("accuracy_spikes"),
            "comparisons_with_smaller_spikes_of_loss": count_smaller_spikes("loss_spikes"),
            "speed": {
                "epochs to the early stop": compare(
                    unshuffled_stopped_model.n_epochs_run,
                    [stopped_model.n_epochs_run for stopped_model in shuffled_stopped_models],
                ),
                **compare_row_orders(training_speeds),
            },
            "validation": compare_row_orders(final_measures),
            "batches_per_epoch": in_order.steps_per_epoch,
            "steps_between_validations_of_a_batch": _count_steps_between_same_batches(in_order),
            **count_dips(in_order),
        },
        series={"full length": {"in order": in_order, "shuffled": shuffled_models[0]}, "early stopping": pair},
    )


def compare_row_orders(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Compare each measure of the unshuffled order, the first row, with those of the shuffled orders.

    For accuracies, higher is better. For other measures, lower is better.
    """
    unshuffled_row, *shuffled_rows = rows
    return {
        name: compare(value, [row[name] for row in shuffled_rows], sign=-1 if "accuracy" in name else 1)
        for name, value in unshuffled_row.items()
    }


def compare(in_order: float | None, shuffled: list[float | None], sign: int = 1) -> dict[str, Any]:
    """Return a measure without shuffling, its median over shuffled orders, and the numbers of better and worse orders.

    Lower is better if `sign` is 1, and higher is better if `sign` is -1. None, for a loss that was not reached, is the
    worst value.
    """
    reference, *values = (np.inf if value is None else sign * value for value in (in_order, *shuffled))
    median = compute_median(values)
    return {
        "in order": in_order,
        "shuffled, median": None if median is None else sign * median,
        "better": sum(value < reference for value in values),
        "worse": sum(value > reference for value in values),
        "of": len(values),
    }


def measure_spikes(trained: course.TrainedModel, n_steps: float = np.inf) -> dict[str, float]:
    """Return the spikes of a training run in its first `n_steps` steps, by default in all steps."""
    histories = {"accuracy_spikes": trained.val["accuracy"], "loss_spikes": trained.train["loss"]}
    return {name: trained.measure_spikes(history, n_steps) for name, history in histories.items()}


def measure_training_speed(trained: course.TrainedModel, training_settings: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the steps when the validation loss reaches one loss of `training_settings` and last exceeds the other."""
    losses = trained.val["loss"]
    steps, means = course.average_validations(losses)
    averaged_losses = dict(zip(steps.tolist(), means, strict=True))
    steps_above_limit = [step for step, value in losses.items() if value > training_settings["loss_to_stay_below"]]
    return {
        "first step at the loss": find_step_reaching_loss(losses, training_settings["loss_to_reach"]),
        "the same, mean of five validations": find_step_reaching_loss(
            averaged_losses, training_settings["loss_to_reach"]
        ),
        "last step above the higher loss": steps_above_limit[-1] if steps_above_limit else 0,
    }


def measure_final_performance(trained: course.TrainedModel) -> dict[str, float]:
    """Return the final validation accuracies and loss of a training run."""
    accuracies = list(trained.val["accuracy"].values())[-N_FINAL_EPOCHS * course.VALIDATIONS_PER_EPOCH :]
    return {
        "mean accuracy of the last ten epochs": float(np.mean(accuracies)),
        "worst accuracy of the last ten epochs": float(min(accuracies)),
        "last validation loss": course.get_last_value(trained.val["loss"]),
    }


def find_step_reaching_loss(history: Mapping[int, float], loss: float) -> int | None:
    """Return the first step at which a history is at most `loss`, or None if there is none."""
    return next((step for step, value in history.items() if value <= loss), None)


def find_dips(trained: course.TrainedModel) -> list[int]:
    """Return the steps of the deepest dips of the validation accuracy after the first epoch."""
    accuracies = {step: value for step, value in trained.val["accuracy"].items() if step >= trained.steps_per_epoch}
    decreases = -np.diff(list(accuracies.values()))
    deepest_indices = np.argsort(-decreases, kind="stable")[:MAX_DIPS]
    indices = np.sort(
        deepest_indices[
            (decreases[deepest_indices] >= MIN_RELATIVE_DIP * decreases.max()) & (decreases[deepest_indices] > 0)
        ]
    )
    return [list(accuracies)[index + 1] for index in indices]


def count_dips(trained: course.TrainedModel) -> dict[str, Any]:
    """Return the number of dips, and the index of the batch after which most of them occur."""
    batches: list[Any] = [step % trained.steps_per_epoch for step in find_dips(trained)]
    most_frequent_batch = max(batches, key=batches.count) if batches else None
    return {
        "dips": len(batches),
        "batch_of_most_dips": most_frequent_batch,
        "dips_after_that_batch": batches.count(most_frequent_batch),
    }


def _count_steps_between_same_batches(trained):
    """Return the number of steps between two validations after the same batch of an epoch."""
    steps_per_validation = max(1, trained.steps_per_epoch // course.VALIDATIONS_PER_EPOCH)
    return int(np.lcm(trained.steps_per_epoch, steps_per_validation))
