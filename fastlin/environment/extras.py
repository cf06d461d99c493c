"""Optional dependencies, grouped by the extra that installs them.

These packages are imported where they are used, so that `import fastlin` and fits do not require them.
"""

import contextlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from fastlin.environment.interruption import import_uninterrupted

# The names of the distributions that each extra installs.
EXTRAS = {
    "studies": ("filelock", "jinja2", "latex2mathml", "matplotlib", "pillow", "pooch", "rich", "skops", "tqdm"),
    # For `fastlin fit` and `fastlin predict`.
    "tables": ("pyarrow", "rich", "skops"),
    "arrow": ("pyarrow",),
    "dask": ("dask", "distributed"),
}
# Import names, if they differ from the names of the distributions.
IMPORT_NAMES = {"pillow": "PIL"}


@contextlib.contextmanager
def import_extra(extra: str, *modules: str) -> Iterator[None]:
    """Import modules uninterrupted. If a package is missing, also in the block, the error names the extra."""
    try:
        import_uninterrupted(*modules)
        yield
    except ModuleNotFoundError as error:
        names = {module: package for package, module in IMPORT_NAMES.items()}
        missing = names.get(str(error.name), str(error.name))
        raise ModuleNotFoundError(describe_missing_packages(extra, [missing]), name=error.name) from error


def find_missing_packages(extra: str) -> list[str]:
    """Return the names of the packages of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(IMPORT_NAMES.get(name, name)) is None]


def describe_missing_packages(extra: str, names: Iterable[str]) -> str:
    """Return a message that names missing packages and the command that installs them."""
    return f"Not installed: {', '.join(names)}. Run {format_install_command(extra)}."


def format_install_command(extra: str) -> str:
    """Return the command that installs an extra. It requires a checkout, because fastlin is not on PyPI yet."""
    return f"pip install '.[{extra}]' in a checkout of fastlin"
