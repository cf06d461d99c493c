"""Folders of decoded arrays: one that is kept, which processes share, and one that is removed with its user."""

import hashlib
import logging
import os
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from fastlin.places import lock, sync_file, sync_folder
from fastlin.typing import PathLike

# A change here makes what earlier versions have decoded unknown.
FORMAT = 2
TEMPORARY, UNFINISHED, IN_USE = "fastlin-blocks-", ".unfinished-", "in-use-"
# A folder of the disk that is made for large temporary files; /tmp lies in memory on many systems.
LARGE_TEMPORARY = "/var/tmp"
LOGGER = logging.getLogger("fastlin")


class TemporaryFolder:
    """A folder that is removed with this object, or when the program ends; ``close_maps`` is called before.

    Folders that killed processes have left are removed when one is made.

    Attributes
    ----------
    path : Path
        The folder. It lies where ``TMPDIR`` says, else in ``/var/tmp`` where that can be written.
    """

    def __init__(self, close_maps: Callable[[], None]) -> None:
        parent = Path(_choose_temporary())
        self.path = parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        ending = _hold(self, self.path)
        ending.callback(shutil.rmtree, self.path, ignore_errors=True)
        # Windows removes no file that is mapped.
        ending.callback(close_maps)
        self.path.mkdir(0o700)
        own = self.path.lstat()
        for left in parent.glob(f"{TEMPORARY}*/"):
            with suppress(OSError):
                found = left.lstat()
                # Others may plant links here.
                if stat.S_ISDIR(found.st_mode) and found.st_uid == own.st_uid:
                    with lock(left, wait=False) as held:
                        if held:
                            shutil.rmtree(left)

    def keep(self, working: Path, part: Path) -> None:
        """Give a folder that is whole its name."""
        working.rename(part)


class CacheFolder:
    """A folder that stays, made where it is missing, and is marked as in use for as long as this object lives.

    What killed processes have left, and arrays of sources that have changed, are removed when no process is at work in
    the folder. Arrays of other sources stay, and so do those of other columns of the same content. sources are the
    files whose arrays are wanted.
    """

    def __init__(self, path: PathLike, sources: Iterable[Path]) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        # A folder that can only be read is used as it is, and so is one where no locks tell who is at work.
        with suppress(OSError), lock(self.path / "cache") as held:
            if held:
                in_use = any([_is_held(mark) for mark in self.path.glob(f".{IN_USE}*.lock")])
                _hold(self, self.path / f"{IN_USE}{secrets.token_hex(8)}")
                if not in_use:
                    self._clean(dict(map(name_source, sources)))

    def keep(self, working: Path, part: Path) -> None:
        """Give a folder that is whole its name, unless another process was faster."""
        # A loss of power would leave files of the right size that hold zeros. To find these out by a digest, each call
        # would have to read all bytes.
        for written in working.iterdir():
            sync_file(written)
        sync_folder(working)
        try:
            working.rename(part)
        except OSError:
            if not part.is_dir():
                raise
        sync_folder(self.path)

    def _clean(self, current):
        """Remove what is unfinished, and what is of another content than the current one of its source."""
        for part in self.path.iterdir():
            source, _, rest = part.name.rpartition("-")[0].rpartition("-")
            if current.get(source, rest) != rest:
                # An interrupted removal leaves no folder that looks whole.
                part = part.rename(self.path / f"{UNFINISHED}{secrets.token_hex(8)}")
            if part.name.startswith(UNFINISHED):
                shutil.rmtree(part, ignore_errors=True)


def name_source(file: Path) -> tuple[str, str]:
    """Return a name of a file by its place, and one of its present content."""
    found = file.stat()
    # A file that was copied over may have kept size and time, but not the time of its change.
    stamps = found.st_size, found.st_mtime_ns, found.st_ctime_ns
    # File systems take names of 255 bytes.
    return f"{file.stem[:40]}-{digest(str(file.resolve()))}", digest((FORMAT, stamps))


def digest(value: object) -> str:
    """Return a short hash of plain values."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _hold(owner, path):
    """Hold the lock of a path until an object or the program ends; return the stack of what is done then, before."""
    ending = ExitStack()
    ending.enter_context(lock(path))
    weakref.finalize(owner, _end, ending, os.getpid())
    return ending


def _end(ending, process):
    # A forked child that ends leaves its parent's files and locks.
    if os.getpid() == process:
        ending.close()


def _is_held(mark):
    """Say whether the process that made a lock is alive; the lock of another one is removed."""
    # The lock of another user may not be opened, and counts as held.
    with lock(mark.with_name(mark.stem.removeprefix(".")), wait=False) as held:
        return not held


def _choose_temporary():
    """Return the folder for temporary files that may be too large for memory."""
    chosen = [folder for name in ("TMPDIR", "TEMP", "TMP") if (folder := os.environ.get(name))]
    if not chosen and os.access(LARGE_TEMPORARY, os.W_OK):
        return LARGE_TEMPORARY
    folder = tempfile.gettempdir()
    # Windows has no such folder, and its own lies on a disk.
    if os.name != "nt" and not any(os.path.realpath(each) == os.path.realpath(folder) for each in chosen):
        LOGGER.warning(
            "Arrays are decoded into %s, which may lie in memory: %s cannot be written. TMPDIR names another folder.",
            folder,
            " and ".join(chosen) or LARGE_TEMPORARY,
        )
    return folder
