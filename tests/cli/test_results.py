"""Files of results: round trips, damaged files, concurrent writers, and the entries that the report shows."""

import subprocess
import sys

import pytest

from fastlin import __version__
from fastlin.cli.arguments import CommandError
from fastlin.cli.results import add_results, choose_report_entries, read_results, write_results

ADD_RESULTS_PROGRAM = """
import sys
from pathlib import Path
from fastlin.cli.results import add_results
print("ready", flush=True)
sys.stdin.readline()
for i in range(100):
    add_results(Path(sys.argv[1]), {f"{sys.argv[2]}.{i}": i})
"""


@pytest.fixture
def path(tmp_path):
    """The file of results; no other file may remain in its folder."""
    path = tmp_path / "results.json"
    yield path
    assert list(tmp_path.iterdir()) in ([], [path])


def test_stored_results_are_replaced_by_name(path):
    assert read_results(path) == {}
    results = {"λ": [1.5, None, True], "a": {"b": "½"}}
    write_results(path, results)
    assert read_results(path) == results
    add_results(path, {"a": 2, "c": 2})
    assert read_results(path) == {"λ": [1.5, None, True], "a": 2, "c": 2}


@pytest.mark.parametrize("content", [b"", b'{"half": ', b'{"a": 1,}', b"[1]", b"\xff\xfe", None])
def test_an_unreadable_results_file_is_not_overwritten(path, content):
    path.mkdir() if content is None else path.write_bytes(content)
    message = r"cannot read the results in .*results\.json: .+\. To keep them, fix the file or move it away"
    for access_results in (read_results, lambda path: add_results(path, {"new": 1})):
        with pytest.raises(CommandError, match=message):
            access_results(path)
    assert path.is_dir() if content is None else path.read_bytes() == content


@pytest.mark.thorough
def test_two_processes_do_not_lose_each_others_entries(path):
    pipe_options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [
        subprocess.Popen([sys.executable, "-c", ADD_RESULTS_PROGRAM, path, name], **pipe_options)
        for name in ("one", "other")
    ]
    for process in processes:
        assert process.stdout.readline().strip() == b"ready"
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert read_results(path) == {f"{name}.{i}": i for name in ("one", "other") for i in range(100)}


def make_results(*titles, version=__version__):
    return {title: {"version": version, "mark": title} for title in titles} | {"environment": {}, "claims": []}


@pytest.mark.parametrize(
    ("stored", "new", "expected"),
    [
        # The data set of this run is shown, together with earlier runs on the same data set.
        ("mnist.binary mnist.softmax digits.binary", "digits.binary", "digits.binary"),
        ("mnist.binary digits.binary digits.softmax", "digits.binary", "digits.binary digits.softmax"),
        # A run of a homework study also shows the assignment's results on the best data set, and vice versa.
        (
            "digits.binary mnist.softmax cifar10.cifar10_deep",
            "cifar10.cifar10_deep",
            "mnist.softmax cifar10.cifar10_deep",
        ),
        ("digits.cifar10_deep digits.binary", "digits.binary", "digits.binary digits.cifar10_deep"),
        # The assignment and the homework may have different data sets.
        (
            "digits.cifar10_deep cifar10.cifar10_search mnist.binary",
            "digits.cifar10_deep mnist.binary",
            "mnist.binary digits.cifar10_deep",
        ),
        # Comparisons on synthetic data belong to no report.
        ("synthetic.compare synthetic.baselines", "", ""),
        ("", "", ""),
    ],
)
def test_the_report_shows_one_data_set_of_each_kind(stored, new, expected):
    entries = choose_report_entries(make_results(*stored.split()), make_results(*new.split()))
    assert [entry["mark"] for entry in entries.values()] == expected.split()
    assert [f"{entry['data']}.{study}" for study, entry in entries.items()] == expected.split()


def test_results_of_other_versions_are_omitted():
    old = make_results("mnist.binary", "digits.softmax", version="0.0.1") | {"mnist.l2_norm": {"metrics": {}}}
    assert list(choose_report_entries(old | make_results("digits.binary"), {})) == ["binary"]
    assert choose_report_entries(old, {}) == {}
