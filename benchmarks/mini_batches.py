"""The races of softmax regression by mini-batches on MNIST: SGDClassifier, and the same steps by plain NumPy.

``python -m benchmarks.mini_batches`` prints seconds and accuracy of both sides on sparse rows of two classes.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

import fastlin
from benchmarks.data import load_mnist
from benchmarks.problems import score
from benchmarks.races import FASTLIN, Race, Rule
from benchmarks.tables import Table, format_ratio, format_seconds, write_markdown
from fastlin.kernels.machine.threads import count_threads

N_CLASSES = 10
EPOCHS = 5
BATCH_SIZE = 128
LEARNING_RATE, MOMENTUM, ALPHA = 0.03, 0.9, 1e-4
SEED = 0
# Of the losses after 2,345 steps in float32.
ALLOWED = 1e-4
N_ENTRIES, SPARSE_ROWS, COLUMNS, TURNS = 30, 20_000, (1_000, 20_000, 50_000, 300_000), 7


@dataclass(frozen=True, eq=False)
class Images:
    """Images and those to test on, which are solved by coef (K, d), intercept (K,) and whether classes stand alone.

    Classes that are fitted one by one, as SGDClassifier's, each have a probability of their own, which are divided by
    their sum, as its `predict_proba` does.

    Attributes
    ----------
    X, X_test : ndarray of shapes (n, 784) and (n_test, 784), float64
        Grey values from 0 to 1.
    y, y_test : ndarray of shapes (n,) and (n_test,), int64
        The digits.
    by_error : bool
        Whether the objective is the error on the test rows, since SGDClassifier's classes are fitted one by one, or the
        mean cross-entropy of the rows.
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    by_error: bool
    n_classes: int = N_CLASSES

    def objective(self, coef, intercept, one_by_one=False):
        """Return what the race is judged by."""
        if self.by_error:
            return 1 - self.test(coef, intercept).accuracy
        return score(self.X, self.y, N_CLASSES, coef, intercept).log_loss

    def accuracy(self, coef, intercept, one_by_one=False):
        """Return NaN: the objective says what counts."""
        return np.nan

    def test(self, coef, intercept, one_by_one=False):
        """Return the Scores on the test rows."""
        scores = score(self.X_test, self.y_test, self.n_classes, coef, intercept)
        if not one_by_one:
            return scores
        probabilities = expit(self.X_test @ coef.T + intercept)
        own = probabilities[np.arange(len(self.y_test)), self.y_test] / probabilities.sum(axis=1)
        # As scikit-learn's log_loss, which clips what is zero by rounding.
        return scores._replace(log_loss=float(-np.mean(np.log(np.maximum(own, np.finfo(float).eps)))))


def load_images(n_rows, by_error):
    """Return the Images of some rows of MNIST, or of all."""
    data = load_mnist()
    rows = slice(n_rows)
    X, X_test = (part.astype(np.float64) / 255 for part in (data.X_train[rows], data.X_test))
    return Images(X, data.y_train[rows].astype(np.int64), X_test, data.y_test.astype(np.int64), by_error)


def train(images):
    """Train fastlin's estimator."""
    model = fastlin.MiniBatchLogisticRegression(
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        max_iter=EPOCHS,
        n_iter_no_change=np.inf,
        random_state=SEED,
    ).fit(images.X, images.y)
    return model.coef_, model.intercept_


def train_by_sgd(images):
    """Train scikit-learn's SGDClassifier, with its own learning rate, for as many epochs, a class on each thread."""
    with warnings.catch_warnings():
        # The training ends after so many epochs on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = SGDClassifier(
            loss="log_loss", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=SEED, n_jobs=count_threads()
        )
        model.fit(images.X, images.y)
    return model.coef_, model.intercept_, True


def train_plainly(images):
    """Take the same steps in NumPy and float64."""
    X, targets = images.X, np.eye(N_CLASSES)[images.y]
    coef, intercept = np.zeros((X.shape[1], N_CLASSES)), np.zeros(N_CLASSES)
    velocity, intercept_velocity = np.zeros_like(coef), np.zeros_like(intercept)
    random_state, order = np.random.RandomState(SEED), np.arange(len(X))
    for _ in range(EPOCHS):
        places = np.arange(len(X))
        random_state.shuffle(places)
        order = order[places]
        for first in range(0, len(order), BATCH_SIZE):
            rows = order[first : first + BATCH_SIZE]
            batch = X[rows]
            scores = batch @ coef + intercept
            scores -= scores.max(axis=1, keepdims=True)
            residuals = np.exp(scores)
            residuals /= residuals.sum(axis=1, keepdims=True)
            residuals -= targets[rows]
            residuals /= len(rows)
            velocity = MOMENTUM * velocity - LEARNING_RATE * (batch.T @ residuals + ALPHA * coef)
            intercept_velocity = MOMENTUM * intercept_velocity - LEARNING_RATE * residuals.sum(axis=0)
            coef += velocity
            intercept += intercept_velocity
    return coef.T, intercept


def _race(peer, solve, by_error, **options):
    return Race(
        f"softmax by mini-batches of {BATCH_SIZE}, {EPOCHS} epochs",
        lambda n_rows: load_images(n_rows, by_error),
        train,
        {peer: solve},
        rows=10_000,
        **options,
    )


def load_sparse(n_rows: int, n_columns: int) -> Images:
    """Return rows of 30 entries in columns drawn at random, with labels drawn from a logistic model of them."""
    generator = np.random.default_rng(SEED)
    n_all = n_rows + n_rows // 5
    indices = generator.integers(0, n_columns, n_all * N_ENTRIES, dtype=np.int32)
    data = generator.normal(size=len(indices))
    X = sparse.csr_array(
        (data, indices, np.arange(0, len(data) + 1, N_ENTRIES, dtype=np.int32)), shape=(n_all, n_columns)
    )
    X.sum_duplicates()
    y = (X @ generator.normal(size=n_columns) + generator.logistic(size=n_all) > 0).astype(np.int64)
    return Images(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], by_error=True, n_classes=2)


def measure_sparse(columns: Sequence[int] = COLUMNS, n_rows: int = SPARSE_ROWS) -> Table:
    """Return the Table of an epoch of both sides, the median of trainings in turn, by the number of columns."""
    rows = []
    for n_columns in columns:
        data, seconds, solutions = load_sparse(n_rows, n_columns), {}, {}
        train(data)
        for _ in range(TURNS):
            for name, solve in ((FASTLIN, train), ("SGDClassifier", train_by_sgd)):
                begin = perf_counter()
                solutions[name] = solve(data)[:2]
                seconds.setdefault(name, []).append((perf_counter() - begin) / EPOCHS)
        ours, theirs = (median(seconds[name]) for name in solutions)
        accuracies = [f"{data.test(*solution).accuracy:.4f}" for solution in solutions.values()]
        times = (format_seconds(ours), format_seconds(theirs), format_ratio(theirs / ours))
        rows.append([f"{n_columns:,}", *times, " / ".join(accuracies)])
    heading = f"columns of {n_rows:,} rows"
    names = [heading, "an epoch of fastlin", "of SGDClassifier", "times faster", "accuracies"]
    return Table("sparse rows of 30 entries, two classes", names, rows, [False] * len(rows))


RACES = {
    "mini-batches-sgd": _race("scikit-learn SGDClassifier, log_loss", train_by_sgd, by_error=True),
    "mini-batches-numpy": _race("plain NumPy in float64", train_plainly, by_error=False, rule=Rule(same_steps=ALLOWED)),
}

if __name__ == "__main__":
    print(write_markdown(measure_sparse()))
