"""CIFAR-10, Krizhevsky's 60,000 color images of ten classes, from its published batches or a JPEG copy."""

import io
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

from fastlin.course.datasets.dataset import Dataset
from fastlin.course.datasets.files import check_md5, convert_file_errors, download_file, list_folders
from fastlin.environment.extras import import_extra
from fastlin.typing import PathLike

N_TRAIN = 50_000
# The folder of the published Python batches, the archive of this folder, and the JPEG copy.
BATCH_FOLDER, BATCH_ARCHIVE, JPEG_ARCHIVE = CIFAR10_FILES = (
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    "cifar10-jpeg.zip",
)
ARCHIVE_ADDRESS = f"https://www.cs.toronto.edu/~kriz/{BATCH_ARCHIVE}"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
# The MD5 checksum of each batch. The test batch is last.
BATCH_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
# Class names in the order of the published labels.
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Constants of the JPEG copy. SIDE is the side length of its images in pixels.
IMAGES_PER_CLASS = {"train": 5000, "test": 1000}
IMAGE_SIDE = 32


def load_cifar10(n_validation: int = 0, seed: int = 0, folder: PathLike | None = None) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 RGB pixels with values from 0 to 255.

    Each row is an image: its 1,024 red values, row by row, then its green values, then its blue values.

    The folder in ``FASTLIN_DATA`` and then the user's cache folder are searched for these forms, in this order:

    - the published batches for Python, in ``cifar-10-batches-py/`` or in ``cifar-10-python.tar.gz``;
    - the JPEG copy ``cifar10-jpeg.zip``, whose images have lossy compression and whose rows are in a different order.

    If none of these exists, the archive of the batches is downloaded to the cache folder.

    Parameters
    ----------
    n_validation : int, default=0
        Number of training images that are selected at random for validation. Both splits keep the order of the images.
    seed : int, default=0
        Seed of the random selection. With the same seed, a larger validation set contains every smaller one.
    folder : path or None
        Folder to search instead of the default folders. If a folder is given, nothing is downloaded.

    Returns
    -------
    Dataset
        The data set "cifar10", with labels from 0 to 9 and class names. X_val is None if `n_validation` is 0.

    Raises
    ------
    DatasetNotFoundError
        The data are not on disk and cannot be downloaded. The message lists files, checksums and folders.
    ValueError
        `n_validation` or `seed` is out of range, or a file is damaged or has unexpected content.

    Examples
    --------
    >>> from fastlin import datasets
    >>> cifar10 = datasets.load_cifar10(n_validation=6_000)  # doctest: +SKIP
    >>> cifar10.X_train.shape, cifar10.class_names[0]  # doctest: +SKIP
    ((44000, 3072), 'airplane')
    """
    if not (isinstance(n_validation, (int, np.integer)) and 0 <= n_validation < N_TRAIN):
        raise ValueError(f"n_validation must be an integer from 0 to {N_TRAIN - 1}, got {n_validation!r}")
    if not (isinstance(seed, (int, np.integer)) and seed >= 0):
        raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
    paths = (parent / file_or_folder_name for parent in list_folders(folder) for file_or_folder_name in CIFAR10_FILES)
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        description = (
            f"CIFAR-10 was not found. One of these is required:\n  {BATCH_FOLDER}/ with {', '.join(BATCH_MD5)}\n"
            f"  {BATCH_ARCHIVE}  md5 {ARCHIVE_MD5}\n  {JPEG_ARCHIVE}"
        )
        path = download_file(ARCHIVE_ADDRESS, ARCHIVE_MD5, folder, description)
    X_train, y_train, X_test, y_test = (_read_jpegs if path.name == JPEG_ARCHIVE else _read_batches)(path)
    is_validation = np.random.default_rng(seed).permutation(N_TRAIN) < n_validation
    X_val, y_val = (X_train[is_validation], y_train[is_validation]) if n_validation else (None, None)
    X_train, y_train = X_train[~is_validation], y_train[~is_validation]
    return Dataset("cifar10", X_train, y_train, X_test, y_test, X_val, y_val, CLASS_NAMES)


def _read_batches(path):
    """Return X_train, y_train, X_test, y_test from the batches in a folder or, without extraction, in its archive."""
    with convert_file_errors(path):
        contents = _read_archive(path) if path.is_file() else {name: (path / name).read_bytes() for name in BATCH_MD5}
    images, labels = [], []
    for name, md5 in BATCH_MD5.items():
        with convert_file_errors(path / name):
            # Only files with the checksum of a published batch are unpickled, because a pickle can run arbitrary code.
            check_md5(contents[name], md5)
            with warnings.catch_warnings():
                # NumPy has renamed a module to which the pickles refer.
                warnings.simplefilter("ignore", DeprecationWarning)
                # Python 2 pickled the batches, so their strings are bytes.
                batch = pickle.loads(contents[name], encoding="bytes")
            images.append(batch[b"data"])
            labels.append(batch[b"labels"])
    X, y = np.stack(images), np.array(labels, np.int64)
    return X[:-1].reshape(-1, X.shape[2]), y[:-1].ravel(), X[-1], y[-1]


def _read_archive(path):
    """Return a dict from the names of the files in an archive to their contents."""
    with tarfile.open(path) as archive:
        # The members are read in archive order, because seeking backward would decompress the archive from the start.
        files = ((Path(member.name).name, archive.extractfile(member)) for member in archive)
        return {name: file.read() for name, file in files if file is not None}


def _read_jpegs(path):
    """Return X_train, y_train, X_test, y_test from the JPEG copy, an archive of files ``train/<class>/<nnnn>.jpg``.

    The copy preserves only the order within each class. Rows are sorted by the number of the image and then by class,
    so that the classes are balanced in the first n rows.
    """
    with import_extra("studies", "PIL.Image"):
        from PIL import Image
    with convert_file_errors(path):
        archive = zipfile.ZipFile(path)
    arrays = []
    with archive:
        for split, n in IMAGES_PER_CLASS.items():
            images = np.empty((n, len(CLASS_NAMES), 3, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
            for i, k in np.ndindex(images.shape[:2]):
                member = f"{split}/{CLASS_NAMES[k]}/{i:04}.jpg"
                with convert_file_errors(f"{path}: {member}"):
                    pixels = np.asarray(Image.open(io.BytesIO(archive.read(member)), formats=["JPEG"]))
                    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE, 3):
                        raise ValueError(f"its pixels have shape {pixels.shape}, not {(IMAGE_SIDE, IMAGE_SIDE, 3)}")
                    # Color channels are stored one after another, as in the published batches.
                    images[i, k] = pixels.transpose(2, 0, 1)
            arrays += [images.reshape(n * len(CLASS_NAMES), -1), np.tile(np.arange(len(CLASS_NAMES)), n)]
    return arrays
