"""The command line: the names of the commands, the arguments that each takes, and the error of a bad call."""

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial
from math import inf

from fastlin import __version__
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.extras import describe_missing, find_missing

FIT_EXAMPLES = """examples:
  fastlin fit flights.csv --target delayed
  fastlin fit flights.parquet --target delayed --drop id --cross-validate --l1-ratio 1 --model flights.skops
"""
PREDICT_EXAMPLES = """examples:
  fastlin predict model.skops new.csv
  fastlin predict model.skops test.parquet --target delayed --output predictions.parquet
"""


class CommandError(Exception):
    """The user's call cannot be carried out; the message fits on one line and says why."""


@contextlib.contextmanager
def refuse(what: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise a CommandError that says what cannot be done, and why, where one of the errors is raised."""
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise CommandError(f"{what}: {reason}") from error


def require(*extras: str) -> None:
    """Refuse a command whose packages are not installed before it works for hours."""
    missing = {extra: names for extra in extras if (names := find_missing(extra))}
    if missing:
        raise CommandError(describe_missing(",".join(missing), [name for names in missing.values() for name in names]))


class _Parser(argparse.ArgumentParser):
    """A parser that raises CommandError, so that a bad call gets one line instead of the whole usage."""

    def error(self, message):
        raise CommandError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; what it parses has the name of the command as `command`."""
    parser = _Parser(prog="fastlin", description="Train linear classifiers fast; reproduce the studies.")
    parser.add_argument("--version", action="version", version=f"fastlin {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    def begin(name, text, examples=None):
        raw = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=text, epilog=examples, formatter_class=raw).add_argument

    saved = "fit logistic regression to a table in a file, and save the model and a page about it"
    _add_fit(begin("fit", saved, FIT_EXAMPLES))
    _add_predict(begin("predict", "predict the rows of a table with a model that fit has saved", PREDICT_EXAMPLES))
    _add_reproduce(begin("reproduce", "run the studies and write the report, pictures and results.json"))
    _add_compare(begin("compare", "time fastlin and scikit-learn on the same objective"))
    begin("doctor", "describe this installation and test its results, to paste into an issue")
    begin("info", "show versions, processor, threads and the place of compiled code")
    warmup = begin("warmup", "compile once what the estimators and trainers need")
    warmup("--host", action="store_true", help="compile for this very processor")
    return parser


def _add_fit(add):
    add("data", metavar="DATA", help="a table of CSV (.csv, .tsv, also .gz) or Parquet; text is categorical")
    add("--target", required=True, metavar="COLUMN", help="the column of the labels")
    add("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out; repeatable")
    add("--C", type=_number(1e-300, inf), help="inverse strength of the penalty; default: 1")
    add("--cross-validate", action="store_true", help="choose C of ten by the log loss of five folds")
    add("--l1-ratio", type=_number(0, 1), default=0.0, metavar="R", help="share of the L1 penalty, 0 to 1; default: 0")
    add("--tol", type=_number(1e-15, 1), default=1e-4, help="relative distance from the minimum; default: 1e-4")
    add("--model", metavar="FILE", default="model.skops", help="the file of the model; default: model.skops")
    add("--report", metavar="FILE", help="the page; default: the model's name with .html")


def _add_predict(add):
    add("model", metavar="MODEL", help="the file of the model")
    add("data", metavar="DATA", help="a table with the columns of the fit; others are left out")
    add("--target", metavar="COLUMN", help="the column of the labels, to show the accuracy")
    add("--output", metavar="FILE", default="predictions.csv", help="CSV or Parquet; default: predictions.csv")
    escaped = "in CSV, an apostrophe before labels that a spreadsheet program would run; numbers stay as they are"
    add("--escape-formulas", action="store_true", help=escaped)


def _add_reproduce(add):
    named = f"one of {', '.join(STUDIES)}, which all run by default, or of {', '.join(CIFAR10_STUDIES)}"
    add("studies", nargs="*", metavar="STUDY", help=named)
    add("--quick", action="store_true", help="use fewer epochs and rows, to see that all works")
    add("--draws", type=_count_from(1), default=100, metavar="N", help="draws of cifar10_search; default: 100")
    add("--open", action="store_true", help="show the report in the browser at the end")
    _add_data_and_output(add)


def _add_compare(add):
    add("--peers", action="store_true", help="compare with every installed peer; writes peers.json")
    add("--quick", action="store_true", help="use fewer rows and seconds, to see that all works")
    add("--classes", type=_count_from(2), help="classes of synthetic data; default: 10")
    add("--samples", type=_count_from(10), help="rows of synthetic data; default: 20000")
    add("--features", type=_count_from(1), help="columns of synthetic data; default: 100")
    add("--dtype", choices=("float64", "float32"), default="float64", help="default: float64")
    _add_data_and_output(add)


def _add_data_and_output(add):
    searched = "the only folder to look in for the data; default: FASTLIN_DATA, the cache folder, then a download"
    add("--data", metavar="DIR", help=searched)
    add("--output", metavar="DIR", default="results", help="default: results")
    add("--seed", type=_count_from(0), default=0, metavar="N", help="default: 0")


def _number(lowest, highest, kind=float):
    """Return a function that turns an argument into a number of a kind from `lowest` to `highest`."""
    words, form = ("number", "g") if kind is float else ("whole number", "d")

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a {words} from {lowest:{form}} to {highest:{form}}")
        return value

    return number


_count_from = partial(_number, highest=2**32 - 1, kind=int)
