"""Running several studies: one that fails, what earlier runs found, and progress."""

import io
import json
import sys
from pathlib import Path

import pytest

from fastlin import __version__, cli, datasets, figures
from fastlin.cli import studies
from fastlin.cli.studies import run_studies
from fastlin.course.figures import Picture
from fastlin.course.studies import STUDIES
from fastlin.course.studies.settings import Results, Settings
from fastlin.datasets import Dataset


def fail(settings):
    settings.notify("[/x]")
    # Square brackets are markup to rich, and [/x] an error in it.
    raise RuntimeError("on purpose [auto, lbfgs] [/x] :x: \x1b[31m")


def test_a_failing_study_gives_status_1_and_the_others_still_run(run, digits, monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "binary", fail)
    finished = run("reproduce", "binary", "gradient_check", "--quick")
    assert finished.returncode == 1
    assert r"binary failed: RuntimeError: on purpose [auto, lbfgs] [/x] :x: \x1b[31m" in finished.stdout
    assert finished.stderr == "fastlin: these studies failed: binary\n"
    assert "These studies were not named, or failed: binary, " in finished.stdout
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert results.keys() == {"digits.gradient_check", "environment", "claims"}
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "1a · The gradient of binary cross-entropy" in page
    assert "2b, 2c · Logistic regression" not in page


def test_what_an_earlier_run_found_is_not_shown_for_a_study_that_fails(run, digits, monkeypatch, tmp_path):
    assert run("reproduce", "images", "gradient_check", "--quick").returncode == 0
    monkeypatch.setitem(STUDIES, "images", fail)
    assert run("reproduce", "images", "--quick").returncode == 1
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert "digits.images" in results
    (claim,) = (claim for claim in results["claims"] if claim["study"] == "images")
    assert (claim["verdict"], claim["because"]) == ("not run", "The study images failed.")
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "These studies failed, so that their tasks are missing: images." in page
    assert "2a · The images" not in page
    # The other study is of the earlier run, which the page says.
    assert "2a, 3a · The gradients" in page
    assert "<td>gradient_check</td>" in page


def test_where_all_studies_fail_there_is_a_report_without_sections(run, digits, monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "binary", fail)
    assert run("reproduce", "binary").returncode == 1
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "All claims" in page
    assert "No study has run." in page
    assert "2b, 2c · Logistic regression" not in page


def test_a_console_without_all_signs_gets_a_question_mark_for_the_others(digits, monkeypatch, tmp_path):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    # The tables of this study, and those of the claims, hold λ and ‖w‖².
    assert cli.main(["reproduce", "l2_norm", "--quick", "--output", str(tmp_path)]) == 0
    console.seek(0)
    assert "?w??" in console.read()
    assert (tmp_path / "report.html").exists()


def test_results_of_earlier_runs_stay(run, digits, no_page, monkeypatch, tmp_path):
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    for name, value in (("binary", 1.0), ("softmax", 2.0), ("binary", 3.0)):
        monkeypatch.setitem(STUDIES, name, lambda settings, value=value: Results({}, {"merit": value, "[/x]": "[red]"}))
        finished = run("reproduce", name, "--output", "[here]")
        assert finished.returncode == 0
        assert ["[/x]", "[red]"] in [line.split() for line in finished.stdout.splitlines()]
        assert f"Wrote {Path('[here]', 'results.json')}" in finished.stdout
    results = json.loads((tmp_path / "[here]" / "results.json").read_text(encoding="utf-8"))
    assert results.keys() == {"digits.binary", "digits.softmax", "environment", "claims"}
    assert results["digits.binary"]["merits"]["merit"] == 3.0
    assert [list(entries) for _, entries, _ in no_page] == [["binary"], ["binary", "softmax"], ["binary", "softmax"]]


def test_a_study_finds_the_results_of_those_before_it_in_the_file(monkeypatch, tmp_path, capsys):
    seen = []

    def look(settings):
        path = tmp_path / "results.json"
        seen.append(list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else [])
        settings.notify("half of it", 0.5)
        return Results({"epochs": 1}, {"merit": 1.0})

    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    settings = Settings(datasets.load_digits())
    found, failed = run_studies({"first": (look, settings), "second": (look, settings)}, tmp_path)
    assert (list(found), failed) == (["digits.first", "digits.second"], [])
    assert seen == [[], ["digits.first"]]
    assert "0 pictures" in capsys.readouterr().out


def test_a_log_gets_a_line_now_and_then(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])

    def notify(settings):
        for seed in range(3):
            settings.notify(f"seed {seed}")
        return Results({}, {"merit": 1.0})

    lines = ["softmax: start", *(f"softmax: seed {seed}" for seed in range(3)), "softmax: drawing"]
    for seconds, expected in ((0.0, lines), (60.0, lines[:1])):
        monkeypatch.setattr(studies, "SILENCE", seconds)
        run_studies({"softmax": (notify, Settings(Dataset("mnist", *[None] * 4)))}, tmp_path)
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in printed if line.startswith("softmax: ")] == expected


def test_the_folder_of_a_data_set_is_there_when_a_study_begins(monkeypatch, tmp_path):
    seen = []

    def keep_a_record(settings):
        (settings.folder / "records.jsonl").write_text("{}")
        return Results({}, {})

    def draw(name, results, folder):
        seen.append(folder)
        return [Picture("one.png", "One.", "A one.")]

    monkeypatch.setattr(figures, "draw", draw)
    settings = [Settings(Dataset(name, *[None] * 4), folder=tmp_path / name) for name in ("mnist", "digits")]
    for one in settings:
        found, _ = run_studies({"study": (keep_a_record, one)}, tmp_path)
        (entry,) = found.values()
        assert entry["pictures"] == [{"file": f"{one.data.name}/one.png", "caption": "One.", "alt": "A one."}]
        assert entry["version"] == __version__
    assert seen == [tmp_path / "mnist", tmp_path / "digits"]


def test_results_that_cannot_be_read_are_found_before_a_study_runs(run, digits, monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "binary", lambda settings: pytest.fail("ran"))
    damaged = tmp_path / "results" / "results.json"
    damaged.parent.mkdir()
    damaged.write_text('{"digits.softmax": {},}')
    finished = run("reproduce", "binary", "--quick")
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"fastlin: cannot read the results in {Path('results', 'results.json')}: ")
    assert damaged.read_text() == '{"digits.softmax": {},}'
