"""Running several studies: failures, results of earlier runs, progress, and the printed tables."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fastlin import __version__, cli
from fastlin.cli import studies
from fastlin.cli.results import read_results
from fastlin.cli.studies import make_study_tables, run_studies
from fastlin.course import figures
from fastlin.course.figures import Plot
from fastlin.course.studies import STUDIES
from fastlin.course.studies.settings import Results, Settings
from fastlin.datasets import Dataset

# Relative to the working folder of the program.
FOLDER = Path("results")


def fail(settings):
    settings.notify("[/x]")
    # rich reads square brackets as markup, and [/x] is invalid markup.
    raise RuntimeError("on purpose [auto, lbfgs] [/x] :x: \x1b[31m")


def test_a_failing_study_does_not_stop_the_others(run, digits, monkeypatch):
    monkeypatch.setitem(STUDIES, "binary", fail)
    run("reproduce", "binary", status=1)
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    assert "All claims" in page
    assert "No study has run." in page
    assert "2b, 2c · Logistic regression" not in page
    completed_process = run("reproduce", "binary", "gradient_check", "--quick", status=1)
    assert r"binary failed: RuntimeError: on purpose [auto, lbfgs] [/x] :x: \x1b[31m" in completed_process.stdout
    assert completed_process.stderr == "fastlin: these studies failed: binary\n"
    assert "These studies failed or were not requested: binary, " in completed_process.stdout
    assert read_results(FOLDER / "results.json").keys() == {"digits.gradient_check", "environment", "claims"}
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    assert "1a · The gradient of binary cross-entropy" in page
    assert "2b, 2c · Logistic regression" not in page


def test_earlier_results_of_a_failed_study_are_not_shown(run, digits, monkeypatch):
    run("reproduce", "images", "gradient_check", "--quick")
    monkeypatch.setitem(STUDIES, "images", fail)
    run("reproduce", "images", "--quick", status=1)
    results = read_results(FOLDER / "results.json")
    assert "digits.images" in results
    (claim,) = (claim for claim in results["claims"] if claim["study"] == "images")
    assert (claim["verdict"], claim["because"]) == ("not run", "The study images failed.")
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    assert "These studies failed, so their tasks are missing: images." in page
    assert "2a · The images" not in page
    # The other study comes from the earlier run, which the page mentions.
    assert "2a, 3a · The gradients" in page
    assert "<td>gradient_check</td>" in page


def test_characters_that_a_console_cannot_encode_become_question_marks(digits, monkeypatch, tmp_path):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    # The tables of this study and of the claims contain λ and ‖w‖².
    assert cli.main(["reproduce", "l2_norm", "--quick", "--output", str(tmp_path)]) == 0
    console.seek(0)
    assert "?w??" in console.read()
    assert (tmp_path / "report.html").exists()


def test_results_from_earlier_runs_are_preserved(run, digits, page_calls, skip_plots, monkeypatch, tmp_path):
    for name, value in (("binary", 1.0), ("softmax", 2.0), ("binary", 3.0)):
        monkeypatch.setitem(
            STUDIES, name, lambda settings, value=value: Results({}, {"metric": value, "[/x]": "[red]"})
        )
        printed = run("reproduce", name, "--output", "[here]").stdout
        assert ["[/x]", "[red]"] in [line.split() for line in printed.splitlines()]
        assert f"Wrote {Path('[here]', 'results.json')}" in printed
    results = read_results(tmp_path / "[here]" / "results.json")
    assert results.keys() == {"digits.binary", "digits.softmax", "environment", "claims"}
    assert results["digits.binary"]["metrics"]["metric"] == 3.0
    assert [list(entries) for _, entries in page_calls] == [["binary"], ["binary", "softmax"], ["binary", "softmax"]]


def test_progress_lines_are_limited_in_a_log(skip_plots, monkeypatch, tmp_path, capsys):
    def notify(settings):
        for seed in range(3):
            settings.notify(f"seed {seed}", seed / 3)
        return Results({}, {"metric": 1.0})

    lines = ["softmax: start", *(f"softmax: seed {seed}" for seed in range(3)), "softmax: drawing"]
    for seconds, expected in ((0.0, lines), (60.0, lines[:1])):
        monkeypatch.setattr(studies, "PROGRESS_INTERVAL_SECONDS", seconds)
        run_studies({"softmax": (notify, Settings(Dataset("mnist", *[None] * 4)))}, tmp_path)
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in printed if line.startswith("softmax: ")] == expected


def test_a_study_receives_its_folder_and_earlier_results(monkeypatch, tmp_path, capsys):
    calls = []

    def study(settings):
        (settings.folder / "records.jsonl").write_text("{}")
        calls.append(list(read_results(tmp_path / "results.json")))
        return Results({}, {})

    def draw(name, results, folder):
        calls.append(folder)
        return [Plot("one.png", "One.", "A one.")]

    monkeypatch.setattr(figures, "draw", draw)
    settings = [Settings(Dataset(name, *[None] * 4), folder=tmp_path / name) for name in ("mnist", "digits")]
    entries, failed = run_studies({"first": (study, settings[0]), "second": (study, settings[1])}, tmp_path)
    assert (list(entries), failed) == (["mnist.first", "digits.second"], [])
    assert calls == [[], tmp_path / "mnist", ["mnist.first"], tmp_path / "digits"]
    assert "2 figures" in capsys.readouterr().out
    for entry, name in zip(entries.values(), ("mnist", "digits"), strict=True):
        assert entry["plots"] == [{"file": f"{name}/one.png", "caption": "One.", "alt": "A one."}]
        assert entry["version"] == __version__


def test_unreadable_results_raise_before_a_study_runs(assert_error, digits, monkeypatch):
    monkeypatch.setitem(STUDIES, "binary", lambda settings: pytest.fail("ran"))
    FOLDER.mkdir()
    (FOLDER / "results.json").write_text('{"digits.softmax": {},}')
    assert_error(f"cannot read the results in {Path('results', 'results.json')}: ", "reproduce", "binary", "--quick")


def test_single_values_and_figures_share_one_table():
    rows = {name: {"accuracy": value, "n_iter": 3} for name, value in (("a", 0.5), ("b", 0.25), ("c", 1.0))}
    metrics = {"final_loss": 0.123456789, "onset": None, "counts": [1, 2], "runs": rows, "[/x]": {"[red]": 1}}
    console = Console(width=100, markup=False)
    with console.capture() as captured_output:
        console.print(*make_study_tables("digits.study", metrics, ["digits/one.png", "digits/two.png"]))
    assert [line.split() for line in captured_output.get().splitlines()] == [
        ["digits.study"],
        ["final", "loss", "0.1235"],
        ["onset", "none"],
        ["counts", "1,", "2"],
        ["plots", "digits/one.png,", "digits/two.png"],
        ["runs"],
        ["accuracy", "n", "iter"],
        ["a", "0.5", "3"],
        ["b", "0.25", "3"],
        ["c", "1", "3"],
        ["[/x]"],
        ["[red]", "1"],
    ]
