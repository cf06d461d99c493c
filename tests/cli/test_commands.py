"""What each command does with its options: which studies run, on which data, and where results and report go."""

import dataclasses
import functools
import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.data import make_synthetic
from fastlin import cli, datasets, figures, warmup
from fastlin.cli import commands, doctor
from fastlin.contenders import CONTENDERS
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, compare, peers
from fastlin.course.studies.claims import CLAIMS
from fastlin.course.studies.settings import Results
from fastlin.kernels.machine.target import Target


def read_results(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_a_study_runs_on_the_embedded_digits_where_there_is_no_data_set(run, digits, monkeypatch, tmp_path):
    finished = run("reproduce", "softmax", "--quick", "--seed", "7", "--output", "here")
    assert finished.returncode == 0
    assert "MNIST is neither on disk nor within reach" in finished.stdout
    assert "8 × 8 digits" in finished.stdout
    entry = read_results(tmp_path / "here")["digits.softmax"]
    assert (entry["parameters"]["seed"], entry["parameters"]["quick"]) == (7, True)
    assert [picture["file"] for picture in entry["pictures"]] == ["digits/softmax.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"here"}
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"results.json", "report.html", "digits"}
    assert {path.name for path in (tmp_path / "here" / "digits").iterdir()} == {"softmax.png"}
    assert f"Wrote {Path('here', 'report.html')}." in finished.stdout
    # The same seed gives the same results.
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    assert run("reproduce", "softmax", "--quick", "--seed", "7", "--output", "again").returncode == 0
    assert read_results(tmp_path / "again")["digits.softmax"]["merits"] == entry["merits"]


def test_a_study_runs_on_mnist(run, no_page, monkeypatch, tmp_path, mnist_folder):
    shapes = []
    monkeypatch.setitem(
        STUDIES, "gradient_check", lambda settings: shapes.append(settings.data.X_train.shape) or Results({}, {})
    )
    finished = run("reproduce", "gradient_check", "--quick", "--data", str(mnist_folder))
    assert finished.returncode == 0
    assert shapes == [(60_000, 784)]
    assert read_results(tmp_path / "results").keys() == {"mnist.gradient_check", "environment", "claims"}


@pytest.mark.parametrize("found", [True, False])
def test_each_study_gets_its_own_data(no_page, monkeypatch, tmp_path, capsys, found):
    mnist, cifar10 = (dataclasses.replace(datasets.load_digits(), name=name) for name in ("mnist", "cifar10"))
    given, loaded = {}, []

    def load_cifar10(n_validation, seed, folder):
        loaded.append((n_validation, seed, folder))
        if found:
            return cifar10
        raise datasets.DatasetNotFoundError

    def note(name, settings):
        given[name] = settings
        return Results({}, {"accuracy": 0.5})

    names = ["cifar10_search", "gradient_check", "cifar10_deep"]
    for name in names:
        studies = CIFAR10_STUDIES if name in CIFAR10_STUDIES else STUDIES
        monkeypatch.setitem(studies, name, functools.partial(note, name))
    monkeypatch.setattr(datasets, "load_mnist", lambda n_train, folder: mnist)
    monkeypatch.setattr(datasets, "load_cifar10", load_cifar10)
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    assert cli.main(["reproduce", *names, "--seed", "3", "--draws", "7", "--output", str(tmp_path)]) == 0
    other = "cifar10" if found else "digits"
    assert [given[name].data.name for name in names] == [other, "mnist", other]
    assert given["cifar10_search"].data is given["cifar10_deep"].data
    assert loaded == [(6_000, 3, None)]
    assert (given["cifar10_search"].draws, given["cifar10_search"].folder) == (7, tmp_path / other)
    assert ("digits" in capsys.readouterr().out) == (not found)
    assert read_results(tmp_path).keys() == {
        f"{other}.cifar10_search",
        "mnist.gradient_check",
        f"{other}.cifar10_deep",
        "environment",
        "claims",
    }
    (((path, entries, _),)) = no_page
    assert path == tmp_path / "report.html"
    assert {name: entry["data"] for name, entry in entries.items()} == {
        "cifar10_search": other,
        "gradient_check": "mnist",
        "cifar10_deep": other,
    }


def test_the_claims_are_judged_printed_and_kept(run, digits, tmp_path):
    finished = run("reproduce", "gradient_check")
    assert finished.returncode == 0
    claims = read_results(tmp_path / "results")["claims"]
    assert len(claims) == len(CLAIMS)
    judged = [claim for claim in claims if claim["verdict"] != "not run"]
    assert {claim["study"] for claim in judged} == {"gradient_check"}
    assert [claim["verdict"] for claim in judged] == ["confirmed", "contradicted", *["confirmed"] * 5]
    table = finished.stdout.partition("The claims that are contradicted")[2]
    (line,) = (line for line in table.splitlines() if judged[1]["here"] in line)
    assert line.split()[0] == judged[1]["reports"].split()[0]
    others = sorted({claim["study"] for claim in CLAIMS if claim["study"] != "gradient_check"})
    n_others = len(claims) - len(judged)
    assert f"{len(claims)} claims: {n_others} not run, 6 confirmed, 1 contradicted. The report has" in finished.stdout
    assert f"These studies were not named, or failed: {', '.join(others)}.\n" in finished.stdout


@pytest.mark.parametrize("arguments", [[], ["--open"]])
def test_the_report_is_opened_in_the_browser_where_that_is_asked_for(run, digits, monkeypatch, tmp_path, arguments):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert run("reproduce", "gradient_check", "--quick", "--output", "a b", *arguments).returncode == 0
    page = tmp_path / "a b" / "report.html"
    assert page.exists()
    assert opened == ([page.as_uri()] if arguments else [])


@pytest.fixture
def few_rows(monkeypatch):
    """Let the program find a few rows of three classes in the place of MNIST."""
    monkeypatch.setattr(datasets, "load_mnist", lambda n_train, folder: make_synthetic(3, 300, 8, seed=0))


def test_compare_with_scikit_learn(run, few_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "TURN_SECONDS", 0.0)
    finished = run("compare", "--dtype", "float32")
    assert finished.returncode == 0
    parameters = read_results(tmp_path / "results")["synthetic.compare"]["parameters"]
    assert (parameters["classes"], parameters["samples"], parameters["features"]) == (3, 300, 8)
    assert parameters["dtype"] == "float32"
    assert "times as fast as scikit-learn" in finished.stdout
    for name, *cells in (("solver", "lbfgs", "auto"), ("C", "1", "1"), ("tol", "0.0001", "0.0001")):
        assert [name, *cells] in [line.split() for line in finished.stdout.splitlines()]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"results.json", "synthetic"}


