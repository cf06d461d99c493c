"""How the studies of the course train on each data set, their data, and the trained models."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastlin.course import datasets, trainers
from fastlin.course.datasets.dataset import Dataset
from fastlin.course.studies.settings import Settings
from fastlin.course.trainers.data import select_images
from fastlin.course.trainers.models import BinaryModel, SoftmaxModel
from fastlin.typing import Array, FloatArray, IntArray

PATIENCE = 10
# An epoch has this number of validations; curves are averaged over an epoch.
VALIDATIONS = 5
# The number of epochs after which a training with early stopping ends in any case.
MOST_EPOCHS = 500
# Report B draws this many training and validation images at random from MNIST. The first seed is that of the course's
# code; the others show how much a result owes to it.
RANDOM_SPLIT = 18_000, 2_000
SPLITS = 0, 1, 2


@dataclass(frozen=True)
class Protocol:
    """How the models of the course are trained on a data set; epochs are those without early stopping."""

    batch_size: int
    binary_learning_rate: float
    softmax_learning_rate: float
    softmax_epochs: int
    loss_to_reach: float  # validation loss of 2 against 3 that measures speed
    loss_to_stay_below: float  # validation loss of 2 against 3 that a training leaves behind for good
    binary_epochs: int = 50
    # Of the softmax model by the weight of its penalty, where it differs.
    learning_rates: dict = field(default_factory=dict)


# The course's own settings.
MNIST = Protocol(
    batch_size=128,
    binary_learning_rate=0.05,
    softmax_learning_rate=0.01,
    softmax_epochs=50,
    loss_to_reach=0.07,
    loss_to_stay_below=0.08,
)
# With batches of 128 the embedded digits have two steps an epoch of 2 against 3, and no curve shows anything. The
# penalty of 1 diverges with the learning rate of the others.
DIGITS = Protocol(
    batch_size=16,
    binary_learning_rate=0.5,
    softmax_learning_rate=0.1,
    softmax_epochs=100,
    loss_to_reach=0.12,
    loss_to_stay_below=0.14,
    learning_rates={1.0: 0.01},
)


def find_protocol(data: Dataset, quick: bool) -> Protocol:
    """Return the Protocol for a Dataset, with fewer epochs where the study is quick."""
    protocol = MNIST if data.name == "mnist" else DIGITS
    return replace(protocol, binary_epochs=10, softmax_epochs=5) if quick else protocol


def describe_training(settings: Settings, model: Literal["binary", "softmax"]) -> dict[str, Any]:
    """Return the training of the "binary" or the "softmax" model as plain values, for the parameters of a study."""
    protocol = find_protocol(settings.data, settings.quick)
    described = {
        "data": settings.data.name,
        "learning_rate": getattr(protocol, f"{model}_learning_rate"),
        "batch_size": protocol.batch_size,
        "epochs": getattr(protocol, f"{model}_epochs"),
    }
    if model == "softmax":
        described["other_learning_rates"] = {f"{key:g}": rate for key, rate in protocol.learning_rates.items()}
    return described


@lru_cache(maxsize=2)
def binary_data(data: Dataset, split: int | None, /) -> tuple[Array, Array, Array, Array]:
    """Return pre-processed X_train, Y_train, X_val, Y_val of the digits 2 (target 1) and 3.

    `split` seeds the random split of report B; None takes the first COURSE_IMAGES training images and all test images.
    """
    return _prepare(data, split, lambda X, Y: trainers.binary_prune_dataset(2, 3, X, Y))


@lru_cache(maxsize=2)
def softmax_data(data: Dataset, split: int | None, /) -> tuple[Array, Array, Array, Array]:
    """Return pre-processed X_train, one-hot Y_train, X_val, Y_val of all ten digits, split as in `binary_data`."""
    return _prepare(data, split, lambda X, Y: (X, trainers.one_hot_encode(Y, 10)))


def _prepare(data, split, choose):
    """Return the pre-processed images and the targets of a split; `choose` maps X and Y to both."""
    sizes, random_state = (min(datasets.COURSE_IMAGES, len(data.X_train)), len(data.X_test)), None
    if split is not None:
        sizes, random_state = RANDOM_SPLIT, np.random.RandomState(split)
    X_train, Y_train, X_val, Y_val = select_images(data, *sizes, random_state)
    (X_train, Y_train), (X_val, Y_val) = choose(X_train, Y_train), choose(X_val, Y_val)
    return trainers.pre_process_images(X_train), Y_train, trainers.pre_process_images(X_val), Y_val


def find_splits(data: Dataset, quick: bool) -> tuple[int, ...]:
    """Return the seeds of the random splits: none unless all of MNIST is there, one where quick."""
    is_whole = data.name == "mnist" and len(data.X_train) == datasets.MNIST_FILES["X_train"][2][0]
    return SPLITS[: 1 if quick else None] if is_whole else ()


def choose_seeds(settings: Settings, n_seeds: int) -> list[int]:
    """Return n_seeds successive seeds from the seed of the settings on."""
    return [(settings.seed + number) % 2**32 for number in range(n_seeds)]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and its histories; read-only, because several studies share it."""

    model: BinaryModel | SoftmaxModel
    train: dict
    val: dict
    steps_per_epoch: int

    @property
    def last_step(self) -> int:
        """The number of steps that were taken."""
        return len(self.train["loss"])

    @property
    def last_epoch(self) -> float:
        """The number of epochs that were taken, with a fraction."""
        return self.last_step / self.steps_per_epoch

    def after_first_epoch(self, history: Mapping[int, float], end: float = np.inf) -> FloatArray:
        """Return the values of a history from the second epoch on, up to a step; losses fall steeply before."""
        return np.array([value for step, value in history.items() if self.steps_per_epoch <= step < end])

    def measure_spikes(self, history: Mapping[int, float], end: float = np.inf) -> float:
        """Return the standard deviation of the differences between the successive values of `after_first_epoch`."""
        return spread_of_differences(self.after_first_epoch(history, end))


