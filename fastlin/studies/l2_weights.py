"""The weights of softmax regression as images, with and without an L2 penalty."""

import numpy as np

from fastlin.studies.l2_sweep import count_epochs
from fastlin.studies.settings import BATCH_SIZE, Results, roughness, train_softmax


def run(settings):
    """Train with lambda 0, with 1 and the penalty lambda ||w||^2, and with 2 and the same penalty by its half."""
    epochs = count_epochs(settings)
    weights = {}
    for name, l2_reg_lambda, half in (("0", 0.0, False), ("1", 1.0, False), ("2 (½ convention)", 2.0, True)):
        settings.notify(f"λ = {name}")
        weights[name] = train_softmax(settings, epochs, l2_reg_lambda, half)[0].w
    return Results(
        parameters={"learning_rate": 0.01, "batch_size": BATCH_SIZE, "epochs": epochs, "lambdas": list(weights)},
        merits={
            "squared_norm": {name: float(np.sum(w**2)) for name, w in weights.items()},
            "pixel_roughness": {name: _relative_roughness(w) for name, w in weights.items()},
        },
        series={"weights": weights},
    )


def _relative_roughness(w):
    """Return the spread of the differences between neighbouring pixels, relative to the spread of the pixels."""
    pixels = w[:-1]
    return float(np.mean([roughness(column) / np.std(column) for column in pixels.T]))