def test_compare_with_peers(run, few_rows, monkeypatch, tmp_path):
    few = {name: CONTENDERS[name] for name in ("fastlin", "scikit-learn lbfgs")}
    few["torch"] = dataclasses.replace(CONTENDERS["torch"], module="no_such_module")
    monkeypatch.setattr(peers, "CONTENDERS", few)
    monkeypatch.setattr(peers, "PAUSE", 0.0)
    finished = run("compare", "--peers", "--quick")
    assert finished.returncode == 0
    assert "Not installed, so not compared: torch." in finished.stdout
    assert "pip install '.[peers]' in a checkout of fastlin installs them, and '.[peers-torch]' P" in finished.stdout
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == {"results.json", "peers.json", "synthetic"}
    assert {path.name for path in (folder / "synthetic").iterdir()} == {"peers.png"}
    found = json.loads((folder / "peers.json").read_text(encoding="utf-8"))
    assert [problem["classes"] for problem in found["problems"]] == [3, 2]
    for problem in found["problems"]:
        assert problem["points"].keys() == {"fastlin", "scikit-learn lbfgs"}
    assert {"numpy", "processor", "processors"} <= found["environment"].keys()
    assert found["versions"].keys() == {"fastlin", "scikit-learn"}
    assert found["not_installed"] == ["torch"]
    assert found["quick"]
    (picture,) = read_results(folder)["synthetic.peers"]["pictures"]
    assert picture["file"] == "synthetic/peers.png"


def test_an_output_that_is_a_file_is_refused(run, tmp_path):
    (tmp_path / "occupied").write_text("mine")
    finished = run("reproduce", "binary", "--output", "occupied")
    assert finished.returncode == 2
    assert "'--output': Directory 'occupied' is a file." in finished.stderr
    assert (tmp_path / "occupied").read_text() == "mine"


def test_damaged_data_are_named(run, tmp_path, monkeypatch):
    for name, *_ in datasets.MNIST_FILES.values():
        (tmp_path / name).write_bytes(b"\0\0\x08\x03 short")
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path))
    finished = run("reproduce", "binary")
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "train-images-idx3-ubyte" in finished.stderr


def test_info(run):
    finished = run("info")
    assert finished.returncode == 0
    for word in ("numba", "processor", "threads", "compiled code", "cache"):
        assert word in finished.stdout


def test_warmup_takes_every_step(run, monkeypatch):
    steps = []
    monkeypatch.setattr(warmup, "STEPS", {name: functools.partial(steps.append, name) for name in ("a", "b")})
    finished = run("warmup")
    assert finished.returncode == 0
    assert steps == ["a", "b"]
    assert "Compiled in" in finished.stdout


def test_warmup_has_nothing_to_do_where_the_wheel_carries_all(run, monkeypatch):
    for module in (commands, doctor):
        monkeypatch.setattr(module, "TARGET", Target("x86-64-v3", 32, SimpleNamespace(n_kernels=7)))
    kernels = []
    monkeypatch.setattr(doctor, "list_kernels", lambda: kernels)
    monkeypatch.setattr(warmup, "STEPS", {"a": lambda: None})
    finished = run("warmup")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "Nothing has to be compiled: the code in use is x86-64-v3, 7 kernels from the wheel, " in finished.stdout
    kernels.append(SimpleNamespace(stats=SimpleNamespace(cache_misses={"a signature": 1})))
    assert "Compiled in" in run("warmup").stdout


def test_ctrl_c_ends_with_one_line_and_leaves_the_results_and_the_report_of_earlier_studies(
    run, digits, monkeypatch, tmp_path
):
    def interrupt(settings):
        raise KeyboardInterrupt

    monkeypatch.setitem(STUDIES, "l2_sweep", interrupt)
    folder = tmp_path / "results"
    finished = run("reproduce", "l2_sweep")
    assert (finished.returncode, finished.stderr) == (130, "\nfastlin: interrupted\n")
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert run("reproduce", "gradient_check", "--quick").returncode == 0
    page = (folder / "report.html").read_bytes()
    assert run("reproduce", "binary", "l2_sweep", "--quick").returncode == 130
    # What was found before Ctrl-C is kept for the report of the next run.
    assert {"digits.gradient_check", "digits.binary"} <= read_results(folder).keys()
    assert (folder / "report.html").read_bytes() == page
    assert {path.name for path in folder.iterdir()} == {"results.json", "report.html", "digits"}
    assert run("reproduce", "gradient_check", "--quick").returncode == 0
    assert "2b, 2c · Logistic regression" in (folder / "report.html").read_text(encoding="utf-8")
