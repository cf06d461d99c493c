"""The squared norm of the weights under L2 penalties of several strengths, of the models of l2_sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.course.studies.course import PENALTIES, describe_training, train_softmax
from fastlin.course.studies.settings import Results

if TYPE_CHECKING:
    from fastlin.course.studies.settings import Settings


def run(settings: Settings) -> Results:
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
