"""L2 penalties in softmax regression: accuracy, norm of the weights, weights as images, and noise."""

from dataclasses import replace
from typing import Any

import numpy as np

from fastlin.course.studies import course_training as course
from fastlin.course.studies.cifar10_training import Images, read_recipe
from fastlin.course.studies.cifar10_training import train as train_network
from fastlin.course.studies.settings import Results, Settings
from fastlin.typing import Array, FloatArray

PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0)
N_SEEDS = 3
# The name of the model that is trained without a penalty at the learning rate of λ = 1, if this rate differs.
UNPENALIZED_SAME_RATE_MODEL = "0, at the learning rate of λ = 1"
# The digit whose weights form a straight line in the middle, according to report B.
DIGIT_ONE = 1
# Maximum offset, relative to the side length, of a line that is in the middle of an image.
MAX_RELATIVE_LINE_OFFSET = 1 / 8
NETWORK_RECIPE = read_recipe("course")
NETWORK_PENALTY, N_NETWORKS = 3e-4, 5


def study_l2_weights(settings: Settings) -> Results:
    """Train with λ = 0, with λ = 1 and penalty λ ||w||^2, and with λ = 2 and penalty ½ λ ||w||^2.

    The first two models are trained with several seeds. If λ = 1 has its own learning rate, λ = 0 is also trained with
    that rate for comparison.
    """
    cases: dict[str, dict[str, Any]] = {
        "0": {},
        "1": {"l2_reg_lambda": 1.0},
        "2, ½ convention": {"l2_reg_lambda": 2.0, "half": True},
    }
    unpenalized_name = "0"
    if course.find_training_settings(settings)["learning_rates"]:
        cases[unpenalized_name := UNPENALIZED_SAME_RATE_MODEL] = {"rate_lambda": 1.0}
    trained = course.train_cases(settings, "softmax", "λ =", cases)
    seeds = course.choose_seeds(settings, 2 if settings.quick else N_SEEDS)
    # Measures without and with the penalty for each seed.
    models_by_seed = [
        course.train_with_seeds(settings, "softmax", seeds, **cases[name]).values() for name in (unpenalized_name, "1")
    ]
    pairs = [(_measure(without), _measure(penalized)) for without, penalized in zip(*models_by_seed, strict=True)]
    weights = {name: result.model.w for name, result in trained.items()}

    def count_smaller_measures(*names):
        """Return the number of seeds for which all measures in `names` are smaller with the penalty."""
        return sum(all(penalized[name] < without[name] for name in names) for without, penalized in pairs)

    return Results(
        parameters={**course.describe_training(settings, "softmax"), "lambdas": list(trained), "seeds": seeds},
        metrics={
            "by_lambda": {name: _measure(result) for name, result in trained.items()},
            "largest_difference_of_the_conventions": float(np.abs(weights["1"] - weights["2, ½ convention"]).max()),
            "seeds": len(seeds),
            "seeds_with_smoother_weights": count_smaller_measures("roughness"),
            "seeds_with_smaller_weights": count_smaller_measures("largest_weight"),
            "seeds_with_a_straighter_1": sum(
                penalized["offset_of_the_1"] <= MAX_RELATIVE_LINE_OFFSET
                and all(penalized[name] < without[name] for name in ("width_of_the_1", "slant_of_the_1"))
                for without, penalized in pairs
            ),
            "seeds_with_calmer_losses": count_smaller_measures(
                "relative_train_loss_spikes", "relative_validation_loss_spikes"
            ),
        },
        series={"weights": weights},
    )


def study_l2_sweep(settings: Settings) -> Results:
    """Train a model for each λ without early stopping, and a network with and without a penalty."""
    trained = _train_penalized_models(settings)
    best = {name: max(result.val["accuracy"].values()) for name, result in trained.items()}
    recipe = replace(NETWORK_RECIPE, epochs=2) if settings.quick else NETWORK_RECIPE
    networks = _train_networks(settings, recipe)
    gains = np.subtract(networks[f"{NETWORK_PENALTY:g}"], networks["0"])
    return Results(
        parameters={**_describe(settings), "network": recipe.describe()},
        metrics={
            "best_validation_accuracy": best,
            "final_validation_accuracy": {
                name: course.get_last_value(result.val["accuracy"]) for name, result in trained.items()
            },
            "final_training_accuracy": {
                name: course.get_last_value(result.train["accuracy"]) for name, result in trained.items()
            },
            "points_gained_by_the_best_penalty": 100 * (max(best[name] for name in best if name != "0") - best["0"]),
            **_measure_penalty_effects(
                trained["1"], trained["0"], *course.load_images(settings.data, "softmax", None)[:2]
            ),
            "best_validation_accuracy_of_a_network": {reg: float(np.mean(values)) for reg, values in networks.items()},
            "points_gained_by_a_network": 100 * float(gains.mean()),
            "error_of_the_gain": 100 * float(gains.std(ddof=1) / len(gains) ** 0.5),
            "networks": len(gains),
        },
        series={"accuracy": {name: result.val["accuracy"] for name, result in trained.items()}},
    )


def study_l2_norm(settings: Settings) -> Results:
    """Compute the final ||w||^2 of the models of `study_l2_sweep`."""
    norms = {name: float(np.sum(result.model.w**2)) for name, result in _train_penalized_models(settings).items()}
    return Results(parameters=_describe(settings), metrics={"squared_norm": norms})


