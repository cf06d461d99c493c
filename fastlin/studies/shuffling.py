"""How shuffling smooths the curves of 2 against 3, with and without early stopping.

The size of the spikes is the standard deviation of the differences between successive values, taken from the second
epoch on. It is measured for the validation accuracy and for the training loss.
"""

from fastlin.studies.settings import BATCH_SIZE, Results, binary_data, roughness, steps_per_epoch, train_binary


def run(settings):
    """Train with and without shuffling, with early stopping and for 50 epochs, 10 where quick."""
    first_epoch = steps_per_epoch(binary_data(settings.data)[0])
    epochs = {"early_stopping": 500, "full_length": 10 if settings.quick else 50}
    merits, series = {}, {}
    for case, n_epochs in epochs.items():
        for shuffle in (False, True):
            name = "shuffled" if shuffle else "in_order"
            settings.notify(f"{case.replace('_', ' ')}, {name.replace('_', ' ')}")
            _, train, val = train_binary(settings, n_epochs, shuffle=shuffle, early_stopping=case == "early_stopping")
            for measure, history in (("accuracy", val["accuracy"]), ("loss", train["loss"])):
                # The losses of the first epoch fall so steeply that the spikes would not show.
                later = [value for step, value in history.items() if step >= first_epoch]
                merits[f"{measure}_spikes_{case}_{name}"] = roughness(later)
            series[case, name] = {"train": train, "val": val}
    return Results(
        parameters={"learning_rate": 0.05, "batch_size": BATCH_SIZE, "epochs": epochs, "patience": 10},
        merits=merits,
        series=series,
    )
