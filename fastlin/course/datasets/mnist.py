"""MNIST, the handwritten digits of LeCun, Cortes and Burges, in IDX files."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fastlin.course.datasets.dataset import Dataset
from fastlin.course.datasets.files import check_md5, download, list_places, naming_damage

# The name of each file, the md5 of its unpacked bytes, and the shape of its values.
MNIST_FILES = {
    "X_train": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", (60000, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", (60000,)),
    "X_test": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", (10000, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", (10000,)),
}
# The md5 of each file as it is published, gzipped. A download is checked by this md5, so that nothing is
# unpacked before it is known, and kept as it is: pooch unpacks under the final name, where Ctrl-C would leave half a
# file. A file on disk may have been gzipped by anyone, so that it is checked by the md5 of MNIST_FILES.
PUBLISHED_GZIP = {
    "X_train": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "y_train": "d53e105ee54ea40749a09fcbcd1e9432",
    "X_test": "9fb629c4189551a2d022fa330f9573f3",
    "y_test": "ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# The course and its studies use this number of training images, the first ones.
COURSE_IMAGES = 20_000


def load_mnist(n_train: int = 60000, folder: Path | None = None) -> Dataset:
    """Load MNIST: the first `n_train` training images and the 10,000 test images, 28 x 28 pixels from 0 to 255.

    The four IDX files may be gzipped. They are looked for in the folder that ``FASTLIN_DATA`` names and in the user's
    cache folder. Files that are in neither are downloaded into the cache folder.

    Parameters
    ----------
    n_train : int, default=60000
        The number of training images.
    folder : path or None
        The only folder to look in, where given; then nothing is downloaded.

    Returns
    -------
    Dataset
        The data set "mnist".

    Raises
    ------
    DatasetNotFoundError
        The files are not on disk and cannot be downloaded. The message names them, their checksums and the folders.
    ValueError
        `n_train` is out of range, or a file is truncated or another one; the message names it.

    Examples
    --------
    >>> from fastlin import datasets
    >>> mnist = datasets.load_mnist(n_train=20_000)  # doctest: +SKIP
    >>> mnist.X_train.shape  # doctest: +SKIP
    (20000, 784)
    """
    n_all = MNIST_FILES["X_train"][2][0]
    if not (isinstance(n_train, (int, np.integer)) and 1 <= n_train <= n_all):
        raise ValueError(f"n_train must be a whole number from 1 to {n_all}, got {n_train!r}")
    paths = find_mnist(list_places(folder))
    described = "\n".join(f"  {name}[.gz]  md5 {md5}" for name, md5, _ in MNIST_FILES.values())
    wanted = f"MNIST was not found. Its files, gzipped or not, with the md5 of their unpacked bytes:\n{described}"
    for part, path in paths.items():
        if path is None:
            address = f"{MNIST_ADDRESS}{MNIST_FILES[part][0]}.gz"
            paths[part] = download(address, PUBLISHED_GZIP[part], folder, wanted)
    X, y, X_test, y_test = (_read_idx(path, *MNIST_FILES[part][1:]) for part, path in paths.items())
    return Dataset("mnist", X[:n_train], y[:n_train], X_test, y_test)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return MNIST's training images, their digits, the test images and their digits, as `mnist.load` of the course.

    Returns
    -------
    X_train, Y_train, X_test, Y_test : ndarray
        60,000 images (n, 784), uint8, from 0 to 255, and their digits (n,), int64; 10,000 test images and their digits.

    Raises
    ------
    DatasetNotFoundError, ValueError
        As `load_mnist`.

    Examples
    --------
    >>> from fastlin import datasets as mnist
    >>> X_train, Y_train, X_test, Y_test = mnist.load()  # doctest: +SKIP
    """
    mnist = load_mnist()
    return mnist.X_train, mnist.y_train, mnist.X_test, mnist.y_test


def find_mnist(places: Iterable[Path]) -> dict[str, Path | None]:
    """Return the path of each part of MNIST, from the first of the places that holds it, or None where none does.

    Examples
    --------
    >>> from fastlin import datasets
    >>> sorted(datasets.find_mnist(datasets.list_places()))
    ['X_test', 'X_train', 'y_test', 'y_train']
    """

    def find(name):
        candidates = (place / file for place in places for file in (name, f"{name}.gz"))
        return next((path for path in candidates if path.is_file()), None)

    return {part: find(name) for part, (name, _, _) in MNIST_FILES.items()}


def _read_idx(path, md5, shape):
    """Return the images of an IDX file of this shape as rows, or its labels; the checksum vouches for its header."""
    with naming_damage(path):
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        check_md5(data, md5)
    # The header has four bytes, and four for each dimension.
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape))
    return values.astype(np.int64) if len(shape) == 1 else values.reshape(shape[0], -1).copy()
