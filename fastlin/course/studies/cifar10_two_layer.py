"""The report's two-layer network on CIFAR-10, by two readings of its settings, and one with better settings."""

from collections.abc import Callable
from dataclasses import replace

from fastlin.course.studies.cifar10_training import Images, Recipe, prepare, train
from fastlin.course.studies.settings import Results, Settings
from fastlin.training.epochs import EpochTraining

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


def run(settings: Settings) -> Results:
    """Train by each reading and by our own recipe, for a twentieth of the epochs where quick."""
    settings.notify("principal components")
    images = prepare(settings.data, N_COMPONENTS, settings.quick)
    scaled = images.scale(images.pixel_deviation)
    runs = readings(images, scaled, settings.quick)
    # One bar counts the epochs of all runs.
    n_epochs, n_before, trained = sum(recipe.epochs for recipe, _ in runs.values()), 0, {}
    for name, (recipe, data) in runs.items():
        on_epoch = count(settings, name, recipe, n_before / n_epochs, n_epochs)
        trained[name] = train(data, recipe, settings.seed, on_epoch)
        n_before += recipe.epochs
    return Results(
        parameters={
            "data": settings.data.name,
            "components": images.X_train.shape[1],
            "train_images": len(images.y_train),
            "validation_images": len(images.y_val),
            "test_images": len(images.y_test),
            "pixel_deviation": images.pixel_deviation,
            "part_of_epochs": QUICK_PART if settings.quick else 1.0,
            "recipes": {name: recipe.describe() for name, (recipe, _) in runs.items()},
        },
        merits={
            "reported": REPORTED,
            "runs": {
                name: {
                    **result.accuracies,
                    "last_loss": result.training.epochs[-1].loss if result.training.epochs else None,
                    "epochs": len(result.training.epochs),
                    "ended": result.training.ended,
                    "seconds": result.seconds,
                }
                for name, result in trained.items()
            },
        },
        series=trained,
    )


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


def count(
    settings: Settings, name: str, recipe: Recipe, part_before: float, n_epochs: int
) -> Callable[[EpochTraining], None]:
    """Return a function for `train` that shows which part of the n_epochs of all runs is done."""

    def on_epoch(training):
        done = len(training.epochs)
        settings.notify(f"{name}: epoch {done:,} of {recipe.epochs:,}", min(1.0, part_before + done / n_epochs))

    return on_epoch
