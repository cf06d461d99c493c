"""The command line: the names of the commands, the arguments that each takes, and the error of a bad call."""

import argparse
import codecs
import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from math import inf

from fastlin import __version__
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.extras import describe_missing, find_missing

# Each command: what it is for in one line, what the top of its own help says, and examples.
TEXTS = {
    "fit": (
        "for a table of your own: fit logistic regression, save the model",
        "Fit logistic regression to a table of CSV or Parquet, save the model for\n"
        "`fastlin predict`, and write a page about the fit.",
        """  fastlin fit flights.csv --target delayed
  fastlin fit flights.parquet --target delayed --drop id --cross-validate""",
    ),
    "predict": (
        "for new rows: predict labels and probabilities with that model",
        "Predict the rows of a table with a model that `fastlin fit` has saved, and\n"
        "write a label and probabilities for each row.",
        """  fastlin predict model.skops new.csv
  fastlin predict model.skops test.parquet --target delayed --output p.parquet""",
    ),
    "reproduce": (
        "for the course: repeat the studies, write a report with verdicts",
        "Run the studies of the course, compare what they measure with the claims of\n"
        "the student reports, and write report.html, results.json and pictures.",
        """  fastlin reproduce --quick --open
  fastlin reproduce softmax l2_sweep --output results""",
    ),
    "compare": (
        "to choose a library: time fastlin and scikit-learn on this machine",
        "Train fastlin, scikit-learn and the course's trainer on the same data, print\n"
        "seconds, accuracy and log loss, and write results.json and two pictures.",
        """  fastlin compare --quick
  fastlin compare --classes 3 --samples 2000 --features 20 --dtype float32
  fastlin compare --peers --output peers""",
    ),
    "doctor": (
        "when a result looks wrong: check this installation, for an issue",
        "Describe this installation, compare the results of small fits with stored\n"
        "ones, and print both as a text for an issue; the exit status is 1 where a\n"
        "result differs.",
        "  fastlin doctor > doctor.txt",
    ),
    "info": (
        "show versions, processor, threads and the folder of compiled code",
        "Show versions, the processor, threads, and which compiled code is used, with\nits folder and size.",
        "  fastlin info",
    ),
    "warmup": (
        "before the first fit: compile everything that fits need, once",
        "Compile what estimators and trainers need for float64, float32 and uint8 data,\n"
        "and keep it for all later processes; a wheel that carries compiled code leaves\n"
        "nothing to do.",
        """  fastlin warmup""",
    ),
}
DESCRIPTION = "Fit linear classifiers, compare libraries, and repeat the course's studies."


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


def require(extra: str) -> None:
    """Refuse a command whose extra is not installed before it works for hours."""
    if missing := find_missing(extra):
        raise CommandError(describe_missing(extra, missing))


class _Parser(argparse.ArgumentParser):
    """A parser that raises CommandError, so that a bad call gets one line instead of the whole usage."""

    def error(self, message):
        raise CommandError(f"{message} (see {self.prog} --help)")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what the words of a command line, by default this process's, mean.

    Raises
    ------
    CommandError
        The call is bad.
    """
    options, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        # argparse would name the help of the whole program, which has no options of commands.
        raise CommandError(f"unrecognized arguments: {' '.join(unknown)} (see fastlin {options.command} --help)")
    return options


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; what it parses has the name of the command as `command`."""
    # The list of argparse would break the line of the command with the longest name.
    listed = "\n".join(f"  {name:11}{purpose}" for name, (purpose, *_) in TEXTS.items())
    parser = _Parser(
        prog="fastlin",
        usage="fastlin [-h] [--version] COMMAND ...",
        description=f"{DESCRIPTION}\n\ncommands:\n{listed}",
        epilog="`fastlin COMMAND --help` describes a command and its options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastlin {__version__}", help="show fastlin's version")
    commands = parser.add_subparsers(
        prog="fastlin", dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS, parser_class=_Parser
    )
    fill = {
        "fit": _add_fit,
        "predict": _add_predict,
        "reproduce": _add_reproduce,
        "compare": _add_compare,
    }
    for name, (_, description, examples) in TEXTS.items():
        command = commands.add_parser(
            name,
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in fill:
            fill[name](command)
    return parser


def _add_fit(command):
    add = command.add_argument
    read = "table to fit: CSV (.csv or .tsv, also with .gz) or Parquet (.parquet, .pq); columns of text are categorical"
    add("data", metavar="DATA", help=read)
    add("--target", required=True, metavar="COLUMN", help="column of the labels; it must be given")
    dropped = "column that is no feature, such as an id; give --drop again for each one (default: none)"
    add("--drop", action="append", default=[], metavar="COLUMN", help=dropped)
    strength = "inverse strength of the penalty: a smaller C draws coefficients towards zero "
    add("--C", type=_number(1e-300, inf), metavar="C", help=f"{strength}(default: 1, with --inference inf)")
    add("--cross-validate", action="store_true", help="choose C among ten by the log loss of five folds; excludes --C")
    chooser = (
        "table with the columns of DATA whose log loss chooses C among ten; both tables are fitted (default: none)"
    )
    add("--validation", metavar="FILE", help=chooser)
    share = "share of the L1 penalty, 0 to 1: L1 makes some coefficients exactly zero (default: 0)"
    add("--l1-ratio", type=_number(0, 1), default=0.0, metavar="R", help=share)
    distance = "stop where the objective is proven to lie within this part of the minimum; a smaller TOL takes longer "
    defaults = "(default: 0.0001, with --inference 1e-08)"
    add("--tol", type=_number(1e-15, 1), metavar="TOL", help=f"{distance}{defaults}")
    errors = "print a table of standard errors and tests, and write it into the page; nothing is penalised then"
    add("--inference", action="store_true", help=errors)
    add("--model", metavar="FILE", default="model.skops", help="file of the model (default: %(default)s)")
    add("--report", metavar="FILE", help="file of the page (default: the name of --model with the ending .html)")
    _add_form(command)


def _add_predict(command):
    add = command.add_argument
    add("model", metavar="MODEL", help="file that `fastlin fit` has saved")
    add("data", metavar="DATA", help="table of CSV or Parquet with the columns of the fit; others are left out")
    add("--target", metavar="COLUMN", help="column of the true labels, to print the accuracy (default: none)")
    kept = "column to write before the predictions, such as an id; give --keep again for each one (default: none)"
    add("--keep", action="append", default=[], metavar="COLUMN", help=kept)
    written = "file of the predictions, CSV or Parquet by its ending .csv, .tsv, .parquet or .pq (default: %(default)s)"
    add("--output", metavar="FILE", default="predictions.csv", help=written)
    escaped = "in CSV, write an apostrophe before labels that a spreadsheet program would run; numbers stay as they are"
    add("--escape-formulas", action="store_true", help=escaped)
    _add_form(command)


def _add_form(command):
    """Add what says how files of CSV are written."""
    sign = "sign between the columns of CSV, one character or tab (default: a comma, in .tsv a tab)"
    command.add_argument("--separator", type=_separator, metavar="SIGN", help=sign)
    named = "encoding of CSV that is read, such as latin-1 or utf-16 (default: %(default)s)"
    command.add_argument("--encoding", type=_encoding, default="utf-8", metavar="NAME", help=named)


def _separator(text):
    sign = "\t" if text in ("tab", "\\t") else text
    if len(sign) != 1 or not sign.isascii() or sign in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} is no character that can separate columns, such as ';', or tab")
    return sign


