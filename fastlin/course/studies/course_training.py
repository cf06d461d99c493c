"""Training in the course's studies: training settings, images and trained models for each data set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from fastlin.course import datasets, trainers
from fastlin.course.datasets.dataset import Dataset
from fastlin.course.studies.settings import SETTINGS, Settings
from fastlin.course.trainers.data import select_images
from fastlin.course.trainers.models import BinaryModel, SoftmaxModel
from fastlin.typing import Array, FloatArray, IntArray

# The digits 2 vs 3, or all ten digits.
Task: TypeAlias = Literal["binary", "softmax"]
PATIENCE = 10
# Number of validations per epoch. Curves are averaged over an epoch.
VALIDATIONS_PER_EPOCH = 5
# Maximum number of epochs of a training run with early stopping.
MAX_EPOCHS = 500
# Numbers of training and validation images in the random splits of MNIST that report B uses. The course's code uses the
# first seed. The other seeds show how much a result depends on the split.
RANDOM_SPLIT_SIZES = 18_000, 2_000
SPLIT_SEEDS = 0, 1, 2


def find_training_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of the course's models from settings.toml, with fewer epochs in a quick study."""
    training_settings = SETTINGS["course"]["mnist" if settings.data.name == "mnist" else "digits"]
    return {**training_settings, "binary_epochs": 10, "softmax_epochs": 5} if settings.quick else training_settings


def describe_training(settings: Settings, task: Task) -> dict[str, Any]:
    """Return the training settings of a task as plain values, for the parameters of a study."""
    training_settings = find_training_settings(settings)
    return {
        "data": settings.data.name,
        "learning_rate": training_settings[f"{task}_learning_rate"],
        "batch_size": training_settings["batch_size"],
        "epochs": training_settings[f"{task}_epochs"],
        "other_learning_rates": training_settings["learning_rates"] if task == "softmax" else {},
    }


@lru_cache(maxsize=4)
def load_images(data: Dataset, task: Task, split: int | None, /) -> tuple[Array, Array, Array, Array]:
    """Return the preprocessed X_train, Y_train, X_val, Y_val of a task.

    `split` is the seed of report B's random split. None selects the first COURSE_IMAGES training images and all
    test images.
    """
    sizes, random_state = (min(datasets.COURSE_IMAGES, len(data.X_train)), len(data.X_test)), None
    if split is not None:
        sizes, random_state = RANDOM_SPLIT_SIZES, np.random.RandomState(split)
    X_train, Y_train, X_val, Y_val = select_images(data, *sizes, random_state)
    if task == "binary":
        X_train, Y_train = trainers.binary_prune_dataset(2, 3, X_train, Y_train)
        X_val, Y_val = trainers.binary_prune_dataset(2, 3, X_val, Y_val)
    else:
        Y_train, Y_val = trainers.one_hot_encode(Y_train, 10), trainers.one_hot_encode(Y_val, 10)
    return trainers.pre_process_images(X_train), Y_train, trainers.pre_process_images(X_val), Y_val


def choose_seeds(settings: Settings, n_seeds: int) -> list[int]:
    """Return n_seeds successive seeds, starting with the seed of the settings."""
    return [(settings.seed + number) % 2**32 for number in range(n_seeds)]


