"""What a study is given and what it returns, and the course's data and trainings that several studies share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from fastlin import trainers
from fastlin.datasets import Dataset

BATCH_SIZE = 128


@dataclass(frozen=True, eq=False)
class Settings:
    """What every study of one run is given.

    Attributes
    ----------
    data : Dataset
        MNIST's first 20,000 training and 10,000 test images, CIFAR-10, or the embedded digits.
    quick : bool
        Whether to take fewer epochs, rows and seeds, only to see that everything works.
    seed : int
        The seed of all random numbers of the study.
    notify : callable
        A function ``notify(what, part=None)`` that shows progress. A study calls it with a few words on what it is
        working on and, where it counts its work, with the part that is done, from 0 to 1.
    folder : Path or None
        The folder in which a study that can be continued keeps its records. None: nothing is kept.
    draws : int
        The number of draws of a random search.
    """

    data: Dataset
    quick: bool = False
    seed: int = 0
    notify: Callable = lambda what, part=None: None
    folder: Path | None = None
    draws: int = 100


@dataclass(frozen=True)
class Results:
    """What a study found.

    Attributes
    ----------
    parameters : dict
        What was run, as plain values.
    merits : dict
        The results, as plain values: what the study found.
    series : dict
        What is drawn, as histories and arrays.
    """

    parameters: dict
    merits: dict
    series: dict = field(default_factory=dict)


@lru_cache(maxsize=2)
def binary_data(data):
    """Return X_train, Y_train, X_val, Y_val of the digits 2 (target 1) and 3, pre-processed."""
    X_train, Y_train = trainers.binary_prune_dataset(2, 3, data.X_train, data.y_train.reshape(-1, 1))
    X_val, Y_val = trainers.binary_prune_dataset(2, 3, data.X_test, data.y_test.reshape(-1, 1))
    return trainers.pre_process_images(X_train), Y_train, trainers.pre_process_images(X_val), Y_val


@lru_cache(maxsize=2)
def softmax_data(data):
    """Return X_train, Y_train, X_val, Y_val of all ten digits, pre-processed and one-hot."""
    return (
        trainers.pre_process_images(data.X_train),
        trainers.one_hot_encode(data.y_train, 10),
        trainers.pre_process_images(data.X_test),
        trainers.one_hot_encode(data.y_test, 10),
    )


def train_binary(settings, epochs, *, shuffle, early_stopping=False, seed=None):
    """Train the 2-against-3 model, learning rate 0.05; return model, train history, validation history."""
    X_train, *others = binary_data(settings.data)
    model = trainers.BinaryModel(n_inputs=X_train.shape[1])
    trainer = trainers.LogisticTrainer(
        model,
        0.05,
        BATCH_SIZE,
        shuffle,
        X_train,
        *others,
        early_stopping=early_stopping,
        seed=settings.seed if seed is None else seed,
        progress=False,
    )
    return model, *_train_whole(trainer, epochs)


def train_softmax(settings, epochs, l2_reg_lambda=0.0, half=False):
    """Train the ten-digit model, learning rate 0.01, shuffled; return model, train history, validation history.

    Several studies share a training: it is made once and kept.
    """
    return _train_softmax(settings.data, settings.seed, epochs, l2_reg_lambda, half)


# The studies of the course train seven of these models. Settings are no key, since each study has its own.
@lru_cache(maxsize=8)
def _train_softmax(data, seed, epochs, l2_reg_lambda, half):
    X_train, *others = softmax_data(data)
    model = trainers.SoftmaxModel(l2_reg_lambda, half, n_inputs=X_train.shape[1])
    trainer = trainers.SoftmaxTrainer(model, 0.01, BATCH_SIZE, True, X_train, *others, seed=seed, progress=False)
    return model, *_train_whole(trainer, epochs)


def _train_whole(trainer, epochs):
    """Train and return the histories; a training that Ctrl-C has cut short is no result, so that it raises instead."""
    histories = trainer.train(epochs)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return histories


def steps_per_epoch(X_train):
    """Return the number of whole batches in an epoch."""
    return len(X_train) // BATCH_SIZE


def last(history):
    """Return the last value of a history."""
    return float(next(reversed(history.values())))


def roughness(values):
    """Return the standard deviation of the differences between successive values."""
    return float(np.std(np.diff(values)))
