"""The epoch in which early stopping ends the training of 2 against 3, without shuffling and with many orders."""

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings


def run(settings: Settings) -> Results:
    """Train once in order, and shuffled by 20 seeds, 4 where quick; on MNIST also on report B's random split."""
    settings.notify("in the order of the data")
    in_order = course.train_binary(settings, shuffle=False, early_stopping=True)
    seeds, shuffled = course.train_orders(settings, 4 if settings.quick else 20, early_stopping=True)
    stops = [trained.last_epoch for trained in shuffled]
    merits = {
        "stop_epoch_in_order": in_order.last_epoch,
        "median_stop_epoch_shuffled": float(np.median(stops)),
        "stop_epochs_shuffled": sorted(stops),
        "orders_stopped_before_the_limit": sum(stop < course.MOST_EPOCHS for stop in stops),
        "best_validation_loss_in_order": min(in_order.val["loss"].values()),
        "median_best_validation_loss_shuffled": float(np.median([min(t.val["loss"].values()) for t in shuffled])),
    }
    series = {"in_order": in_order, "shuffled": shuffled[0]}
    if course.has_random_split(settings.data):
        settings.notify("random split")
        random_split = course.train_binary(settings, shuffle=False, early_stopping=True, random_split=True)
        merits["stop_step_random_split"] = random_split.last_step
        merits["stop_epoch_random_split"] = random_split.last_epoch
    limits = {"epochs": course.MOST_EPOCHS, "patience": course.PATIENCE}
    return Results({**course.describe_training(settings, "binary"), **limits, "seeds": seeds}, merits, series)
