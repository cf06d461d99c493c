"""What the studies of CIFAR-10 share: its images turned to principal components, and the training of one network."""

import signal
import warnings
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import parent_process
from time import perf_counter

import numpy as np
from joblib import Parallel, delayed
from sklearn.decomposition import PCA

from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import DenseMatrix
from fastlin.networks import Examples, Network
from fastlin.networks.initialization import initialize
from fastlin.solvers.epochs import Schedule, Training, train_by_epochs
from fastlin.solvers.momentum import MomentumDescent

# Two whole batches of 22,000, which the report names, are left to train on.
N_VALIDATION = 6_000
# Of the training images, where nothing was set apart (the digits) and where a study is quick.
VALIDATION_PART = 0.2
QUICK_ROWS = 4_000


@dataclass(frozen=True, eq=False)
class Images:
    """Principal components of the training, validation and test images, in units of a pixel's values.

    Attributes
    ----------
    X_train, X_val, X_test : ndarray of shape (n, components), float32
        Of the pixels minus their means over the training images; 0 to 255 is the range of a pixel.
    y_train, y_val, y_test : ndarray of shape (n,), int64
    pixel_deviation : float
        Root of the mean variance of a pixel.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    pixel_deviation: float

    def scale(self, unit):
        """Return the images in another unit of pixel values."""
        factor = np.float32(1 / unit)
        return Images(
            self.X_train * factor, self.y_train, self.X_val * factor, self.y_val, self.X_test * factor, self.y_test,
            self.pixel_deviation / unit,
        )  # fmt: skip


@lru_cache(maxsize=1)
def prepare(data, n_components, quick):
    """Return the Images of a Dataset: at most n_components, by scikit-learn's PCA of the training images.

    Data without validation images lose the last part of the training images to them; quick takes fewer of all.
    """
    X, y, X_val, y_val = data.X_train, data.y_train, data.X_val, data.y_val
    if X_val is None:
        n_val = round(VALIDATION_PART * len(X))
        X, y, X_val, y_val = X[:-n_val], y[:-n_val], X[-n_val:], y[-n_val:]
    n_train = QUICK_ROWS if quick else len(X)
    n_others = QUICK_ROWS if quick else max(len(X_val), len(data.X_test))
    X = X[:n_train].astype(np.float32)
    pca = PCA(min(n_components, X.shape[1], len(X)), svd_solver="covariance_eigh").fit(X)
    others = (part[:n_others] for part in (X_val, data.X_test))
    return Images(
        pca.transform(X), y[:n_train], pca.transform(next(others).astype(np.float32)), y_val[:n_others],
        pca.transform(next(others).astype(np.float32)), data.y_test[:n_others], float(np.sqrt(X.var(axis=0).mean())),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How one network is made and trained.

    Attributes
    ----------
    hidden : tuple of int
    epochs, batch_size : int
    learning_rate, decay, momentum : float
        The decay is a factor after each epoch; the momentum is not Nesterov's.
    reg : float
        reg ||W||^2 is added to the loss, W being the coefficients of all layers.
    init : str
    scale : float or None
        As `initialize` has them.
    normalization : tuple of str
    dropout : float
    """

    hidden: tuple
    epochs: int
    batch_size: int
    learning_rate: float
    decay: float
    reg: float
    momentum: float
    init: str
    scale: float | None = None
    normalization: tuple = ()
    dropout: float = 0.0

    def describe(self):
        """Return it as plain values, as JSON has them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a recipe.

    Attributes
    ----------
    training : Training
    accuracies : dict
        Of "train", "validation" and "test", with the parameters of the best epoch on the validation images, or those
        it began with where the first one diverged.
    seconds : float
        Of the training, its validations included.
    """

    training: Training
    accuracies: dict
    seconds: float


def run_recipes(images, recipes, seeds):
    """Yield the number of each recipe and what came of it, as they end: one process for each processor."""
    run = Parallel(n_jobs=count_threads(), return_as="generator_unordered")
    with warnings.catch_warnings():
        # What Ctrl-C leaves unfinished; joblib tells how many they are.
        warnings.filterwarnings("ignore", ".*tasks (have been|which were)", UserWarning)
        yield from run(
            delayed(_run_recipe)(number, images, recipe, seed)
            for number, (recipe, seed) in enumerate(zip(recipes, seeds, strict=True))
        )


def _run_recipe(number, images, recipe, seed):
    if parent_process() is not None:
        # In a terminal Ctrl-C reaches every process; the first one ends the others, which have nothing to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, train(images, recipe, seed)


def train(images, recipe, seed, on_epoch=None):
    """Train a network by a recipe and return what came of it.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C: a training that was cut short is no result.
    """
    random_state = np.random.RandomState(seed)
    sizes = images.X_train.shape[1], *recipe.hidden, int(images.y_train.max()) + 1
    network = Network(sizes, "relu", normalization=recipe.normalization, dropout=recipe.dropout)
    initialize(network, recipe.init, random_state, recipe.scale)
    examples, validation, test = (
        Examples(DenseMatrix(X), y)
        for X, y in (
            (images.X_train, images.y_train), (images.X_val, images.y_val), (images.X_test, images.y_test)
        )
    )  # fmt: skip
    schedule = Schedule(
        max_epochs=recipe.epochs, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate,
        decay=recipe.decay, alpha=2 * recipe.reg * recipe.batch_size, whole_batches=True,
    )  # fmt: skip
    descent = MomentumDescent(network, recipe.momentum, random_state=random_state)
    begin = perf_counter()
    training = train_by_epochs(descent, examples, validation, schedule, random_state, on_epoch)
    seconds = perf_counter() - begin
    if training.ended == "interrupted":
        raise KeyboardInterrupt
    predictor = network.fold()
    names = {"train": examples, "validation": validation, "test": test}
    # The best epoch of a training that diverges may overflow on other images.
    with np.errstate(over="ignore", invalid="ignore"):
        accuracies = {name: predictor.measure(part)[1] for name, part in names.items()}
    return Trained(training, accuracies, seconds)
