"""The epoch in which early stopping ends the training of 2 against 3, without shuffling and with many orders."""

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings

N_ORDERS = 20
# The epoch in which report A's training stops.
REPORTED_EPOCH = 17


def run(settings: Settings) -> Results:
    """Train once in order, and shuffled by 20 seeds, 4 where quick; on MNIST also on images drawn at random."""
    settings.notify("in the order of the data")
    in_order = course.train_binary(settings, shuffle=False, early_stopping=True)
    seeds, shuffled = course.train_orders(settings, 4 if settings.quick else N_ORDERS, early_stopping=True)
    stops = [trained.last_epoch for trained in shuffled]
    merits = {
        "stop_epoch_in_order": in_order.last_epoch,
        "stop_epoch_of_the_first_order": stops[0],
        "median_stop_epoch_shuffled": float(np.median(stops)),
        "stop_epochs_shuffled": sorted(stops),
        "orders": len(stops),
        "orders_stopped_before_the_limit": sum(stop < course.MOST_EPOCHS for stop in stops),
        "orders_that_stop_within_an_epoch_of_17": sum(abs(stop - REPORTED_EPOCH) <= 1 for stop in stops),
        "best_validation_loss_in_order": min(in_order.val["loss"].values()),
        "median_best_validation_loss_shuffled": float(np.median([min(t.val["loss"].values()) for t in shuffled])),
    }
    drawn = course.train_splits(settings, course.train_binary, shuffle=False, early_stopping=True)
    steps = {str(split): trained.last_step for split, trained in drawn}
    if steps:
        merits["stop_steps_of_random_splits"] = steps
    limits = {"epochs": course.MOST_EPOCHS, "patience": course.PATIENCE}
    parameters = {**course.describe_training(settings, "binary"), **limits, "seeds": seeds}
    return Results(parameters, merits, {"in_order": in_order, "shuffled": shuffled[0]})
