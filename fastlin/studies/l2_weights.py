"""The weights of softmax regression as images, with and without an L2 penalty, and the noise of their losses."""

import numpy as np

from fastlin.studies.course import describe_training, roughness, train_softmax
from fastlin.studies.settings import Results


def run(settings):
    """Train with λ = 0, with λ = 1 and the penalty λ ||w||^2, and with λ = 2 and ½ λ ||w||^2."""
    trained = {}
    for name, l2_reg_lambda, half in (("0", 0.0, False), ("1", 1.0, False), ("2, ½ convention", 2.0, True)):
        settings.notify(f"λ = {name}")
        trained[name] = train_softmax(settings, l2_reg_lambda, half=half)
    weights = {name: one.model.w for name, one in trained.items()}
    return Results(
        parameters={**describe_training(settings, "softmax"), "lambdas": list(trained)},
        merits={
            "by_lambda": {name: _measure(one) for name, one in trained.items()},
            "largest_difference_of_the_conventions": float(np.abs(weights["1"] - weights["2, ½ convention"]).max()),
        },
        series={"weights": weights},
    )


def _measure(trained):
    w = trained.model.w
    return {
        "squared_norm": float(np.sum(w**2)),
        "roughness": relative_roughness(w),
        "train_loss_spikes": roughness(trained.after_first_epoch(trained.train["loss"])),
        "validation_accuracy_spikes": roughness(trained.after_first_epoch(trained.val["accuracy"])),
    }


def relative_roughness(w):
    """Return the root mean square difference of neighbouring pixels, in rows and columns, by the pixels' deviation.

    It is the mean over the pictures of the outputs. The last row of w holds the biases, which are no pixels.
    """
    n_pixels, n_outputs = len(w) - 1, w.shape[1]
    side = round(n_pixels**0.5)
    pictures = w[:-1].T.reshape(n_outputs, side, side)
    differences = np.concatenate(
        [np.diff(pictures, axis=axis).reshape(n_outputs, -1) for axis in (1, 2)],
        axis=1,
    )
    return float(np.mean(np.sqrt(np.mean(differences**2, axis=1)) / pictures.reshape(n_outputs, -1).std(axis=1)))
