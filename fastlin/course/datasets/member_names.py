"""Checks of archives: the names inside, which never become paths, and one error for whatever else is damaged."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fastlin.typing import PathLike


def check_names(archive: PathLike, found: Iterable[str], expected: Iterable[str], ignored: Iterable[str] = ()) -> None:
    """Check that an archive holds each expected name once and, besides them, only names that are ignored.

    Raises
    ------
    ValueError
        A name is missing, comes twice or does not belong there. The message names the first such name.
    """
    count = Counter(found)
    known = {*expected, *ignored}
    problems = {
        "holds {} more than once": [name for name in count if count[name] > 1],
        "holds {}, which does not belong there": [name for name in count if name not in known],
        "lacks {}": [name for name in expected if name not in count],
    }
    for problem, names in problems.items():
        if names:
            others = f" (and {len(names) - 1} more such members)" if len(names) > 1 else ""
            raise ValueError(f"{archive} is damaged or another archive: it {problem.format(repr(names[0]))}{others}.")


@contextmanager
def naming_damage(where: PathLike, what: str) -> Iterator[None]:
    """Turn every error into a ValueError that says where; readers of archives raise a dozen kinds for damage."""
    try:
        yield
    except (ImportError, MemoryError):
        # These are not the file's fault: Pillow is not installed, or there is not enough memory.
        raise
    except Exception as error:
        raise ValueError(f"{where} is damaged or not {what}: {error}.") from error
