"""The place where fastlin keeps files between runs: the user's cache folder."""

import os
import sys
from pathlib import Path


def user_cache_folder():
    """Return fastlin's folder in the user's cache, which need not exist; None for a user without a home."""
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    base = named or os.path.expanduser("~/.cache")
    return None if base.startswith("~") else Path(base) / "fastlin"