def train_binary(
    settings: Settings,
    *,
    shuffle: bool,
    early_stopping: bool = False,
    seed: int | None = None,
    split: int | None = None,
) -> Trained:
    """Return the Trained model of 2 against 3, cached for all studies.

    early_stopping trains up to MOST_EPOCHS with PATIENCE. `seed` orders the rows; `split` seeds the split of
    `binary_data`.
    """
    protocol, seed = find_protocol(settings.data, settings.quick), settings.seed if seed is None else seed
    n_epochs, rate = MOST_EPOCHS if early_stopping else protocol.binary_epochs, protocol.binary_learning_rate
    return _train(settings.data, split, None, rate, n_epochs, shuffle, seed, early_stopping)


def train_orders(settings: Settings, n_orders: int, *, early_stopping: bool = False) -> tuple[list[int], list[Trained]]:
    """Return the seeds of n_orders shuffled orders, and the Trained model of 2 against 3 for each."""
    seeds = choose_seeds(settings, n_orders)
    trained = []
    for seed in seeds:
        settings.notify(f"shuffled, seed {seed}")
        trained.append(train_binary(settings, shuffle=True, early_stopping=early_stopping, seed=seed))
    return seeds, trained


def train_splits(settings: Settings, train: Callable[..., Trained], **how: Any) -> Iterator[tuple[int, Trained]]:
    """Yield the seed of each random split and its Trained model, by `train_binary` or `train_softmax`."""
    for split in find_splits(settings.data, settings.quick):
        settings.notify(f"random split {split}")
        yield split, train(settings, split=split, **how)


def train_softmax(
    settings: Settings,
    l2_reg_lambda: float = 0.0,
    *,
    half: bool = False,
    split: int | None = None,
    rate_of: float | None = None,
    seed: int | None = None,
) -> Trained:
    """Return the Trained model of ten digits, shuffled, cached for all studies; the penalty is as in `SoftmaxModel`.

    The learning rate is that of the λ rate_of, by default of the model; `seed` and `split` are as in `train_binary`.
    """
    protocol = find_protocol(settings.data, settings.quick)
    weight = rate_of if rate_of is not None else l2_reg_lambda / 2 if half else l2_reg_lambda
    learning_rate = protocol.learning_rates.get(weight, protocol.softmax_learning_rate)
    penalty, n_epochs = (l2_reg_lambda, half), protocol.softmax_epochs
    seed = settings.seed if seed is None else seed
    return _train(settings.data, split, penalty, learning_rate, n_epochs, shuffle=True, seed=seed)


# The studies train 38 models of 2 against 3 and 17 of ten digits. Settings are no key: each study has its own.
@lru_cache(maxsize=96)
def _train(data, split, penalty, learning_rate, n_epochs, shuffle, seed, early_stopping=False):
    """Return the Trained model of 2 against 3 if penalty is None, else of ten digits with (l2_reg_lambda, half)."""
    X_train, *others = (binary_data if penalty is None else softmax_data)(data, split)
    n_inputs, batch_size = X_train.shape[1], find_protocol(data, False).batch_size
    if penalty is None:
        model, make_trainer = trainers.BinaryModel(n_inputs), trainers.LogisticTrainer
    else:
        model, make_trainer = trainers.SoftmaxModel(*penalty, n_inputs=n_inputs), trainers.SoftmaxTrainer
    given = learning_rate, batch_size, shuffle, X_train, *others
    trainer = make_trainer(model, *given, early_stopping=early_stopping, patience=PATIENCE, seed=seed, progress=False)
    train, val = trainer.train(n_epochs)
    # A training that Ctrl-C has cut short is no result.
    if trainer.interrupted:
        raise KeyboardInterrupt
    return Trained(model, train, val, len(X_train) // batch_size)


def measure_end(trained: Trained, X_train: Array, Y_train: Array) -> dict[str, float]:
    """Return the loss over all training images, and the last validation loss and both last accuracies."""
    return {
        "final_train_loss": float(trainers.cross_entropy_loss(Y_train, trained.model.forward(X_train))),
        "final_validation_loss": last(trained.val["loss"]),
        "final_train_accuracy": last(trained.train["accuracy"]),
        "final_validation_accuracy": last(trained.val["accuracy"]),
    }


def average(history: Mapping[int, float]) -> tuple[IntArray, FloatArray]:
    """Return the steps and the means of an epoch's successive validations; a step is the last of its window."""
    means = np.convolve(list(history.values()), np.ones(VALIDATIONS) / VALIDATIONS, "valid")
    return np.array(list(history))[VALIDATIONS - 1 :], means


def last(history: dict[int, float]) -> float:
    """Return the last value of a history."""
    return float(history[next(reversed(history))])


def spread_of_differences(values: ArrayLike) -> float:
    """Return the standard deviation of the differences between successive values."""
    return float(np.std(np.diff(values)))
