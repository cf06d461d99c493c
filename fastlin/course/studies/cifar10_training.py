"""Images and network training for the CIFAR-10 studies. "The report" is a student's report on the homework."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from multiprocessing import parent_process
from time import perf_counter
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.decomposition import PCA

from fastlin.course.datasets.dataset import Dataset
from fastlin.course.studies.settings import SETTINGS
from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import DenseMatrix
from fastlin.networks import Examples, Network, initialize_parameters
from fastlin.training import AdamDescent, EpochSchedule, LearningRate, MomentumDescent, Training, train_by_epochs

# Number of validation images. Two full batches of the report's size, 22,000 images, remain for training.
N_VALIDATION_IMAGES = 6_000
# If a data set has no validation images, such as the digits, this fraction of the training images is used instead.
VALIDATION_FRACTION = 0.2
# Number of rows of each split in a quick study.
N_QUICK_ROWS = 4_000
INPUT_NAMES = "X_train", "X_val", "X_test"


@dataclass(frozen=True, eq=False)
class Images(Dataset):
    """Training, validation and test images as float32 arrays with one image per row.

    The features are either pixels, optionally centered by their training means, or principal components. They have the
    unit of pixels with values from 0 to 255, unless `scale` changed it.
    """

    pixel_deviation: float = 1.0  # square root of the mean variance of the training pixels

    @property
    def splits(self) -> dict[str, tuple[Any, Any]]:
        """Images and labels of the training, validation and test splits."""
        test = self.X_test, self.y_test
        return {"train": (self.X_train, self.y_train), "validation": (self.X_val, self.y_val), "test": test}

    def scale(self, unit: float) -> Images:
        """Return the images in another unit. `unit` is the size of the new unit in the current one."""
        factor = np.float32(1 / unit)
        scaled: dict[str, Any] = {name: getattr(self, name) * factor for name in INPUT_NAMES}
        return replace(self, **scaled, pixel_deviation=self.pixel_deviation / unit)


@lru_cache(maxsize=2)
def prepare_images(data: Dataset, n_components: int | None, quick: bool, is_centered: bool = True) -> Images:
    """Return the Images of a Dataset as principal components, or as pixels if `n_components` is None.

    If there are no validation images, the last training images are used. A quick study uses N_QUICK_ROWS images of each
    split.
    """
    X, y, X_val, y_val = data.X_train, data.y_train, data.X_val, data.y_val
    if X_val is None or y_val is None:
        n_val = round(VALIDATION_FRACTION * len(X))
        X, y, X_val, y_val = X[:-n_val], y[:-n_val], X[-n_val:], y[-n_val:]
    first = slice(N_QUICK_ROWS if quick else None)
    X = X[first].astype(np.float32)
    deviation = float(np.sqrt(X.var(axis=0).mean()))
    splits = [X, X_val[first].astype(np.float32), data.X_test[first].astype(np.float32)]
    if n_components is not None:
        n_used_components = min(n_components, X.shape[1], len(X))
        pca = PCA(n_used_components, svd_solver="covariance_eigh").fit(X)
        splits = [pca.transform(split) for split in splits]
    elif is_centered:
        mean = X.mean(axis=0)
        splits = [split - mean for split in splits]
    X, X_val, X_test = splits
    y_test = data.y_test[first]
    return Images(data.name, X, y[first], X_test, y_test, X_val, y_val[first], pixel_deviation=deviation)


@dataclass(frozen=True)
class Recipe:
    """Settings of a network and its training.

    `initialize_parameters` uses `init` and `scale`. `Network` uses `hidden`, `normalization` and `dropout`.
    """

    hidden: tuple
    epochs: int
    batch_size: int
    learning_rate: float
    decay: float
    reg: float
    init: str
    momentum: float | None = None
    scale: float | None = None
    normalization: tuple = ()
    dropout: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Return the recipe as plain values that JSON can store."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def read_recipe(name: str, **changes: Any) -> Recipe:
    """Return a recipe from settings.toml with the given changes."""
    settings = {**SETTINGS["networks"][name], **changes}
    values: dict[str, Any] = {key: tuple(x) if isinstance(x, list) else x for key, x in settings.items()}
    return Recipe(**values)


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network trained with a recipe."""

    training: Training
    # The accuracy on each split. The parameters are those of the epoch with the best validation accuracy, or the
    # initial parameters if the first epoch diverged.
    accuracies: dict
    penalties: list  # reg ||W||^2 after each epoch
    seconds: float


def train_recipes(images: Images, cases: Mapping[Any, tuple[Recipe, int]]) -> Iterator[tuple[Any, TrainedNetwork]]:
    """Train networks in parallel; yield the key of each network and its Trained when the training run completes.

    `cases` maps the key of a network to its recipe and seed.
    """
    run = Parallel(n_jobs=count_threads(), return_as="generator_unordered")
    with warnings.catch_warnings():
        # After Ctrl-C joblib warns about the number of unfinished training runs.
        warnings.filterwarnings("ignore", ".*tasks (have been|which were)", UserWarning)
        yield from run(delayed(_run_recipe)(key, images, *case) for key, case in cases.items())


def _run_recipe(key, images, recipe, seed):
    if parent_process() is not None:
        # Ctrl-C in a terminal reaches every process. The main process ends this one, which must print no traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return key, train(images, recipe, seed)


def train(
    images: Images, recipe: Recipe, seed: int, on_epoch: Callable[[Training], object] | None = None
) -> TrainedNetwork:
    """Train a network with a seed for initialization, batches and dropout. Ctrl-C raises a KeyboardInterrupt."""
    random_state = np.random.RandomState(seed)
    sizes = images.X_train.shape[1], *recipe.hidden, int(images.y_train.max()) + 1
    network = Network(sizes, "relu", normalization=recipe.normalization, dropout=recipe.dropout)
    initialize_parameters(network, recipe.init, random_state, recipe.scale)
    examples = {name: Examples(DenseMatrix(X), y.astype(np.int32)) for name, (X, y) in images.splits.items()}
    rate, alpha = LearningRate(recipe.learning_rate, decay=recipe.decay), 2 * recipe.reg * recipe.batch_size
    schedule = EpochSchedule(recipe.epochs, recipe.batch_size, rate, alpha, drop_incomplete_batch=True)
    rule = AdamDescent if recipe.momentum is None else partial(MomentumDescent, momentum=recipe.momentum)
    descent = rule(network, random_state=random_state)
    penalties = []

    def after_epoch(training):
        coefs = network.parameters[: network.n_coefficients]
        penalties.append(recipe.reg * float(np.sum(np.square(coefs, dtype=np.float64))))
        if on_epoch is not None:
            on_epoch(training)

    begin = perf_counter()
    training = train_by_epochs(descent, examples["train"], examples["validation"], schedule, random_state, after_epoch)
    seconds = perf_counter() - begin
    if training.stop_reason == "interrupted":
        raise KeyboardInterrupt
    predictor = network.make_prediction_network()
    # If a training run diverges, the parameters of its best epoch may overflow on other images.
    with np.errstate(over="ignore", invalid="ignore"):
        accuracies = {name: predictor.measure(split)[1] for name, split in examples.items()}
    # The studies do not need the saved parameters.
    training = replace(training, last=training.last._replace(saved=None), best=None)
    return TrainedNetwork(training, accuracies, penalties, seconds)
