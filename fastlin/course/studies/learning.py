"""Accuracy on unseen rows against seconds, for the course's trainer and for estimators.

Each point of a curve is a training from the start, and its whole time counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

import fastlin
from fastlin.course import trainers
from fastlin.course.datasets import COURSE_IMAGES, Dataset
from fastlin.course.studies import fair_threads
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import Array, FloatArray

# What predicts the probabilities of rows.
Predict = Callable[["Lesson"], FloatArray]

LEARNING_RATE, BATCH_SIZE = 0.01, 128
EPOCHS, ITERATIONS = (1, 2, 5, 10, 20), (5, 20, 100)
COURSE, SGD = "the course's trainer", "scikit-learn SGDClassifier"


@dataclass(frozen=True, eq=False)
class Lesson:
    """The same rows for estimators (images from 0 to 1, labels from 0 on) and for the course's trainer."""

    X: FloatArray  # (n, d) float64
    y: Array  # (n,) int64
    X_test: FloatArray
    y_test: Array
    # X_train, Y_train, X_val, Y_val: images from -1 to 1 and a column of ones, one-hot targets.
    arrays: tuple[FloatArray, FloatArray, FloatArray, FloatArray]

    def test(self, predict: Predict) -> dict[str, float]:
        """Return the accuracy and the log loss of a prediction of the test rows."""
        probabilities = predict(self)
        return {
            "accuracy": float(np.mean(probabilities.argmax(axis=1) == self.y_test)),
            "log_loss": float(log_loss(self.y_test, probabilities, labels=np.arange(probabilities.shape[1]))),
        }


def make_lesson(data: Dataset, n_train: int | None = None) -> Lesson:
    """Return the Lesson of the first rows of a data set, or of all."""
    X, y, X_test, y_test = fair_threads.scale_rows(data, n_train, "float64")
    classes = np.eye(1 + max(y.max(), y_test.max()))
    inputs, inputs_test = (np.hstack([2 * part - 1, np.ones((len(part), 1))]) for part in (X, X_test))
    return Lesson(X, y, X_test, y_test, (inputs, classes[y], inputs_test, classes[y_test]))


def train_course(lesson: Lesson, epochs: int) -> Predict:
    """Train the course's softmax model, validated every fifth of an epoch as in the course."""
    X, Y, *_ = lesson.arrays
    model = trainers.SoftmaxModel(n_inputs=X.shape[1], n_outputs=Y.shape[1])
    given = LEARNING_RATE, BATCH_SIZE, True, *lesson.arrays
    trainer = trainers.SoftmaxTrainer(model, *given, early_stopping=False, seed=0, progress=False)
    trainer.train(epochs)
    return lambda lesson: model.forward(lesson.arrays[2])


def train_sgd(lesson: Lesson, epochs: int) -> Predict:
    """Train SGDClassifier for some epochs, with a class on each thread."""
    model = SGDClassifier(loss="log_loss", random_state=0, n_jobs=count_threads(), max_iter=epochs, tol=None)
    return _fit(model, lesson)


def fit_logistic_regression(lesson: Lesson, max_iter: int = 100) -> Predict:
    """Fit scikit-learn's LogisticRegression, by default up to its own limit of iterations."""
    return _fit(ScikitLearnLogisticRegression(max_iter=max_iter), lesson)


def fit_fastlin(lesson: Lesson, tol: float) -> Predict:
    """Fit fastlin's LogisticRegression to a tolerance."""
    return _fit(fastlin.LogisticRegression(tol=tol), lesson)


def _fit(model, lesson):
    fair_threads.fit_up_to_limit(model, lesson.X, lesson.y)
    return lambda lesson: model.predict_proba(lesson.X_test)


# The libraries: the function that trains them, its efforts, and the unit of the efforts.
LIBRARIES: dict[str, tuple[Callable[[Lesson, Any], Predict], tuple[float, ...], str]] = {
    COURSE: (train_course, EPOCHS, "epochs"),
    "fastlin LogisticRegression": (fit_fastlin, (1e-1, 1e-4), "tol"),
    SGD: (train_sgd, EPOCHS, "epochs"),
    "scikit-learn LogisticRegression": (fit_logistic_regression, ITERATIONS, "iterations"),
}


def study_learning(settings: Settings) -> Results:
    """Train each library for longer and longer; scikit-learn's shortest training chooses its threads."""
    data = settings.data
    n_train = 1000 if settings.quick else COURSE_IMAGES if data.name == "mnist" else None
    lesson = make_lesson(data, n_train)
    settings.notify("warm-up")
    train_course(lesson, 1)
    fit_fastlin(lesson, 1e-4)
    n_repeats = 1 if settings.quick else fair_threads.N_REPEATS
    threads: dict[str, int] = {}
    points: dict[str, list[dict[str, Any]]] = {}
    for name, (train, efforts, unit) in LIBRARIES.items():
        settings.notify(name)
        shortest = partial(train, lesson, efforts[0])
        threads[name] = fair_threads.choose_threads(shortest) if name.startswith("scikit-learn") else count_threads()
        with fair_threads.use_threads(threads[name]):
            chosen = efforts[:2] if settings.quick else efforts
            points[name] = [_measure(lesson, train, effort, unit, n_repeats) for effort in chosen]
    return Results(
        parameters={
            "data": data.name,
            "samples": len(lesson.X),
            "features": lesson.X.shape[1],
            "test_samples": len(lesson.X_test),
            "learning_rate": LEARNING_RATE,
            "batch_size": BATCH_SIZE,
            "threads": threads,
            "units": {name: unit for name, (*_, unit) in LIBRARIES.items()},
        },
        metrics={
            "longest_training": {
                name: {measure: row[-1][measure] for measure in ("training", "seconds", "accuracy", "log_loss")}
                for name, row in points.items()
            }
        },
        series={"points": points},
    )


def _measure(lesson, train, effort, unit, n_repeats):
    """Return a point: the training in words, its seconds (a median if short), accuracy and log loss."""
    run = partial(fair_threads.time_fit, partial(train, lesson, effort))
    seconds, predict = fair_threads.repeat_short(run, n_repeats)
    training = f"tol {effort:g}" if unit == "tol" else f"{effort} {unit}"
    return {"effort": effort, "training": training, "seconds": median(seconds), **lesson.test(predict)}
