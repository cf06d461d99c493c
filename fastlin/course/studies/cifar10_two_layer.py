"""The report's two-layer network on CIFAR-10: by two readings, by TwoLayerNet itself, and with better settings."""

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from fastlin.course.studies.cifar10_training import Images, Recipe, prepare, train
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.trainers.two_layer_net import TwoLayerNet

N_COMPONENTS = 1_200
# The settings that the report calls its optimum. It does not say what it counts as an epoch.
REPORT = Recipe(
    hidden=(135,),
    epochs=1_100,
    batch_size=22_000,
    learning_rate=0.004786,
    decay=0.99,
    reg=0.001847,
    momentum=0.2,
    init="normal",
    scale=1e-4,
)
# The accuracies that the report states.
REPORTED = {"train": 0.555, "validation": 0.491, "test": 0.527}
# Better settings: small batches, an initialisation that suits any number of units, and a learning rate that falls off.
OWN = Recipe(
    hidden=(135,), epochs=30, batch_size=128, learning_rate=0.01, decay=0.9, reg=0.006, momentum=0.9, init="he"
)
# The part of the epochs that a quick study takes.
QUICK_PART = 0.05
# Principal components and momentum are compared over the first epochs, in which trainings differ most.
N_COMPARED = 100


def run(settings: Settings) -> Results:
    """Train by each reading, by TwoLayerNet and by our own recipe, for a twentieth of the epochs where quick."""
    settings.notify("principal components")
    images = prepare(settings.data, N_COMPONENTS, settings.quick)
    settings.notify("TwoLayerNet", 0.0)
    by_class = train_two_layer_net(images, settings.quick, settings.seed)
    settings.notify("components and momentum", 0.0)
    compared = compare_settings(settings, images)
    scaled = images.scale(images.pixel_deviation)
    runs = readings(images, scaled, settings.quick)
    # One bar counts the epochs of all runs.
    n_epochs, n_before, trained = sum(recipe.epochs for recipe, _ in runs.values()), 0, {}
    for name, (recipe, data) in runs.items():

        def show(training, name=name, of=recipe.epochs, n_before=n_before):
            done = len(training.records)
            settings.notify(f"{name}: epoch {done:,} of {of:,}", min(1.0, (n_before + done) / n_epochs))

        trained[name] = train(data, recipe, settings.seed, show)
        n_before += recipe.epochs
    return Results(
        parameters={
            "data": settings.data.name,
            "components": images.X_train.shape[1],
            **{f"{name}_images": len(y) for name, (_, y) in images.parts.items()},
            "pixel_deviation": images.pixel_deviation,
            "part_of_epochs": QUICK_PART if settings.quick else 1.0,
            "recipes": {name: recipe.describe() for name, (recipe, _) in runs.items()},
        },
        merits={
            "reported": REPORTED,
            "runs": {
                name: {
                    **result.accuracies,
                    "last_loss": result.training.records[-1].loss if result.training.records else None,
                    "epochs": len(result.training.records),
                    "ended": result.training.ended,
                    "seconds": result.seconds,
                }
                for name, result in trained.items()
            }
            | {"TwoLayerNet, 1,100 epochs": by_class},
            **compared,
        },
        series=trained,
    )


def train_two_layer_net(images: Images, quick: bool, seed: int) -> dict[str, Any]:
    """Train `TwoLayerNet` with the report's settings; return what `run` measures of a training.

    The accuracies belong to the last parameters, as in the homework, and an epoch is N // batch_size drawn batches.
    """
    batch_size = min(REPORT.batch_size, len(images.y_train) // 2)
    n_epochs = max(5, round((QUICK_PART if quick else 1) * REPORT.epochs))
    n_iterations = n_epochs * (len(images.y_train) // batch_size)
    sizes = images.X_train.shape[1], *REPORT.hidden, int(images.y_train.max()) + 1
    state = np.random.get_state()
    begin = perf_counter()
    try:
        # The class draws weights and batches from NumPy's global random state, which belongs to the caller.
        np.random.seed(seed)
        network = TwoLayerNet(*sizes)
        history = network.train(
            *images.parts["train"],
            *images.parts["validation"],
            learning_rate=REPORT.learning_rate,
            learning_rate_decay=REPORT.decay,
            reg=REPORT.reg,
            num_iters=n_iterations,
            batch_size=batch_size,
            momentum=REPORT.momentum or 0.0,
        )
    finally:
        np.random.set_state(state)
    seconds = perf_counter() - begin
    if network.interrupted:
        raise KeyboardInterrupt
    return {
        **{name: float(np.mean(network.predict(X) == y)) for name, (X, y) in images.parts.items()},
        "last_loss": history["loss_history"][-1] if history["loss_history"] else None,
        "epochs": len(history["val_acc_history"]),
        "ended": "limit" if len(history["loss_history"]) == n_iterations else "diverged",
        "seconds": seconds,
    }


def compare_settings(settings: Settings, images: Images) -> dict[str, Any]:
    """Train for some epochs with the report's settings, without its momentum, and on pixels; return their results."""
    batch_size = min(REPORT.batch_size, len(images.y_train) // 2)
    recipe = replace(REPORT, batch_size=batch_size, epochs=5 if settings.quick else N_COMPARED)
    cases = {
        "the report's settings": (images, recipe),
        "without momentum": (images, replace(recipe, momentum=0.0)),
        "centred pixels": (prepare(settings.data, None, settings.quick), recipe),
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, (given, chosen) in cases.items():
        trained = train(given, chosen, settings.seed)
        last = trained.training.records[-1]
        rows[name] = {"loss": last.loss, "validation": last.validation_accuracy, "seconds": trained.seconds}
    first, without, pixels = rows.values()
    return {
        "after_100_epochs": rows,
        "loss_without_momentum_over_that_with_it": without["loss"] / first["loss"],
        "seconds_on_pixels_over_those_on_components": pixels["seconds"] / first["seconds"],
    }


def readings(images: Images, scaled: Images, quick: bool) -> dict[str, tuple[Recipe, Images]]:
    """Return the recipe and the images of each run, by its name."""
    batch_size = min(REPORT.batch_size, len(images.y_train) // 2)
    steps = len(images.y_train) // batch_size
    whole = replace(REPORT, batch_size=batch_size)
    runs = {
        "pixels 0–255, 1,100 epochs": (whole, images),
        # Each update counts as an epoch, also for the decay.
        "pixels 0–255, 1,100 updates": (replace(whole, epochs=whole.epochs // steps, decay=whole.decay**steps), images),
        "He, batches of 128": (OWN, scaled),
    }
    part = QUICK_PART if quick else 1
    return {
        name: (replace(recipe, epochs=max(5, round(part * recipe.epochs))), data)
        for name, (recipe, data) in runs.items()
    }
