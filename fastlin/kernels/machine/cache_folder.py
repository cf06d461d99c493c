"""The folders of the user's compiled kernels: their locations and permissions.

The name of a folder contains a hash of all kernel sources. Files are pickles, and loading a pickle can execute
arbitrary code. Therefore, a folder or a file is used only if nobody except this user and root can have written to it.
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

from fastlin.environment.file_system import find_user_cache_folder
from fastlin.kernels.machine.libraries import config, llvmlite, numba

LOGGER = logging.getLogger("fastlin")


@functools.cache
def code_folders() -> tuple[Path, ...]:
    """Return the folders from which compiled kernels are loaded, in order. The folders need not exist.

    ``NUMBA_CACHE_DIR`` is the first folder. If it is not writable, the user's cache folder is the second. This happens,
    for example, in a container whose image includes compiled kernels.
    """
    numba_folder = Path(config.CACHE_DIR) / "fastlin" if config.CACHE_DIR else None
    folders = []
    for parent in (numba_folder, find_user_cache_folder()):
        folder = parent and parent / f"kernels-{hash_sources()}"
        if folder is not None and _is_safe_folder(folder):
            folders.append(folder)
            if _is_writable(folder):
                break
    return tuple(folders)


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder to which compiled kernels are written, or None if none is writable. It may not exist yet."""
    return next(filter(_is_writable, code_folders()), None)


def _is_safe_folder(folder):
    """Return whether only this user and root can have written to a folder; log a warning if others can."""
    for path in (folder.parent, folder):
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # The folder belongs to another user and cannot be entered.
            return False
        # The parent may be writable by a group, because if a member replaced this folder, the new folder would belong
        # to another user. If the sticky bit of the parent is set, the parent may be writable by everyone, because users
        # can then remove only their own files.
        forbidden_permission_bits = (0 if status.st_mode & stat.S_ISVTX else 0o002) if path != folder else 0o022
        if not _has_safe_owner(status, forbidden_permission_bits):
            LOGGER.warning(
                "Compiled kernels in %s are not used because other users could have changed them: %s belongs to user "
                "%d and has mode %o. Change its owner to yourself and its mode to 700, or set NUMBA_CACHE_DIR to "
                "another folder.",
                folder,
                path,
                status.st_uid,
                stat.S_IMODE(status.st_mode),
            )
            return False
    return True


def _has_safe_owner(status, forbidden_permission_bits=0o022):
    """Return whether a file belongs to this user or root and has none of the ``forbidden_permission_bits``."""
    # Windows uses different permissions, and user folders on Windows are private.
    return not hasattr(os, "geteuid") or (
        status.st_uid in (0, os.geteuid()) and not status.st_mode & forbidden_permission_bits
    )


def _is_writable(folder):
    """Return whether files can be written to a folder or, if it does not exist, to its nearest existing parent."""
    with contextlib.suppress(OSError):
        nearest_existing_folder = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return nearest_existing_folder.is_dir() and os.access(nearest_existing_folder, os.W_OK | os.X_OK)
    return False


@functools.cache
def hash_sources() -> str:
    """Return a hash of the sources of all kernels and the versions of the libraries that compile them."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    # All subpackages are included, because kernels call kernels from other subpackages.
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def make_folder(folder: Path) -> None:
    """Create a folder for compiled kernels unless it exists. Raise OSError if this fails."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def read_file(path: Path) -> bytes:
    """Return the content of a file if only this user or root can have written it; otherwise raise OSError."""
    with path.open("rb") as file:
        if not _has_safe_owner(os.fstat(file.fileno())):
            raise PermissionError(f"another user could have changed {path}")
        return file.read()


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically, with permissions only for this user."""
    temporary_path = path.with_name(f"{path.name}.tmp.{secrets.token_hex(8)}")
    try:
        with open(temporary_path, "xb", opener=functools.partial(os.open, mode=0o600)) as file:
            file.write(content)
        os.replace(temporary_path, path)
    except BaseException:
        temporary_path.unlink(missing_ok=True)
        raise


@functools.cache
def log_once(text: str, *values: Any) -> None:
    """Log a message at INFO, once per process."""
    LOGGER.info(text, *values)