def _encoding(text):
    try:
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no encoding that Python knows, such as latin-1") from None


def _add_reproduce(command):
    add = command.add_argument
    named = (
        f"study to run: {', '.join(STUDIES)} (default: all of these), or {', '.join(CIFAR10_STUDIES)}, which take "
        "minutes to hours and run only where they are named"
    )
    add("studies", nargs="*", metavar="STUDY", help=named)
    quick = "use fewer epochs, rows and seeds, to see that all works; claims get no verdict then"
    add("--quick", action="store_true", help=quick)
    draws = "networks that cifar10_search draws and trains; more take longer (default: %(default)s)"
    add("--draws", type=_count_from(1), default=100, metavar="N", help=draws)
    add("--open", action="store_true", help="show the report in the browser at the end")
    _add_data_and_output(command, "MNIST and CIFAR-10")
    seed = "seed of what is random: splits, orders, networks, draws; compare and learning do not change "
    _add_seed(command, f"{seed}(default: %(default)s)")


def _add_compare(command):
    add = command.add_argument
    add("--quick", action="store_true", help="train on 1,000 rows, once, to see that all works; its seconds say little")
    libraries = "time all installed libraries of the extra peers instead; write peers.json and a picture"
    add("--peers", action="store_true", help=libraries)
    dtype = (
        "type of the data, float64 or float32: float32 takes half the memory and less time, and keeps 7 digits of each "
        "value instead of 16, and the accuracy hardly moves; the study of accuracy against seconds always takes "
        "float64 (default: %(default)s)"
    )
    add("--dtype", choices=("float64", "float32"), default="float64", metavar="TYPE", help=dtype)
    _add_data_and_output(command, "MNIST")
    synthetic = command.add_argument_group(
        "synthetic data",
        "Any of the first three options replaces MNIST by random data with a normal\n"
        "cluster for each class. Sizes that are not given have their defaults.",
    )
    add = synthetic.add_argument
    add("--classes", type=_count_from(2), metavar="N", help="classes (default: 10)")
    add("--samples", type=_count_from(10), metavar="N", help="rows to train on; a fifth more test (default: 20000)")
    add("--features", type=_count_from(1), metavar="N", help="columns (default: 100)")
    _add_seed(synthetic, "seed of the random data; MNIST is the same with each (default: %(default)s)")


def _add_data_and_output(command, sought):
    searched = (
        f"the only folder to look in for {sought} (default: the folder that FASTLIN_DATA names, then the cache folder, "
        "then a download)"
    )
    command.add_argument("--data", metavar="DIR", help=searched)
    written = "folder of results.json and the pictures, which is made where there is none (default: %(default)s)"
    command.add_argument("--output", metavar="DIR", default="results", help=written)


def _add_seed(command, text):
    command.add_argument("--seed", type=_count_from(0), default=0, metavar="N", help=text)


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
