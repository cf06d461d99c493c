"""The packages that only some of fastlin needs, by the extra of the installation that brings them.

Code that needs one imports it where it uses it, so that fastlin imports and fits without it.
"""

import contextlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from fastlin.interruption import import_uninterrupted

# The names that they are installed by.
EXTRAS = {
    "studies": ("filelock", "jinja2", "latex2mathml", "matplotlib", "pillow", "pooch", "rich", "skops", "tqdm"),
    # What the commands fit and predict read, save and print with.
    "tables": ("pyarrow", "rich", "skops"),
    "arrow": ("pyarrow",),
    "dask": ("dask", "distributed"),
}
# The names of those that are imported by another one.
IMPORTED = {"pillow": "PIL"}


@contextlib.contextmanager
def needs(extra: str, *modules: str) -> Iterator[None]:
    """Import modules uninterrupted, and say which extra of `EXTRAS` provides what they or the ``with`` block lack."""
    try:
        import_uninterrupted(*modules)
        yield
    except ModuleNotFoundError as error:
        names = {module: package for package, module in IMPORTED.items()}
        missing = names.get(str(error.name), str(error.name))
        raise ModuleNotFoundError(describe_missing(extra, [missing]), name=error.name) from error


def find_missing(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed, by the names that they are installed by."""
    return [name for name in EXTRAS[extra] if find_spec(IMPORTED.get(name, name)) is None]


def describe_missing(extra: str, names: Iterable[str]) -> str:
    """Return the line that says which packages are missing and how to install them."""
    return f"Not installed: {', '.join(names)}. Run {tell_install(extra)}."


def tell_install(extra: str) -> str:
    """Return the command that installs the packages of an extra: fastlin is on no index of packages yet."""
    return f"pip install '.[{extra}]' in a checkout of fastlin"
