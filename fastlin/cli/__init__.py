"""The program ``fastlin``: fits tables in files, reproduces the studies, compares libraries, and describes itself.

`arguments` says what the commands take, `commands` what they do. `fit_and_predict` fits and predicts what `data_files`
reads. `studies` runs studies and shows their progress and what they found, and `results` keeps it in a file.
`environment` describes where it was found, and `doctor` compares results with stored ones.
"""

import os
import sys
from collections.abc import Sequence

from fastlin.cli.arguments import CommandError, parse_arguments
from fastlin.cli.commands import COMMANDS
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
    for stream in (sys.stdout, sys.stderr):
        # Not every console has signs such as λ.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        options = parse_arguments(arguments)
        return COMMANDS[options.command](options)
    except CommandError as error:
        print(f"fastlin: {make_printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader, such as head, has closed its end. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("fastlin: interrupted", file=sys.stderr)
        return 130
