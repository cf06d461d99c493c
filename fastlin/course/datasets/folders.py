"""The folders in which data are looked for and kept."""

import os
import tempfile
from pathlib import Path

from fastlin.exceptions import DatasetNotFoundError
from fastlin.places import user_cache_folder
from fastlin.typing import PathLike


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
