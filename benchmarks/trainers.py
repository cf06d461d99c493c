"""asv benchmarks of the course's softmax training on 20,000 images and a column of ones, in batches of 128."""

from functools import lru_cache

import numpy as np

from benchmarks import plain_numpy
from benchmarks.common import interleaved_ratio, load_data
from fastlin import trainers

N_TRAIN = 20_000
N_VAL = 1_000
LEARNING_RATE = 0.01
BATCH_SIZE = 128
EPOCHS = 5


@lru_cache(maxsize=2)
def course_data(name, dtype, n_train=N_TRAIN):
    """Return X_train, Y_train, X_val, Y_val: inputs from -1 to 1 and a column of ones, one-hot targets."""
    data = load_data(name, n_train, "uint8" if name == "mnist" else dtype)
    inputs = []
    for X in (data.X_train, data.X_test[:N_VAL]):
        processed = trainers.pre_process_images(X) if name == "mnist" else np.hstack([X, np.ones((len(X), 1))])
        inputs.append(processed.astype(dtype))
    targets = [trainers.one_hot_encode(y, 10).astype(dtype) for y in (data.y_train, data.y_test[:N_VAL])]
    return inputs[0], targets[0], inputs[1], targets[1]


def train(data, epochs):
    """Train fastlin's model; return w and the two histories."""
    model = trainers.SoftmaxModel(n_inputs=data[0].shape[1])
    trainer = trainers.SoftmaxTrainer(model, LEARNING_RATE, BATCH_SIZE, True, *data, seed=0, progress=False)
    train_history, val_history = trainer.train(epochs)
    return model.w, train_history, val_history


def train_plainly(data, epochs):
    """Train the same model by plain NumPy; return w and the two histories."""
    return plain_numpy.train(*data, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, epochs=epochs, seed=0)


class SoftmaxTraining:
    """Five epochs, with a validation every fifth of an epoch."""

    params = (["mnist", "synthetic"], ["float64", "float32"])
    param_names = ("data", "dtype")
    timeout = 120
    rounds = 1
    repeat = (3, 10, 3.0)

    def setup(self, data, dtype):
        self.data = course_data(data, dtype)
        # This compiles for the type.
        train(self.data, 1)

    def time_training(self, data, dtype):
        train(self.data, EPOCHS)

    def peakmem_training(self, data, dtype):
        train(self.data, EPOCHS)

    def track_validation_accuracy(self, data, dtype):
        _, _, val_history = train(self.data, EPOCHS)
        return list(val_history["accuracy"].values())[-1]

    track_validation_accuracy.unit = "accuracy"

    def track_ratio_to_numpy(self, data, dtype):
        return interleaved_ratio(lambda: train_plainly(self.data, EPOCHS), lambda: train(self.data, EPOCHS), 5)

    track_ratio_to_numpy.unit = "NumPy's time / fastlin's"
