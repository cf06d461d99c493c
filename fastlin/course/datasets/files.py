"""Files of the data sets: the folders to search, downloads, checksums, and errors for damaged files."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastlin.environment.extras import import_extra
from fastlin.environment.file_system import find_user_cache_folder
from fastlin.exceptions import DatasetNotFoundError
from fastlin.typing import PathLike

# Seconds without a response after which a server is considered unreachable.
TIMEOUT = 5


def cache_folder() -> Path:
    """Return the cache folder for data, which need not exist. Without a home folder, it is in the temporary folder.

    Examples
    --------
    >>> from fastlin import datasets
    >>> datasets.cache_folder().name
    'data'
    """
    return (find_user_cache_folder() or Path(tempfile.gettempdir()) / "fastlin") / "data"


def list_folders(folder: PathLike | None = None) -> list[Path]:
    """Return the folders to search for data, in order.

    Parameters
    ----------
    folder : path or None
        Folder to search. None means the default folders: the folder in ``FASTLIN_DATA``, and then the cache folder.

    Returns
    -------
    list of Path
        Folders to search. The default folders need not exist.

    Raises
    ------
    DatasetNotFoundError
        `folder` does not exist.

    Examples
    --------
    >>> from fastlin import datasets
    >>> datasets.list_folders()[-1] == datasets.cache_folder()
    True
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise DatasetNotFoundError(f"The data folder {folder} does not exist or is not a folder.")
        return [Path(folder)]
    environment_folder = os.environ.get("FASTLIN_DATA")
    return ([Path(environment_folder)] if environment_folder else []) + [cache_folder()]


def download_file(address: str, md5: str, folder: PathLike | None, description: str) -> Path:
    """Download a file to the cache folder with a progress bar, and return its path.

    If the user gave a `folder` or the download fails, raise a DatasetNotFoundError that starts with `description`.
    """
    reason = "Nothing is downloaded if a folder is given."
    if folder is None:
        with import_extra("studies", "pooch", "tqdm"):
            import pooch
            import tqdm  # noqa: F401
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
        name = address.rpartition("/")[2]
        try:
            return Path(pooch.retrieve(address, f"md5:{md5}", name, cache_folder(), downloader=downloader))
        except (OSError, ValueError) as error:
            reason = f"{address}: {error}"
    folders = "\n".join(f"  {path}" for path in list_folders(folder))
    raise DatasetNotFoundError(
        f"{description}\nSearched folders:\n{folders}\nReason why it was not downloaded:\n  {reason}\n"
        "Put the data into one of these folders, or set FASTLIN_DATA to the folder that contains them."
    )


@contextmanager
def convert_file_errors(file: object) -> Iterator[None]:
    """Convert errors to a ValueError that names the file, because damaged archives raise exceptions of many types."""
    try:
        yield
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(
            f"{file} is damaged or not the published file: {error}. Delete it to download it again."
        ) from error


def check_md5(data: bytes, md5: str) -> None:
    """Raise a ValueError unless the data have this MD5 checksum."""
    actual = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if actual != md5:
        raise ValueError(f"its md5 is {actual} instead of {md5}")
