"""CIFAR-10 as a zip of JPEG files, ``train/<class>/<nnnn>.jpg`` and ``test/<class>/<nnnn>.jpg``.

The zip is decoded once. The decoded images are kept in the cache folder, together with the md5 of the zip. JPEG loses
detail, so that the images are not exactly those of the published batches. The zip keeps only the order within a class.
So the rows are ordered by number first and class second, and the first n rows hold all classes equally often.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from fastlin.course.datasets.folders import cache_folder
from fastlin.course.datasets.member_names import check_names, naming_damage
from fastlin.extras import needs
from fastlin.places import write_whole
from fastlin.typing import Array

ARCHIVE = "cifar10-jpeg.zip"
KEPT = "cifar10-jpeg.npz"
OF_COPY = "of the JPEG copy of CIFAR-10"
# The order is that of the published labels.
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES_PER_CLASS = {"train": 5000, "test": 1000}
SIDE = 32
# The files of the zip have about 900 bytes each. A file that claims more than this is another one and not unpacked.
MOST_BYTES = 1 << 16


def find_jpegs(place: Path) -> Callable[[], tuple[Array, Array, Array, Array]] | None:
    """Return a function without arguments that returns X_train, y_train, X_test, y_test; None without the zip."""
    path = place / ARCHIVE
    return partial(_read_jpegs, path) if path.is_file() else None


def _read_jpegs(path):
    data = path.read_bytes()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    X = _load_kept(md5)
    if X is None:
        X = _decode_archive(path, data)
        _keep(md5, X)
    y = {part: np.tile(np.arange(len(CLASS_NAMES), dtype=np.int64), n) for part, n in IMAGES_PER_CLASS.items()}
    return X["train"], y["train"], X["test"], y["test"]


def _load_kept(md5):
    try:
        # Where a file is damaged, np.load does not close it if it has opened it itself.
        with (cache_folder() / KEPT).open("rb") as file, np.load(file) as kept:
            return {part: kept[part] for part in IMAGES_PER_CLASS} if str(kept["md5"]) == md5 else None
    except Exception:
        # Whatever is wrong with the kept file, the zip can be decoded again.
        return None


def _keep(md5, X):
    path = cache_folder() / KEPT
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as part, open(part, "wb") as file:
            np.savez(file, md5=md5, **X)
    except OSError:
        # Without the kept file the next load only takes longer.
        return


def _decode_archive(path, data):
    with naming_damage(path, OF_COPY):
        archive = zipfile.ZipFile(io.BytesIO(data))
    members = {
        part: [[f"{part}/{name}/{number:04}.jpg" for name in CLASS_NAMES] for number in range(n)]
        for part, n in IMAGES_PER_CLASS.items()
    }
    expected = [member for rows in members.values() for row in rows for member in row]
    # Some archives have entries for folders too.
    check_names(path, [name for name in archive.namelist() if not name.endswith("/")], expected)
    X = {}
    for part, rows in members.items():
        images = np.empty((len(rows), len(CLASS_NAMES), 3, SIDE, SIDE), np.uint8)
        for i, row in enumerate(rows):
            for k, member in enumerate(row):
                with naming_damage(f"{path}: {member}", OF_COPY):
                    images[i, k] = _decode_member(archive, member)
        X[part] = images.reshape(len(rows) * len(CLASS_NAMES), -1)
    return X


def _decode_member(archive, member):
    """Return an image of shape (3, SIDE, SIDE), the colours one after another as in the published batches."""
    with needs("studies"):
        from PIL import Image

    info = archive.getinfo(member)
    size = max(info.file_size, info.compress_size)
    if size > MOST_BYTES:
        raise ValueError(f"it claims {size:,} bytes, where an image takes about 900")
    image = Image.open(io.BytesIO(archive.read(info)), formats=["JPEG"])
    if (image.size, image.mode) != ((SIDE, SIDE), "RGB"):
        raise ValueError(
            f"it is {image.width} × {image.height} pixels in mode {image.mode}, not {SIDE} × {SIDE} in RGB"
        )
    return np.frombuffer(image.tobytes(), np.uint8).reshape(SIDE, SIDE, 3).transpose(2, 0, 1)
