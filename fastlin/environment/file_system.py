"""File system utilities: the user's cache folder, atomic writes, file locks, and a check for writable folders."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

from fastlin.environment.extras import import_extra
from fastlin.typing import PathLike


def find_user_cache_folder() -> Path | None:
    r"""Return fastlin's folder in the user's cache, or None if there is no cache. The folder may not exist yet."""
    try:
        return user_cache_path("fastlin", appauthor=False)
    # For some services, there is no home directory (Linux, macOS), or no variable or profile (Windows).
    except (RuntimeError, ValueError, OSError):
        return None


@contextlib.contextmanager
def write_atomically(path: PathLike) -> Iterator[Path]:
    """Write a file atomically. Yield the path of a temporary file, which replaces the file at the end.

    If `path` is a link, the target of the link is replaced. If an exception occurs, the temporary file is removed.
    Because its name is random, concurrent writers do not interfere. The data are synced to disk before the replacement,
    and the mode of an existing file is preserved.
    """
    path = Path(os.path.realpath(path))
    mode = _find_file_mode(path)
    # File systems accept names of up to 255 bytes.
    part = path.with_name(f"{path.name[:40]}.{secrets.token_hex(8)}.part")
    # An existing file may be secret. Its mode is set last, because it may forbid writing.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600))
    try:
        yield part
        # Windows cannot sync a file that is open for reading only.
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(mode)
        os.replace(part, path)
    except BaseException:
        # Windows cannot remove an open file. This error is ignored, because the original error is more important.
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _find_file_mode(path):
    """Return the mode of a file, or None if it does not exist."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a file", str(path))
    return stat.S_IMODE(mode)


@contextlib.contextmanager
def lock(path: PathLike) -> Iterator[None]:
    """Hold a lock for a path during the ``with`` block.

    The lock is the file ``.<name>.lock`` in the same folder. The operating system releases it when the process ends.
    The block runs without a lock if the file system does not support locks, or if the lock file cannot be opened.
    """
    with import_extra("studies", "filelock"):
        import filelock

    path, process_id = Path(os.path.realpath(path)), os.getpid()
    file = path.with_name(f".{path.name}.lock")
    # A soft lock is only the existence of a file, so it would outlive its process.
    file_lock = filelock.FileLock(file, fallback_to_soft=False)
    with contextlib.suppress(OSError):
        file_lock.acquire()
    try:
        yield
    finally:
        # A forked child must not release the lock of its parent.
        if file_lock.is_locked and os.getpid() == process_id:
            # A waiting process notices that the file is gone and creates another one. Windows cannot remove an open
            # file. On Windows, filelock removes the file after the release.
            with contextlib.suppress(OSError):
                file.unlink()
            file_lock.release()


def check_writable(folder: Path) -> None:
    """Raise an OSError if a folder is not writable. On Windows, `tempfile` would retry forever."""
    trial_file = folder / f"writable-{secrets.token_hex(8)}"
    trial_file.touch(exist_ok=False)
    trial_file.unlink()
