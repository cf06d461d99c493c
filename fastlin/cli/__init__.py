"""The program ``fastlin``: fits tables in files, reproduces the studies, compares libraries, and describes itself.

`commands` lists the commands and has most of them; `arguments` says what several of them take. `fit_and_predict` fits
and predicts what `data_files` reads. `studies` runs studies and shows their progress and what they found, and `results`
keeps it in a file. `doctor` describes where it was found, and compares results with stored ones.
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
        The words of the command line after the program's name. None: those of this process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 where a study or a check of `doctor` failed or the reader of the output has
        gone, 2 for a bad call or file, 130 after Ctrl-C.
    """
    # The processes that a comparison starts import this module too, and run no command.
    from fastlin.cli.commands import program

    for stream in (sys.stdout, sys.stderr):
        # Not every console has signs such as λ.
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
