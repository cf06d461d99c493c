"""CIFAR-10, Krizhevsky's 60,000 colour images of ten classes, from its published batches or from a copy in JPEG."""

import numpy as np

from fastlin.course.datasets.cifar10_batches import BATCHES, FOLDER, PUBLISHED, find_batches
from fastlin.course.datasets.cifar10_jpeg import ARCHIVE, CLASS_NAMES, find_jpegs
from fastlin.course.datasets.dataset import Dataset
from fastlin.course.datasets.download import download
from fastlin.course.datasets.folders import list_places
from fastlin.typing import PathLike

N_TRAIN = 50_000
CIFAR10_FORMS = FOLDER, PUBLISHED.name, ARCHIVE


def load_cifar10(n_validation: int = 0, seed: int = 0, folder: PathLike | None = None) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 pixels in red, green and blue from 0 to 255.

    A row is an image: its 1,024 red values, row by row, then the green ones, then the blue ones.

    The first of these forms in the folder that ``FASTLIN_DATA`` names, or in the user's cache folder, is taken:

    - the published batches for Python, in ``cifar-10-batches-py/``, in the folder itself, or in
      ``cifar-10-python.tar.gz``;
    - the JPEG copy ``cifar10-jpeg.zip``, whose images lack what JPEG loses and whose rows are in another order.

    Where there is none of them, the archive of the batches is downloaded into the cache folder.

    Parameters
    ----------
    n_validation : int, default=0
        The number of training images that are drawn at random and set apart; both parts keep their order.
    seed : int, default=0
        The seed of the draw. With the same seed, a larger number of images holds all of a smaller one.
    folder : path or None
        The only folder to look in, where given; then nothing is downloaded.

    Returns
    -------
    Dataset
        The data set "cifar10", with labels from 0 to 9 and class names. X_val is None where `n_validation` is 0.

    Raises
    ------
    DatasetNotFoundError
        The data are not on disk and cannot be downloaded. The message names files, checksums and folders.
    ValueError
        `n_validation` or `seed` is out of range, or a file is damaged or another one; the message names the member.

    Examples
    --------
    >>> from fastlin import datasets
    >>> cifar10 = datasets.load_cifar10(n_validation=6_000)  # doctest: +SKIP
    >>> cifar10.X_train.shape, cifar10.class_names[0]  # doctest: +SKIP
    ((44000, 3072), 'airplane')
    """
    if not (isinstance(n_validation, (int, np.integer)) and 0 <= n_validation < N_TRAIN):
        raise ValueError(f"n_validation must be a whole number from 0 to {N_TRAIN - 1}, got {n_validation!r}")
    if not (isinstance(seed, (int, np.integer)) and seed >= 0):
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    read = _find(list_places(folder))
    if read is None:
        wanted = (
            f"CIFAR-10 was not found. Any one of these is enough:\n  {FOLDER}/ with {', '.join(BATCHES)}\n"
            f"  {PUBLISHED.name}  md5 {PUBLISHED.md5}\n  {ARCHIVE}"
        )
        download([PUBLISHED], folder, wanted)
        read = _find(list_places(folder))
    X_train, y_train, X_test, y_test = read()
    if n_validation == 0:
        return Dataset("cifar10", X_train, y_train, X_test, y_test, class_names=CLASS_NAMES)
    drawn = np.random.default_rng(seed).permutation(N_TRAIN) < n_validation
    return Dataset(
        "cifar10", X_train[~drawn], y_train[~drawn], X_test, y_test, X_train[drawn], y_train[drawn], CLASS_NAMES
    )


def _find(places):
    found = (find(place) for place in places for find in (find_batches, find_jpegs))
    return next((read for read in found if read is not None), None)
