"""Validation accuracy of softmax regression under L2 penalties of several strengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastlin.course.studies.course import PENALTIES, describe_training, last, train_softmax
from fastlin.course.studies.settings import Results

if TYPE_CHECKING:
    from fastlin.course.studies.settings import Settings


def run(settings: Settings) -> Results:
    """Train a model for each λ, without early stopping."""
    histories = {}
    for l2_reg_lambda in PENALTIES:
        settings.notify(f"λ = {l2_reg_lambda:g}")
        histories[l2_reg_lambda] = train_softmax(settings, l2_reg_lambda).val["accuracy"]
    return Results(
        parameters={**describe_training(settings, "softmax"), "lambdas": list(PENALTIES)},
        merits={
            "best_validation_accuracy": {f"{key:g}": max(values.values()) for key, values in histories.items()},
            "final_validation_accuracy": {f"{key:g}": last(values) for key, values in histories.items()},
        },
        series={"accuracy": histories},
    )
