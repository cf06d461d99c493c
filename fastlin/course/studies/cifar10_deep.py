"""Deeper networks on CIFAR-10: how they fail from normal weights of 0.01, and what helps.

The report states no initialisation. Normal weights of 0.01 are a common choice of its time that fails as it describes.
"""

from dataclasses import dataclass, replace

import numpy as np

from fastlin.course.studies.cifar10_training import Images, Recipe, prepare, run_recipes
from fastlin.course.studies.settings import Results, Settings

N_COMPONENTS = 300
DEPTHS = tuple(range(2, 11))
# Above three hidden layers the networks that start from normal weights do no better than a guess.
LOW_DEPTHS = 2, 3
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
# What networks are given. The report names PCA only for its NumPy model, the one of two layers, so that its deeper
# networks may have had pixels. Depth and dropout are tried on components alone.
COMPONENTS, CENTRED_PIXELS, PIXELS = "components", "centred pixels", "pixels"
# The report names no rate.
MORE_DROPOUT = 0.1, 0.2, 0.35, 0.5


@dataclass(frozen=True)
class Variant:
    """A way to train deeper networks.

    The recipe lacks the units of the hidden layers, whose numbers are `depths`. What the networks are given is
    COMPONENTS, CENTRED_PIXELS or PIXELS.
    """

    recipe: Recipe
    depths: tuple = DEPTHS
    given: str = COMPONENTS


# The report normalises the input of the network only.
INPUT_NORM = replace(PLAIN, normalization=("input",))
VARIANTS = {
    "normal, plain": Variant(PLAIN),
    "normal, batch norm of the input": Variant(INPUT_NORM),
    f"normal, dropout {DROPOUT}": Variant(replace(PLAIN, dropout=DROPOUT)),
    "He, plain": Variant(HE),
    "He, batch norm of hidden layers": Variant(replace(HE, normalization=("hidden",))),
    f"He, dropout {DROPOUT}": Variant(replace(HE, dropout=DROPOUT)),
}
LOW_VARIANTS = {
    **{f"normal, dropout {rate}": Variant(replace(PLAIN, dropout=rate), LOW_DEPTHS) for rate in MORE_DROPOUT},
    **{
        f"{given}, {name}": Variant(recipe, LOW_DEPTHS, given)
        for given in (PIXELS, CENTRED_PIXELS)
        for name, recipe in (("plain", PLAIN), ("batch norm of the input", INPUT_NORM))
    },
}
# The variants that are compared at low depths.
FEW_LAYERS = "normal, plain", f"normal, dropout {DROPOUT}", *LOW_VARIANTS


def run(settings: Settings) -> Results:
    """Train every variant at its depths with three draws of units each; fewer depths and one draw where quick."""
    settings.notify("images")
    # The cache holds fewer kinds of images than there are, so that the components are asked for before the pixels.
    n_images, n_components = prepare(settings.data, N_COMPONENTS, settings.quick).X_train.shape
    n_draws, depths = (1, (2, 4, 10)) if settings.quick else (N_DRAWS, DEPTHS)
    variants = {**VARIANTS, **LOW_VARIANTS}
    cases = [
        (name, depth, draw)
        for depth in depths
        for draw in range(n_draws)
        for name, variant in variants.items()
        if depth in variant.depths
    ]
    # The best validation accuracy of each draw, by variant and depth.
    table: dict[str, dict[str, list[float]]] = {name: {} for name in variants}
    for name, depth, _ in cases:
        table[name][str(depth)] = n_draws * [np.nan]
    n_done, curves = 0, {}
    for given in dict.fromkeys(variant.given for variant in variants.values()):
        images = take_images(settings, given)
        chosen = [case for case in cases if variants[case[0]].given == given]
        recipes = [
            replace(variants[name].recipe, hidden=draw_units(settings.seed, depth, draw))
            for name, depth, draw in chosen
        ]
        seeds = [(settings.seed + draw) % 2**32 for *_, draw in chosen]
        for number, trained in run_recipes(images, recipes, seeds):
            name, depth, draw = chosen[number]
            table[name][str(depth)][draw] = trained.accuracies["validation"]
            if draw == 0 and name in VARIANTS:
                curves[name, depth] = trained.training
            n_done += 1
            settings.notify(f"{n_done} of {len(cases)} networks", n_done / len(cases))
    few = {name: {depth: table[name][depth] for depth in table[f"{PIXELS}, plain"]} for name in FEW_LAYERS}
    return Results(
        parameters={
            "data": settings.data.name,
            "components": n_components,
            "train_images": n_images,
            "draws": n_draws,
            "units": {
                f"{depth}, {draw}": list(draw_units(settings.seed, depth, draw))
                for depth in depths
                for draw in range(n_draws)
            },
            "recipes": {name: variant.recipe.describe() for name, variant in variants.items()},
        },
        merits={
            "mean_best_validation_accuracy_by_hidden_layers": {name: _average(table[name]) for name in VARIANTS},
            "the_same_for_few_hidden_layers": {name: _average(row) for name, row in few.items()},
        },
        series={
            "best": {name: table[name] for name in VARIANTS},
            "few_layers": few,
            "curves": curves,
        },
    )


def take_images(settings: Settings, given: str) -> Images:
    """Return the Images that a variant is given: pixels from 0 to 1, or in units of the deviation of a pixel."""
    if given == PIXELS:
        return prepare(settings.data, None, settings.quick, centred=False).scale(255)
    images = prepare(settings.data, N_COMPONENTS if given == COMPONENTS else None, settings.quick)
    return images.scale(images.pixel_deviation)


def _average(row):
    return {depth: float(np.mean(values)) for depth, values in row.items()}


def draw_units(seed: int, depth: int, draw: int) -> tuple[int, ...]:
    """Return the units of the hidden layers of a draw, which are the same for every variant."""
    units = np.random.default_rng([seed, depth, draw]).integers(UNITS[0], UNITS[1] + 1, depth)
    return tuple(int(unit) for unit in units)
