"""The check of instruction counts: what fails, what is skipped and what is recorded."""

import json
from types import SimpleNamespace

import pytest

from benchmarks.instructions import INSTRUCTIONS_FILE, make_cases
from fastlin.benchmarking import instructions

INSTRUCTION_COUNTS = {"module:fit": 1_000_000, "module:pass": 1_000}


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Return a function that compares counts with the recorded ones, without callgrind, and the file."""
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps({"versions": instructions.find_versions(), "counts": INSTRUCTION_COUNTS}))

    def check_changed_counts(changed_counts, **options):
        monkeypatch.setattr(instructions, "count_instructions", lambda _: INSTRUCTION_COUNTS | changed_counts)
        return instructions.check_counts([], path, **options)

    return SimpleNamespace(call=check_changed_counts, path=path)


@pytest.mark.parametrize(("count", "status", "change"), [(1_000, 0, "+0.0%"), (1_029, 0, "+2.9%"), (1_050, 1, "+5.0%")])
def test_an_increase_of_more_than_three_percent_fails(check, capsys, count, status, change):
    assert check.call({"module:pass": count}) == status
    printed_text = capsys.readouterr().out
    assert change in printed_text
    assert ("More than 3 % more instructions: module:pass." in printed_text) == bool(status)
    assert check.call({"module:pass": count}, tolerance=5.5) == 0


def test_new_counts_are_recorded_next_to_those_of_other_functions(check):
    assert check.call({"module:other": 7, "module:fit": 2_000_000}, should_record=True) == 0
    assert json.loads(check.path.read_text())["counts"] == {
        "module:fit": 2_000_000,
        "module:pass": 1_000,
        "module:other": 7,
    }


def test_functions_without_stored_counts_fail(check, capsys):
    assert check.call({"module:other": 7}) == 1
    assert f"No counts in {check.path}: module:other. Store them with --record." in capsys.readouterr().out
    check.path.unlink()
    assert check.call({}) == 1
    assert "module:fit; module:pass. Store" in capsys.readouterr().out and not check.path.exists()
    assert check.call({}, should_record=True) == 0
    assert check.call({}) == 0


def test_a_suite_replaces_all_counts(check, monkeypatch):
    monkeypatch.setattr(instructions, "count_instructions", lambda _: {"module:pass": 5})
    assert instructions.check_counts([], check.path, should_record=True, should_keep_others=False) == 0
    assert json.loads(check.path.read_text())["counts"] == {"module:pass": 5}


def test_counts_of_other_versions_are_not_compared(check, monkeypatch, capsys):
    monkeypatch.setattr(instructions, "find_versions", lambda: {"python": "3.99"})
    assert check.call({"module:pass": 9_000}) == 0
    assert capsys.readouterr().out.startswith("Skipped: the counts were recorded with")
    assert check.call({"module:pass": 1_000}, is_strict=True) == 1


@pytest.mark.parametrize(
    ("program", "level", "reason"),
    [(None, "x86-64-v3", "valgrind is not installed"), ("/usr/bin/valgrind", "x86-64-v2", "no code of the level")],
)
def test_missing_requirements_are_reported(tmp_path, monkeypatch, capsys, program, level, reason):
    monkeypatch.setattr(instructions.shutil, "which", lambda name: program)
    monkeypatch.setattr(instructions, "choose_level", lambda *_: level)
    path = tmp_path / "instructions.json"
    assert instructions.check_counts([], path) == 0
    assert reason in capsys.readouterr().out
    assert instructions.check_counts([], path, is_strict=True) == instructions.check_counts(
        [], path, should_record=True
    )
    assert instructions.check_counts([], path, should_record=True) == 1 and not path.exists()


def test_the_total_of_a_callgrind_dump_is_read():
    assert instructions.read_instruction_count("# callgrind\nsummary: 18446744073594445884\ntotals: 8799\n") == 8_799


def test_the_counted_cases_are_the_recorded_cases():
    """A new case without a count could never fail."""
    assert list(make_cases()) == list(json.loads(INSTRUCTIONS_FILE.read_text())["counts"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "no_such_module:f cannot be imported: No module named 'no_such_module'"),
        ("json:no_such_function", "json:no_such_function cannot be imported: module 'json' has no attribute"),
        ("json", "json is not the name of a function, such as package.module:function"),
        ("sys:argv", "sys:argv is not the name of a function"),
    ],
)
def test_wrong_names_are_reported(monkeypatch, tmp_path, capsys, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        instructions.main([name])
    assert message in capsys.readouterr().err


@pytest.mark.thorough
def test_a_function_is_counted_in_the_current_directory(monkeypatch, tmp_path, capsys):
    try:
        instructions.check_system()
    except NotImplementedError as error:
        pytest.skip(f"Instructions cannot be counted: {error}.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "calls.py").write_text(
        "def add():\n    print('adding')\n    return sum(range(1_000))\n\ndef fail():\n    raise ValueError\n"
    )
    assert instructions.main(["calls:add", "--record"]) == 0
    assert capsys.readouterr().out.startswith("calls:add ")
    assert 1_000 < json.loads((tmp_path / "instructions.json").read_text())["counts"]["calls:add"] < 1_000_000
    assert instructions.main(["calls:add"]) == 0
    assert instructions.main(["calls:fail"]) == 2
    assert "The call failed with exit status 1" in capsys.readouterr().err
