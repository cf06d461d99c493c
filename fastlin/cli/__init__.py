"""The program ``fastlin``: it reproduces the studies, compares libraries, describes itself and compiles ahead.

`arguments` says what the commands take, `commands` what they do; `studies` runs studies and shows their progress,
`tables` shows what they found, `results` keeps it in a file, and `environment` describes where it was found.
"""

import sys

from fastlin.cli.arguments import CommandError, build_parser
from fastlin.cli.commands import COMMANDS

__all__ = ["main"]


def main(arguments=None):
    """Run the program.

    Parameters
    ----------
    arguments : list of str or None
        The words of the command line after the program's name. None: those of this process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 where a study failed, 2 for a bad call, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        # Not every console has signs such as λ.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        options = build_parser().parse_args(arguments)
        return COMMANDS[options.command](options)
    except CommandError as error:
        print(f"fastlin: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastlin: interrupted", file=sys.stderr)
        return 130
