"""The folders in which data are looked for and kept."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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


@contextmanager
def open_whole(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets the name `target` once it is whole; an exception removes it and leaves `target` alone."""
    path = target.with_name(f"{target.name}-{secrets.token_hex(8)}.part")
    with open(path, "xb") as part:
        try:
            yield part
            part.close()
            os.replace(path, target)
        except BaseException:
            part.close()
            path.unlink(missing_ok=True)
            raise
