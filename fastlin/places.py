"""The user's cache folder, where fastlin keeps files between runs, and files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path

from platformdirs import user_cache_path


def user_cache_folder():
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
def write_whole(path):
    """Yield another path to write to, which gets the name of the path at the end; an exception removes it."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
