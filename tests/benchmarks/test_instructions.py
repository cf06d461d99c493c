"""The check of instruction counts: what fails, what is skipped and what is recorded."""

import json

import pytest

from benchmarks import instructions

INSTRUCTION_COUNTS = {"a fit": 1_000_000, "a pass": 1_000}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A file of recorded counts; callgrind is not run."""
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps({"versions": instructions.find_versions(), "counts": INSTRUCTION_COUNTS}))
    monkeypatch.setattr(instructions, "count_instructions", lambda: dict(INSTRUCTION_COUNTS))
    return path


@pytest.mark.parametrize(("count", "status", "change"), [(1_000, 0, "+0.0%"), (1_029, 0, "+2.9%"), (1_050, 1, "+5.0%")])
def test_an_increase_of_more_than_three_percent_fails(recorded, monkeypatch, capsys, count, status, change):
    monkeypatch.setattr(instructions, "count_instructions", lambda: {**INSTRUCTION_COUNTS, "a pass": count})
    assert instructions.main([], recorded) == status
    printed_text = capsys.readouterr().out
    assert change in printed_text
    assert ("more instructions: a pass." in printed_text) == bool(status)


def test_new_counts_are_recorded(recorded, monkeypatch):
    monkeypatch.setattr(instructions, "count_instructions", lambda: {"another fit": 7})
    assert instructions.main(["--record"], recorded) == 0
    assert json.loads(recorded.read_text())["counts"] == {"another fit": 7}


def test_counts_of_other_versions_are_not_compared(recorded, monkeypatch, capsys):
    monkeypatch.setattr(instructions, "find_versions", lambda: {"python": "3.99"})
    monkeypatch.setattr(instructions, "count_instructions", pytest.fail)
    assert instructions.main([], recorded) == 0
    assert capsys.readouterr().out.startswith("Skipped: the counts were recorded with")


@pytest.mark.parametrize(
    ("programs", "level", "reason"),
    [(None, "x86-64-v3", "valgrind is not installed"), ("/usr/bin/valgrind", "x86-64-v2", "no code of the level")],
)
def test_missing_requirements_are_reported(recorded, monkeypatch, capsys, programs, level, reason):
    monkeypatch.undo()
    monkeypatch.setattr(instructions.shutil, "which", lambda name: programs)
    monkeypatch.setattr(instructions, "find_instruction_set_level", lambda: level)
    assert instructions.main([], recorded) == 0
    assert reason in capsys.readouterr().out


def test_the_total_of_a_callgrind_dump_is_read():
    assert instructions.read_instruction_count("# callgrind\nsummary: 18446744073594445884\ntotals: 8799\n") == 8_799


def test_the_counted_cases_are_the_recorded_cases():
    """A new case without a count could never fail."""
    assert list(instructions.make_cases()) == list(json.loads(instructions.INSTRUCTIONS_FILE.read_text())["counts"])
