"""MNIST, the handwritten digits of LeCun, Cortes and Burges, in IDX files."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fastlin.course.datasets.dataset import Dataset
from fastlin.course.datasets.files import check_md5, convert_file_errors, download_file, list_folders

# The name of each file, the MD5 checksum of its uncompressed content, and the shape of its values.
MNIST_FILES = {
    "X_train": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", (60000, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", (60000,)),
    "X_test": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", (10000, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", (10000,)),
}
# MD5 checksums of the published gzip files. Downloads are checked before decompression and stored compressed. If pooch
# decompressed them to the final name, Ctrl-C could leave an incomplete file. Files on disk may have been compressed by
# other programs, so their content is checked with the checksums in MNIST_FILES.
GZIP_MD5 = {
    "X_train": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "y_train": "d53e105ee54ea40749a09fcbcd1e9432",
    "X_test": "9fb629c4189551a2d022fa330f9573f3",
    "y_test": "ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# Number of training images that the course and its studies use. They are the first training images.
COURSE_IMAGES = 20_000


def load_mnist(n_train: int = 60000, folder: Path | None = None) -> Dataset:
    """Load MNIST: the first `n_train` training images and the 10,000 test images, each of 28 x 28 pixels from 0 to 255.

    The four IDX files may be gzipped. The folder in ``FASTLIN_DATA`` and the user's cache folder are searched. Missing
    files are downloaded to the cache folder.

    Parameters
    ----------
    n_train : int, default=60000
        Number of training images.
    folder : path or None
        Folder to search instead of the default folders. If a folder is given, nothing is downloaded.

    Returns
    -------
    Dataset
        The data set "mnist".

    Raises
    ------
    DatasetNotFoundError
        The files are not on disk and cannot be downloaded. The message lists files, checksums and folders.
    ValueError
        `n_train` is out of range, or a file is damaged or has unexpected content.

    Examples
    --------
    >>> from fastlin import datasets
    >>> mnist = datasets.load_mnist(n_train=20_000)  # doctest: +SKIP
    >>> mnist.X_train.shape  # doctest: +SKIP
    (20000, 784)
    """
    n_all = MNIST_FILES["X_train"][2][0]
    if not (isinstance(n_train, (int, np.integer)) and 1 <= n_train <= n_all):
        raise ValueError(f"n_train must be an integer from 1 to {n_all}, got {n_train!r}")
    paths = find_mnist(list_folders(folder))
    files = "\n".join(f"  {name}[.gz]  md5 {md5}" for name, md5, _ in MNIST_FILES.values())
    description = f"MNIST was not found. Its files, optionally gzipped, with the md5 of the uncompressed data:\n{files}"
    for array, path in paths.items():
        if path is None:
            address = f"{MNIST_ADDRESS}{MNIST_FILES[array][0]}.gz"
            paths[array] = download_file(address, GZIP_MD5[array], folder, description)
    X, y, X_test, y_test = (_read_idx(path, *MNIST_FILES[array][1:]) for array, path in paths.items())
    return Dataset("mnist", X[:n_train], y[:n_train], X_test, y_test)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return MNIST's training images and labels, and test images and labels, like the course's `mnist.load`.

    Returns
    -------
    X_train, Y_train, X_test, Y_test : ndarray
        Images (n, 784), uint8, from 0 to 255, and labels (n,), int64, with 60,000 training and 10,000 test images.

    Raises
    ------
    DatasetNotFoundError, ValueError
        The data cannot be loaded, as in `load_mnist`.

    Examples
    --------
    >>> from fastlin import datasets as mnist
    >>> X_train, Y_train, X_test, Y_test = mnist.load()  # doctest: +SKIP
    """
    mnist = load_mnist()
    return mnist.X_train, mnist.y_train, mnist.X_test, mnist.y_test


def find_mnist(folders: Iterable[Path]) -> dict[str, Path | None]:
    """Return a dict from the name of each MNIST array to the path of its file, or to None if no folder contains it.

    The first folder that contains a file determines the path of the file.

    Examples
    --------
    >>> from fastlin import datasets
    >>> sorted(datasets.find_mnist(datasets.list_folders()))
    ['X_test', 'X_train', 'y_test', 'y_train']
    """

    def find(name):
        candidates = (folder / file for folder in folders for file in (name, f"{name}.gz"))
        return next((path for path in candidates if path.is_file()), None)

    return {array: find(name) for array, (name, _, _) in MNIST_FILES.items()}


def _read_idx(path, md5, shape):
    """Return the images of an IDX file as rows, or its labels. The checksum makes parsing the header unnecessary."""
    with convert_file_errors(path):
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        check_md5(data, md5)
    # The header has four bytes plus four bytes per dimension.
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape))
    return values.astype(np.int64) if len(shape) == 1 else values.reshape(shape[0], -1).copy()
