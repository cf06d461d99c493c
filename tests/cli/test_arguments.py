"""Calls of the program: what is refused, with which words, and what the help names."""

import pytest

import fastlin
from fastlin.cli.arguments import build_parser
from fastlin.cli.commands import COMMANDS
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
        (["compare", "--clases", "3"], "unrecognized arguments: --clases 3 (see fastlin compare --help)"),
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


def list_commands():
    """Return the parser of the program and those of its commands by their names."""
    parser = build_parser()
    return parser, next(action.choices for action in parser._actions if isinstance(action.choices, dict))


def test_help_lists_each_command_with_its_purpose_on_one_line(run):
    _, commands = list_commands()
    finished = run("--help")
    assert finished.returncode == 0
    lines = finished.stdout.splitlines()
    listed = lines[lines.index("commands:") + 1 :][: len(COMMANDS)]
    assert [line.split()[0] for line in listed] == list(COMMANDS) == list(commands)
    assert all(len(line.split()) > 5 for line in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_describes_it_and_fits_80_columns(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    finished = run(command, "--help")
    assert finished.returncode == 0
    assert max(len(line) for line in finished.stdout.splitlines()) < 80
    words = " ".join(finished.stdout.split())
    _, commands = list_commands()
    assert commands[command].description.endswith(".")
    assert " ".join(commands[command].description.split()) in words
    assert f"examples: fastlin {command}" in words


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_option_says_its_effect_and_its_default(command):
    parser = list_commands()[1][command]
    for action in parser._actions:
        assert len(action.help.split()) > 3 or "default:" in action.help, action.dest
        if action.required or action.nargs == 0:
            continue
        # A flag is off unless it is given; whatever else may be left out has a value of its own then.
        assert "(default: " in action.help, action.dest
        if action.default:
            assert f"(default: {action.default})" in action.help % {"default": action.default}, action.dest


def test_help_names_every_study(run):
    words = run("reproduce", "--help").stdout.replace(",", "").split()
    assert {*STUDIES, *CIFAR10_STUDIES} <= set(words)


def test_version(run):
    assert run("--version").stdout == f"fastlin {fastlin.__version__}\n"
