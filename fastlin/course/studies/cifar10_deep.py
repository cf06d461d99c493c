"""Deeper networks on CIFAR-10: their failure with small normal initial weights, and remedies.

The report states no initialization, optimizer or learning rate. Claims are therefore tested with fastlin's settings and
with the homework's template.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastlin.course.datasets import Dataset
from fastlin.course.studies import cifar10_training as networks
from fastlin.course.studies.cifar10_training import Images, Recipe
from fastlin.course.studies.settings import SETTINGS, Results, Settings

N_COMPONENTS = 300
DEPTHS, QUICK_DEPTHS = tuple(range(2, 11)), (2, 4, 10)
# Numbers of hidden layers with which networks from normal initial weights are better than a random guess.
SHALLOW_DEPTHS = 2, 3
N_LAYER_SIZE_DRAWS = 3
# The smallest and the largest number of units of a hidden layer.
LAYER_SIZE_RANGE = 20, 100
N_TEMPLATE_VALIDATION_IMAGES = 1_000
# Kinds of network inputs.
COMPONENT_INPUTS, CENTERED_PIXEL_INPUTS, PIXEL_INPUTS, TEMPLATE_PIXEL_INPUTS = (
    "components",
    "centered pixels",
    "pixels",
    "pixels from −1 to 1",
)
NO_RECIPE_CHANGE, INPUT_NORMALIZATION_CHANGE, DROPOUT_CHANGE = "plain", "batch norm of the input", "dropout"
# According to the report, networks with more hidden layers than this are no better than a random guess. A guess
# among ten classes has an accuracy of 0.1, or at most 0.12 in the best epoch. A network that learns reaches 0.3.
MAX_TRAINABLE_DEPTH, MAX_GUESS_ACCURACY, MIN_LEARNED_ACCURACY = 3, 0.12, 0.3


@dataclass(frozen=True)
class Variant:
    """Settings of a training run of deeper networks. `recipe` does not contain the units of the hidden layers."""

    recipe: Recipe
    depths: tuple  # numbers of hidden layers
    inputs: str


def _make_variant(recipe, inputs=COMPONENT_INPUTS, few=False, **recipe_changes):
    return Variant(networks.read_recipe(recipe, **recipe_changes), SHALLOW_DEPTHS if few else DEPTHS, inputs)


# Variants by their names in the form "recipe, change".
VARIANTS = {name: _make_variant(**row) for name, row in SETTINGS["variants"].items()}


def study_cifar10_deep(settings: Settings) -> Results:
    """Train each variant at its depths with three draws of units. A quick study uses fewer depths and one draw."""
    settings.notify("images")
    # The cache cannot store all kinds of images, so the components are computed before the pixels.
    n_images, n_components = networks.prepare_images(settings.data, N_COMPONENTS, settings.quick).X_train.shape
    n_layer_size_draws, depths = (1, QUICK_DEPTHS) if settings.quick else (N_LAYER_SIZE_DRAWS, DEPTHS)
    units = {
        (depth, sample_index): sample_units(settings.seed, depth, sample_index)
        for depth in depths
        for sample_index in range(n_layer_size_draws)
    }
    cases = {
        (name, depth, sample_index): (
            replace(variant.recipe, hidden=units[depth, sample_index]),
            (settings.seed + sample_index) % 2**32,
        )
        for depth, sample_index in units
        for name, variant in VARIANTS.items()
        if depth in variant.depths
    }
    results = {}
    for inputs in dict.fromkeys(variant.inputs for variant in VARIANTS.values()):
        selected_cases = {key: case for key, case in cases.items() if VARIANTS[key[0]].inputs == inputs}
        for key, trained in networks.train_recipes(prepare_inputs(settings, inputs), selected_cases):
            results[key] = trained
            settings.notify(f"{len(results)} of {len(cases)} networks", len(results) / len(cases))
    # The best validation accuracy of each draw for each variant and depth.
    best: dict[str, dict[str, list[float]]] = {name: {} for name in VARIANTS}
    for name, depth, sample_index in cases:
        best[name].setdefault(str(depth), []).append(results[name, depth, sample_index].accuracies["validation"])
    means = {name: {depth: float(np.mean(values)) for depth, values in row.items()} for name, row in best.items()}
    shallow_depths = [str(depth) for depth in depths if depth in SHALLOW_DEPTHS]
    deep_variants = [name for name, variant in VARIANTS.items() if variant.depths != SHALLOW_DEPTHS]
    readings = {name: means[f"{name}, {NO_RECIPE_CHANGE}"] for name in ("normal", "He", "template")}
    deeper_accuracies = {name: _find_best_deep_accuracy(row) for name, row in readings.items()}
    three_layer_accuracies = {name: row.get(str(MAX_TRAINABLE_DEPTH)) for name, row in readings.items()}

    def compute_accuracy_gain(recipe, change):
        """Return the gain in percentage points from a change of the recipe, for the network with the fewest layers."""
        return 100 * (
            means[f"{recipe}, {change}"][shallow_depths[0]] - means[f"{recipe}, {NO_RECIPE_CHANGE}"][shallow_depths[0]]
        )

    return Results(
        parameters={
            "data": settings.data.name,
            "components": n_components,
            "train_images": n_images,
            "draws": n_layer_size_draws,
            "units": {
                f"{depth}, {sample_index}": list(layer_sizes) for (depth, sample_index), layer_sizes in units.items()
            },
            "recipes": {name: variant.recipe.describe() for name, variant in VARIANTS.items()},
        },
        metrics={
            "mean_best_validation_accuracy_by_hidden_layers": {name: means[name] for name in deep_variants},
            "the_same_for_few_hidden_layers": {
                name: {depth: row[depth] for depth in shallow_depths} for name, row in means.items()
            },
            "best_beyond_three_hidden_layers": deeper_accuracies,
            "with_three_hidden_layers": three_layer_accuracies,
            "readings": len(readings),
            "readings_that_drop": sum(
                deeper_accuracies[name] <= MAX_GUESS_ACCURACY
                and (three_layer_accuracies[name] or 0) > MIN_LEARNED_ACCURACY
                for name in readings
            ),
            "points_gained_by_batch_norm_of_the_input": {
                PIXEL_INPUTS: compute_accuracy_gain(PIXEL_INPUTS, INPUT_NORMALIZATION_CHANGE),
                CENTERED_PIXEL_INPUTS: compute_accuracy_gain(CENTERED_PIXEL_INPUTS, INPUT_NORMALIZATION_CHANGE),
                COMPONENT_INPUTS: compute_accuracy_gain("normal", INPUT_NORMALIZATION_CHANGE),
                "template": compute_accuracy_gain("template", INPUT_NORMALIZATION_CHANGE),
            },
            "points_lost_by_dropout": {
                name.replace(f", {DROPOUT_CHANGE}", ""): -compute_accuracy_gain(*name.split(", "))
                for name in VARIANTS
                if DROPOUT_CHANGE in name and not name.startswith("He")
            },
        },
        series={"best": best},
    )


def prepare_inputs(settings: Settings, inputs: str) -> Images:
    """Return the Images of a variant, with pixels from 0 to 1 or in units of a pixel's standard deviation."""
    if inputs == TEMPLATE_PIXEL_INPUTS:
        return prepare_template_images(settings.data, settings.quick)
    if inputs == PIXEL_INPUTS:
        return networks.prepare_images(settings.data, None, settings.quick, is_centered=False).scale(255)
    images = networks.prepare_images(
        settings.data, N_COMPONENTS if inputs == COMPONENT_INPUTS else None, settings.quick
    )
    return images.scale(images.pixel_deviation)


