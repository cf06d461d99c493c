"""The races of the course's softmax training: images and a column of ones in batches of 128, beside plain NumPy."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import plain_numpy
from benchmarks.data import load_data
from benchmarks.problems import score
from benchmarks.races import Race, Rule
from fastlin import trainers

N_TRAIN, N_VAL = 20_000, 1_000
LEARNING_RATE = 0.01
BATCH_SIZE = 128
EPOCHS = 50
# The objective after some thousand steps differs by rounding, in float32 by that of the steps.
ALLOWED = {"float64": 1e-11, "float32": 1e-4}


@dataclass(frozen=True, eq=False)
class Training:
    """The data of a training, which is solved by the weights w (d, K).

    Attributes
    ----------
    arrays : tuple of ndarray
        X_train, Y_train, X_val and Y_val as the course has them: inputs from -1 to 1 and a column of ones, one-hot
        targets.
    epochs : int
        The number of epochs.
    """

    arrays: tuple
    epochs: int = EPOCHS

    @property
    def X(self):
        """The training inputs."""
        return self.arrays[0]

    @property
    def n_classes(self):
        """The number of classes."""
        return self.arrays[1].shape[1]

    def objective(self, w):
        """Return the mean cross-entropy of the training rows."""
        return self._score(0, w).log_loss

    def accuracy(self, w):
        """Return the accuracy on the training rows."""
        return self._score(0, w).accuracy

    def test(self, w):
        """Return the Scores on the validation rows, which the training looks at and does not train on."""
        return self._score(2, w)

    def _score(self, first, w):
        X, Y = self.arrays[first : first + 2]
        return score(X, Y.argmax(axis=1), self.n_classes, w.T, np.zeros(w.shape[1]))


def load_training(n_rows, data, dtype):
    """Return the Training on some rows of "mnist" or "synthetic", or on the course's, in a type."""
    loaded = load_data(data, n_rows or N_TRAIN, "uint8" if data == "mnist" else dtype)
    inputs = []
    for X in (loaded.X_train, loaded.X_test[:N_VAL]):
        processed = trainers.pre_process_images(X) if data == "mnist" else np.hstack([X, np.ones((len(X), 1))])
        inputs.append(processed.astype(dtype))
    targets = [trainers.one_hot_encode(y, 10).astype(dtype) for y in (loaded.y_train, loaded.y_test[:N_VAL])]
    return Training((inputs[0], targets[0], inputs[1], targets[1]))


def train(training):
    """Train fastlin's model; return its weights alone."""
    return train_with_histories(training)[:1]


def train_with_histories(training):
    """Train fastlin's model, validated every fifth of an epoch; return w and the two histories."""
    model = trainers.SoftmaxModel(n_inputs=training.X.shape[1])
    given = LEARNING_RATE, BATCH_SIZE, True, *training.arrays
    trainer = trainers.SoftmaxTrainer(model, *given, early_stopping=False, seed=0, progress=False)
    histories = trainer.train(training.epochs)
    return model.w, *histories


def train_plainly(training, dtype):
    """Train the same model by plain NumPy, in a type; return its weights alone."""
    return train_plainly_with_histories(training, dtype)[:1]


def train_plainly_with_histories(training, dtype):
    """Train the same model by plain NumPy, in a type; return w and the two histories."""
    return plain_numpy.train(
        *(array.astype(dtype, copy=False) for array in training.arrays),
        learning_rate=LEARNING_RATE,
        batch_size=BATCH_SIZE,
        epochs=training.epochs,
        seed=0,
    )


RACES = {
    f"course-{dtype}": Race(
        f"the course's softmax training, {EPOCHS} epochs with validations",
        partial(load_training, data="mnist", dtype=dtype),
        train,
        # The course's code computes in float64, whatever fastlin computes in.
        {"plain NumPy in float64": partial(train_plainly, dtype="float64")},
        rows=1_500,
        rule=Rule(same_steps=ALLOWED[dtype]),
        warm_up_rows=1_000,
    )
    for dtype in ALLOWED
}
