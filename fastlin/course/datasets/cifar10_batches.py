"""CIFAR-10 as published for Python: six pickled batches of 10,000 images, in a folder or an archive, checked by md5."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.course.datasets.download import PublishedFile
from fastlin.typing import Array

FOLDER = "cifar-10-batches-py"
PUBLISHED = PublishedFile(
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)
# The test batch comes last.
BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
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


def find_batches(place: Path) -> Callable[[], tuple[Array, Array, Array, Array]] | None:
    """Return a function without arguments that returns X_train, y_train, X_test, y_test; None without any batches."""
    for folder in (place / FOLDER, place):
        if all((folder / name).is_file() for name in BATCHES):
            return lambda: _decode({folder / name: (folder / name).read_bytes() for name in BATCHES})
    archive = place / PUBLISHED.name
    return partial(_read_archive, archive) if archive.is_file() else None


def _read_archive(path):
    """Read the batches of an archive into memory; nothing is unpacked on disk."""
    data = path.read_bytes()
    _check(path, data, PUBLISHED.md5)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        # In their order in the archive, since going back to a member would unpack everything before it again.
        members = ((Path(member.name).name, archive.extractfile(member)) for member in archive)
        contents = {name: file.read() for name, file in members if file is not None}
    return _decode({path / name: contents.pop(name) for name in BATCHES})


def _decode(batches):
    """Check and decode the bytes of batches by where they lie; return the last one apart, for testing."""
    images, labels = [], []
    for (where, data), md5 in zip(batches.items(), BATCHES.values(), strict=True):
        _check(where, data, md5)
        # Python 2 has pickled them, whose strings are bytes.
        batch = ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
        images.append(batch[b"data"])
        labels.append(batch[b"labels"])
    X, y = np.stack(images), np.array(labels, np.int64)
    return X[:-1].reshape(-1, X.shape[2]), y[:-1].ravel(), X[-1], y[-1]


def _check(where, data, md5):
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(f"{where} is damaged or not the published file: its md5 is {found} instead of {md5}.")
