"""Checks the names inside archives, which are compared with the expected ones and never become paths."""

from collections import Counter
from collections.abc import Iterable

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
