"""Loss and accuracy of logistic regression of the digits 2 against 3, trained in the order of the data."""

from fastlin.course.studies.course_training import binary_data, describe_training, measure_end, train_binary
from fastlin.course.studies.settings import Results, Settings


def run(settings: Settings) -> Results:
    """Train for 50 epochs, 10 where quick."""
    settings.notify("2 against 3")
    trained = train_binary(settings, shuffle=False)
    X_train, Y_train, X_val, _ = binary_data(settings.data, False)
    return Results(
        parameters={**describe_training(settings, "binary"), "shuffle": False},
        merits={
            "train_images": len(X_train),
            "validation_images": len(X_val),
            **measure_end(trained, X_train, Y_train),
        },
        series={"trained": trained},
    )
