"""The folders that data are looked for and kept in."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from fastlin.datasets.dataset import DatasetNotFoundError
from fastlin.places import user_cache_folder


def cache_folder():
    """Return the user's cache folder for data, in the temporary folder for a user without a home; it need not exist."""
    return (user_cache_folder() or Path(tempfile.gettempdir()) / "fastlin") / "data"


def list_places(folder=None):
    """Return the folders to look in, in order: `folder` alone where given, or ``FASTLIN_DATA`` and the cache folder.

    Raises
    ------
    DatasetNotFoundError
        For a `folder` that does not exist.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise DatasetNotFoundError(f"The data folder {folder} does not exist or is not a folder.")
        return [Path(folder)]
    named = os.environ.get("FASTLIN_DATA")
    return ([Path(named)] if named else []) + [cache_folder()]


@contextmanager
def open_whole(target):
    """Open a file that bears a temporary name until it is whole: any exception removes it and leaves `target` alone."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, suffix=".part", delete=False) as part:
        try:
            yield part
            part.close()
            os.replace(part.name, target)
        except BaseException:
            part.close()
            Path(part.name).unlink(missing_ok=True)
            raise
