"""Validation accuracy of softmax regression under L2 penalties of several strengths."""

from fastlin.studies.settings import BATCH_SIZE, Results, last, train_softmax

LAMBDAS = (1.0, 0.1, 0.01, 0.001)


def count_epochs(settings):
    """Return the number of epochs that each model is trained for: 20, or 3 where quick."""
    return 3 if settings.quick else 20


def run(settings):
    """Train a model for each lambda, without early stopping."""
    epochs = count_epochs(settings)
    histories = {}
    for l2_reg_lambda in LAMBDAS:
        settings.notify(f"λ = {l2_reg_lambda:g}")
        histories[l2_reg_lambda] = train_softmax(settings, epochs, l2_reg_lambda)[2]["accuracy"]
    return Results(
        parameters={"learning_rate": 0.01, "batch_size": BATCH_SIZE, "epochs": epochs, "lambdas": list(LAMBDAS)},
        merits={
            "best_validation_accuracy": {f"{key:g}": max(values.values()) for key, values in histories.items()},
            "final_validation_accuracy": {f"{key:g}": last(values) for key, values in histories.items()},
        },
        series={"accuracy": histories},
    )
