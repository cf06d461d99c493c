"""The random search: its draws, and the continuation of interrupted searches."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import FASTLIN
from scipy import stats

from fastlin.course import datasets
from fastlin.course.studies import cifar10_search, cifar10_training
from fastlin.course.studies.cifar10_search import OPTIMUM_KEY, RECORD_FILE, REPORT_RECIPE, draw, make_recipe
from fastlin.course.studies.settings import Settings
from fastlin.kernels.machine.cache_folder import cache_folder

# The draw with the report's optimal parameters.
OPTIMAL_PARAMETERS = {name: getattr(REPORT_RECIPE, name) for name in cifar10_search.SEARCH_SPACE} | {"hidden": 135}
INVALID_LINES = b'\xff\x00{"draw": 1}\n[1]\n7\n{"draw": [1]}\n{"draw": -9}\n{"draw": "no"}\n{"draw": 1.0}'


def make_data(seed=0):
    generator = np.random.default_rng(seed)
    X, y = generator.integers(0, 256, (60, 6), np.uint8), np.arange(60) % 3
    return datasets.Dataset("digits", X[:50], y[:50], X[50:], y[50:])


@pytest.fixture
def trained(monkeypatch):
    """Train in this process, and return the trained keys. A key is the index of a draw (its seed) or OPTIMUM_KEY."""
    keys = []

    def train_recipes(images, cases):
        for key, (recipe, seed) in cases.items():
            keys.append(key)
            yield key, cifar10_training.train(images, recipe, seed)

    monkeypatch.setattr(cifar10_search, "train_recipes", train_recipes)
    return keys


DATA = make_data()


@pytest.fixture
def search(trained, tmp_path):
    """Return a function that runs a quick search and returns the records of its draws and the trained keys."""

    def search(draws, **changes):
        settings = Settings(**{"data": DATA, "quick": True, "folder": tmp_path, "draws": draws, **changes})
        n_before = len(trained)
        results = cifar10_search.study_cifar10_search(settings)
        records = {record["draw"]: dict(record) for record in results.series["records"]}
        assert all(record.pop("seconds") > 0 for record in records.values())
        return records, trained[n_before:]

    return search


def read_record_lines(folder):
    return (folder / RECORD_FILE).read_text(encoding="utf-8").splitlines()


def test_sampled_parameters_are_in_the_ranges_of_the_report():
    draws = draw(1_000, 0)
    values = {name: [parameters[name] for parameters in draws] for name in draws[0]}
    parameter_ranges = {
        "hidden": (90, 150),
        "learning_rate": (3.5e-3, 5e-3),
        "decay": (0.98, 0.99),
        "reg": (1e-5, 2e-3),
        "epochs": (700, 1_300),
        "batch_size": (15_000, 25_000),
    }
    assert values.keys() == parameter_ranges.keys()
    for name, (low, high) in parameter_ranges.items():
        smallest, largest, tolerance = min(values[name]), max(values[name]), 0.02 * (high - low)
        # The draws cover the full range.
        assert low <= smallest < low + tolerance
        assert high - tolerance < largest <= high
    assert set(values["decay"]) == {0.98, 0.99}
    assert set(values["hidden"]) == set(range(90, 151))
    assert all(type(value) in (int, float) for parameters in draws for value in parameters.values())
    # Each factor of ten has about the same number of regularizations.
    assert 0.35 < np.mean(np.array(values["reg"]) < 1e-4) < 0.52
    assert draw(10, 0) == draws[:10] != draw(10, 4)


def test_the_search_reports_its_best_trainings(trained, tmp_path):
    notifications = []
    settings = Settings(DATA, True, 3, lambda *arguments: notifications.append(arguments), tmp_path, 12)
    results = cifar10_search.study_cifar10_search(settings)
    records, metrics, best = results.series["records"], results.metrics, results.metrics["best_draws"]
    validations = [record["validation"] for record in records]
    assert validations == sorted(validations, reverse=True)
    assert metrics["median_validation"] == np.median(validations)
    assert metrics["best_validation"] == validations[0]
    shown = [f"draw {record['draw']}" for record in records[: cifar10_search.N_BEST_DRAWS]]
    assert list(best) == [*shown, "the report's optimum"]
    assert all(best[name]["validation"] == value for name, value in zip(shown, validations, strict=False))
    assert (results.parameters["draws"], results.parameters["trainings_kept_before"]) == (12, 0)
    assert [json.loads(line)["draw"] for line in read_record_lines(tmp_path)] == [*range(12), OPTIMUM_KEY]
    fractions = [fraction for _, fraction in filter(lambda arguments: len(arguments) == 2, notifications)]
    assert fractions == [number / 13 for number in range(14)]
    for record in records:
        drawn = draw(12, 3)[record["draw"]]
        assert (record["hidden"], record["reg"]) == (drawn["hidden"], drawn["reg"])
        assert record["epochs"] == round(drawn["epochs"] / 20)
        assert record["batch_size"] == round(drawn["batch_size"] * 40 / 44_000)
    # The reported optimum is trained like the draws and ranked, but not included in their median.
    optimum = results.series["optimum"]
    images = cifar10_training.prepare_images(DATA, cifar10_search.N_COMPONENTS, True)
    expected = cifar10_training.train(images, make_recipe(OPTIMAL_PARAMETERS, 40, True), 3)
    assert {name: optimum[name] for name in expected.accuracies} == expected.accuracies
    assert [optimum[name] for name in ("hidden", "learning_rate", "decay", "reg")] == [135, 0.004786, 0.99, 0.001847]
    assert sorted(record["draw"] for record in records) == list(range(12))
    assert metrics["optimum_rank"] == 1 + sum(value > optimum["validation"] for value in validations)
    assert metrics["optimum_validation"] == optimum["validation"]
    assert best["the report's optimum"]["test"] == optimum["test"]
    del trained[:]
    again = cifar10_search.study_cifar10_search(settings)
    assert trained == []
    assert again.metrics == metrics
    assert again.parameters["trainings_kept_before"] == 13


def test_the_published_records_match_this_search():
    path = Path(__file__).parents[3] / "docs" / RECORD_FILE
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    draws = dict(enumerate(draw(100, 0)))
    draws[OPTIMUM_KEY] = OPTIMAL_PARAMETERS
    case = {name: records[0][name] for name in ("data", "checksum", "train_images", "components", "seed")}
    assert (case["data"], case["train_images"], case["seed"]) == ("cifar10", 44_000, 0)
    marks = {
        key: {**case, "draw": key, "recipe": make_recipe(parameters, 44_000, False).describe()}
        for key, parameters in draws.items()
    }
    assert cifar10_search.read_records(path, marks) == {record["draw"]: record for record in records}
    assert len({record["draw"] for record in records}) == len(records)


def test_a_search_continues_from_stored_records(search, tmp_path):
    assert search(3)[1] == [0, 1, 2, OPTIMUM_KEY]
    lines = read_record_lines(tmp_path)
    records, trained = search(5)
    assert trained == [3, 4]
    assert read_record_lines(tmp_path)[:4] == lines
    assert search(5, folder=None)[0] == records
    # Fewer draws use the first stored ones, so nothing is trained.
    assert search(2) == ({number: records[number] for number in (0, 1)}, [])
    assert search(5) == (records, [])


@pytest.mark.parametrize(("change", "again"), [(1 + 2e-16, []), (1 + 1e-6, [1])])
def test_stored_parameters_may_differ_in_the_last_digit(search, tmp_path, change, again):
    search(2)
    records = [json.loads(line) for line in read_record_lines(tmp_path)]
    records[1]["recipe"]["reg"] *= change
    (tmp_path / RECORD_FILE).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert search(2)[1] == again


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (lambda *lines: b"".join(lines)[: -len(lines[3]) // 2], [OPTIMUM_KEY]),
        (lambda *lines: b"".join(lines)[:-1], []),
        (lambda *lines: b"", [0, 1, 2, OPTIMUM_KEY]),
        (lambda *lines: lines[0] + INVALID_LINES + lines[2], [1, 2, OPTIMUM_KEY]),
    ],
    ids=["half", "no end", "empty", "garbage"],
)
def test_an_incomplete_line_is_trained_again(search, tmp_path, damage, again):
    records, _ = search(3)
    lines = (tmp_path / RECORD_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / RECORD_FILE).write_bytes(damage(*lines))
    assert search(3) == (records, again)
    # Records after the damage are complete.
    records, trained = search(4)
    assert (sorted(records), trained) == ([0, 1, 2, 3], [3])
    assert search(4) == (records, [])


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"quick": False}, {"data": make_data(seed=1)}, {"data": dataclasses.replace(DATA, name="cifar10")}],
    ids=["seed", "whole", "images", "name"],
)
def test_records_of_another_search_are_kept_and_ignored(search, tmp_path, changes):
    first, lines = search(2), read_record_lines(tmp_path)
    other = search(2, **changes)
    assert first[1] == other[1] == [0, 1, OPTIMUM_KEY]
    assert search(2, **changes, folder=None) == other
    assert read_record_lines(tmp_path)[:3] == lines
    assert search(2) == (first[0], [])
    assert search(2, **changes) == (other[0], [])


def test_records_of_an_earlier_version_are_kept_and_ignored(search, monkeypatch):
    search(2)
    monkeypatch.setitem(cifar10_search.SEARCH_SPACE, "reg", stats.loguniform(1e-4, 1e-2))
    # The reported optimum does not depend on the search space.
    assert search(2)[1] == [0, 1]
    monkeypatch.setattr(
        cifar10_search, "REPORT_RECIPE", dataclasses.replace(cifar10_search.REPORT_RECIPE, momentum=0.9)
    )
    assert search(2)[1] == [0, 1, OPTIMUM_KEY]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="On Windows SIGINT cannot be sent to a process group")
def test_ctrl_c_ends_every_process_and_keeps_the_records(tmp_path):
    changes = {"FASTLIN_DATA": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    changes |= {"NUMBA_CACHE_DIR": str(cache_folder().parent.parent)}
    environment = os.environ | changes | dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    command = [*FASTLIN, "reproduce", "cifar10_search", "--quick", "--draws=200", "--output=here"]
    # The output goes into a file, because workers would keep a pipe open.
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors
        )
    path, deadline = tmp_path / "here" / "digits" / RECORD_FILE, time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    # Like a terminal, this sends the signal to the workers too.
    os.killpg(process.pid, signal.SIGINT)
    status = process.wait(timeout=60)
    # pooch prints the URL of CIFAR-10, and Click ends the line after ^C.
    lines = [
        line for line in (tmp_path / "errors").read_text().splitlines() if line and not line.startswith("Downloading")
    ]
    assert (status, lines) == (130, ["fastlin: interrupted"])
    assert [path.name for path in (tmp_path / "here").rglob("*")] == ["digits", RECORD_FILE]
    assert all(json.loads(line)["stop_reason"] == "limit" for line in read_record_lines(tmp_path / "here" / "digits"))
