"""Comparisons of mini-batch softmax regression on MNIST with SGDClassifier and with the same steps in NumPy.

``python -m benchmarks.mini_batches`` prints comparisons with SGDClassifier on sparse rows with two classes.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from scipy.special import log_expit, log_softmax
from sklearn.linear_model import SGDClassifier
from sklearn.utils import check_random_state

import fastlin
from benchmarks.comparisons import Comparison, ComparisonRule, load_problem, run_comparison
from benchmarks.data import load_mnist_pixels
from benchmarks.problems import LogLossProblem
from benchmarks.tables import print_tables, tabulate
from fastlin import trainers
from fastlin.benchmarking.timing import fit_without_convergence_warning
from fastlin.kernels.machine.threads import count_threads

N_CLASSES = 10
N_EPOCHS = 5
BATCH_SIZE = 128
LEARNING_RATE, MOMENTUM, ALPHA = 0.03, 0.9, 1e-4
SEED = 0
SAME_STEPS_TOL = 1e-4
N_ENTRIES_PER_ROW, N_SPARSE_ROWS, SPARSE_COLUMN_COUNTS = 30, 20_000, (1_000, 20_000, 50_000, 300_000)
N_COURSE_TRAINING_ROWS, N_COURSE_VALIDATION_ROWS, COURSE_LEARNING_RATE, N_COURSE_EPOCHS = 20_000, 1_000, 0.01, 50
# After several thousand steps, rounding errors make the objectives differ. In float32, the steps are rounded.
COURSE_SAME_STEPS_TOLS = {"float64": 1e-11, "float32": 1e-4}


@dataclass(frozen=True, eq=False)
class Examples(LogLossProblem):
    """Rows. A solution consists of coef (K, d), intercept (K,) and, optionally, whether the model is one-vs-rest.

    One-vs-rest probabilities are divided by their sum, as in SGDClassifier's `predict_proba`.
    """

    uses_test_error: bool = False

    def compute_class_scores(self, X, coef, intercept, is_one_vs_rest=False):
        scores = super().compute_class_scores(X, coef, intercept)
        if not is_one_vs_rest or len(coef) == 1:
            return scores
        # The probabilities are clipped as in scikit-learn's log_loss.
        return np.maximum(log_softmax(log_expit(scores), axis=1), np.log(np.finfo(float).eps))

    def objective(self, *solution):
        return 1 - self.score_test_rows(*solution).accuracy if self.uses_test_error else super().objective(*solution)

    def accuracy(self, *solution):
        return np.nan if self.uses_test_error else super().accuracy(*solution)


def load_images(n_rows, uses_test_error):
    """Return some or all rows of MNIST, with pixels from 0 to 1."""
    data = load_mnist_pixels(n_rows, "float64")
    y, y_test = data.y_train.astype(np.int64), data.y_test.astype(np.int64)
    return Examples(data.X_train, y, data.X_test, y_test, N_CLASSES, uses_test_error)


def train(examples):
    """Train fastlin's estimator."""
    model = fastlin.MiniBatchLogisticRegression(
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        max_iter=N_EPOCHS,
        n_iter_no_change=np.inf,
        random_state=SEED,
    ).fit(examples.X, examples.y)
    return model.coef_, model.intercept_


def train_sgd_classifier(examples):
    """Train scikit-learn's SGDClassifier with its default learning rate for the same number of epochs, in parallel."""
    options = {"max_iter": N_EPOCHS, "tol": None, "random_state": SEED, "n_jobs": count_threads()}
    model = SGDClassifier(loss="log_loss", alpha=ALPHA, **options)
    fit_without_convergence_warning(model, examples.X, examples.y)
    return model.coef_, model.intercept_, True


def train_with_numpy(examples):
    """Take the same steps with NumPy in float64."""
    X, targets = examples.X, np.eye(N_CLASSES)[examples.y]
    coef, intercept = np.zeros((X.shape[1], N_CLASSES)), np.zeros(N_CLASSES)
    velocity, intercept_velocity = np.zeros_like(coef), np.zeros_like(intercept)
    random_state, order = np.random.RandomState(SEED), np.arange(len(X))
    for _ in range(N_EPOCHS):
        permutation = np.arange(len(X))
        random_state.shuffle(permutation)
        order = order[permutation]
        for first_row in range(0, len(order), BATCH_SIZE):
            rows = order[first_row : first_row + BATCH_SIZE]
            batch = X[rows]
            residuals = _softmax(batch @ coef + intercept)
            residuals -= targets[rows]
            residuals /= len(rows)
            velocity = MOMENTUM * velocity - LEARNING_RATE * (batch.T @ residuals + ALPHA * coef)
            intercept_velocity = MOMENTUM * intercept_velocity - LEARNING_RATE * residuals.sum(axis=0)
            coef += velocity
            intercept += intercept_velocity
    return coef.T, intercept


def _softmax(scores):
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def load_course_examples(n_rows, dtype):
    """Return rows of MNIST, by default the course's rows, with pixels from -1 to 1 and a column of ones."""
    data = load_mnist_pixels(n_rows or N_COURSE_TRAINING_ROWS, "uint8")
    X, X_val = (
        trainers.pre_process_images(images).astype(dtype)
        for images in (data.X_train, data.X_test[:N_COURSE_VALIDATION_ROWS])
    )
    return Examples(X, data.y_train, X_val, data.y_test[:N_COURSE_VALIDATION_ROWS], N_CLASSES)


