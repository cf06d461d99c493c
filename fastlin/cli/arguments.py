"""Options that several commands share, the decorator that creates Click commands, and the error for invalid calls."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from click import option

from fastlin.environment.extras import describe_missing_packages, find_missing_packages

# The characters that each value of --thousands represents.
THOUSANDS_SEPARATORS = {",": ",", ".": ".", "space": " \u00a0\u2009\u202f", "apostrophe": "'\u2019"}
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class CommandError(click.ClickException):
    """The command cannot be carried out; the message gives the reason on one line."""


@contextlib.contextmanager
def convert_errors(failure_description: str, *errors: type[Exception]) -> Iterator[None]:
    """Convert errors of the given types to a CommandError.

    Its message consists of `failure_description` and the first line of the original message.
    """
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise CommandError(f"{failure_description}: {reason}") from error


def require(extra_name: str) -> None:
    """Raise a CommandError if packages of an extra are missing, so that the command fails immediately."""
    if missing := find_missing_packages(extra_name):
        raise CommandError(describe_missing_packages(extra_name, missing))


def command(summary: str, *options: Callable[..., Any]) -> Callable[[Callable[[SimpleNamespace], int]], click.Command]:
    """Return a decorator that converts a function into a command. The function receives a namespace of options.

    The function's docstring is the help text of the command, and `summary` describes the command in the program's help.
    """

    def convert_to_click_command(function):
        text, examples = inspect.cleandoc(function.__doc__).split("\n\nExamples\n--------\n")
        # The marker \b prevents Click from rewrapping the examples.
        help_texts: dict[str, Any] = {"help": text, "epilog": f"\b\nExamples:\n{examples}", "short_help": summary}

        def call(**options):
            return function(SimpleNamespace(**options))

        click_command = click.Command(function.__name__, SETTINGS, call, **help_texts)
        for add_option in options:
            add_option(click_command)
        return click_command

    return convert_to_click_command


EXISTING_FILE = click.Path(exists=True, dir_okay=False)
FOLDER = click.Path(file_okay=False, writable=True, path_type=Path)
SEED_RANGE = click.IntRange(0, 2**32 - 1)
STRENGTH_RANGE = click.FloatRange(1e-300)
SEPARATOR_HELP = "Field delimiter of CSV files: one character, or tab."
DECIMAL_HELP = "Decimal mark of the numbers in CSV files."
THOUSANDS_HELP = "Thousands separator of the numbers in CSV files, such as the commas in 1,234,567."
ENCODING_HELP = "Character encoding of CSV files, such as latin-1 or utf-16."
DROP_HELP = "Column to exclude, such as an identifier. Repeat the option for several columns."
DATA_HELP = "Folder that contains MNIST or CIFAR-10. No other folder is searched."
DATA_DEFAULT_HELP = "the folder in FASTLIN_DATA, then the cache folder, then a download"
OUTPUT_HELP = "Folder for results and figures; created if missing."

table_options = (
    option("--separator", metavar="CHAR", show_default="comma; tab for .tsv", help=SEPARATOR_HELP),
    option("--decimal", type=click.Choice([".", ","]), default=".", help=DECIMAL_HELP),
    option("--thousands", type=click.Choice([*THOUSANDS_SEPARATORS]), show_default="none", help=THOUSANDS_HELP),
    option("--encoding", default="utf-8", metavar="NAME", help=ENCODING_HELP),
)
drop_option = option("--drop", multiple=True, metavar="COLUMN", show_default="none", help=DROP_HELP)
data_option = option("--data", metavar="DIR", show_default=DATA_DEFAULT_HELP, help=DATA_HELP)
output_option = option("--output", type=FOLDER, metavar="DIR", default="results", help=OUTPUT_HELP)
