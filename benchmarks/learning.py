"""How soon mini-batches predict well: the course's trainer, MiniBatchLogisticRegression and scikit-learn.

Two fits of scikit-learn with their defaults set the marks: an accuracy on rows that were not trained on, and the
seconds that it took. Each contender trains from the start for more and more epochs, on MNIST or else on the digits.
"""

from functools import partial

import numpy as np
from threadpoolctl import ThreadpoolController

import fastlin
from benchmarks.data import load_mnist
from benchmarks.races import Case, run_on_best
from fastlin.course.datasets import load_digits
from fastlin.course.studies.learning import (
    COURSE,
    SGD,
    fit_logistic_regression,
    make_lesson,
    train_course,
    train_sgd,
)
from fastlin.kernels.machine.threads import count_threads

EPOCHS, FEW_EPOCHS = (1, 2, 5, 10, 20, 50), (5, 10, 20, 50, 100, 200, 500)
SEED, N_DIGITS = 0, 1_797
MINI_BATCHES = "MiniBatchLogisticRegression"
BY_DEFAULT = "scikit-learn LogisticRegression, defaults", "scikit-learn SGDClassifier, defaults"


def load_images(n_rows):
    """Return MNIST, or the digits where few rows are wanted or it is not on disk."""
    try:
        return load_digits() if n_rows else load_mnist()
    except NotImplementedError:
        return load_digits()


def train_mini_batches(lesson, epochs):
    """Train fastlin's MiniBatchLogisticRegression with its defaults for some epochs."""
    model = fastlin.MiniBatchLogisticRegression(max_iter=epochs, n_iter_no_change=np.inf, random_state=SEED)
    model.fit(lesson.X, lesson.y)
    return lambda lesson: model.predict_proba(lesson.X_test)


def measure_learning(data, whole):
    """Return all marks and contenders; a point is a whole training with its best number of threads."""
    lesson = make_lesson(data)
    controller, most = ThreadpoolController(), count_threads()
    # fastlin has compiled what it needs.
    for train_ours in (train_course, train_mini_batches):
        train_ours(lesson, 1)
    marks = {
        name: _measure(controller, solve, lesson, (1, most))
        for name, solve in zip(BY_DEFAULT, (fit_logistic_regression, partial(train_sgd, epochs=None)), strict=True)
    }
    contenders = {
        name: [
            {"epochs": n_epochs, **_measure(controller, partial(train, epochs=n_epochs), lesson, counts)}
            for n_epochs in (EPOCHS if whole else FEW_EPOCHS)
        ]
        for name, train, counts in (
            (COURSE, train_course, (most,)),
            (MINI_BATCHES, train_mini_batches, (most,)),
            (SGD, train_sgd, (1, most)),
        )
    }
    n, d = lesson.X.shape
    words = f"{'MNIST' if data.name == 'mnist' else data.name}, {n:,} × {d}"
    return {"data": words, "marks": marks, "contenders": contenders}


def _measure(controller, solve, lesson, counts):
    """Return seconds, threads, accuracy and log loss of a training with its best number of threads."""
    best, n_threads = run_on_best(controller, counts, solve, lesson)
    return {"seconds": best.seconds, "threads": n_threads, **lesson.test(best.solution)}


def find_seconds(points, accuracy):
    """Return the seconds of the first point that reaches an accuracy, or None where none does."""
    return next((point["seconds"] for point in points if point["accuracy"] >= accuracy), None)


def find_accuracy(points, seconds):
    """Return the highest accuracy of the points that took at most `seconds`, or None where none did."""
    return max((point["accuracy"] for point in points if point["seconds"] <= seconds), default=None)


LEARNING = Case("learning", "seconds to an accuracy", load_images, measure_learning, N_DIGITS)