def find_random_splits(settings: Settings) -> dict[str, dict[str, int]]:
    """Return the random splits as cases of `train_cases`.

    There are no cases without the whole of MNIST, and there is one case in a quick study.
    """
    if settings.data.name != "mnist" or len(settings.data.X_train) != datasets.MNIST_FILES["X_train"][2][0]:
        return {}
    return {str(split): {"split": split} for split in SPLIT_SEEDS[: 1 if settings.quick else None]}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model and its histories. It must not be modified, because several studies use it."""

    model: BinaryModel | SoftmaxModel
    train: dict
    val: dict
    steps_per_epoch: int

    @property
    def n_steps_run(self) -> int:
        """Number of steps of the training run."""
        return len(self.train["loss"])

    @property
    def n_epochs_run(self) -> float:
        """Number of epochs of the training run, possibly fractional."""
        return self.n_steps_run / self.steps_per_epoch

    def values_after_first_epoch(self, history: Mapping[int, float], end: float = np.inf) -> FloatArray:
        """Return the values of a history after the first epoch, in which losses drop steeply, and before step `end`."""
        return np.array([value for step, value in history.items() if self.steps_per_epoch <= step < end])

    def measure_spikes(self, history: Mapping[int, float], end: float = np.inf) -> float:
        """Return the standard deviation of the differences between successive values of `values_after_first_epoch`."""
        return float(np.std(np.diff(self.values_after_first_epoch(history, end))))


def train(
    settings: Settings,
    task: Task,
    *,
    shuffle: bool = True,
    early_stopping: bool = False,
    l2_reg_lambda: float = 0.0,
    half: bool = False,
    rate_lambda: float | None = None,
    seed: int | None = None,
    split: int | None = None,
) -> TrainedModel:
    """Return the Trained model of a task, cached for all studies.

    With `early_stopping`, the training run has the patience PATIENCE and at most MAX_EPOCHS epochs. For ten digits,
    `l2_reg_lambda` and `half` define the penalty of `SoftmaxModel`. The learning rate is the one for λ = `rate_lambda`.
    By default, `rate_lambda` is the model's λ. `seed` is the seed for shuffling the rows, and `split` is as in
    `load_images`.
    """
    training_settings = find_training_settings(settings)
    weight = rate_lambda if rate_lambda is not None else l2_reg_lambda / 2 if half else l2_reg_lambda
    rate = training_settings["learning_rates"].get(f"{weight:g}", training_settings[f"{task}_learning_rate"])
    n_epochs = MAX_EPOCHS if early_stopping else training_settings[f"{task}_epochs"]
    seed = settings.seed if seed is None else seed
    options = training_settings["batch_size"], rate, n_epochs, shuffle, early_stopping
    return _train(settings.data, task, split, seed, l2_reg_lambda, half, *options)


# The studies train 38 models for 2 vs 3 and 17 models for ten digits. Settings is not part of the cache key, because
# each study has its own object.
@lru_cache(maxsize=96)
def _train(data, task, split, seed, l2_reg_lambda, half, batch_size, learning_rate, n_epochs, shuffle, early_stopping):
    images = load_images(data, task, split)
    n_rows, n_inputs = images[0].shape
    model: BinaryModel | SoftmaxModel = BinaryModel(n_inputs)
    if task == "softmax":
        model = SoftmaxModel(l2_reg_lambda, half, n_inputs=n_inputs)
    options = {"early_stopping": early_stopping, "patience": PATIENCE, "seed": seed, "progress": False}
    trainer = trainers.BaseTrainer(model, learning_rate, batch_size, shuffle, *images, **options)
    train, val = trainer.train(n_epochs)
    # An interrupted training run is not a result.
    if trainer.interrupted:
        raise KeyboardInterrupt
    return TrainedModel(model, train, val, n_rows // batch_size)


def train_cases(
    settings: Settings, task: Task, label: str, cases: Mapping[str, dict[str, Any]], **options: Any
) -> dict[str, TrainedModel]:
    """Return a dict from the name of each case to its Trained model.

    A case contains arguments of `train`. `options` contains the arguments that all cases share.

    Progress messages consist of `label` and the name of the case.
    """
    trained = {}
    for name, case in cases.items():
        settings.notify(f"{label} {name}")
        trained[name] = train(settings, task, **case, **options)
    return trained


def train_with_seeds(settings: Settings, task: Task, seeds: Iterable[int], **options: Any) -> dict[str, TrainedModel]:
    """Return a dict from each shuffling seed to the Trained model."""
    return train_cases(settings, task, "seed", {str(seed): {"seed": seed} for seed in seeds}, **options)


def measure_final_performance(trained: TrainedModel, X_train: Array, Y_train: Array) -> dict[str, float]:
    """Return the final loss and accuracy on the training images and on the validation images."""
    return {
        "final_train_loss": float(trainers.cross_entropy_loss(Y_train, trained.model.forward(X_train))),
        "final_validation_loss": get_last_value(trained.val["loss"]),
        "final_train_accuracy": get_last_value(trained.train["accuracy"]),
        "final_validation_accuracy": get_last_value(trained.val["accuracy"]),
    }


def average_validations(history: Mapping[int, float]) -> tuple[IntArray, FloatArray]:
    """Return the last step of each window of validations, and the mean of each window. A window spans one epoch."""
    means = np.convolve(list(history.values()), np.ones(VALIDATIONS_PER_EPOCH) / VALIDATIONS_PER_EPOCH, "valid")
    return np.array(list(history))[VALIDATIONS_PER_EPOCH - 1 :], means


def get_last_value(history: dict[int, float]) -> float:
    """Return the last value of a history."""
    return float(history[next(reversed(history))])


def compute_median(values: Iterable[float | None]) -> float | None:
    """Return the median of values, where None means infinity; return None if the median is infinite."""
    median = float(np.median([np.inf if value is None else value for value in values]))
    return median if np.isfinite(median) else None
