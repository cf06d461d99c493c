"""Downloads files into the cache folder through pooch, from the first of their mirrors that has them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastlin.course.datasets.folders import list_places
from fastlin.exceptions import DatasetNotFoundError
from fastlin.extras import needs
from fastlin.typing import PathLike

# Seconds of silence after which a server counts as out of reach.
TIMEOUT = 5


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher offers it: its name, its md5, and the addresses to try in their order."""

    name: str
    md5: str
    addresses: tuple[str, ...]


def download(files: Sequence[PublishedFile], folder: PathLike | None, wanted: str) -> None:
    """Download files into the cache folder with progress bars; `wanted` begins the message of an error.

    DatasetNotFoundError: the user gave a folder, the cache is not writable, or no address had a file with its md5.
    """
    places = list_places(folder)
    reasons = _fetch(files, places[-1]) if folder is None else ["Nothing is downloaded where a folder is given."]
    if reasons:
        looked, why = ("\n".join(f"  {line}" for line in lines) for lines in (places, reasons))
        raise DatasetNotFoundError(
            f"{wanted}\nPlaces looked in:\n{looked}\nWhy it was not downloaded:\n{why}\n"
            "Put the data into one of these places, or set FASTLIN_DATA to the folder that holds them."
        )


def _fetch(files, place):
    """Download files into a place; if one fails, return a line with the reason for each address."""
    with needs("studies"):
        import pooch
        import tqdm  # noqa: F401
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    for file in files:
        reasons = []
        # pooch takes one address for a file.
        for address in file.addresses:
            try:
                pooch.retrieve(address, f"md5:{file.md5}", file.name, place, downloader=downloader)
                break
            except (OSError, ValueError) as error:
                reasons.append(f"{address}: {error}")
        else:
            return reasons
    return []
