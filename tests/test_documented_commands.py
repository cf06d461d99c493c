"""Documented commands: a script in .ci or a test runs each of them, or there is a reason why nothing runs it."""

import os
import re
import subprocess
import sys

import documented_commands
import documented_sequences
import pytest
from documented_commands import BY_A_TEST, EQUIVALENT, NOT_RUN, PAGES, SCRIPTS, read_blocks, read_commands
from documented_sequences import read_sequence, write_flights
from repository import ROOT, read, read_settings

from fastlin import cli

COMMANDS = {command for text in PAGES.values() for command in read_commands(text)}


def test_every_command_is_run_or_has_a_reason_and_no_row_of_the_tables_is_unused():
    unknown = {command for command in COMMANDS if documented_commands.describe_runner(command) is None}
    assert not unknown, "No script of .ci runs these: add them to one, or add a row to tests/documented_commands.py."
    rows = [*EQUIVALENT, *BY_A_TEST, *NOT_RUN]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= COMMANDS
    assert [command for command in rows if documented_commands.find_script(command)] == []
    assert [words for script, words in EQUIVALENT.values() if words not in SCRIPTS[script]] == []
    tests = [test.split("::") for test in BY_A_TEST.values()]
    assert [(file, name) for file, name in tests if f"\ndef {name}(" not in read(file)] == []


@pytest.mark.thorough  # It compiles the kernels for table fits with an L1 penalty.
def test_the_commands_of_the_program_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_flights(tmp_path)
    commands = [words for words in read_blocks(PAGES["docs/command-line.md"]) if words[0] == "fastlin"]
    assert [words[1] for words in commands] == ["fit", "predict", "compare"]
    commands.append(["fastlin", "fit", "flights.csv", "--target", "delayed", "--drop", "id", "--inference"])
    for _, *words in commands:
        assert cli.main(words) == 0, capsys.readouterr().err
    assert len((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 21


def test_each_document_with_commands_starts_with_an_installation():
    for page, text in PAGES.items():
        commands = [command for command, _ in read_sequence(text)]
        installs = [command.startswith("pip install ") for command in commands if "-m venv" not in command]
        assert not installs or installs[0], f"{page} begins with {commands[0]!r}: which extra does it need?"


def test_every_command_of_a_block_is_run_in_a_new_environment_or_has_a_reason_why_not():
    run = {command for text in PAGES.values() for command, _ in read_sequence(text)}
    documented = {documented_commands.normalize(words) for text in PAGES.values() for words in read_blocks(text)}
    left_out = {*NOT_RUN, *documented_sequences.IN_SCRIPTS}
    assert documented <= run | left_out
    # Every entry is used.
    assert documented_sequences.IN_SCRIPTS | documented_sequences.ADDED.keys() <= documented


def test_every_installation_of_extras_is_run_in_a_new_environment():
    # Inline commands do not belong to a sequence, so each must repeat a command from a block.
    run = {command for text in PAGES.values() for command, _ in read_sequence(text)}
    assert {command for command in COMMANDS if "pip install" in command and ".[" in command} <= run | NOT_RUN.keys()


def read_extra(name):
    """Return the packages in an extra, including the packages in extras to which it refers."""
    lines = read_settings()["options.extras_require"][name].split("\n")[1:]
    inner = [extra for line in lines for extra in re.findall(r"^fastlin\[(.*)\]$", line)]
    packages = {re.match(r"[\w-]+", line)[0] for line in lines if not line.startswith("fastlin[")}
    return packages.union(*(read_extra(extra) for extras in inner for extra in extras.split(",")))


# This finder makes package imports fail, to simulate an environment without the packages.
MISSING = """
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
    (tmp_path / "sitecustomize.py").write_text(MISSING.format(names=sorted(modules)))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_benchmark.plugin", "--benchmark-only", "--collect-only"]
    ran = subprocess.run([*command, "-q"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "benchmarks/pytest/test_speed.py" in ran.stdout.replace("\\", "/")
