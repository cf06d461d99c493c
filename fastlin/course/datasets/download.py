"""Downloads files into the cache folder through pooch.

pooch checks each file and gives it its name only when it is whole. What pooch lacks stands here: mirrors that are
tried in turn, an end to a download that is too long, and a limit on the time that a server takes to answer.
"""

import io
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastlin.course.datasets.folders import list_places
from fastlin.exceptions import DatasetNotFoundError
from fastlin.extras import needs
from fastlin.typing import PathLike

# A server that has not answered after this many seconds counts as out of reach.
TIMEOUT = 5
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher offers it.

    A download that grows beyond n_bytes is given up, and the addresses are tried in order.
    """

    name: str
    md5: str
    n_bytes: int
    addresses: tuple[str, ...]


def download(files: Sequence[PublishedFile], folder: PathLike | None, wanted: str) -> None:
    """Download files, none of which is in the cache folder, into it and show a progress bar for each.

    The folder is the one that the user gave; nothing is downloaded into it. `wanted` says what was looked for, with
    which the error's message begins.

    Raises
    ------
    DatasetNotFoundError
        The user gave a folder, the cache folder cannot be written, or no address gave a file with its checksum.
    """
    places = list_places(folder)

    def missing(*reasons):
        looked, why = ("\n".join(f"  {line}" for line in lines) for lines in (places, reasons))
        return DatasetNotFoundError(
            f"{wanted}\nPlaces looked in:\n{looked}\nWhy it was not downloaded:\n{why}\n"
            "Put the data into one of these places, or set FASTLIN_DATA to the folder that holds them."
        )

    if folder is not None:
        raise missing("Nothing is downloaded where a folder is given.")
    with needs("studies"):
        import pooch
        import tqdm  # noqa: F401

    logger = pooch.get_logger()
    with ExitStack() as stack:
        # pooch prints the address and the path of each download. The bar already names the file.
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel("WARNING")
        for file in files:
            reasons = []
            # pooch takes one address for a file.
            for address in file.addresses:
                try:
                    stream = partial(_stream, file)
                    pooch.retrieve(address, f"md5:{file.md5}", file.name, places[-1], downloader=stream)
                    break
                except (OSError, ValueError) as error:
                    reasons.append(f"{address}: {error}")
            else:
                raise missing(*reasons)


def _stream(file, address, path, _):
    """Write what an address gives to a path; pooch calls this, and removes the path after any exception."""
    from pooch import HTTPDownloader
    from tqdm.auto import tqdm

    _wait_for_answer(address)
    # pooch's own bar has no name. pooch also sets the clock of a bar to 0 at the end, so that a bar that stayed in the
    # terminal would show a wrong rate.
    bar = tqdm(total=file.n_bytes, desc=file.name, unit="B", unit_scale=True, leave=False)
    with bar, LimitedFile(path, file.n_bytes) as part:
        HTTPDownloader(progressbar=bar, chunk_size=BLOCK_BYTES, timeout=TIMEOUT)(address, part, None)


class LimitedFile(io.BufferedWriter):
    """A new file that refuses to grow beyond its limit in bytes, since pooch writes as much as a server sends."""

    def __init__(self, path: PathLike, limit: int) -> None:
        super().__init__(io.FileIO(path, "w"))
        self.limit = limit

    def write(self, block: Any) -> int:
        """Write a block; raise a ValueError where the file would grow beyond its limit."""
        if self.tell() + len(block) > self.limit:
            raise ValueError(f"the server sends more than the {self.limit:,} bytes of the file")
        return super().write(block)


def _wait_for_answer(address):
    """Ask a server for the headers of a file; raise TimeoutError where there is no answer after TIMEOUT seconds.

    The timeout of pooch's downloader starts anew for each address of the server, and does not cover looking up its
    name. So the question is asked in a thread, which is abandoned where it takes longer. The download itself has to
    stay in the thread of the caller, where Ctrl-C ends it.
    """
    from pooch import HTTPDownloader

    answer: Future[None] = Future()

    def ask():
        try:
            # The answer may be a refusal: the download itself tells more about it.
            answer.set_result(HTTPDownloader(timeout=TIMEOUT)(address, None, None, check_only=True))
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer.result(TIMEOUT)
    except TimeoutError:
        raise TimeoutError(f"timed out: no answer within {TIMEOUT} seconds") from None
