"""The program, which imports the module of a command only when the command is called or listed."""

from importlib import import_module

import click

from fastlin import __version__
from fastlin.cli.arguments import SETTINGS

# The module of each command, in the order of the program's help.
MODULES = {
    "fit": "fit_and_predict",
    "predict": "fit_and_predict",
    "reproduce": "studies",
    "compare": "comparison",
    "doctor": "doctor",
    "info": "doctor",
    "warmup": "doctor",
}


class Program(click.Group):
    """The commands of `MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none with this name."""
        if cmd_name not in MODULES:
            return None
        command: click.Command = getattr(import_module(f"fastlin.cli.{MODULES[cmd_name]}"), cmd_name)
        return command


program = Program(
    "fastlin",
    context_settings=SETTINGS,
    no_args_is_help=False,
    help="Fit linear classifiers, compare libraries, and reproduce the course's studies.",
    epilog="`fastlin COMMAND --help` describes a command and its options.",
)
click.version_option(__version__, message="fastlin %(version)s")(program)
