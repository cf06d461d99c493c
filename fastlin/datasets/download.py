"""Downloads files into the cache folder. Each is checked, and is there either whole or not at all."""

import hashlib
import queue
import threading
import urllib.request
import zlib
from http.client import HTTPException
from urllib.error import HTTPError

from fastlin.datasets.dataset import DatasetNotFoundError
from fastlin.datasets.folders import list_places, open_whole

# A server that has not answered after this many seconds counts as out of reach.
TIMEOUT = 5


def download(files, folder, wanted):
    """Download files into the cache folder and show a progress bar.

    Parameters
    ----------
    files : list of tuple (name, md5, addresses)
        The name that each file gets, its checksum, and the addresses that are tried in order. What comes from an
        address that ends in .gz is unpacked, unless the name ends so too.
    folder : path or None
        The folder that the user gave. Nothing is downloaded into it.
    wanted : str
        What was looked for: the beginning of the error's message.

    Raises
    ------
    DatasetNotFoundError
        The user gave a folder, the cache folder cannot be written, or no address gave a file with the checksum.
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
    """Open an address; raise TimeoutError where there is no answer after TIMEOUT seconds altogether.

    The limit of urlopen itself starts anew for each address of the server, and does not cover looking up its name. So
    urlopen runs in a thread, which is abandoned where it takes longer.
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
