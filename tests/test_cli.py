"""The program as a process, in an empty folder."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import time

import pytest

from fastlin.kernels.machine.compilation import cache_folder
from fastlin.studies import CIFAR10_STUDIES, STUDIES

OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture
def run(fastlin_program, tmp_path):
    """Run the program in an empty folder, offline and without data unless told otherwise."""

    def run(*arguments, **environment):
        variables = {
            **os.environ,
            **OFFLINE,
            "FASTLIN_DATA": "",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "COLUMNS": "100",
        }
        # Compiled code is taken from where it is: only the data should be missing.
        variables.setdefault("NUMBA_CACHE_DIR", str(cache_folder().parent.parent))
        return subprocess.run(
            [*fastlin_program, *arguments],
            cwd=tmp_path,
            env={**variables, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_everything_on_the_embedded_digits(run, tmp_path):
    finished = run("reproduce", "--quick")
    assert finished.returncode == 0, finished.stderr
    assert "8 × 8 digits" in finished.stdout
    report = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert set(report) == {f"digits.{name}" for name in STUDIES} | {"environment"}
    assert report["environment"]["threads"] >= 1
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written == {"results.json"} | {
        picture for study in STUDIES for picture in report[f"digits.{study}"]["pictures"]
    }
    assert {path.name for path in tmp_path.iterdir()} <= {"results", "cache"}


def test_chosen_studies_on_mnist(run, tmp_path, mnist_folder):
    finished = run("reproduce", "binary", "gradient_check", "--quick", "--output", "here", "--data", str(mnist_folder))
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "here" / "results.json").read_text(encoding="utf-8"))
    assert set(report) == {"mnist.binary", "mnist.gradient_check", "environment"}
    assert report["mnist.binary"]["merits"]["n_train"] == 4005


def test_the_same_seed_gives_the_same_figures(run, tmp_path):
    merits = []
    for output in ("first", "second"):
        assert run("reproduce", "softmax", "--quick", "--seed", "7", "--output", output).returncode == 0
        report = json.loads((tmp_path / output / "results.json").read_text(encoding="utf-8"))
        merits.append(report["digits.softmax"]["merits"])
        assert report["digits.softmax"]["parameters"]["seed"] == 7
    assert merits[0] == merits[1]


def test_compare_on_synthetic_data(run, tmp_path):
    finished = run("compare", "--classes", "3", "--samples", "300", "--features", "8", "--dtype", "float32")
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    parameters = report["synthetic.compare"]["parameters"]
    assert (parameters["classes"], parameters["samples"], parameters["features"]) == (3, 300, 8)
    assert parameters["dtype"] == "float32"
    assert "speedup" in finished.stdout


def test_compare_with_peers(run, tmp_path):
    finished = run("compare", "--peers", "--quick")
    assert finished.returncode == 0, finished.stderr
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == {"results.json", "peers.json", "peers.png"}
    found = json.loads((folder / "peers.json").read_text(encoding="utf-8"))
    assert [problem["classes"] for problem in found["problems"]] == [10, 2]
    for problem in found["problems"]:
        assert {"fastlin", "scikit-learn lbfgs"} <= set(problem["points"])
    assert {"numpy", "processor", "processors"} <= set(found["environment"])
    assert {"fastlin", "scikit-learn"} <= set(found["versions"])
    for package in found["not_installed"]:
        assert package in finished.stdout
    assert ("pip install 'fastlin[peers]'" in finished.stdout) == bool(found["not_installed"])
    report = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert report["digits.peers"]["pictures"] == ["peers.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "binry"], "unknown study 'binry'"),
        (["reproduce", "--data", "nowhere"], "nowhere"),
        (["reproduce", "--seed", "-1"], "--seed"),
        (["reproduce", "--seed", "x"], "--seed"),
        (["reproduce", "--fast"], "--fast"),
        (["reproduce", "--draws", "0"], "--draws: '0' is not a whole number of at least 1"),
        (["reproduce", "--draws", "-3"], "--draws"),
        (["reproduce", "--draws", "many"], "--draws: 'many'"),
        (["reproduce", "--draws", "2.5"], "--draws: '2.5'"),
        (["reproduce", "--draws"], "--draws"),
        (["reproduce", "cifar10"], "unknown study 'cifar10'; there are binary"),
        (["reproduce", "cifar10_deep", "--data", "."], "CIFAR-10 in any of the forms"),
        (["reproduce", "cifar10_search", "--data", "nowhere"], "nowhere does not hold CIFAR-10"),
        (["compare", "--classes", "1"], "--classes"),
        (["compare", "--dtype", "int8"], "--dtype"),
        (["compare", "--samples", "10", "--classes", "20"], "--samples"),
        (["compare", "--samples", "4000000000", "--features", "4000000000"], "memory"),
        (["dance"], "dance"),
        ([], "COMMAND"),
    ],
)
def test_a_bad_call_gets_one_line_and_status_2(run, tmp_path, arguments, words):
    finished = run(*arguments)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_output_that_is_a_file_is_refused(run, tmp_path):
    (tmp_path / "taken").write_text("mine")
    finished = run("reproduce", "binary", "--output", "taken")
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "mine"


def test_damaged_data_are_named(run, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (folder / name).write_bytes(b"\0\0\x08\x03 short")
    finished = run("reproduce", "binary", FASTLIN_DATA=str(folder))
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "train-images-idx3-ubyte" in finished.stderr


def test_a_failing_study_gives_status_1_and_the_others_still_run(monkeypatch, tmp_path, capsys):
    from fastlin import cli, datasets

    def fail(settings):
        raise RuntimeError("on purpose")

    monkeypatch.setitem(cli.STUDIES, "binary", fail)
    monkeypatch.setattr(cli, "_load_mnist", lambda options: datasets.load_digits())
    status = cli.main(["reproduce", "binary", "gradient_check", "--quick", "--output", str(tmp_path)])
    assert status == 1
    captured = capsys.readouterr()
    assert "on purpose" in captured.out
    assert "binary" in captured.err
    assert "digits.gradient_check" in json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))


def test_the_studies_of_cifar10_run_where_named(run, tmp_path):
    finished = run("reproduce", *CIFAR10_STUDIES, "--quick", "--draws", "2")
    assert finished.returncode == 0, finished.stderr
    assert "CIFAR-10 is neither on disk nor within reach" in finished.stdout
    assert "8 × 8 digits" in finished.stdout
    report = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert set(report) == {f"digits.{name}" for name in CIFAR10_STUDIES} | {"environment"}
    assert report["digits.cifar10_search"]["parameters"]["draws"] == 2
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written == {
        "results.json", "cifar10_search.jsonl", "cifar10_two_layer.png", "cifar10_search.png", "cifar10_deep.png",
        "cifar10_deep_curves.png",
    }  # fmt: skip
    assert "mean best validation accuracy" in finished.stdout
    assert "draw 1" in finished.stdout


@pytest.mark.parametrize("found", [True, False])
def test_each_study_gets_its_own_data(monkeypatch, tmp_path, capsys, found):
    from fastlin import cli, datasets
    from fastlin.studies.settings import Results

    digits = datasets.load_digits()
    mnist, cifar10 = (dataclasses.replace(digits, name=name) for name in ("mnist", "cifar10"))
    given, loaded = {}, []

    def load_cifar10(n_validation, seed, folder):
        loaded.append((n_validation, seed, folder))
        if found:
            return cifar10
        raise datasets.DatasetNotFoundError

    def note(name, settings):
        given[name] = settings
        return Results({}, {"accuracy": 0.5})

    for name, studies in (
        ("gradient_check", cli.STUDIES), ("cifar10_search", cli.CIFAR10_STUDIES), ("cifar10_deep", cli.CIFAR10_STUDIES)
    ):  # fmt: skip
        monkeypatch.setitem(studies, name, functools.partial(note, name))
    monkeypatch.setattr(cli.datasets, "load_mnist", lambda *arguments, folder: mnist)
    monkeypatch.setattr(cli.datasets, "load_cifar10", load_cifar10)
    monkeypatch.setattr(cli.figures, "draw", lambda *arguments: [])
    names = ["cifar10_search", "gradient_check", "cifar10_deep"]
    assert cli.main(["reproduce", *names, "--seed", "3", "--draws", "7", "--output", str(tmp_path)]) == 0
    other = "cifar10" if found else "digits"
    assert [given[name].data.name for name in names] == [other, "mnist", other]
    assert given["cifar10_search"].data is given["cifar10_deep"].data
    assert loaded == [(6_000, 3, None)]
    assert (given["cifar10_search"].draws, given["cifar10_search"].folder) == (7, tmp_path)
    assert ("digits" in capsys.readouterr().out) == (not found)
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(report) == {f"{other}.cifar10_search", "mnist.gradient_check", f"{other}.cifar10_deep", "environment"}


def test_help_names_every_study(run):
    finished = run("reproduce", "--help")
    assert finished.returncode == 0
    words = " ".join(finished.stdout.split())
    for name in (*STUDIES, *CIFAR10_STUDIES, "--quick", "--draws N", "--data DIR", "--output DIR", "--seed N"):
        assert name in words
    assert "of cifar10_search; default: 100" in words


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_ctrl_c_ends_without_a_traceback_and_without_results(fastlin_program, tmp_path, mnist_folder):
    process = subprocess.Popen(
        [*fastlin_program, "reproduce", "l2_sweep", "--output", str(tmp_path), "--data", str(mnist_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # In the middle of one of the four trainings, or of what leads to them.
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "fastlin: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_results_of_earlier_runs_stay(run, tmp_path):
    assert run("reproduce", "gradient_check", "--quick").returncode == 0
    assert run("compare", "--classes", "2", "--samples", "100", "--features", "3").returncode == 0
    report = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert set(report) == {"digits.gradient_check", "synthetic.compare", "environment"}


def test_info_and_warmup(run, tmp_path):
    finished = run("info")
    assert finished.returncode == 0
    for word in ("numba", "processor", "threads", "threading layer", "cache"):
        assert word in finished.stdout
    assert run("--version").stdout.startswith("fastlin ")
    finished = run("warmup")
    assert finished.returncode == 0, finished.stderr
    assert "Compiled in" in finished.stdout
