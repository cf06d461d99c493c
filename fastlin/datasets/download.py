"""Downloads into the cache folder, each file checked, and whole or not there at all."""

import hashlib
import queue
import threading
import urllib.request
import zlib
from http.client import HTTPException
from urllib.error import HTTPError

from fastlin.datasets.dataset import DatasetNotFoundError
from fastlin.datasets.folders import list_places, open_whole

# A server that does not answer within this many seconds counts as out of reach.
TIMEOUT = 5


def download(files, folder, wanted):
    """Download what no place holds into the cache folder, with a progress bar.

    Parameters
    ----------
    files : list of (name, md5, addresses)
        The name and checksum of each file in the cache folder, and where to fetch it, in order. An address that ends
        in .gz is unpacked on the way where the name does not.
    folder : path or None
        The folder the user gave, into which nothing is downloaded.
    wanted : str
        What was looked for, to open the message of an error with.

    Raises
    ------
    DatasetNotFoundError
        Where a folder was given, the cache cannot be written, or no address gives a file of that checksum.
    """
    places = list_places(folder)

    def missing(reason):
        looked = "\n".join(f"  {place}" for place in places)
        return DatasetNotFoundError(
            f"{wanted}\nPlaces looked in:\n{looked}\nReason it was not downloaded: {reason}\n"
            "Put the data into one of these places, or set FASTLIN_DATA to the folder that holds them."
        )

    if folder is not None:
        raise missing("Nothing is downloaded where a folder is given.")
    cache = places[-1]
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise missing(f"{cache} cannot be made: {error}") from error
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns) as bar:
        for name, md5, addresses in files:
            reasons = []
            for address in addresses:
                try:
                    _fetch(address, cache / name, md5, bar)
                    break
                except (OSError, EOFError, zlib.error, ValueError, HTTPException) as error:
                    reasons.append(f"{address}: {error}")
            else:
                raise missing("; ".join(reasons))


def _fetch(address, target, md5, bar):
    gzipped = address.endswith(".gz") and target.suffix != ".gz"
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress if gzipped else bytes
    task = bar.add_task(target.name, total=None)
    try:
        with open_whole(target) as part:
            with _connect(address) as answer:
                size = answer.headers.get("Content-Length")
                bar.update(task, total=int(size) if size else None)
                digest = hashlib.md5(usedforsecurity=False)
                while block := answer.read(1 << 16):
                    bar.advance(task, len(block))
                    unpacked = unpack(block)
                    digest.update(unpacked)
                    part.write(unpacked)
            if digest.hexdigest() != md5:
                raise ValueError(f"{target.name} has md5 {digest.hexdigest()} instead of {md5}")
    except BaseException:
        bar.remove_task(task)
        raise


def _connect(address):
    """Open the address, or raise TimeoutError where nothing has answered within TIMEOUT seconds in all.

    urlopen's own limit holds for each address of the server anew, and not at all for looking up its name: so it runs
    in a thread that is left to itself where it takes longer.
    """
    answers = queue.SimpleQueue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(address, timeout=TIMEOUT))
        except Exception as error:
            if isinstance(error, HTTPError):
                error.close()
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUT)
    except queue.Empty:
        raise TimeoutError(f"timed out: no answer within {TIMEOUT} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