def _train_penalized_models(settings):
    """Return a dict from the name of each λ to the Trained model."""
    cases = {f"{l2_reg_lambda:g}": {"l2_reg_lambda": l2_reg_lambda} for l2_reg_lambda in PENALTIES}
    return course.train_cases(settings, "softmax", "λ =", cases)


def _describe(settings):
    return {**course.describe_training(settings, "softmax"), "lambdas": list(PENALTIES)}


def _train_networks(settings, recipe):
    """Return a dict from each penalty to the network's best validation accuracies, one per seed."""
    X_train, Y_train, X_val, Y_val = course.load_images(settings.data, "softmax", None)
    # Networks have biases, so the column of ones is removed.
    X_train, X_val = (np.ascontiguousarray(X[:, :-1], dtype=np.float32) for X in (X_train, X_val))
    y_train, y_val = (Y.argmax(axis=1) for Y in (Y_train, Y_val))
    images = Images(settings.data.name, X_train, y_train, X_val, y_val, X_val, y_val)
    accuracies: dict[str, list[float]] = {}
    for reg in (NETWORK_PENALTY, 0.0):
        for seed in course.choose_seeds(settings, 2 if settings.quick else N_NETWORKS):
            settings.notify(f"network, λ = {reg:g}, seed {seed}")
            trained = train_network(images, replace(recipe, reg=reg), seed)
            accuracies.setdefault(f"{reg:g}", []).append(trained.accuracies["validation"])
    return accuracies


def _measure(trained):
    w = trained.model.w
    width, slant, offset = measure_vertical_line(w[:-1, DIGIT_ONE])
    return {
        "squared_norm": float(np.sum(w**2)),
        "largest_weight": float(np.abs(w[:-1]).max()),
        "roughness": measure_relative_roughness(w),
        "width_of_the_1": width,
        "slant_of_the_1": slant,
        "offset_of_the_1": offset,
        "relative_train_loss_spikes": _measure_relative_spikes(trained, trained.train["loss"]),
        "relative_validation_loss_spikes": _measure_relative_spikes(trained, trained.val["loss"]),
        "validation_accuracy_spikes": trained.measure_spikes(trained.val["accuracy"]),
    }


def _measure_relative_spikes(trained, losses):
    """Return the spikes divided by the mean loss, because a penalty increases both."""
    return trained.measure_spikes(losses) / float(np.mean(trained.values_after_first_epoch(losses)))


def measure_vertical_line(weights: FloatArray) -> tuple[float, float, float]:
    """Return width, slant and offset of the vertical line that positive weights form, relative to the side length.

    First, the mean weight of the pixels at the border, which hardly vary, is subtracted from the weights. The width is
    the weighted standard deviation of the column indices. The slant is the standard deviation of the centers of the
    rows in the middle half. The offset is the distance of the line's center from the middle.
    """
    side = round(len(weights) ** 0.5)
    image = weights.reshape(side, side)
    border_weights = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    positive_image = np.maximum(image - border_weights.mean(), 0)
    columns = np.arange(side)
    column_weight_sums = positive_image.sum(axis=0)
    center = column_weight_sums @ columns / column_weight_sums.sum()
    rows = positive_image[side // 4 : side - side // 4]
    rows = rows[rows.sum(axis=1) > 0]
    means = rows @ columns / rows.sum(axis=1)
    width = np.sqrt(column_weight_sums @ (columns - center) ** 2 / column_weight_sums.sum())
    return float(width / side), float(means.std() / side), float(abs(center - columns.mean()) / side)


def _measure_penalty_effects(
    penalized: course.TrainedModel, unpenalized: course.TrainedModel, X: Array, Y: Array
) -> dict[str, float]:
    """Compare the gradients of the penalty and of the loss, and the training errors with and without a penalty."""
    model = penalized.model
    penalty_gradient = model.l2 * model.w
    loss_gradient = X.T @ (model.forward(X) - Y) / len(X)
    # The initial weights are zero, so all classes have equal probabilities.
    initial_gradient = X.T @ (1 / Y.shape[1] - Y) / len(X)
    labels = Y.argmax(axis=1)
    accuracies = [np.mean(trained.model.forward(X).argmax(axis=1) == labels) for trained in (penalized, unpenalized)]
    return {
        "gradient_of_the_penalty_over_that_of_the_loss": float(
            np.linalg.norm(penalty_gradient) / np.linalg.norm(loss_gradient)
        ),
        "gradient_at_the_end_over_that_at_the_start": float(
            np.linalg.norm(loss_gradient + penalty_gradient) / np.linalg.norm(initial_gradient)
        ),
        "training_error_with_the_penalty": float(1 - accuracies[0]),
        "training_error_without_it": float(1 - accuracies[1]),
        "points_of_training_accuracy_lost": 100 * float(accuracies[1] - accuracies[0]),
    }


def measure_relative_roughness(w: FloatArray) -> float:
    """Return the RMS difference of neighboring weights relative to their standard deviation (mean over the outputs)."""
    n_pixels, n_outputs = len(w) - 1, w.shape[1]
    side = round(n_pixels**0.5)
    images = w[:-1].T.reshape(n_outputs, side, side)
    differences = np.concatenate([np.diff(images, axis=axis).reshape(n_outputs, -1) for axis in (1, 2)], axis=1)
    return float(np.mean(np.sqrt(np.mean(differences**2, axis=1)) / images.reshape(n_outputs, -1).std(axis=1)))