def prepare_template_images(data: Dataset, quick: bool) -> Images:
    """Return the Images of the homework's public template, with pixels from -1 to 1 and the template's split."""
    X, y = data.X_train, data.y_train
    if data.X_val is not None and data.y_val is not None:
        X, y = np.concatenate([X, data.X_val]), np.concatenate([y, data.y_val])
    n_val = min(N_TEMPLATE_VALIDATION_IMAGES, round(networks.VALIDATION_FRACTION * len(X)))
    split = replace(data, X_train=X[:-n_val], y_train=y[:-n_val], X_val=X[-n_val:], y_val=y[-n_val:])
    images = networks.prepare_images(split, None, quick, is_centered=False)
    half_range = np.float32(float(X.max()) / 2)
    scaled: dict[str, Any] = {name: getattr(images, name) / half_range - np.float32(1) for name in networks.INPUT_NAMES}
    return replace(images, **scaled, pixel_deviation=float(np.sqrt(scaled["X_train"].var(axis=0).mean())))


def _find_best_deep_accuracy(row):
    """Return the best accuracy of networks with more than MAX_TRAINABLE_DEPTH hidden layers, or 0 if there are none."""
    return max((accuracy for depth, accuracy in row.items() if int(depth) > MAX_TRAINABLE_DEPTH), default=0.0)


def sample_units(seed: int, depth: int, sample_index: int) -> tuple[int, ...]:
    """Return a random number of units for each hidden layer. The numbers do not depend on the variant."""
    units = np.random.default_rng([seed, depth, sample_index]).integers(
        LAYER_SIZE_RANGE[0], LAYER_SIZE_RANGE[1] + 1, depth
    )
    return tuple(int(unit) for unit in units)
