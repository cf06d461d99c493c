"""Deeper networks on CIFAR-10: how they fail from normal weights of 0.01, and what helps."""

from dataclasses import replace

import numpy as np

from fastlin.studies.cifar10 import Recipe, prepare, run_recipes
from fastlin.studies.settings import Results

N_COMPONENTS = 300
DEPTHS = range(2, 11)
N_DRAWS = 3
# The fewest and the most units of a hidden layer.
UNITS = 20, 100
PLAIN = Recipe(
    hidden=(),
    epochs=12,
    batch_size=128,
    learning_rate=0.03,
    decay=0.85,
    reg=4e-4,
    momentum=0.9,
    init="normal",
    scale=0.01,
)
HE = replace(PLAIN, init="he", scale=None)
DROPOUT = 0.05
# The report normalises the input of the network only.
VARIANTS = {
    "normal, plain": PLAIN,
    "normal, batch norm of the input": replace(PLAIN, normalization=("input",)),
    "normal, dropout": replace(PLAIN, dropout=DROPOUT),
    "He, plain": HE,
    "He, batch norm of hidden layers": replace(HE, normalization=("hidden",)),
    "He, dropout": replace(HE, dropout=DROPOUT),
}


def run(settings):
    """Train every variant at every depth with three draws of units each; three depths and one draw where quick."""
    settings.notify("principal components")
    images = prepare(settings.data, N_COMPONENTS, settings.quick)
    images = images.scale(images.pixel_deviation)
    depths, n_draws = ([2, 4, 10], 1) if settings.quick else (list(DEPTHS), N_DRAWS)
    cases = [(name, depth, draw) for depth in depths for draw in range(n_draws) for name in VARIANTS]
    recipes = [replace(VARIANTS[name], hidden=draw_units(settings.seed, depth, draw)) for name, depth, draw in cases]
    best, curves = {}, {}
    seeds = [(settings.seed + draw) % 2**32 for _, _, draw in cases]
    for number, trained in run_recipes(images, recipes, seeds):
        name, depth, draw = cases[number]
        best[name, depth, draw] = trained.accuracies["validation"]
        if draw == 0:
            curves[name, depth] = trained.training
        settings.notify(f"{len(best)} of {len(cases)} networks", len(best) / len(cases))
    table = {
        name: {str(depth): [best[name, depth, draw] for draw in range(n_draws)] for depth in depths}
        for name in VARIANTS
    }
    return Results(
        parameters={
            "data": settings.data.name,
            "components": images.X_train.shape[1],
            "train_images": len(images.y_train),
            "units": {
                f"{depth}, {draw}": list(draw_units(settings.seed, depth, draw))
                for depth in depths
                for draw in range(n_draws)
            },
            "recipes": {name: recipe.describe() for name, recipe in VARIANTS.items()},
        },
        merits={
            "mean_best_validation_accuracy_by_hidden_layers": {
                name: {depth: float(np.mean(values)) for depth, values in row.items()} for name, row in table.items()
            },
        },
        series={"best": table, "curves": curves},
    )


def draw_units(seed, depth, draw):
    """Return the units of the hidden layers of a draw, which are the same for every variant."""
    units = np.random.default_rng([seed, depth, draw]).integers(UNITS[0], UNITS[1] + 1, depth)
    return tuple(int(unit) for unit in units)
