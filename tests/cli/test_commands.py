"""Options of the commands: which studies run, on which data, and where results and the report are written."""

import dataclasses
import functools
import webbrowser
from pathlib import Path
from unittest.mock import Mock

import pytest

from benchmarks.data import simulate_clusters
from fastlin import datasets, warmup
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.cli.results import read_results
from fastlin.course import figures
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import CLAIMS
from fastlin.course.studies.settings import Results


def read(folder):
    return read_results(folder / "results.json")


def validate_names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_study_runs_on_digits_if_no_data_set_is_available(run, digits, monkeypatch, tmp_path):
    call = "reproduce", "softmax", "--quick", "--seed", "7", "--output"
    printed = run(*call, "here").stdout
    assert "MNIST is not on disk and cannot be downloaded" in printed
    assert "8 × 8 digits" in printed
    assert f"Wrote {Path('here', 'report.html')}." in printed
    entry = read(tmp_path / "here")["digits.softmax"]
    assert (entry["parameters"]["seed"], entry["parameters"]["quick"]) == (7, True)
    assert [plot["file"] for plot in entry["plots"]] == ["digits/softmax.png"]
    assert validate_names(tmp_path) == {"here"}
    assert validate_names(tmp_path / "here") == {"results.json", "report.html", "digits"}
    assert validate_names(tmp_path / "here" / "digits") == {"softmax.png"}
    # The same seed gives the same results.
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    run(*call, "again")
    assert read(tmp_path / "again")["digits.softmax"]["metrics"] == entry["metrics"]


@pytest.mark.parametrize("is_available", [True, False])
def test_each_study_gets_its_own_data(run, page_calls, skip_plots, monkeypatch, tmp_path, is_available):
    mnist, cifar10 = (dataclasses.replace(datasets.load_digits(), name=name) for name in ("mnist", "cifar10"))
    study_settings, load_calls, folder = {}, [], "there" if is_available else None

    def load(data, *arguments, folder):
        load_calls.append((*arguments, folder))
        if data is cifar10 and not is_available:
            raise datasets.DatasetNotFoundError
        return data

    def record_settings(name, settings):
        study_settings[name] = settings
        return Results({}, {"accuracy": 0.5})

    names = ["cifar10_search", "gradient_check", "cifar10_deep"]
    for name in names:
        studies = CIFAR10_STUDIES if name in CIFAR10_STUDIES else STUDIES
        monkeypatch.setitem(studies, name, functools.partial(record_settings, name))
    monkeypatch.setattr(datasets, "load_mnist", functools.partial(load, mnist))
    monkeypatch.setattr(datasets, "load_cifar10", functools.partial(load, cifar10))
    options = ["--data", folder] if is_available else []
    completed_process = run("reproduce", *names, "--seed", "3", "--draws", "7", "--output", str(tmp_path), *options)
    other = "cifar10" if is_available else "digits"
    expected = {name: "mnist" if name == "gradient_check" else other for name in names}
    assert {name: settings.data.name for name, settings in study_settings.items()} == expected
    search = study_settings["cifar10_search"]
    assert search.data is study_settings["cifar10_deep"].data
    assert load_calls == [(6_000, 3, folder), (folder,)]
    assert (search.draws, search.folder) == (7, tmp_path / other)
    assert ("digits" in completed_process.stdout) == (not is_available)
    assert read(tmp_path).keys() == {*(f"{data}.{name}" for name, data in expected.items()), "environment", "claims"}
    ((path, entries),) = page_calls
    assert path == tmp_path / "report.html"
    assert {name: entry["data"] for name, entry in entries.items()} == expected


