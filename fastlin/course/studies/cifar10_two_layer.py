"""The report's two-layer network on CIFAR-10, with two interpretations of its settings and with better settings."""

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from fastlin.course.studies.cifar10_training import Images, Recipe, TrainedNetwork, prepare_images, read_recipe, train
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.trainers.two_layer_net import TwoLayerNet

N_COMPONENTS = 1_200
REPORT_RECIPE, FASTLIN_RECIPE = read_recipe("report"), read_recipe("own")
# The accuracies that the report states.
REPORTED_ACCURACIES = {"train": 0.555, "validation": 0.491, "test": 0.527}
# The fraction of the epochs in a quick study.
QUICK_EPOCH_FRACTION = 0.05
# Inputs and momentum values are compared over the first epochs, in which the training runs differ most.
N_COMPARED_EPOCHS = 100


def study_cifar10_two_layer(settings: Settings) -> Results:
    """Train each interpretation, `TwoLayerNet` and fastlin's recipe. A quick study uses 5 % of the epochs."""
    settings.notify("principal components")
    images = prepare_images(settings.data, N_COMPONENTS, settings.quick)
    runs = make_runs(images, settings.quick)
    # These are the report's settings, with a batch size of at most half the rows.
    report, _ = next(iter(runs.values()))
    settings.notify("TwoLayerNet", 0.0)
    two_layer_net_measures = train_two_layer_net(images, report, settings.seed)
    settings.notify("components and momentum", 0.0)
    comparison_metrics = compare_settings(settings, images, report)
    # A single progress bar shows the epochs of all runs.
    n_epochs, n_previous_epochs = sum(recipe.epochs for recipe, _ in runs.values()), 0
    trained: dict[str, TrainedNetwork] = {}
    for name, (recipe, data) in runs.items():

        def show(training, name=name, n_run_epochs=recipe.epochs, n_previous_epochs=n_previous_epochs):
            n_done = len(training.records)
            settings.notify(
                f"{name}: epoch {n_done:,} of {n_run_epochs:,}", min(1.0, (n_previous_epochs + n_done) / n_epochs)
            )

        trained[name] = train(data, recipe, settings.seed, show)
        n_previous_epochs += recipe.epochs
    measured = {name: _measure_network(result) for name, result in trained.items()}
    return Results(
        parameters={
            "data": settings.data.name,
            "components": images.X_train.shape[1],
            **{f"{name}_images": len(y) for name, (_, y) in images.splits.items()},
            "pixel_deviation": images.pixel_deviation,
            "fraction_of_epochs": QUICK_EPOCH_FRACTION if settings.quick else 1.0,
            "recipes": {name: recipe.describe() for name, (recipe, _) in runs.items()},
        },
        metrics={
            "reported": REPORTED_ACCURACIES,
            "runs": measured | {"TwoLayerNet, 1,100 epochs": two_layer_net_measures},
            **comparison_metrics,
        },
        series=trained,
    )


def make_runs(images: Images, quick: bool) -> dict[str, tuple[Recipe, Images]]:
    """Return a dict from the name of each run to its recipe and images."""
    n_rows = len(images.y_train)
    report = replace(REPORT_RECIPE, batch_size=min(REPORT_RECIPE.batch_size, n_rows // 2))
    steps = n_rows // report.batch_size
    # Each update counts as an epoch, and the learning rate decays after each update.
    update_recipe = replace(report, epochs=report.epochs // steps, decay=report.decay**steps)
    runs = {
        "pixels 0–255, 1,100 epochs": (report, images),
        "pixels 0–255, 1,100 updates": (update_recipe, images),
        "He, batches of 128": (FASTLIN_RECIPE, images.scale(images.pixel_deviation)),
    }
    fraction = QUICK_EPOCH_FRACTION if quick else 1
    return {
        name: (replace(recipe, epochs=max(5, round(fraction * recipe.epochs))), data)
        for name, (recipe, data) in runs.items()
    }


def _measure_network(trained):
    last = trained.training.records[-1] if trained.training.records else None
    return {
        **trained.accuracies,
        "last_loss": None if last is None else last.loss,
        "epochs": len(trained.training.records),
        "stop_reason": trained.training.stop_reason,
        "seconds": trained.seconds,
    }


def train_two_layer_net(images: Images, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Train `TwoLayerNet` with the report's recipe; return the same measures as for the other networks.

    As in the homework, the accuracies are computed with the last parameters. An epoch consists of N // batch_size drawn
    batches.
    """
    sizes = images.X_train.shape[1], *recipe.hidden, int(images.y_train.max()) + 1
    n_iterations = recipe.epochs * (len(images.y_train) // recipe.batch_size)
    global_random_state = np.random.get_state()
    begin = perf_counter()
    try:
        # The class draws weights and batches from NumPy's global random state. It is restored afterwards.
        np.random.seed(seed)
        network = TwoLayerNet(*sizes)
        history = network.train(
            *images.splits["train"],
            *images.splits["validation"],
            learning_rate=recipe.learning_rate,
            learning_rate_decay=recipe.decay,
            reg=recipe.reg,
            num_iters=n_iterations,
            batch_size=recipe.batch_size,
            momentum=recipe.momentum or 0.0,
        )
    finally:
        np.random.set_state(global_random_state)
    seconds = perf_counter() - begin
    if network.interrupted:
        raise KeyboardInterrupt
    losses = history["loss_history"]
    return {
        **{name: float(np.mean(network.predict(X) == y)) for name, (X, y) in images.splits.items()},
        "last_loss": losses[-1] if losses else None,
        "epochs": len(history["val_acc_history"]),
        "stop_reason": "limit" if len(losses) == n_iterations else "diverged",
        "seconds": seconds,
    }


def compare_settings(settings: Settings, images: Images, report: Recipe) -> dict[str, Any]:
    """Train with the report's settings, without momentum, and on pixels, for a few epochs each; return the results."""
    recipe = replace(report, epochs=5 if settings.quick else N_COMPARED_EPOCHS)
    cases = {
        "the report's settings": (images, recipe),
        "without momentum": (images, replace(recipe, momentum=0.0)),
        "centered pixels": (prepare_images(settings.data, None, settings.quick), recipe),
    }
    rows = {}
    for name, case in cases.items():
        trained = train(*case, settings.seed)
        last = trained.training.records[-1]
        rows[name] = {"loss": last.loss, "validation": last.validation_accuracy, "seconds": trained.seconds}
    first, row_without_momentum, pixels = rows.values()
    return {
        "after_100_epochs": rows,
        "loss_without_momentum_over_that_with_it": row_without_momentum["loss"] / first["loss"],
        "seconds_on_pixels_over_those_on_components": pixels["seconds"] / first["seconds"],
    }
