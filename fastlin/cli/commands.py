"""The program, which imports the module of a command only when the command is called or listed."""

from importlib import import_module

import click

from fastlin import __version__
from fastlin.cli.arguments import SETTINGS

# In the order of the program's help.
COMMAND_MODULES = {
    "fit": "fit_and_predict",
    "predict": "fit_and_predict",
    "reproduce": "studies",
    "compare": "comparison",
    "doctor": "doctor",
    "info": "doctor",
    "warmup": "doctor",
}


class Program(click.Group):
    """The commands of `COMMAND_MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMAND_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none with this name."""
        if cmd_name not in COMMAND_MODULES:
            return None
        command: click.Command = getattr(import_module(f"fastlin.cli.{COMMAND_MODULES[cmd_name]}"), cmd_name)
        return command


program = Program(
    "fastlin",
    # Click suggests these names for a misspelled command.
    commands=[click.Command(name) for name in COMMAND_MODULES],
    context_settings=SETTINGS,
    no_args_is_help=False,
    help="Fit linear classifiers, compare libraries, and reproduce the course's studies.",
    epilog="`fastlin COMMAND --help` describes a command and its options.",
)
click.version_option(__version__, message="fastlin %(version)s")(program)
