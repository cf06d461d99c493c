"""The command line: the names of the commands, the arguments that each takes, and the error of a bad call."""

import argparse

from fastlin import __version__
from fastlin.studies import CIFAR10_STUDIES, STUDIES


class CommandError(Exception):
    """The user's call cannot be carried out; the message fits on one line and says why."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises CommandError, so that a bad call gets one line instead of the whole usage."""

    def error(self, message):
        raise CommandError(f"{message} (see {self.prog} --help)")


def build_parser():
    """Return the parser of the whole command line; what it parses has the name of the command as `command`."""
    parser = _Parser(prog="fastlin", description="Train linear classifiers fast; reproduce the studies.")
    parser.add_argument("--version", action="version", version=f"fastlin {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    reproduce = commands.add_parser("reproduce", help="run the studies and write the report, pictures and results.json")
    reproduce.add_argument(
        "studies",
        nargs="*",
        metavar="STUDY",
        help=f"one of {', '.join(STUDIES)}, which all run by default, or of {', '.join(CIFAR10_STUDIES)}",
    )
    reproduce.add_argument("--quick", action="store_true", help="use fewer epochs and rows, to see that all works")
    reproduce.add_argument(
        "--draws", type=_count_from(1), default=100, metavar="N", help="draws of cifar10_search; default: 100"
    )

    reproduce.add_argument("--open", action="store_true", help="show the report in the browser at the end")

    compare = commands.add_parser("compare", help="time fastlin and scikit-learn on the same objective")
    compare.add_argument("--peers", action="store_true", help="compare with every installed peer; writes peers.json")
    compare.add_argument("--quick", action="store_true", help="use fewer rows and seconds, to see that all works")
    compare.add_argument("--classes", type=_count_from(2), help="classes of synthetic data; default: 10")
    compare.add_argument("--samples", type=_count_from(10), help="rows of synthetic data; default: 20000")
    compare.add_argument("--features", type=_count_from(1), help="columns of synthetic data; default: 100")
    compare.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: float64")

    for command in (reproduce, compare):
        command.add_argument(
            "--data",
            metavar="DIR",
            help="the only folder to look in for the data; default: FASTLIN_DATA, the cache folder, then a download",
        )
        command.add_argument("--output", metavar="DIR", default="results", help="default: results")
        command.add_argument("--seed", type=_count_from(0), default=0, metavar="N", help="default: 0")

    commands.add_parser("info", help="show versions, processor, threads and the place of compiled code")
    warmup = commands.add_parser("warmup", help="compile once what the estimators and trainers need")
    warmup.add_argument("--host", action="store_true", help="compile for this very processor")
    return parser


def _count_from(lowest):
    """Return a function that turns an argument into a whole number from `lowest` to 2^32 - 1."""

    def whole_number(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {2**32 - 1}")
        return value

    return whole_number
