"""L2 penalties on softmax regression: the accuracy, the length of the weights, their pictures and the noise."""

from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.studies.verdicts import SAME_RATE
from fastlin.typing import FloatArray

PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0)


def run_sweep(settings: Settings) -> Results:
    """Train a model for each λ, without early stopping, and compare their validation accuracies."""
    histories = {key: trained.val["accuracy"] for key, trained in _train_each(settings)}
    return Results(
        parameters=_describe(settings),
        merits={
            "best_validation_accuracy": {f"{key:g}": max(values.values()) for key, values in histories.items()},
            "final_validation_accuracy": {f"{key:g}": course.last(values) for key, values in histories.items()},
        },
        series={"accuracy": histories},
    )


def run_norm(settings: Settings) -> Results:
    """Compute ||w||^2 of the same models at the end of their trainings."""
    norms = {f"{key:g}": float(np.sum(trained.model.w**2)) for key, trained in _train_each(settings)}
    return Results(parameters=_describe(settings), merits={"squared_norm": norms})


def run_weights(settings: Settings) -> Results:
    """Train with λ = 0, with λ = 1 and the penalty λ ||w||^2, and with λ = 2 and ½ λ ||w||^2.

    Where λ = 1 has a learning rate of its own, λ = 0 is trained with that rate too, so that the two can be compared.
    """
    cases: dict[str, dict[str, Any]] = {
        "0": {},
        "1": {"l2_reg_lambda": 1.0},
        "2, ½ convention": {"l2_reg_lambda": 2.0, "half": True},
    }
    if course.find_protocol(settings.data, settings.quick).learning_rates:
        cases[SAME_RATE] = {"rate_of": 1.0}
    trained = {}
    for name, case in cases.items():
        settings.notify(f"λ = {name}")
        trained[name] = course.train_softmax(settings, **case)
    weights = {name: one.model.w for name, one in trained.items()}
    return Results(
        parameters={**course.describe_training(settings, "softmax"), "lambdas": list(trained)},
        merits={
            "by_lambda": {name: _measure(one) for name, one in trained.items()},
            "largest_difference_of_the_conventions": float(np.abs(weights["1"] - weights["2, ½ convention"]).max()),
        },
        series={"weights": weights},
    )


def _train_each(settings):
    """Yield each λ and the Trained model."""
    for l2_reg_lambda in PENALTIES:
        settings.notify(f"λ = {l2_reg_lambda:g}")
        yield l2_reg_lambda, course.train_softmax(settings, l2_reg_lambda)


def _describe(settings):
    return {**course.describe_training(settings, "softmax"), "lambdas": list(PENALTIES)}


def _measure(trained):
    w = trained.model.w
    return {
        "squared_norm": float(np.sum(w**2)),
        "roughness": relative_roughness(w),
        "train_loss_spikes": trained.measure_spikes(trained.train["loss"]),
        "validation_loss_spikes": trained.measure_spikes(trained.val["loss"]),
        "validation_accuracy_spikes": trained.measure_spikes(trained.val["accuracy"]),
    }


def relative_roughness(w: FloatArray) -> float:
    """Return the root mean square difference of neighbouring pixels, in rows and columns, by the pixels' deviation.

    It is the mean over the pictures of the outputs. The last row of w holds the biases, which are no pixels.
    """
    n_pixels, n_outputs = len(w) - 1, w.shape[1]
    side = round(n_pixels**0.5)
    pictures = w[:-1].T.reshape(n_outputs, side, side)
    differences = np.concatenate([np.diff(pictures, axis=axis).reshape(n_outputs, -1) for axis in (1, 2)], axis=1)
    return float(np.mean(np.sqrt(np.mean(differences**2, axis=1)) / pictures.reshape(n_outputs, -1).std(axis=1)))
