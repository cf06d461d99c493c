"""Every command that a document tells a user to type is run by a script of .ci or a test, or a reason says why not."""

import documented_commands
import numpy as np
import pytest
from documented_commands import BY_A_TEST, IN_OTHER_WORDS, NOT_RUN, PAGES, SCRIPTS, read_blocks, read_commands
from repository import read

from fastlin import cli

COMMANDS = {command for text in PAGES.values() for command in read_commands(text)}


def test_every_command_runs_or_has_a_reason_and_the_tables_have_nothing_that_no_document_says_or_a_script_runs():
    unknown = {command for command in COMMANDS if documented_commands.say_what_runs(command) is None}
    assert not unknown, "No script of .ci runs these: let one do it, or add a row to tests/documented_commands.py."
    rows = [*IN_OTHER_WORDS, *BY_A_TEST, *NOT_RUN]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= COMMANDS
    assert [command for command in rows if documented_commands.find_script(command)] == []
    assert [words for script, words in IN_OTHER_WORDS.values() if words not in SCRIPTS[script]] == []
    tests = [test.split("::") for test in BY_A_TEST.values()]
    assert [(file, name) for file, name in tests if f"\ndef {name}(" not in read(file)] == []


@pytest.mark.thorough  # It compiles fits of tables with an L1 penalty.
def test_the_commands_of_the_program_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, n_rows in (("flights.csv", 120), ("new.csv", 20)):
        delay = generator.normal(size=n_rows).round(2)
        labels = np.where(delay + generator.logistic(size=n_rows) > 0, "yes", "no")
        rows = [f"{i},{delay[i]},{'AB'[i % 2]},{labels[i]}" for i in range(n_rows)]
        (tmp_path / name).write_text("\n".join(["id,delay,carrier,delayed", *rows]), encoding="utf-8")
    commands = [words for words in read_blocks(PAGES["docs/program.md"]) if words[0] == "fastlin"]
    assert [words[1] for words in commands] == ["fit", "predict", "compare"]
    commands.append(["fastlin", "fit", "flights.csv", "--target", "delayed", "--drop", "id", "--inference"])
    for _, *words in commands:
        assert cli.main(words) == 0, capsys.readouterr().err
    assert len((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 21
