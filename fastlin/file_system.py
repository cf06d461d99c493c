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
    r"""Return fastlin's folder in the user's cache, which need not exist; None for a user without such a place."""
    try:
        return user_cache_path("fastlin", appauthor=False)
    # Linux and macOS lack a home; Windows lacks the variable or the profile, as for some services.
    except (RuntimeError, ValueError, OSError):
        return None


@contextlib.contextmanager
def write_whole(path: PathLike) -> Iterator[Path]:
    """Yield a new file, which replaces the path, or what its link leads to, once whole; an exception removes it.

    A random name keeps two writers apart. Bytes are on the disk before; an existing file's mode is kept.
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
    """Hold the lock of a path, a file ``.<name>.lock`` in its folder, while the ``with`` block runs.

    The system releases it when a process ends. Nothing is held if the file system has no locks, or the file may not be
    opened.
    """
    with needs("studies", "filelock"):
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
            # A process that waits for the file finds that it is gone, and makes another. Windows removes no open file:
            # filelock removes it there once the lock is released.
            with contextlib.suppress(OSError):
                file.unlink()
            of_file.release()


def check_writable(folder: Path) -> None:
    """Raise an OSError if no file can be written to a folder: on Windows `tempfile` would try forever."""
    trial = folder / f"writable-{secrets.token_hex(8)}"
    trial.touch(exist_ok=False)
    trial.unlink()
