"""The user's cache folder; files that are there whole; locks between processes; folders that can be written."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

from fastlin.extras import needs
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
    """Yield a new, empty file to write to, which takes the place of the path at the end; an exception removes it.

    The new file has a random name, so that two writers never share one: the last of them wins whole. Its bytes are on
    the disk before it takes the place of the path. An existing file's mode is kept. Where the path is a symbolic link,
    the file that the link leads to is replaced and the link stays, as editors do it.
    """
    path = Path(os.path.realpath(path))
    mode = _find_mode(path)
    # File systems take names of 255 bytes.
    part = path.with_name(f"{path.name[:40]}.{secrets.token_hex(8)}.part")
    # An existing file may be secret. Its own mode comes last, since it may forbid writing.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600))
    try:
        yield part
        # Windows syncs no file that is open for reading alone.
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(mode)
        os.replace(part, path)
    except BaseException:
        # Windows removes no file that is still open; the first error says more.
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


def _find_mode(path):
    """Return the mode of a file, or None where there is none."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "Not a file", str(path))
    return stat.S_IMODE(found)


@contextlib.contextmanager
def lock(path: PathLike) -> Iterator[None]:
    """Hold the lock of a path while the ``with`` block runs; other processes and threads wait for it.

    The path need not exist, but its folder has to. The lock is a file beside the path, ``.<name>.lock``, which is
    removed afterwards. The system releases the lock when a process ends, however the process ends, so that no lock is
    ever stale. Nothing is held where the file system has no locks, and where the file may not be opened, as one that
    the killed process of another user has left.
    """
    with needs("studies"):
        import filelock

    path, process = Path(os.path.realpath(path)), os.getpid()
    file = path.with_name(f".{path.name}.lock")
    # A soft lock, a file that is there or not, would outlive its process.
    of_file = filelock.FileLock(file, fallback_to_soft=False)
    with contextlib.suppress(OSError):
        of_file.acquire()
    try:
        yield
    finally:
        # A forked child that ends leaves its parent's lock.
        if of_file.is_locked and os.getpid() == process:
            # Who waits for the file finds out that it is gone, and makes another. Windows removes no file that is open:
            # filelock does so there once the lock is released.
            with contextlib.suppress(OSError):
                file.unlink()
            of_file.release()


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, so that they outlive a loss of power, where the system can."""
    # Windows opens no folder, and some network file systems sync none.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Raise an OSError where no file can be written to a folder, given as a Path.

    `tempfile` would try two billion names in such a folder on Windows (CPython issue 66305).
    """
    trial = folder / f"writable-{secrets.token_hex(8)}"
    trial.touch(exist_ok=False)
    trial.unlink()