def train_course(examples, epochs=N_COURSE_EPOCHS):
    """Train the course's softmax model with fastlin; return coef, a zero intercept and the two histories."""
    arrays = _list_training_arrays(examples, examples.X.dtype)
    model = trainers.SoftmaxModel(n_inputs=examples.X.shape[1])
    arguments = COURSE_LEARNING_RATE, BATCH_SIZE, True, *arrays
    trainer = trainers.SoftmaxTrainer(model, *arguments, early_stopping=False, seed=0, progress=False)
    histories = trainer.train(epochs)
    return model.w.T, np.zeros(N_CLASSES), *histories


def train_course_with_numpy(examples, epochs=N_COURSE_EPOCHS):
    """Train the same model with NumPy like the course's code, in float64 and with the batches of fastlin's trainer."""
    X_train, Y_train, X_val, Y_val = _list_training_arrays(examples, np.float64)
    w = np.zeros((X_train.shape[1], N_CLASSES))
    train_history, val_history = ({"loss": {}, "accuracy": {}} for _ in range(2))
    steps_per_epoch = len(X_train) // BATCH_SIZE
    random_state = check_random_state(0)
    step = 0
    for _ in range(epochs):
        order = np.arange(len(X_train))
        random_state.shuffle(order)
        for batch in range(steps_per_epoch):
            rows = order[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            X, Y = X_train[rows], Y_train[rows]
            probabilities = _softmax(X @ w)
            train_history["loss"][step] = _cross_entropy(Y, probabilities)
            w -= COURSE_LEARNING_RATE * (X.T @ (probabilities - Y) / BATCH_SIZE)
            if step % (steps_per_epoch // 5) == 0:
                val_history["loss"][step] = _cross_entropy(Y_val, _softmax(X_val @ w))
                train_history["accuracy"][step] = _measure_accuracy(X_train, Y_train, w)
                val_history["accuracy"][step] = _measure_accuracy(X_val, Y_val, w)
            step += 1
    return w.T, np.zeros(N_CLASSES), train_history, val_history


def _list_training_arrays(examples, dtype):
    """Return X_train, Y_train, X_val and Y_val for the course's trainers."""
    data_splits = (examples.X, examples.y), (examples.X_test, examples.y_test)
    return [array.astype(dtype, copy=False) for X, y in data_splits for array in (X, np.eye(N_CLASSES)[y])]


def _cross_entropy(targets, probabilities):
    return -np.sum(targets * np.log(probabilities)) / len(targets)


def _measure_accuracy(X, targets, w):
    return np.mean(_softmax(X @ w).argmax(axis=1) == targets.argmax(axis=1))


def load_sparse_examples(n_rows, n_columns):
    """Return sparse rows with 30 entries in random columns, and labels drawn from a logistic model."""
    generator = np.random.default_rng(SEED)
    n_rows = n_rows or N_SPARSE_ROWS
    n_all = n_rows + n_rows // 5
    indices = generator.integers(0, n_columns, n_all * N_ENTRIES_PER_ROW, dtype=np.int32)
    data = generator.normal(size=len(indices))
    X = sparse.csr_array(
        (data, indices, np.arange(0, len(data) + 1, N_ENTRIES_PER_ROW, dtype=np.int32)), shape=(n_all, n_columns)
    )
    X.sum_duplicates()
    y = (X @ generator.normal(size=n_columns) + generator.logistic(size=n_all) > 0).astype(np.int64)
    return Examples(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], 2, uses_test_error=True)


SGD_BASELINE = {"scikit-learn SGDClassifier, log_loss": train_sgd_classifier}
TITLE = f"softmax by mini-batches of {BATCH_SIZE}, {N_EPOCHS} epochs"
COMPARISONS = {
    "mini-batches-sgd": Comparison(TITLE, partial(load_images, uses_test_error=True), train, SGD_BASELINE, 10_000),
    "mini-batches-numpy": Comparison(
        TITLE,
        partial(load_images, uses_test_error=False),
        train,
        {"plain NumPy in float64": train_with_numpy},
        10_000,
        rule=ComparisonRule(same_steps_tol=SAME_STEPS_TOL),
    ),
    **{
        f"course-{dtype}": Comparison(
            f"the course's softmax training, {N_COURSE_EPOCHS} epochs with validations",
            partial(load_course_examples, dtype=dtype),
            lambda examples: train_course(examples)[:2],
            {"plain NumPy in float64": lambda examples: train_course_with_numpy(examples)[:2]},
            rows=1_500,
            rule=ComparisonRule(same_steps_tol=objective_tol),
            n_warm_up_rows=1_000,
        )
        for dtype, objective_tol in COURSE_SAME_STEPS_TOLS.items()
    },
}


def compare_on_sparse_rows(n_columns, n_rows=None):
    """Return the record of a comparison on sparse rows. The test errors of the libraries may differ."""
    comparison = Comparison(
        f"{N_EPOCHS} epochs of sparse rows",
        partial(load_sparse_examples, n_columns=n_columns),
        train,
        SGD_BASELINE,
        n_rows,
    )
    return run_comparison(comparison, load_problem(comparison)).describe() | {"failure": ""}


if __name__ == "__main__":
    print_tables(tabulate({n_columns: compare_on_sparse_rows(n_columns) for n_columns in SPARSE_COLUMN_COUNTS}))
