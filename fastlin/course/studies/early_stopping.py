"""The epoch in which early stopping ends the training of 2 against 3, without shuffling and with many orders."""

import numpy as np

from fastlin.course.studies.course_training import (
    MOST_EPOCHS,
    PATIENCE,
    describe_training,
    has_random_split,
    train_binary,
    train_orders,
)
from fastlin.course.studies.settings import Results, Settings


def run(settings: Settings) -> Results:
    """Train once in order, and shuffled by 20 seeds, 4 where quick; on MNIST also on report B's random split."""
    settings.notify("in the order of the data")
    in_order = train_binary(settings, shuffle=False, early_stopping=True)
    seeds, shuffled = train_orders(settings, 4 if settings.quick else 20, early_stopping=True)
    stops = [trained.last_epoch for trained in shuffled]
    merits = {
        "stop_epoch_in_order": in_order.last_epoch,
        "median_stop_epoch_shuffled": float(np.median(stops)),
        "stop_epochs_shuffled": sorted(stops),
        "orders_stopped_before_the_limit": sum(stop < MOST_EPOCHS for stop in stops),
        "best_validation_loss_in_order": min(in_order.val["loss"].values()),
        "median_best_validation_loss_shuffled": float(np.median([min(t.val["loss"].values()) for t in shuffled])),
    }
    series = {"in_order": in_order, "shuffled": shuffled[0]}
    if has_random_split(settings.data):
        settings.notify("random split")
        random_split = train_binary(settings, shuffle=False, early_stopping=True, random_split=True)
        merits["stop_step_random_split"] = random_split.last_step
        merits["stop_epoch_random_split"] = random_split.last_epoch
    parameters = {**describe_training(settings, "binary"), "epochs": MOST_EPOCHS, "patience": PATIENCE, "seeds": seeds}
    return Results(parameters, merits, series)
