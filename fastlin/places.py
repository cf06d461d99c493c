"""The user's cache folder, where fastlin keeps files between runs; files that are there whole; writable folders."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

from fastlin.typing import PathLike


def user_cache_folder() -> Path | None:
    r"""Return fastlin's folder in the user's cache, which need not exist; None for a user without such a place.

    The folder is ``$XDG_CACHE_HOME/fastlin`` or ``~/.cache/fastlin`` on Linux. It is
    ``%LOCALAPPDATA%\fastlin\Cache`` on Windows, and on macOS ``~/Library/Caches/fastlin`` unless ``XDG_CACHE_HOME`` is
    set.
    """
    try:
        return user_cache_path("fastlin", appauthor=False)
    # Linux and macOS lack a home; Windows lacks the variable or the profile, as for some services.
    except (RuntimeError, ValueError, OSError):
        return None


@contextlib.contextmanager
def write_whole(path: PathLike) -> Iterator[Path]:
    """Yield another path to write to, which gets the name of the path at the end; an exception removes it."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """Raise an OSError where no file can be written to a folder, given as a Path.

    `tempfile` would try two billion names in such a folder on Windows (CPython issue 66305).
    """
    trial = folder / f"writable-{secrets.token_hex(8)}"
    trial.touch(exist_ok=False)
    trial.unlink()
