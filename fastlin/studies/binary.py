"""Loss and accuracy of logistic regression of the digits 2 against 3, trained in the order of the data."""

from fastlin.studies.settings import Results, binary_data, last, train_binary


def run(settings):
    """Train for 50 epochs, 10 where quick."""
    epochs = 10 if settings.quick else 50
    settings.notify(f"2 against 3, {epochs} epochs")
    _, train, val = train_binary(settings, epochs, shuffle=False)
    X_train, _, X_val, _ = binary_data(settings.data)
    return Results(
        parameters={"learning_rate": 0.05, "batch_size": 128, "epochs": epochs, "shuffle": False},
        merits={
            "n_train": len(X_train),
            "n_validation": len(X_val),
            "final_train_loss": last(train["loss"]),
            "final_validation_loss": last(val["loss"]),
            "final_train_accuracy": last(train["accuracy"]),
            "final_validation_accuracy": last(val["accuracy"]),
        },
        series={"train": train, "val": val},
    )
