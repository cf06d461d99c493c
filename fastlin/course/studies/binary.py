"""Loss and accuracy of logistic regression of the digits 2 against 3, trained in the order of the data."""

from typing import Any

from fastlin.course.studies import course_training as course
from fastlin.course.studies.settings import Results, Settings


def run(settings: Settings) -> Results:
    """Train for 50 epochs, 10 where quick; on MNIST also on images that are drawn at random."""
    settings.notify("2 against 3")
    trained = course.train_binary(settings, shuffle=False)
    X_train, Y_train, X_val, _ = course.binary_data(settings.data, None)
    merits: dict[str, Any] = {
        "train_images": len(X_train),
        "validation_images": len(X_val),
        **course.measure_end(trained, X_train, Y_train),
    }
    drawn = course.train_splits(settings, course.train_binary, shuffle=False)
    by_split = {str(split): one.measure_spikes(one.val["accuracy"]) for split, one in drawn}
    if by_split:
        # A random split has a fifth as many validation images, which by itself makes the spikes larger.
        spikes = trained.measure_spikes(trained.val["accuracy"])
        merits |= {
            "accuracy_spikes": spikes,
            "accuracy_spikes_of_random_splits": by_split,
            "random_splits": len(by_split),
            "random_splits_with_smaller_spikes": sum(value < spikes for value in by_split.values()),
        }
    return Results({**course.describe_training(settings, "binary"), "shuffle": False}, merits, {"trained": trained})
