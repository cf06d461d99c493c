"""What several commands take from the command line, and the error of a bad call; Click reads the words."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from click import option

from fastlin.extras import describe_missing, find_missing

# The signs that each value of --thousands stands for.
THOUSANDS_SIGNS = {",": ",", ".": ".", "space": " \u00a0\u2009\u202f", "apostrophe": "'\u2019"}
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class CommandError(click.ClickException):
    """The user's call cannot be carried out; the message fits on one line and says why."""


@contextlib.contextmanager
def refuse(what: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise a CommandError that says what cannot be done, and why, where one of the errors is raised."""
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise CommandError(f"{what}: {reason}") from error


def require(extra: str) -> None:
    """Refuse a command whose extra is not installed before it works for hours."""
    if missing := find_missing(extra):
        raise CommandError(describe_missing(extra, missing))


def command(purpose: str, *options: Callable[..., Any]) -> Callable[[Callable[[SimpleNamespace], int]], click.Command]:
    """Return a decorator that makes a command of a function, which gets the options as attributes of one object.

    The function's docstring is the help of the command, and the purpose its line in the help of the program.
    """

    def decorate(function):
        text, examples = inspect.cleandoc(function.__doc__).split("\n\nExamples\n--------\n")
        # Click's mark keeps the lines of the examples.
        texts: dict[str, Any] = {"help": text, "epilog": f"\b\nExamples:\n{examples}", "short_help": purpose}
        made = click.Command(function.__name__, SETTINGS, lambda **given: function(SimpleNamespace(**given)), **texts)
        for add in options:
            add(made)
        return made

    return decorate


FILE = click.Path(exists=True, dir_okay=False)
FOLDER = click.Path(file_okay=False, writable=True, path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
STRENGTH = click.FloatRange(1e-300)
SEPARATOR = "Sign between the columns of CSV, one character or tab."
DECIMAL = "Sign before the decimals of numbers in CSV that is read."
THOUSANDS = "Sign between the thousands of numbers in CSV that is read, such as the comma of 1,234,567."
ENCODING = "Encoding of CSV that is read, such as latin-1 or utf-16."
DROPPED = "Column that is no feature, such as an id; give --drop again for each one."
SOUGHT = "The only folder to look in for MNIST and CIFAR-10."
ELSEWHERE = "the folder that FASTLIN_DATA names, then the cache folder, then a download"
WRITTEN = "Folder of results and pictures, which is made where there is none."

table_options = (
    option("--separator", metavar="SIGN", show_default="a comma, in .tsv a tab", help=SEPARATOR),
    option("--decimal", type=click.Choice([".", ","]), default=".", help=DECIMAL),
    option("--thousands", type=click.Choice([*THOUSANDS_SIGNS]), show_default="none", help=THOUSANDS),
    option("--encoding", default="utf-8", metavar="NAME", help=ENCODING),
)
drop_option = option("--drop", multiple=True, metavar="COLUMN", show_default="none", help=DROPPED)
data_option = option("--data", metavar="DIR", show_default=ELSEWHERE, help=SOUGHT)
output_option = option("--output", type=FOLDER, metavar="DIR", default="results", help=WRITTEN)
