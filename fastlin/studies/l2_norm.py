"""The squared norm of the weights under L2 penalties of several strengths, of the models of l2_sweep."""

import numpy as np

from fastlin.studies.course import PENALTIES, describe_training, train_softmax
from fastlin.studies.settings import Results


def run(settings):
    """Compute ||w||^2 of the model of each λ at the end of its training."""
    norms = {}
    for l2_reg_lambda in PENALTIES:
        settings.notify(f"λ = {l2_reg_lambda:g}")
        norms[l2_reg_lambda] = float(np.sum(train_softmax(settings, l2_reg_lambda).model.w ** 2))
    return Results(
        parameters={**describe_training(settings, "softmax"), "lambdas": list(PENALTIES)},
        merits={"squared_norm": {f"{key:g}": value for key, value in norms.items()}},
        series={"norms": norms},
    )
