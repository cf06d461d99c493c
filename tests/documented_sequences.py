"""Run the commands of a document in order, in a new environment that contains only what they install.

    python -m tests.documented_sequences                      # every document with shell blocks (one hour)
    python -m tests.documented_sequences docs/benchmarks.md   # some of them

The commands of each document run in a clone of the commit. The environment `.venv` in the clone is first on the path,
and a command that creates `.venv` replaces it. Added options end slow commands early; these commands still fail if a
dependency is missing. Scripts in `.ci` and tests run the slow commands in full. The commands in
`documented_commands.UNTESTED_COMMANDS` are skipped.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.documented_commands import (
    CODE_BLOCK_PATTERN,
    DOCUMENT_TEXTS,
    ROOT,
    UNTESTED_COMMANDS,
    normalize,
    split_commands,
)

# Options that are added to a command.
ADDED_OPTIONS = {
    **dict.fromkeys(("pytest -n 2", "pytest -n 2 --thorough", "pytest -n 2 --slow"), "--collect-only -q"),
    "python -m tests.other_processors": "--help",
    "ruff format .": "--check",
    "pytest --benchmark-only": "-k iris",
    "pytest --benchmark-only --full": "--collect-only -q",
    "asv run --quick --python=same": "--bench \"track_result.*'digits'\"",
    "python -m benchmarks.publish": "--help",
    "make -C docs html": "SPHINXOPTS='--fail-on-warning --quiet -D plot_gallery=0'",
    "fastlin reproduce": "--quick",
    "fastlin reproduce --open": "--quick --help",
}
# Slow commands that the scripts already run in clean environments.
SLOW_COMMANDS = {"python -m build --wheel -Ckernels=all", "python -m build --wheel -Ckernels=x86-64-v2,x86-64-v3"}
SLOW_COMMANDS |= {"pip install . -Ckernels=host-level", "fastlin warmup"}
CREATE_ENVIRONMENT_COMMAND = "python -m venv .venv"


def write_example_files(folder, page):
    """Write the tables of docs/command-line.md, and the module that a page defines, if it does."""
    for _, block in CODE_BLOCK_PATTERN.findall(DOCUMENT_TEXTS[page]):
        if "def fit_iris" in block:
            (folder / "my_benchmarks.py").write_text(block, encoding="utf-8")
    generator = np.random.default_rng(0)
    for name, n_rows in (("flights.csv", 120), ("new.csv", 20)):
        delay = generator.normal(size=n_rows).round(2)
        labels = np.where(delay + generator.logistic(size=n_rows) > 0, "yes", "no")
        rows = [f"{i},{delay[i]},{'AB'[i % 2]},{labels[i]}" for i in range(n_rows)]
        (folder / name).write_text("\n".join(["id,delay,carrier,delayed", *rows]), encoding="utf-8")


def read_sequence(text):
    """Yield each command in a document's shell blocks in two forms: normalized, and as it is run."""
    for language, block in CODE_BLOCK_PATTERN.findall(text):
        for words in split_commands(block) if language == "sh" else ():
            command = normalize(words)
            if command in ADDED_OPTIONS:
                yield command, f"{shlex.join(words)} {ADDED_OPTIONS[command]}"
            elif command not in SLOW_COMMANDS and command not in UNTESTED_COMMANDS:
                yield command, shlex.join(words)


def run_sequence(page, folder):
    """Run a document's commands in a clone inside a folder. Raise CalledProcessError if a command fails."""
    clone = Path(folder) / re.sub(r"\W", "-", page)
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    write_example_files(clone, page)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # Exclude the programs of the environment in which this module runs.
    paths = [path for path in environment["PATH"].split(os.pathsep) if not Path(path).is_relative_to(sys.prefix)]
    environment |= {"PATH": os.pathsep.join([str(clone / ".venv" / "bin"), *paths]), "PIP_QUIET": "1"}
    commands = list(read_sequence(DOCUMENT_TEXTS[page]))
    if commands[0][0] != CREATE_ENVIRONMENT_COMMAND:
        commands.insert(0, (CREATE_ENVIRONMENT_COMMAND, "python3 -m venv .venv"))
    for command, line in commands:
        print(f"{page}: {line}", flush=True)
        if command == CREATE_ENVIRONMENT_COMMAND:
            shutil.rmtree(clone / ".venv", ignore_errors=True)
        subprocess.run(["bash", "-c", line], cwd=clone, env=environment, check=True)


def main(pages):
    """Run the commands of the documents in `pages`, or of all documents if `pages` is empty."""
    with tempfile.TemporaryDirectory() as folder:
        for page in pages or [page for page, text in DOCUMENT_TEXTS.items() if list(read_sequence(text))]:
            run_sequence(page, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
