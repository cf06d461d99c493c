"""Test accuracy vs training time for the course's trainer and for estimators.

Each point of a curve is a training run from scratch, and its time is the total time of this run.
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
from fastlin.benchmarking import timing
from fastlin.course import trainers
from fastlin.course.datasets import COURSE_IMAGES, Dataset
from fastlin.course.studies.image_problems import scale_pixels
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import Array, FloatArray

# A function that returns the probabilities of the test rows.
PredictFunction = Callable[["TaskData"], FloatArray]

LEARNING_RATE, BATCH_SIZE = 0.01, 128
EPOCHS, ITERATION_LIMITS = (1, 2, 5, 10, 20), (5, 20, 100)
COURSE_TRAINER, SGD_CLASSIFIER = "the course's trainer", "scikit-learn SGDClassifier"


@dataclass(frozen=True, eq=False)
class TaskData:
    """The same rows for estimators, as pixels in [0, 1] and labels 0, 1, ..., and for the course's trainer."""

    X: FloatArray  # (n, d) float64
    y: Array  # (n,) int64
    X_test: FloatArray
    y_test: Array
    # X_train, Y_train, X_val and Y_val of the trainer, with pixels from -1 to 1, a column of ones and one-hot targets.
    arrays: tuple[FloatArray, FloatArray, FloatArray, FloatArray]

    def test(self, predict: PredictFunction) -> dict[str, float]:
        """Return the accuracy and the log loss of the predictions for the test rows."""
        probabilities = predict(self)
        return {
            "accuracy": float(np.mean(probabilities.argmax(axis=1) == self.y_test)),
            "log_loss": float(log_loss(self.y_test, probabilities, labels=np.arange(probabilities.shape[1]))),
        }


def make_task_data(data: Dataset, n_train: int | None = None) -> TaskData:
    """Return the TaskData of a data set with its first `n_train` training rows, by default all rows."""
    X, y, X_test, y_test = scale_pixels(data, n_train, "float64")
    classes = np.eye(1 + max(y.max(), y_test.max()))
    inputs, test_inputs = (np.hstack([2 * rows - 1, np.ones((len(rows), 1))]) for rows in (X, X_test))
    return TaskData(X, y, X_test, y_test, (inputs, classes[y], test_inputs, classes[y_test]))


def train_course_model(task_data: TaskData, epochs: int) -> PredictFunction:
    """Train the course's softmax model. As in the course, the model is validated after each fifth of an epoch."""
    X, Y, *_ = task_data.arrays
    model = trainers.SoftmaxModel(n_inputs=X.shape[1], n_outputs=Y.shape[1])
    arguments = LEARNING_RATE, BATCH_SIZE, True, *task_data.arrays
    trainer = trainers.SoftmaxTrainer(model, *arguments, early_stopping=False, seed=0, progress=False)
    trainer.train(epochs)
    return lambda task_data: model.forward(task_data.arrays[2])


def train_sgd(task_data: TaskData, epochs: int) -> PredictFunction:
    """Train SGDClassifier for a number of epochs, with the classes in parallel."""
    model = SGDClassifier(loss="log_loss", random_state=0, n_jobs=count_threads(), max_iter=epochs, tol=None)
    return _fit(model, task_data)


def fit_logistic_regression(task_data: TaskData, max_iter: int = 100) -> PredictFunction:
    """Fit scikit-learn's LogisticRegression, by default with its default max_iter."""
    return _fit(ScikitLearnLogisticRegression(max_iter=max_iter), task_data)


def fit_fastlin(task_data: TaskData, tol: float) -> PredictFunction:
    """Fit fastlin's LogisticRegression to a tolerance."""
    return _fit(fastlin.LogisticRegression(tol=tol), task_data)


def _fit(model, task_data):
    timing.fit_without_convergence_warning(model, task_data.X, task_data.y)
    return lambda task_data: model.predict_proba(task_data.X_test)


# The training function of each library, its efforts, and the unit of the efforts.
LIBRARIES: dict[str, tuple[Callable[[TaskData, Any], PredictFunction], tuple[float, ...], str]] = {
    COURSE_TRAINER: (train_course_model, EPOCHS, "epochs"),
    "fastlin LogisticRegression": (fit_fastlin, (1e-1, 1e-4), "tol"),
    SGD_CLASSIFIER: (train_sgd, EPOCHS, "epochs"),
    "scikit-learn LogisticRegression": (fit_logistic_regression, ITERATION_LIMITS, "iterations"),
}


def study_learning(settings: Settings) -> Results:
    """Train each library with increasing effort. The shortest run of scikit-learn determines its number of threads."""
    data = settings.data
    n_train = 1000 if settings.quick else COURSE_IMAGES if data.name == "mnist" else None
    task_data = make_task_data(data, n_train)
    settings.notify("warm-up")
    train_course_model(task_data, 1)
    fit_fastlin(task_data, 1e-4)
    n_repeats = 1 if settings.quick else timing.N_REPEATS
    threads: dict[str, int] = {}
    points: dict[str, list[dict[str, Any]]] = {}
    for name, (train, efforts, unit) in LIBRARIES.items():
        settings.notify(name)
        run_shortest_training = partial(train, task_data, efforts[0])
        threads[name] = (
            timing.choose_threads(run_shortest_training) if name.startswith("scikit-learn") else count_threads()
        )
        with timing.use_threads(threads[name]):
            measured_efforts = efforts[:2] if settings.quick else efforts
            points[name] = [_measure(task_data, train, effort, unit, n_repeats) for effort in measured_efforts]
    return Results(
        parameters={
            "data": data.name,
            "samples": len(task_data.X),
            "features": task_data.X.shape[1],
            "test_samples": len(task_data.X_test),
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


def _measure(task_data, train, effort, unit, n_repeats):
    """Return the effort and a description of a training run, its median seconds, accuracy and log loss."""
    seconds, predict = timing.time_fit(partial(train, task_data, effort), n_repeats)
    training = f"tol {effort:g}" if unit == "tol" else f"{effort} {unit}"
    return {"effort": effort, "training": training, "seconds": median(seconds), **task_data.test(predict)}
