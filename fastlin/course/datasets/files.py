"""The files of the data sets: the folders in which they lie, their download, and what is said of damaged ones."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastlin.exceptions import DatasetNotFoundError
from fastlin.extras import needs
from fastlin.file_system import user_cache_folder
from fastlin.typing import PathLike

# Seconds of silence after which a server counts as out of reach.
TIMEOUT = 5


def cache_folder() -> Path:
    """Return the cache folder for data, which need not exist; without a home it lies in the temporary folder.

    Examples
    --------
    >>> from fastlin import datasets
    >>> datasets.cache_folder().name
    'data'
    """
    return (user_cache_folder() or Path(tempfile.gettempdir()) / "fastlin") / "data"


def list_places(folder: PathLike | None = None) -> list[Path]:
    """Return the folders to look in, in order.

    Parameters
    ----------
    folder : path or None
        The only folder to look in. None: the one that ``FASTLIN_DATA`` names, and then the cache folder.

    Returns
    -------
    list of Path
        The folders. Only a given `folder` is known to exist.

    Raises
    ------
    DatasetNotFoundError
        `folder` does not exist.

    Examples
    --------
    >>> from fastlin import datasets
    >>> datasets.list_places()[-1] == datasets.cache_folder()
    True
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise DatasetNotFoundError(f"The data folder {folder} does not exist or is not a folder.")
        return [Path(folder)]
    named = os.environ.get("FASTLIN_DATA")
    return ([Path(named)] if named else []) + [cache_folder()]


def download(address: str, md5: str, folder: PathLike | None, wanted: str) -> Path:
    """Download a file into the cache folder with a progress bar, unless the user gave a folder; return its path.

    DatasetNotFoundError, whose message begins with `wanted`: the file was not downloaded.
    """
    reason = "Nothing is downloaded where a folder is given."
    if folder is None:
        with needs("studies", "pooch", "tqdm"):
            import pooch
            import tqdm  # noqa: F401
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
        name = address.rpartition("/")[2]
        try:
            return Path(pooch.retrieve(address, f"md5:{md5}", name, cache_folder(), downloader=downloader))
        except (OSError, ValueError) as error:
            reason = f"{address}: {error}"
    looked = "\n".join(f"  {place}" for place in list_places(folder))
    raise DatasetNotFoundError(
        f"{wanted}\nPlaces looked in:\n{looked}\nWhy it was not downloaded:\n  {reason}\n"
        "Put the data into one of these places, or set FASTLIN_DATA to the folder that holds them."
    )


@contextmanager
def naming_damage(where: object) -> Iterator[None]:
    """Turn every error into a ValueError that says where; readers of archives raise a dozen kinds for damage."""
    try:
        yield
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(
            f"{where} is damaged or not the published file: {error}. Delete it to fetch it again."
        ) from error


def check_md5(data: bytes, md5: str) -> None:
    """Raise ValueError unless bytes have this checksum."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(f"its md5 is {found} instead of {md5}")
