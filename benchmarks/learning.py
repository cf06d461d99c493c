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
from fastlin.course.studies import learning as lessons
from fastlin.kernels.machine.threads import count_threads

EPOCHS, FEW_EPOCHS = (1, 2, 5, 10, 20, 50), (5, 10, 20, 50, 100, 200, 500)
SEED, N_DIGITS = 0, 1_797
MINI_BATCHES, PEER = "MiniBatchLogisticRegression", "scikit-learn"


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


# What sets the marks, and what trains for some epochs.
MARKS = {
    f"{PEER} LogisticRegression, defaults": lessons.fit_logistic_regression,
    f"{PEER} SGDClassifier, defaults": partial(lessons.train_sgd, epochs=None),
}
CONTENDERS = {
    lessons.COURSE: lessons.train_course,
    MINI_BATCHES: train_mini_batches,
    lessons.SGD: lessons.train_sgd,
}


def measure_learning(data, whole):
    """Return all marks and contenders; a point is a whole training with its best number of threads."""
    lesson = lessons.make_lesson(data)
    controller, most = ThreadpoolController(), count_threads()

    def measure(name, train, **epochs):
        best, n_threads = run_on_best(controller, (1, most) if name.startswith(PEER) else (most,), train, lesson)
        return {**epochs, "seconds": best.seconds, "threads": n_threads, **lesson.test(best.solution)}

    # fastlin has compiled what it needs.
    for train in (lessons.train_course, train_mini_batches):
        train(lesson, 1)
    marks = {name: measure(name, train) for name, train in MARKS.items()}
    contenders = {
        name: [measure(name, partial(train, epochs=n), epochs=n) for n in (EPOCHS if whole else FEW_EPOCHS)]
        for name, train in CONTENDERS.items()
    }
    n, d = lesson.X.shape
    words = f"{'MNIST' if data.name == 'mnist' else data.name}, {n:,} × {d}"
    return {"data": words, "marks": marks, "contenders": contenders}


def find_seconds(points, accuracy):
    """Return the seconds of the first point that reaches an accuracy, or None where none does."""
    return next((point["seconds"] for point in points if point["accuracy"] >= accuracy), None)


def find_accuracy(points, seconds):
    """Return the highest accuracy of the points that took at most `seconds`, or None where none did."""
    return max((point["accuracy"] for point in points if point["seconds"] <= seconds), default=None)


LEARNING = Case("learning", "seconds to an accuracy", load_images, measure_learning, N_DIGITS)
