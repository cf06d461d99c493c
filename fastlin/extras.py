"""The packages that only some of fastlin needs, by the extra of the installation that brings them.

Code that needs one imports it where it uses it, so that fastlin imports and fits without it.
"""

import contextlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

# The names that they are imported by.
EXTRAS = {
    "studies": ("filelock", "jinja2", "latex2mathml", "matplotlib", "PIL", "pooch", "rich", "skops", "tqdm"),
    # What the commands fit and predict read, save and draw with.
    "tables": ("jinja2", "matplotlib", "pyarrow", "rich", "skops"),
    "arrow": ("filelock", "pyarrow"),
    "dask": ("dask", "distributed"),
}


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Let imports in the ``with`` block say which extra of `EXTRAS` brings what is missing.

    Raises
    ------
    ModuleNotFoundError
        A package that is imported in the block is not installed. The error says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(describe_missing(extra, [str(error.name)]), name=error.name) from error


def find_missing(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed, by the names that they are imported by."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def describe_missing(extra: str, names: Iterable[str]) -> str:
    """Return the line that says which packages are missing and how to install them."""
    return f"Not installed: {', '.join(names)}. Run pip install 'fastlin[{extra}]'."
