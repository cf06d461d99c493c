"""CIFAR-10 as a zip of JPEG files, ``train/<class>/<nnnn>.jpg`` and ``test/<class>/<nnnn>.jpg``.

JPEG loses detail, and the zip keeps only the order within a class. Rows are ordered by number first and class second,
so that the first n rows hold all classes equally often.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from fastlin.extras import needs
from fastlin.typing import Array

ARCHIVE = "cifar10-jpeg.zip"
# In the order of the published labels.
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
    with needs("studies"):
        import PIL.Image  # noqa: F401
    with _naming_damage(path):
        archive = zipfile.ZipFile(path)
    arrays = []
    with archive:
        for part, n in IMAGES_PER_CLASS.items():
            images = np.empty((n, len(CLASS_NAMES), 3, SIDE, SIDE), np.uint8)
            for i, k in np.ndindex(images.shape[:2]):
                member = f"{part}/{CLASS_NAMES[k]}/{i:04}.jpg"
                with _naming_damage(f"{path}: {member}"):
                    images[i, k] = _decode_member(archive, member)
            arrays += [
                images.reshape(n * len(CLASS_NAMES), -1),
                np.tile(np.arange(len(CLASS_NAMES), dtype=np.int64), n),
            ]
    return arrays


def _decode_member(archive, member):
    """Return an image of shape (3, SIDE, SIDE), the colours one after another as in the published batches."""
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


@contextmanager
def _naming_damage(where: object) -> Iterator[None]:
    """Turn every error into a ValueError that says where; readers of archives raise a dozen kinds for damage."""
    try:
        yield
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(f"{where} is damaged or not of the JPEG copy of CIFAR-10: {error}.") from error
