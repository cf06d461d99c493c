"""The data of the studies: MNIST, found on disk or downloaded, and scikit-learn's embedded digits.

MNIST is Y. LeCun, C. Cortes and C. Burges's database of handwritten digits, in the IDX format: a big-endian magic
number 0x0000TTDD (type, number of dimensions), one 32-bit size per dimension, then the values.
"""

import gzip
import hashlib
import os
import queue
import tempfile
import threading
import urllib.request
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import numpy as np

from fastlin.places import user_cache_folder

# Name, md5 of the unpacked bytes, and shape.
MNIST_FILES = {
    "X_train": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", (60000, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", (60000,)),
    "X_test": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", (10000, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", (10000,)),
}
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# A server that does not answer within this many seconds counts as out of reach.
TIMEOUT = 5
UNSIGNED_BYTE = 0x08
DIGITS_TRAIN = 1297
# The course and its studies use the first training images only.
COURSE_IMAGES = 20_000


class DatasetNotFoundError(FileNotFoundError):
    """The data are neither on disk nor within reach."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split into training and test; one equals itself alone.

    Attributes
    ----------
    name : str
    X_train, X_test : ndarray of shape (n, pixels), uint8, C order
    y_train, y_test : ndarray of shape (n,), int64
    """

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def load_mnist(n_train=60000, folder=None):
    """Load MNIST: the first `n_train` training images and the 10,000 test images, 28 x 28 pixels from 0 to 255.

    The four IDX files, gzipped or not, are looked for in `folder`, then in ``FASTLIN_DATA``, then in the user's
    cache folder, and else downloaded into the latter.

    Parameters
    ----------
    n_train : int, default=60000
    folder : path or None
        The only place to look in, where given.

    Returns
    -------
    Dataset
        Named "mnist".

    Raises
    ------
    DatasetNotFoundError
        Not on disk and no connection: names the files, their checksums and the places looked in.
    ValueError
        For a truncated or foreign file, which it names, and for `n_train` out of range.
    """
    n_all = MNIST_FILES["X_train"][2][0]
    if not (isinstance(n_train, (int, np.integer)) and 1 <= n_train <= n_all):
        raise ValueError(f"n_train must be a whole number from 1 to {n_all}, got {n_train!r}")
    if folder is not None and not Path(folder).is_dir():
        raise DatasetNotFoundError(f"The data folder {folder} does not exist or is not a folder.")
    places = _places(folder)
    paths = {part: _find(name, places) for part, (name, _, _) in MNIST_FILES.items()}
    if not all(paths.values()):
        if folder is not None:
            raise DatasetNotFoundError(_describe_missing(places, "Nothing is downloaded where a folder is given."))
        _download([MNIST_FILES[part] for part, path in paths.items() if path is None], places)
        paths = {part: _find(name, places) for part, (name, _, _) in MNIST_FILES.items()}
    arrays = {part: _read_idx(paths[part], *MNIST_FILES[part][1:]) for part in MNIST_FILES}
    return Dataset(
        "mnist",
        arrays["X_train"][:n_train].reshape(n_train, -1),
        arrays["y_train"][:n_train].astype(np.int64),
        arrays["X_test"].reshape(len(arrays["X_test"]), -1),
        arrays["y_test"].astype(np.int64),
    )


def load_digits():
    """Load scikit-learn's embedded 8 x 8 digits: 1,297 training and 500 test images, stretched from 0..16 to 0..255.

    Returns
    -------
    Dataset
        Named "digits".
    """
    from sklearn.datasets import load_digits as load_embedded_digits

    images, labels = load_embedded_digits(return_X_y=True)
    X = np.round(images * (255 / 16)).astype(np.uint8)
    y = labels.astype(np.int64)
    return Dataset("digits", X[:DIGITS_TRAIN], y[:DIGITS_TRAIN], X[DIGITS_TRAIN:], y[DIGITS_TRAIN:])


def cache_folder():
    """Return the user's cache folder for data, in the temporary folder for a user without a home; it need not exist."""
    return (user_cache_folder() or Path(tempfile.gettempdir()) / "fastlin") / "data"


