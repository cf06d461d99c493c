"""How soon mini-batches predict well: the course's trainer and MiniBatchLogisticRegression beside scikit-learn.

Two fits of scikit-learn with their defaults, LogisticRegression and SGDClassifier, set the marks: an accuracy on rows
that were not trained on, and the seconds that it took. Each contender trains from the start for more and more epochs.
Its points say how soon it reaches a mark's accuracy, and what it has reached in a mark's time. The rows are those of
MNIST, or without it those of scikit-learn's digits.
"""

import warnings
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from threadpoolctl import ThreadpoolController

import fastlin
from benchmarks.course import Training, train
from benchmarks.data import load_mnist
from benchmarks.mini_batches import Images
from benchmarks.races import run_on
from fastlin import trainers
from fastlin.kernels.machine.threads import count_threads

EPOCHS, FEW_EPOCHS = (1, 2, 5, 10, 20, 50), (5, 10, 20, 50, 100, 200, 500)
N_CLASSES = 10
# The digits' values go from 0 to so much.
LARGEST_DIGIT = 16
SEED = 0
COURSE, MINI_BATCHES, SGD = "the course's trainer", "MiniBatchLogisticRegression", "scikit-learn SGDClassifier"
BY_DEFAULT = "scikit-learn LogisticRegression, defaults", "scikit-learn SGDClassifier, defaults"


@dataclass(frozen=True, eq=False)
class Lesson:
    """The same rows for estimators and for the course's trainer.

    Attributes
    ----------
    name : str
        What tables call the data.
    images : Images
        The rows from 0 to 1, and those to test on.
    training : Training
        The same rows from -1 to 1 with a column of ones, as the course has them.
    """

    name: str
    images: Images
    training: Training


def load_lesson(with_mnist):
    """Return the Lesson of MNIST, or of digits where it is not wanted or not on disk."""
    try:
        if not with_mnist:
            raise NotImplementedError
        data = load_mnist()
        arrays = data.X_train / 255, data.y_train, data.X_test / 255, data.y_test
    except NotImplementedError:
        X, y = load_digits(return_X_y=True)
        kept = np.arange(len(y)) % 5 == 4
        arrays = X[~kept] / LARGEST_DIGIT, y[~kept], X[kept] / LARGEST_DIGIT, y[kept]
        with_mnist = False
    X, y, X_test, y_test = arrays
    images = Images(X, y.astype(np.int64), X_test, y_test.astype(np.int64), by_error=True)
    inputs = [np.hstack([2 * part - 1, np.ones((len(part), 1))]) for part in (X, X_test)]
    targets = [trainers.one_hot_encode(part, N_CLASSES).astype(np.float64) for part in (y, y_test)]
    training = Training((inputs[0], targets[0], inputs[1], targets[1]))
    return Lesson("MNIST" if with_mnist else "digits", images, training)


def train_course(lesson, epochs):
    """Train the course's model for some epochs; return its weights alone."""
    return train(replace(lesson.training, epochs=epochs))


def train_mini_batches(lesson, epochs):
    """Train fastlin's MiniBatchLogisticRegression with its defaults for some epochs."""
    model = fastlin.MiniBatchLogisticRegression(max_iter=epochs, n_iter_no_change=np.inf, random_state=SEED)
    model.fit(lesson.images.X, lesson.images.y)
    return model.coef_, model.intercept_


def train_sgd(lesson, epochs=None):
    """Train scikit-learn's SGDClassifier for some epochs, or until it stops by its defaults, a class on each thread."""
    how_long = {} if epochs is None else {"max_iter": epochs, "tol": None}
    model = SGDClassifier(loss="log_loss", random_state=SEED, n_jobs=count_threads(), **how_long)
    model.fit(lesson.images.X, lesson.images.y)
    return model.coef_, model.intercept_, True


def fit_logistic_regression(lesson):
    """Fit scikit-learn's LogisticRegression with its defaults."""
    model = LogisticRegression().fit(lesson.images.X, lesson.images.y)
    return model.coef_, model.intercept_


def measure_learning(whole=False):
    """Return the record of all marks and contenders, as plain values.

    A point has the epochs, the seconds of the whole training with its best number of threads, and accuracy and log loss
    on the rows to test on.
    """
    lesson = load_lesson(with_mnist=whole)
    epochs = EPOCHS if whole else FEW_EPOCHS
    controller = ThreadpoolController()
    # fastlin has compiled what it needs.
    for train_ours in (train_course, train_mini_batches):
        train_ours(lesson, 1)
    marks = {
        name: _measure(controller, solve, lesson, (1, count_threads()))
        for name, solve in zip(BY_DEFAULT, (fit_logistic_regression, train_sgd), strict=True)
    }
    contenders = {
        name: [
            {"epochs": n_epochs, **_measure(controller, partial(train_contender, epochs=n_epochs), lesson, counts)}
            for n_epochs in epochs
        ]
        for name, train_contender, counts in (
            (COURSE, train_course, (count_threads(),)),
            (MINI_BATCHES, train_mini_batches, (count_threads(),)),
            (SGD, train_sgd, (1, count_threads())),
        )
    }
    n, d = lesson.images.X.shape
    return {
        "kind": "learning",
        "title": "seconds to an accuracy",
        "data": f"{lesson.name}, {n:,} × {d}",
        "threads": count_threads(),
        "marks": marks,
        "contenders": contenders,
    }


def _measure(controller, solve, lesson, thread_counts):
    """Return seconds, threads, accuracy and log loss of a training with its best number of threads."""
    runs = {}
    for n_threads in dict.fromkeys(thread_counts):
        with warnings.catch_warnings():
            # Trainings end after so many epochs on purpose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            runs[n_threads] = run_on(controller, n_threads, solve, lesson)
    n_threads = min(runs, key=lambda count: runs[count][0])
    seconds, _, solution = runs[n_threads]
    judge = lesson.training if len(solution) == 1 else lesson.images
    return {"seconds": seconds, "threads": n_threads, **judge.test(*solution)._asdict()}


def find_seconds(points, accuracy):
    """Return the seconds of the first point that reaches an accuracy, or None where none does."""
    return next((point["seconds"] for point in points if point["accuracy"] >= accuracy), None)


def find_accuracy(points, seconds):
    """Return the highest accuracy of the points that took at most so many seconds, or None where none did."""
    return max((point["accuracy"] for point in points if point["seconds"] <= seconds), default=None)
