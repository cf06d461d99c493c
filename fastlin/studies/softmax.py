"""Loss and accuracy of softmax regression of all ten digits, and the step from which it overfits."""

import numpy as np

from fastlin.studies.settings import BATCH_SIZE, Results, last, softmax_data, train_softmax

# The gap between the accuracies is averaged over so many successive validations, which make an epoch.
GAP_WINDOW = 5


def run(settings):
    """Train for 50 epochs, 5 where quick."""
    epochs = 5 if settings.quick else 50
    settings.notify(f"ten digits, {epochs} epochs")
    model, train, val = train_softmax(settings, epochs)
    _, _, X_val, Y_val = softmax_data(settings.data)
    n_last = len(X_val) // 5
    last_fifth = np.mean(model.forward(X_val[-n_last:]).argmax(axis=1) == Y_val[-n_last:].argmax(axis=1))
    steps, gap = accuracy_gap(train["accuracy"], val["accuracy"])
    return Results(
        parameters={"learning_rate": 0.01, "batch_size": BATCH_SIZE, "epochs": epochs, "shuffle": True},
        merits={
            "final_train_loss": last(train["loss"]),
            "final_validation_loss": last(val["loss"]),
            "final_train_accuracy": last(train["accuracy"]),
            "final_validation_accuracy": last(val["accuracy"]),
            f"final_accuracy_last_{n_last}_validation_images": float(last_fifth),
            "overfitting_onset_step": find_onset(steps, gap),
        },
        series={"train": train, "val": val, "gap_steps": steps, "gap": gap},
    )


def accuracy_gap(train_accuracy, val_accuracy):
    """Return steps and training minus validation accuracy, averaged over GAP_WINDOW validations."""
    difference = np.array(list(train_accuracy.values())) - np.array(list(val_accuracy.values()))
    window = np.ones(GAP_WINDOW) / GAP_WINDOW
    return np.array(list(val_accuracy))[GAP_WINDOW - 1 :], np.convolve(difference, window, mode="valid")


def find_onset(steps, gap):
    """Return the step from which on the training accuracy stays above the validation accuracy, or None."""
    if len(gap) == 0 or gap[-1] <= 0:
        return None
    below = np.flatnonzero(gap <= 0)
    return int(steps[below[-1] + 1]) if len(below) else int(steps[0])
