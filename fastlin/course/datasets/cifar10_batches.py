"""CIFAR-10 as it was published: six batches of 10,000 images, pickled or binary, in a folder or an archive."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.course.datasets.member_names import check_names, naming_damage
from fastlin.typing import Array

BATCH_ROWS = 10_000
# The published layout of an image: 1,024 red values row by row, then the green ones, then the blue ones.
IMAGE_VALUES = 3 * 32 * 32
N_CLASSES = 10
# Everything that the pickled arrays call, by the names that NumPy used when they were written.
ARRAY_PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that makes NumPy arrays and calls nothing else, whatever a file asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the part of NumPy arrays that a pickle names; refuse everything else."""
        if (module, name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which is no part of a NumPy array")
        return ARRAY_PARTS[module, name]


def decode_pickled(data: bytes) -> tuple[Array, list[int]]:
    """Return images and labels of a batch that Python 2 has pickled, whose strings are bytes."""
    batch = ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    return batch[b"data"], batch[b"labels"]


def decode_binary(data: bytes) -> tuple[Array, Array]:
    """Return images and labels of a binary batch: each row is one byte for the label and the values of an image."""
    n_bytes = BATCH_ROWS * (1 + IMAGE_VALUES)
    if len(data) != n_bytes:
        raise ValueError(f"it has {len(data):,} bytes where a batch has {n_bytes:,}")
    rows = np.frombuffer(data, np.uint8).reshape(BATCH_ROWS, -1)
    if rows[:, 0].max() >= N_CLASSES:
        raise ValueError(f"it holds the label {rows[:, 0].max()}, where labels end at {N_CLASSES - 1}")
    return rows[:, 1:], rows[:, 0]


@dataclass(frozen=True)
class Batches:
    """One of the two published kinds of batches.

    `files` has the checksum of each file, None where none is published, and the test batch last; `beside` names other
    files in the folder, which are not read. `decode` is the function from the bytes of a file to images and labels.
    """

    folder: str
    archive: str
    archive_md5: str
    files: dict[str, str | None]
    beside: tuple[str, ...]
    decode: Callable


PICKLED = Batches(
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    files={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    beside=("batches.meta", "readme.html"),
    decode=decode_pickled,
)
BINARY = Batches(
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
    files=dict.fromkeys((*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")),
    beside=("batches.meta.txt", "readme.html"),
    decode=decode_binary,
)


def find_batches(place: Path) -> Callable[[], tuple[Array, Array, Array, Array]] | None:
    """Return a function without arguments that returns X_train, y_train, X_test, y_test; None without any batches."""
    for kind in (PICKLED, BINARY):
        for folder in (place / kind.folder, place):
            if all((folder / name).is_file() for name in kind.files):
                return partial(_read_folder, kind, folder)
        if (place / kind.archive).is_file():
            return partial(_read_archive, kind, place / kind.archive)
    return None


def _read_folder(kind, folder):
    return _read_batches(kind, ((folder / name, (folder / name).read_bytes()) for name in kind.files))


def _read_archive(kind, path):
    """Read an archive into memory. Its members are looked up by name, and none of them is written to disk."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
        if md5 != kind.archive_md5:
            raise ValueError(
                f"{path} is damaged or not the published archive: its md5 is {md5} instead of {kind.archive_md5}. "
                "Delete it to fetch it anew."
            )
        file.seek(0)
        names, contents = [], {}
        # The archive is read as a stream, since going back to a member would unpack everything before it again.
        with tarfile.open(fileobj=file, mode="r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    names.append(member.name)
                    contents[member.name] = content.read()
                elif not (member.isdir() and member.name == kind.folder):
                    names.append(f"{member.name} (not a plain file)")
    expected = [f"{kind.folder}/{name}" for name in kind.files]
    check_names(path, names, expected, [f"{kind.folder}/{name}" for name in kind.beside])
    return _read_batches(kind, ((f"{path}: {name}", contents.pop(name)) for name in expected))


def _read_batches(kind, batches):
    """Check and decode the batches, given as (where it lies, its bytes); return the last one apart, for testing."""
    X = np.empty((len(kind.files), BATCH_ROWS, IMAGE_VALUES), np.uint8)
    y = np.empty((len(kind.files), BATCH_ROWS), np.int64)
    for i, ((where, data), md5) in enumerate(zip(batches, kind.files.values(), strict=True)):
        if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
            raise ValueError(f"{where} is damaged or not the published batch: its md5 is not {md5}.")
        with naming_damage(where, "a batch of CIFAR-10"):
            X[i], y[i] = kind.decode(data)
    return X[:-1].reshape(-1, IMAGE_VALUES), y[:-1].ravel(), X[-1], y[-1]
