"""The squared norm of the weights under L2 penalties of several strengths, of the models of l2_sweep."""

import numpy as np

from fastlin.studies.l2_sweep import LAMBDAS, count_epochs
from fastlin.studies.settings import BATCH_SIZE, Results, train_softmax


def run(settings):
    """Compute ||w||^2 of the model of each lambda at the end of its training."""
    epochs = count_epochs(settings)
    norms = {}
    for l2_reg_lambda in LAMBDAS:
        settings.notify(f"λ = {l2_reg_lambda:g}")
        norms[l2_reg_lambda] = float(np.sum(train_softmax(settings, epochs, l2_reg_lambda)[0].w ** 2))
    return Results(
        parameters={"learning_rate": 0.01, "batch_size": BATCH_SIZE, "epochs": epochs, "lambdas": list(LAMBDAS)},
        merits={"squared_norm": {f"{key:g}": value for key, value in norms.items()}},
        series={"norms": norms},
    )
