"""The user's cache folder; files that are there whole; locks between processes; folders that can be written."""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from fastlin.typing import PathLike

try:
    import fcntl
except ImportError:
    # Windows has another module.
    HAS_FCNTL = False
else:
    HAS_FCNTL = True


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

    Raises
    ------
    OSError
        The file cannot be written, or the path is no file, such as a folder or a device.
    """
    path = Path(os.path.realpath(path))
    mode = _find_mode(path)
    # File systems take names of 255 bytes.
    part = path.with_name(f"{path.name[:40]}.{secrets.token_hex(8)}.part")
    # An existing file may be secret. Its own mode comes last, since it may forbid writing.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600))
    try:
        yield part
        sync_file(part)
        if mode is not None:
            part.chmod(mode)
        os.replace(part, path)
    except BaseException:
        # Windows removes no file that is still open; the first error says more.
        _remove(part)
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
def lock(path: PathLike, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a path while the ``with`` block runs; other processes and threads wait for it.

    The lock is a file ``<path>.lock``, which is removed afterwards. The system releases it when a process ends, however
    it ends, so that no lock is ever stale.

    Parameters
    ----------
    path : path
        What is locked. It need not exist, but its folder has to.
    wait : bool
        Whether to wait while someone else holds the lock.

    Yields
    ------
    held : bool
        False where someone else holds the lock and `wait` is False, and where the file system has no locks.
    """
    file, process = Path(f"{os.path.realpath(path)}.lock"), os.getpid()
    # No link is followed; Windows lets few users make one.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(file, flags, 0o666)
        try:
            held = _acquire(descriptor, wait)
            # Its last holder may have removed the file meanwhile, and a third process made and locked another.
            if not held or _is_open_file(descriptor, file):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield held
    finally:
        # A forked child that ends leaves its parent's lock.
        is_own = held and os.getpid() == process
        # Once the descriptor is closed, the file may be someone else's lock. Windows removes no file that is open: the
        # order is the other one there, and a file that someone waits for stays.
        if is_own and HAS_FCNTL:
            _remove(file)
        os.close(descriptor)
        if is_own and not HAS_FCNTL:
            _remove(file)


def _remove(file):
    with contextlib.suppress(OSError):
        file.unlink()


def _acquire(descriptor, wait):
    """Lock an open file for this descriptor, and return whether that was done."""
    try:
        if HAS_FCNTL:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
        return _acquire_on_windows(descriptor, wait)
    except OSError:
        return False


def _acquire_on_windows(descriptor, wait):
    import msvcrt

    # Its types are those of Windows.
    windows: Any = msvcrt
    while True:
        try:
            windows.locking(descriptor, windows.LK_NBLCK, 1)
        except PermissionError:
            if not wait:
                return False
            time.sleep(0.05)
        else:
            return True


def _is_open_file(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def sync_file(path: Path) -> None:
    """Put the bytes of a file on the disk."""
    # Windows syncs no file that is open for reading alone.
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


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
