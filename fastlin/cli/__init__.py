"""The program ``fastlin``: fits models to tables in files, reproduces the studies and compares libraries.

`commands` lists the modules of the commands, and `arguments` defines options that several commands share.
`fit_and_predict` fits models to the tables that `data_files` reads, and predicts with them. `dates` and `preparation`
convert dates and missing numbers, `evaluation` and `coefficients` compute what `fit` prints, and `model_file` defines
what it saves. `comparison` compares libraries. `studies` runs studies and shows their progress and results, and
`results` stores the results in a file. `doctor` describes the installation, checks small fits and compiles all code.
"""

import sys
from collections.abc import Sequence

import click

from fastlin.environment.terminal import make_printable

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
        The exit status: 0 for success, 1 if a study or a check of `doctor` failed or if the output pipe was closed, 2
        for an invalid call or file, and 130 after Ctrl-C.
    """
    # The import is here because the processes of a comparison also import this module, but run no command.
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
        lines = (error.format_message() + hint).split("\n")
        print("fastlin:", "\n".join(map(make_printable, lines)), file=sys.stderr)
        return 2
    except click.Abort:
        print("fastlin: interrupted", file=sys.stderr)
        return 130
