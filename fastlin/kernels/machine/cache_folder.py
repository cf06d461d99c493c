"""The folder that keeps the user's compiled kernels: its place, its making, and the removal of old ones.

The name of the folder holds a hash of all kernel sources: Numba's own stamp covers only the defining file, so that a
caller in another file would keep stale code.
"""

import contextlib
import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

import llvmlite
import numba
from numba.core import config

from fastlin.places import check_writable, user_cache_folder

# So many folders are kept when a new one is made, the new one included.
KEPT_FOLDERS = 2
OUR_FOLDER = re.compile(r"kernels-[0-9a-f]{16}")
# Numba's index and data files, what a killed process left half written or tried, and the marks of finished warm-ups.
OUR_FILE = re.compile(r".*\.nb[ic](\.tmp\.[0-9a-f]+)?|(warm|writable)-[0-9a-f]{16}")


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder that keeps compiled kernels, which need not exist, or None where no place can be written.

    ``NUMBA_CACHE_DIR`` comes first, then the user's cache folder.
    """
    named = Path(config.CACHE_DIR) / "fastlin" if config.CACHE_DIR else None
    for place in (named, user_cache_folder()):
        if place is not None and _is_writable(place):
            return place / f"kernels-{hash_sources()}"
    return None


def _is_writable(folder):
    """Return whether files can be written to a folder, or to the nearest of its parents that exists."""
    with contextlib.suppress(OSError):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return False


@lru_cache(maxsize=1)
def hash_sources() -> str:
    """Return a hash of the sources of all kernels and of the versions of the libraries that compile them."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    # All layers count, since a kernel of one calls those of another.
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def make_folder(folder: Path) -> None:
    """Make a folder for compiled kernels where it does not exist, and remove old ones beside it.

    Raises
    ------
    OSError
        The folder cannot be made, or nothing can be written to it.
    """
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old_folders(folder)
    check_writable(folder)


def _remove_old_folders(made):
    """Remove the folders of other sources beside the one just made, except the newest."""
    ages = {}
    for folder in made.parent.iterdir():
        # Another process may remove a folder between the listing and this line.
        with contextlib.suppress(OSError):
            if OUR_FOLDER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink() and folder != made:
                ages[folder] = folder.stat().st_mtime
    for folder in sorted(ages, key=ages.__getitem__, reverse=True)[KEPT_FOLDERS - 1 :]:
        with contextlib.suppress(OSError):
            files = list(folder.iterdir())
            # A folder that holds anything else is not ours alone.
            if all(OUR_FILE.fullmatch(file.name) and file.is_file() for file in files):
                # The marks go first: without the code they would be untrue.
                for file in sorted(files, key=lambda file: not file.name.startswith("warm-")):
                    file.unlink(missing_ok=True)
                folder.rmdir()
