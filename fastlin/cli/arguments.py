"""What several commands take from the command line, and the error of a bad call; Click reads the words."""

from __future__ import annotations

import codecs
import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeAlias

import click
from click import option

from fastlin.extras import describe_missing, find_missing

Function: TypeAlias = Callable[..., Any]
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


class Range(click.FloatRange):
    """The numbers of a range, of which NaN is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that a word stands for."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a valid float", param, ctx)
        return number


def require(extra: str) -> None:
    """Refuse a command whose extra is not installed before it works for hours."""
    if missing := find_missing(extra):
        raise CommandError(describe_missing(extra, missing))


def command(purpose: str, *options: Function) -> Callable[[Callable[[SimpleNamespace], int]], click.Command]:
    """Return a decorator that makes a command of a function, which gets the options as attributes of one object.

    The function's docstring is the help of the command, and the purpose its line in the help of the program.
    """

    def decorate(function):
        @functools.wraps(function)
        def run(**given):
            return function(SimpleNamespace(**given))

        for add in reversed(options):
            run = add(run)
        text, examples = inspect.cleandoc(function.__doc__).split("\n\nExamples\n--------\n")
        # Click's mark keeps the lines of the examples.
        epilog = f"\b\nExamples:\n{examples}"
        make = click.command(function.__name__, context_settings=SETTINGS, help=text, epilog=epilog, short_help=purpose)
        return make(run)

    return decorate


def count_option(name: str, least: int, text: str, **settings: Any) -> Function:
    """Return an option that takes a whole number."""
    return option(name, type=click.IntRange(least, 2**32 - 1), metavar="N", help=text, **settings)


def data_option(sought: str) -> Function:
    """Return the option of the folder that data sets are sought in."""
    default = "the folder that FASTLIN_DATA names, then the cache folder, then a download"
    return option("--data", metavar="DIR", show_default=default, help=f"The only folder to look in for {sought}.")


WRITTEN = "Folder of results.json and the pictures, which is made where there is none."
output_option = option("--output", metavar="DIR", default="results", help=WRITTEN)


def _read_separator(context, option, text):
    sign = "\t" if text in ("tab", "\\t") else text
    if sign is not None and (len(sign) != 1 or not sign.isascii() or sign in '"\r\n'):
        raise click.BadParameter(f"{text!r} is no character that can separate columns, such as ';', or tab")
    return sign


def _read_encoding(context, option, text):
    try:
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        raise click.BadParameter(f"{text!r} is no encoding that Python knows, such as latin-1") from None


SEPARATOR = "Sign between the columns of CSV, one character or tab."
ENCODING = "Encoding of CSV that is read, such as latin-1 or utf-16."
separator_option = option(
    "--separator", callback=_read_separator, metavar="SIGN", show_default="a comma, in .tsv a tab", help=SEPARATOR
)
encoding_option = option("--encoding", callback=_read_encoding, default="utf-8", metavar="NAME", help=ENCODING)
