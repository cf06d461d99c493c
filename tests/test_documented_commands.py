"""Documented commands: a script in .ci or a test runs each of them, or there is a reason why nothing runs it."""

import os
import re
import subprocess
import sys

import documented_commands
import documented_sequences
import pytest
from documented_commands import (
    DOCUMENT_TEXTS,
    EQUIVALENT_COMMANDS,
    SCRIPTS,
    TESTED_COMMANDS,
    UNTESTED_COMMANDS,
    list_block_commands,
    read_commands,
)
from documented_sequences import read_sequence, write_example_files
from repository import ROOT, read, read_setup_cfg

from fastlin import cli

COMMANDS = {command for text in DOCUMENT_TEXTS.values() for command in read_commands(text)}


def test_every_documented_command_is_run_or_its_omission_is_explained():
    unknown_commands = {command for command in COMMANDS if documented_commands.describe_command_runner(command) is None}
    assert not unknown_commands, (
        "No script of .ci runs these: add them to one, or add a row to tests/documented_commands.py."
    )
    rows = [*EQUIVALENT_COMMANDS, *TESTED_COMMANDS, *UNTESTED_COMMANDS]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= COMMANDS
    assert [command for command in rows if documented_commands.find_script(command)] == []
    assert [words for script, words in EQUIVALENT_COMMANDS.values() if words not in SCRIPTS[script]] == []
    tests = [test.split("::") for test in TESTED_COMMANDS.values()]
    assert [(file, name) for file, name in tests if f"\ndef {name}(" not in read(file)] == []


@pytest.mark.thorough  # It compiles the kernels for table fits with an L1 penalty.
def test_the_commands_of_the_program_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_example_files(tmp_path, "docs/command-line.md")
    commands = [words for words in list_block_commands(DOCUMENT_TEXTS["docs/command-line.md"]) if words[0] == "fastlin"]
    assert [words[1] for words in commands] == ["fit", "predict", "compare"]
    commands.append(["fastlin", "fit", "flights.csv", "--target", "delayed", "--drop", "id", "--inference"])
    for _, *words in commands:
        assert cli.main(words) == 0, capsys.readouterr().err
    assert len((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 21


def test_each_document_with_commands_starts_with_an_installation():
    for page, text in DOCUMENT_TEXTS.items():
        commands = [command for command, _ in read_sequence(text)]
        is_installation = [command.startswith("pip install ") for command in commands if "-m venv" not in command]
        assert not is_installation or is_installation[0], (
            f"{page} begins with {commands[0]!r}: which extra does it need?"
        )


def test_every_command_of_a_block_is_run_or_its_omission_is_explained():
    run = {command for text in DOCUMENT_TEXTS.values() for command, _ in read_sequence(text)}
    block_commands = {
        documented_commands.normalize(words) for text in DOCUMENT_TEXTS.values() for words in list_block_commands(text)
    }
    skipped_commands = {*UNTESTED_COMMANDS, *documented_sequences.SLOW_COMMANDS}
    assert block_commands <= run | skipped_commands
    # Every entry is used.
    assert documented_sequences.SLOW_COMMANDS | documented_sequences.ADDED_OPTIONS.keys() <= block_commands


def test_every_installation_of_extras_is_run_in_a_new_environment():
    # Inline commands do not belong to a sequence, so each must repeat a command from a block.
    run = {command for text in DOCUMENT_TEXTS.values() for command, _ in read_sequence(text)}
    assert {
        command for command in COMMANDS if "pip install" in command and ".[" in command
    } <= run | UNTESTED_COMMANDS.keys()


def read_extra(name):
    """Return the packages in an extra, including the packages in extras to which it refers."""
    lines = read_setup_cfg()["options.extras_require"][name].split("\n")[1:]
    inner = [extra for line in lines for extra in re.findall(r"^fastlin\[(.*)\]$", line)]
    packages = {re.match(r"[\w-]+", line)[0] for line in lines if not line.startswith("fastlin[")}
    return packages.union(*(read_extra(extra) for extras in inner for extra in extras.split(",")))


# This finder makes package imports fail, to simulate an environment without the packages.
MISSING_MODULES_PROGRAM = """
import sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing)
"""


@pytest.mark.thorough  # A process imports every benchmark.
def test_benchmarks_are_collected_without_the_packages_that_only_tests_need(tmp_path):
    missing = read_extra("test") - read_extra("bench")
    assert {"hypothesis", "pytest-xdist", "numpydoc", "glum"} <= missing
    modules = {name.replace("pytest-xdist", "xdist") for name in missing}
    (tmp_path / "sitecustomize.py").write_text(MISSING_MODULES_PROGRAM.format(names=sorted(modules)))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_benchmark.plugin", "--benchmark-only", "--collect-only"]
    completed_process = subprocess.run([*command, "-q"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert completed_process.returncode == 0, completed_process.stdout + completed_process.stderr
    assert "benchmarks/pytest/test_speed.py" in completed_process.stdout.replace("\\", "/")
