"""The folders that keep the user's compiled kernels: their place, and whose they are.

The name of a folder holds a hash of all kernel sources. Loading a file runs whatever it says, since it is a pickle: a
folder or a file counts only if nobody but this user and root can have written to it.
"""

import contextlib
import functools
import hashlib
import logging
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from fastlin.file_system import user_cache_folder
from fastlin.kernels.machine.libraries import config, llvmlite, numba

LOGGER = logging.getLogger("fastlin")


@functools.cache
def code_folders() -> tuple[Path, ...]:
    """Return the folders from which compiled kernels are loaded, in their order; none of them need exist.

    ``NUMBA_CACHE_DIR`` comes first. The user's cache folder follows if nothing can be written to the first, as in a
    container whose image holds code.
    """
    named = Path(config.CACHE_DIR) / "fastlin" if config.CACHE_DIR else None
    folders = []
    for position in (named, user_cache_folder()):
        folder = position and position / f"kernels-{hash_sources()}"
        if folder is not None and _is_safe(folder):
            folders.append(folder)
            if _is_writable(folder):
                break
    return tuple(folders)


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder to which compiled kernels are written, which need not exist, or None where none can be."""
    return next(filter(_is_writable, code_folders()), None)


def _is_safe(folder):
    """Return whether only this user and root can have put what lies in a folder there; log where others can."""
    for path in (folder.parent, folder):
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # A folder of another user's, which may not even be entered.
            return False
        # A group may write to the parent, where users have groups of their own: what it put in this folder's place
        # would not be this user's. All the world may where each removes only what is their own.
        others = (0 if status.st_mode & stat.S_ISVTX else 0o002) if path != folder else 0o022
        if not _is_own(status, others):
            LOGGER.warning(
                "Compiled kernels in %s are not used, since other users could have changed them: %s belongs to user %d "
                "and has mode %o. Make it your own, with mode 700, or set NUMBA_CACHE_DIR to another folder.",
                folder,
                path,
                status.st_uid,
                stat.S_IMODE(status.st_mode),
            )
            return False
    return True


def _is_own(status, others=0o022):
    """Return whether a file is this user's or root's, and has none of the rights of others that are given."""
    # Windows has other rights, and folders of a user are the user's there.
    return not hasattr(os, "geteuid") or (status.st_uid in (0, os.geteuid()) and not status.st_mode & others)


def _is_writable(folder):
    """Return whether files can be written to a folder, or to the nearest of its parents that exists."""
    with contextlib.suppress(OSError):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return False


@functools.cache
def hash_sources() -> str:
    """Return a hash of the sources of all kernels and of the versions of the libraries that compile them."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    # All layers count, since a kernel of one calls those of another.
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def make_folder(folder: Path) -> None:
    """Make a folder for compiled kernels where it does not exist, or raise OSError."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def read_file(path: Path) -> bytes:
    """Return the content of a file that only this user or root can have written; OSError for any other file."""
    with path.open("rb") as file:
        if not _is_own(os.fstat(file.fileno())):
            raise PermissionError(f"another user could have written {path}")
        return file.read()


def write_file(path: Path, content: bytes) -> None:
    """Write a file that other processes find whole or not at all, and that no one else can change."""
    part = path.with_name(f"{path.name}.tmp.{secrets.token_hex(8)}")
    try:
        with open(part, "xb", opener=functools.partial(os.open, mode=0o600)) as file:
            file.write(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@functools.cache
def log_once(text: str, *values: Any) -> None:
    """Write a line to the log at INFO, once in a process."""
    LOGGER.info(text, *values)
