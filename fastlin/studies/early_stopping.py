"""The epoch in which early stopping ends the training of 2 against 3, without shuffling and with many orders."""

import numpy as np

from fastlin.studies.settings import BATCH_SIZE, Results, binary_data, steps_per_epoch, train_binary


def run(settings):
    """Train for up to 500 epochs with patience 10: once in order, and shuffled by 20 seeds, 4 where quick."""
    seeds = [(settings.seed + i) % 2**32 for i in range(4 if settings.quick else 20)]
    per_epoch = steps_per_epoch(binary_data(settings.data)[0])
    max_epochs = 500

    def stop(history):
        return len(history["loss"]) / per_epoch

    settings.notify("in the order of the data")
    _, plain_train, plain_val = train_binary(settings, max_epochs, shuffle=False, early_stopping=True)
    shuffled = []
    for seed in seeds:
        settings.notify(f"shuffled, seed {seed}")
        shuffled.append(train_binary(settings, max_epochs, shuffle=True, early_stopping=True, seed=seed)[1:])
    stops = [stop(train) for train, _ in shuffled]
    return Results(
        parameters={
            "learning_rate": 0.05,
            "batch_size": BATCH_SIZE,
            "patience": 10,
            "max_epochs": max_epochs,
            "seeds": seeds,
        },
        merits={
            "stop_epoch_without_shuffling": stop(plain_train),
            "stop_epochs_with_shuffling": stops,
            "median_stop_epoch_with_shuffling": float(np.median(stops)),
            "best_validation_loss_without_shuffling": min(plain_val["loss"].values()),
            "best_validation_loss_with_shuffling": min(min(val["loss"].values()) for _, val in shuffled),
        },
        series={
            "plain": {"train": plain_train, "val": plain_val},
            "shuffled": {"train": shuffled[0][0], "val": shuffled[0][1]},
            "steps_per_epoch": per_epoch,
        },
    )
