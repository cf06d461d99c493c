"""Calls of the program: what is refused, with which words, and what the help names."""

import click
import pytest

import fastlin
from fastlin.cli.commands import program
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "binry"], "'binry' is not one of 'images'"),
        (["reproduce", "cifar10"], "'cifar10' is not one of"),
        (["reproduce", "--data", "nowhere"], "nowhere does not hold MNIST, whose files are train-images"),
        (["reproduce", "cifar10_deep", "--data", "."], ". does not hold CIFAR-10, whose files are cifar-10-batches-py"),
        (["reproduce", "--seed", "-1"], "'--seed': -1 is not in the range 0<=x<=4294967295"),
        (["reproduce", "--seed", "x"], "'--seed': 'x' is not a valid integer"),
        (["reproduce", "--seed", "4294967296"], "'--seed': 4294967296 is not in the range 0<=x<=4294967295"),
        (["reproduce", "--fast"], "--fast"),
        (["reproduce", "--draws", "0"], "'--draws': 0 is not in the range x>=1"),
        (["reproduce", "--draws", "2.5"], "'--draws': '2.5' is not a valid integer"),
        (["reproduce", "--draws"], "--draws"),
        (["compare", "--dtype", "int8"], "--dtype"),
        (["compare", "none.csv", "--target", "y"], "File 'none.csv' does not exist. (see fastlin compare --help)"),
        (["compare", "--seconds", "0"], "'--seconds': 0.0 is not in the range 1<=x<=86400"),
        (["compare", "--target", "y"], "--target is for a table, and no DATA is given"),
        (["compare", "--clases", "3"], "(see fastlin compare --help)"),
        (["dance"], "dance"),
        ([], "Missing command. (see fastlin --help)"),
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


def test_help_lists_each_command_with_its_purpose(run):
    finished = run("--help")
    assert finished.returncode == 0
    words = " ".join(finished.stdout.split())
    for name, command in program.commands.items():
        assert f"{name} {command.short_help}" in words
        assert len(command.short_help.split()) > 5


@pytest.mark.parametrize("command", program.commands)
def test_help_of_a_command_describes_it_and_fits_80_columns(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    finished = run(command, "--help")
    assert finished.returncode == 0
    assert max(len(line) for line in finished.stdout.splitlines()) < 80
    words = " ".join(finished.stdout.split())
    help_text = program.commands[command].help
    assert help_text.endswith(".")
    assert " ".join(help_text.split()) in words
    assert f"Examples: fastlin {command}" in words
    assert f"\n    fastlin {command}" in finished.stdout


@pytest.mark.parametrize("command", program.commands)
def test_help_of_every_option_says_its_effect_and_its_default(command):
    context = click.Context(program.commands[command], **program.commands[command].context_settings)
    for option in program.commands[command].params:
        if not isinstance(option, click.Option):
            continue
        _, told = option.get_help_record(context)
        assert len(option.help.split()) > 3 or "[default: " in told, option.name
        # A flag is off unless it is given; whatever else may be left out has a value of its own then.
        if not (option.required or option.is_flag):
            assert "[default: " in told, option.name
            if option.default and not isinstance(option.show_default, str):
                assert f"[default: {option.default}" in told, option.name


def test_help_names_every_study(run):
    words = run("reproduce", "--help").stdout.replace(",", "").replace(".", "").split()
    assert {*STUDIES, *CIFAR10_STUDIES} <= set(words)


def test_version(run):
    assert run("--version").stdout == f"fastlin {fastlin.__version__}\n"