def _places(folder):
    if folder is not None:
        return [Path(folder)]
    named = os.environ.get("FASTLIN_DATA")
    return ([Path(named)] if named else []) + [cache_folder()]


def _find(name, places):
    for place in places:
        for candidate in (place / name, place / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def _read_idx(path, md5, shape):
    """Read an IDX file of unsigned bytes, gzipped or not, and check that it is the one it should be."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged and cannot be unpacked: {error}. Delete it to fetch it anew.") from error
    n_header = 4 + 4 * len(shape)
    if len(data) < n_header or data[:3] != bytes((0, 0, UNSIGNED_BYTE)) or data[3] != len(shape):
        raise ValueError(f"{path} is not the MNIST file of that name: its IDX header is missing or of another kind.")
    found = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(len(shape)))
    if found != shape or len(data) - n_header != int(np.prod(shape)):
        raise ValueError(
            f"{path} is truncated or not the MNIST file of that name: it announces {found} values and holds "
            f"{len(data) - n_header} bytes of them, where {shape} are expected. Delete it to fetch it anew."
        )
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(
            f"{path} has the form of the MNIST file of that name but other contents: its md5 is not {md5}. Is it of "
            "another data set?"
        )
    return np.frombuffer(data, np.uint8, offset=n_header).reshape(shape).copy()


def _download(files, places):
    folder = places[-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetNotFoundError(_describe_missing(places, f"{folder} cannot be made: {error}")) from error
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns) as bar:
        for name, md5, _ in files:
            reasons = []
            for mirror in MNIST_MIRRORS:
                try:
                    _fetch(f"{mirror}{name}.gz", folder / name, md5, bar)
                    break
                except (OSError, EOFError, zlib.error, ValueError, HTTPException) as error:
                    reasons.append(f"{mirror}: {error}")
            else:
                raise DatasetNotFoundError(_describe_missing(places, "; ".join(reasons)))


def _fetch(address, target, md5, bar):
    """Download and unpack into `target` by way of a temporary name, so that an interrupted download leaves nothing."""
    task = bar.add_task(target.name, total=None)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, suffix=".part", delete=False) as part:
        try:
            with _connect(address) as answer:
                size = answer.headers.get("Content-Length")
                bar.update(task, total=int(size) if size else None)
                unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
                digest = hashlib.md5(usedforsecurity=False)
                while block := answer.read(1 << 16):
                    bar.advance(task, len(block))
                    unpacked = unpack.decompress(block)
                    digest.update(unpacked)
                    part.write(unpacked)
            if digest.hexdigest() != md5:
                raise ValueError(f"{target.name} has md5 {digest.hexdigest()} instead of {md5}")
            part.close()
            os.replace(part.name, target)
        except BaseException:
            part.close()
            Path(part.name).unlink(missing_ok=True)
            bar.remove_task(task)
            raise


def _connect(address):
    """Open the address, or raise TimeoutError where nothing has answered within TIMEOUT seconds in all.

    urlopen's own limit holds for each address of the server anew, and not at all for looking up its name: so it runs
    in a thread that is left to itself where it takes longer.
    """
    answers = queue.SimpleQueue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(address, timeout=TIMEOUT))
        except Exception as error:
            if isinstance(error, HTTPError):
                error.close()
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUT)
    except queue.Empty:
        raise TimeoutError(f"timed out: no answer within {TIMEOUT} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _describe_missing(places, reason):
    files = "\n".join(f"  {name}[.gz]  md5 {md5}" for name, md5, _ in MNIST_FILES.values())
    looked = "\n".join(f"  {place}" for place in places)
    return (
        f"MNIST was not found. The files, gzipped or not, with the md5 of their unpacked bytes:\n{files}\n"
        f"Places looked in:\n{looked}\nReason it was not downloaded: {reason}\n"
        "Put the four files into one of these places, or set FASTLIN_DATA to the folder that holds them."
    )