def test_evaluated_claims_are_printed_and_stored(run, digits, tmp_path):
    completed_process = run("reproduce", "gradient_check")
    claims = read(tmp_path / "results")["claims"]
    assert len(claims) == len(CLAIMS)
    evaluated_claims = [claim for claim in claims if claim["verdict"] != "not run"]
    assert {claim["study"] for claim in evaluated_claims} == {"gradient_check"}
    assert [claim["verdict"] for claim in evaluated_claims] == ["confirmed", "contradicted", *["confirmed"] * 5]
    table = completed_process.stdout.partition("Contradicted claims")[2]
    (line,) = (line for line in table.splitlines() if evaluated_claims[1]["here"] in line)
    assert line.split()[0] == evaluated_claims[1]["reports"].split()[0]
    others = sorted({claim["study"] for claim in CLAIMS if claim["study"] != "gradient_check"})
    n_others = len(claims) - len(evaluated_claims)
    assert (
        f"{len(claims)} claims: {n_others} not run, 6 confirmed, 1 contradicted. The report lists"
        in completed_process.stdout
    )
    assert f"These studies failed or were not requested: {', '.join(others)}.\n" in completed_process.stdout


@pytest.mark.parametrize("arguments", [[], ["--open"]])
def test_the_report_opens_in_the_browser_on_request(run, digits, monkeypatch, tmp_path, arguments):
    opened_pages = []
    monkeypatch.setattr(webbrowser, "open", opened_pages.append)
    run("reproduce", "gradient_check", "--quick", "--output", "a b", *arguments)
    page = tmp_path / "a b" / "report.html"
    assert page.exists()
    assert opened_pages == ([page.as_uri()] if arguments else [])


def test_compare_baselines_on_mnist(run, libraries, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "load_mnist", lambda folder: simulate_clusters(3, 300, 8, seed=0))
    libraries["torch"] = dataclasses.replace(LIBRARIES["torch"], module="no_such_module")
    printed = run("compare", "--baselines", "--quick").stdout
    assert "Not installed, so not compared: torch." in printed
    assert "pip install '.[baselines]' in a checkout of fastlin installs them, and '.[baselines-torch]' i" in printed
    folder = tmp_path / "results"
    assert validate_names(folder) == {"results.json", "comparison.json", "synthetic"}
    assert validate_names(folder / "synthetic") == {"baselines.png"}
    comparison = read_results(folder / "comparison.json")
    assert [problem["classes"] for problem in comparison["problems"]] == [3, 2]
    assert all(problem["points"].keys() == {"fastlin", "scikit-learn lbfgs"} for problem in comparison["problems"])
    assert {"numpy", "processor", "processors"} <= comparison["environment"].keys()
    assert comparison["versions"].keys() == {"fastlin", "scikit-learn"}
    assert comparison["not_installed"] == ["torch"]
    assert comparison["quick"]
    (plot,) = read(folder)["synthetic.baselines"]["plots"]
    assert plot["file"] == "synthetic/baselines.png"


def test_invalid_output_folders_and_damaged_data_are_errors(assert_error, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("mine")
    assert_error("'--output': Directory 'occupied' is a file.", "reproduce", "binary", "--output", "occupied")
    for name, *_ in datasets.MNIST_FILES.values():
        (tmp_path / name).write_bytes(b"\0\0\x08\x03 short")
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path))
    assert_error("train-images-idx3-ubyte", "reproduce", "binary")


def test_warmup_runs_every_step(run, monkeypatch):
    steps = []
    monkeypatch.setattr(warmup, "STEPS", {name: functools.partial(steps.append, name) for name in ("a", "b")})
    assert "Ready after" in run("warmup").stdout
    assert steps == ["a", "b"]


def test_ctrl_c_keeps_the_earlier_results_and_report(run, digits, monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "l2_sweep", Mock(side_effect=KeyboardInterrupt))
    folder = tmp_path / "results"
    assert run("reproduce", "l2_sweep", status=130).stderr == "\nfastlin: interrupted\n"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    run("reproduce", "gradient_check", "--quick")
    page = (folder / "report.html").read_bytes()
    run("reproduce", "binary", "l2_sweep", "--quick", status=130)
    # Results from before Ctrl-C are stored for the report of the next run.
    assert {"digits.gradient_check", "digits.binary"} <= read(folder).keys()
    assert (folder / "report.html").read_bytes() == page
    assert validate_names(folder) == {"results.json", "report.html", "digits"}
    run("reproduce", "gradient_check", "--quick")
    assert "2b, 2c · Logistic regression" in (folder / "report.html").read_text(encoding="utf-8")
