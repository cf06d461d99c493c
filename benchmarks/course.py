"""The races of the course's softmax training: images and a column of ones in batches of 128, beside plain NumPy."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from benchmarks.data import load_data
from benchmarks.problems import Task
from benchmarks.races import Race, Rule
from fastlin import trainers

N_TRAIN, N_VAL = 20_000, 1_000
LEARNING_RATE = 0.01
BATCH_SIZE = 128
EPOCHS = 50
# The objective after some thousand steps differs by rounding, in float32 by that of the steps.
ALLOWED = {"float64": 1e-11, "float32": 1e-4}


@dataclass(frozen=True, eq=False)
class Training(Task):
    """The data of a training, solved by the weights w (d, K); it looks at the rows to test on while it trains."""

    # X_train, Y_train, X_val and Y_val: inputs from -1 to 1 and a column of ones, one-hot targets.
    arrays: tuple = ()
    epochs: int = EPOCHS

    def find_raw_scores(self, X, w):
        return X.astype(np.float64, copy=False) @ w.astype(np.float64)


def load_training(n_rows, data, dtype):
    """Return the Training on some rows of "mnist" or "synthetic", or on the course's, in a type."""
    loaded = load_data(data, n_rows or N_TRAIN, "uint8" if data == "mnist" else dtype)
    inputs = []
    for X in (loaded.X_train, loaded.X_test[:N_VAL]):
        processed = trainers.pre_process_images(X) if data == "mnist" else np.hstack([X, np.ones((len(X), 1))])
        inputs.append(processed.astype(dtype))
    labels = [y.astype(np.int64) for y in (loaded.y_train, loaded.y_test[:N_VAL])]
    targets = [trainers.one_hot_encode(y, 10).astype(dtype) for y in labels]
    arrays = inputs[0], targets[0], inputs[1], targets[1]
    return Training(inputs[0], labels[0], inputs[1], labels[1], 10, arrays)


def train(training):
    """Train fastlin's model, validated every fifth of an epoch; return its weights and the two histories."""
    model = trainers.SoftmaxModel(n_inputs=training.X.shape[1])
    given = LEARNING_RATE, BATCH_SIZE, True, *training.arrays
    trainer = trainers.SoftmaxTrainer(model, *given, early_stopping=False, seed=0, progress=False)
    histories = trainer.train(training.epochs)
    return model.w, *histories


def train_plainly(training, dtype):
    """Train the same model by mini-batches as the course's code does, in a type; return the same.

    A fifth of an epoch lies between two validations. The batches are those of fastlin's SoftmaxTrainer.
    """
    X_train, Y_train, X_val, Y_val = (array.astype(dtype, copy=False) for array in training.arrays)
    w = np.zeros((X_train.shape[1], Y_train.shape[1]), X_train.dtype)
    train_history, val_history = ({"loss": {}, "accuracy": {}} for _ in range(2))
    steps_per_epoch = len(X_train) // BATCH_SIZE
    steps_per_validation = steps_per_epoch // 5
    random_state = check_random_state(0)
    step = 0
    for _ in range(training.epochs):
        order = np.arange(len(X_train))
        random_state.shuffle(order)
        for batch in range(steps_per_epoch):
            rows = order[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            X, Y = X_train[rows], Y_train[rows]
            outputs = _forward(X, w)
            train_history["loss"][step] = _cross_entropy(Y, outputs)
            w -= LEARNING_RATE * (X.T @ (outputs - Y) / BATCH_SIZE)
            if step % steps_per_validation == 0:
                val_history["loss"][step] = _cross_entropy(Y_val, _forward(X_val, w))
                train_history["accuracy"][step] = _accuracy(X_train, Y_train, w)
                val_history["accuracy"][step] = _accuracy(X_val, Y_val, w)
            step += 1
    return w, train_history, val_history


def _forward(X, w):
    outputs = X @ w
    outputs -= outputs.max(axis=1, keepdims=True)
    np.exp(outputs, out=outputs)
    outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


def _cross_entropy(targets, outputs):
    return -np.sum(targets * np.log(outputs)) / len(targets)


def _accuracy(X, targets, w):
    return np.mean(_forward(X, w).argmax(axis=1) == targets.argmax(axis=1))


RACES = {
    f"course-{dtype}": Race(
        f"the course's softmax training, {EPOCHS} epochs with validations",
        partial(load_training, data="mnist", dtype=dtype),
        lambda training: train(training)[:1],
        # The course's code computes in float64, whatever fastlin computes in.
        {"plain NumPy in float64": lambda training: train_plainly(training, "float64")[:1]},
        rows=1_500,
        rule=Rule(same_steps=ALLOWED[dtype]),
        warm_up_rows=1_000,
    )
    for dtype in ALLOWED
}
