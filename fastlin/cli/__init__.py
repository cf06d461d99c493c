"""The program ``fastlin``: fits models to tables in files, reproduces the studies and compares libraries.

`commands` defines most of the commands and lists all of them; `arguments` defines the options that several share.
`fit_and_predict` fits models to the tables that `data_files` reads, and predicts with them. `studies` runs studies and
shows their progress and results, and `results` stores the results in a file. `doctor` describes the installation and
compares the results of small fits with stored ones.
"""

import sys
from collections.abc import Sequence

import click

from fastlin.terminal import make_printable

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : list of str or None
        The command-line arguments after the program's name. None means the arguments of this process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 if a study or a check of `doctor` failed or the output pipe was closed, 2 for
        an invalid call or file, 130 after Ctrl-C.
    """
    # Imported here because the processes that a comparison starts import this module too, but run no command.
    from fastlin.cli.commands import program

    for stream in (sys.stdout, sys.stderr):
        # Some consoles cannot show characters such as λ.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        return program.main(arguments, prog_name="fastlin", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        print(f"fastlin: {make_printable(error.format_message() + hint)}", file=sys.stderr)
        return 2
    except click.Abort:
        print("fastlin: interrupted", file=sys.stderr)
        return 130
