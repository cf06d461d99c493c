"""Processes of Python for what has to be measured from the start of one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import fastlin

# Where the packages benchmarks and fastlin lie. The latter may be an installed one, as under asv, which builds one for
# each commit.
ROOT = Path(__file__).parent.parent
FASTLIN_ROOT = Path(fastlin.__file__).parent.parent


def run_python(*arguments, under=(), **variables):
    """Run Python with arguments, and variables of the environment, and return what it prints.

    The words of `under` are a program that runs Python.

    The process imports the same fastlin as this one. It runs in an empty folder, since Python looks for modules where
    it runs first of all.
    """
    places = [str(FASTLIN_ROOT), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [*under, sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(places)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
