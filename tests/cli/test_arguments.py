"""Calls of the program: what is refused, with which words, and what the help names."""

import pytest

import fastlin
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "binry"], "unknown study 'binry'; there are images"),
        (["reproduce", "cifar10"], "unknown study 'cifar10'"),
        (["reproduce", "--data", "nowhere"], "nowhere does not hold MNIST's files train-images"),
        (["reproduce", "cifar10_deep", "--data", "."], "CIFAR-10 in any of the forms"),
        (["reproduce", "--seed", "-1"], "--seed: '-1' is not a whole number from 0 to 4294967295"),
        (["reproduce", "--seed", "x"], "--seed: 'x'"),
        (["reproduce", "--seed", "4294967296"], "--seed: '4294967296' is not a whole number from 0 to 4294967295"),
        (["reproduce", "--fast"], "--fast"),
        (["reproduce", "--draws", "0"], "--draws: '0' is not a whole number from 1 to 4294967295"),
        (["reproduce", "--draws", "2.5"], "--draws: '2.5'"),
        (["reproduce", "--draws"], "--draws"),
        (["compare", "--classes", "1"], "--classes"),
        (["compare", "--dtype", "int8"], "--dtype"),
        (["compare", "--samples", "10", "--classes", "20"], "--samples 10 must be at least --classes 20"),
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
    assert finished.stderr.startswith("fastlin: ")
    assert words in finished.stderr
    assert not list(tmp_path.rglob("results.json"))


def test_help_names_every_study_and_option(run):
    finished = run("reproduce", "--help")
    assert finished.returncode == 0
    words = " ".join(finished.stdout.split())
    for name in (
        *STUDIES,
        *CIFAR10_STUDIES,
        "--quick",
        "--draws N",
        "--open",
        "--data DIR",
        "--output DIR",
        "--seed N",
    ):
        assert name in words
    assert "draws of cifar10_search; default: 100" in words


def test_version(run):
    assert run("--version").stdout == f"fastlin {fastlin.__version__}\n"
