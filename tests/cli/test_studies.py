"""Running several studies: one that fails, what earlier runs found, and progress."""

import json
from pathlib import Path

from fastlin import datasets, figures
from fastlin.cli.studies import run_studies
from fastlin.studies import STUDIES
from fastlin.studies.settings import Results, Settings


def test_a_failing_study_gives_status_1_and_the_others_still_run(run, digits, monkeypatch, tmp_path):
    def fail(settings):
        settings.notify("[/x]")
        # Square brackets are markup to rich, and [/x] an error in it.
        raise RuntimeError("on purpose [auto, lbfgs] [/x] :x:")

    monkeypatch.setitem(STUDIES, "binary", fail)
    finished = run("reproduce", "binary", "gradient_check", "--quick")
    assert finished.returncode == 1
    assert "binary failed: RuntimeError: on purpose [auto, lbfgs] [/x] :x:" in finished.stdout
    assert finished.stderr == "fastlin: these studies failed: binary\n"
    report = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert report.keys() == {"digits.gradient_check", "environment"}


def test_results_of_earlier_runs_stay(run, digits, monkeypatch, tmp_path):
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    for name, value in (("binary", 1.0), ("softmax", 2.0), ("binary", 3.0)):
        monkeypatch.setitem(STUDIES, name, lambda settings, value=value: Results({}, {"merit": value, "[/x]": "[red]"}))
        finished = run("reproduce", name, "--output", "[here]")
        assert finished.returncode == 0
        assert ["[/x]", "[red]"] in [line.split() for line in finished.stdout.splitlines()]
        assert f"Wrote {Path('[here]', 'results.json')}" in finished.stdout
    report = json.loads((tmp_path / "[here]" / "results.json").read_text(encoding="utf-8"))
    assert report.keys() == {"digits.binary", "digits.softmax", "environment"}
    assert report["digits.binary"]["merits"]["merit"] == 3.0


def test_a_study_finds_the_results_of_those_before_it_in_the_file(monkeypatch, tmp_path, capsys):
    seen = []

    def look(settings):
        path = tmp_path / "results.json"
        seen.append(list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else [])
        settings.notify("half of it", 0.5)
        return Results({"epochs": 1}, {"merit": 1.0})

    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    settings = Settings(datasets.load_digits())
    assert run_studies({"first": (look, settings), "second": (look, settings)}, tmp_path) == 0
    assert seen == [[], ["digits.first", "environment"]]
    assert "0 pictures" in capsys.readouterr().out


def test_axis_limits_are_those_of_mnist_only_for_whole_studies_of_mnist(monkeypatch, tmp_path):
    given = []
    mnist = datasets.Dataset("mnist", *[None] * 4)
    monkeypatch.setattr(figures, "draw", lambda name, results, output, full_mnist: given.append(full_mnist) or [])
    for settings in (Settings(mnist), Settings(mnist, quick=True), Settings(datasets.load_digits())):
        run_studies({"binary": (lambda settings: Results({}, {}), settings)}, tmp_path)
    assert given == [True, False, False]
