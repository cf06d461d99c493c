"""Command lines of the program, in this process or a new one: errors, their messages, and the help."""

import os
import signal
import subprocess
import sys

import click
import pytest
from conftest import FASTLIN

import fastlin
from fastlin.cli.commands import COMMAND_MODULES, program
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES

COMMANDS = {name: program.get_command(click.Context(program), name) for name in COMMAND_MODULES}
SEED_ERROR = "is not in the range 0<=x<=4294967295"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("reproduce binry", "'binry' is not one of 'images'"),
        ("reproduce cifar10", "'cifar10' is not one of"),
        ("reproduce --data nowhere", "nowhere does not contain MNIST, whose files are train-images"),
        ("reproduce cifar10_deep --data .", ". does not contain CIFAR-10, whose files are cifar-10-batches-py"),
        ("reproduce --seed -1", f"'--seed': -1 {SEED_ERROR}"),
        ("reproduce --seed 4294967296", f"'--seed': 4294967296 {SEED_ERROR}"),
        ("reproduce --draws 0", "'--draws': 0 is not in the range x>=1"),
        ("compare --dtype int8", "--dtype"),
        ("compare none.csv --target y", "File 'none.csv' does not exist. (see fastlin compare --help)"),
        ("compare --seconds 0", "'--seconds': 0.0 is not in the range 1<=x<=86400"),
        ("compare --target y", "--target applies to a table only; give the table as DATA"),
        ("compare --C 10", "--C applies to a table only; give the table as DATA"),
        ("compare --clases 3", "(see fastlin compare --help)"),
        ("", "Missing command. (see fastlin --help)"),
    ],
)
def test_an_invalid_call_exits_with_status_2(assert_error, call, message):
    assert assert_error(message, *call.split()).stdout == ""


def test_python_m_fastlin_runs_the_program(tmp_path):
    command = [sys.executable, "-m", "fastlin", "reproduce", "binry"]
    completed_process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (completed_process.returncode, completed_process.stdout) == (2, "")
    assert completed_process.stderr.startswith("fastlin: Invalid value for '[STUDY]...': 'binry' is not one of ")
    assert completed_process.stderr.count("\n") == 1


def test_help_lists_each_command_with_its_purpose_and_every_study(run):
    words = " ".join(run("--help").stdout.split())
    for name, command in COMMANDS.items():
        assert f"{name} {command.short_help}" in words
        assert len(command.short_help.split()) > 5
    words = run("reproduce", "--help").stdout.replace(",", "").replace(".", "").split()
    assert {*STUDIES, *CIFAR10_STUDIES} <= set(words)
    assert run("--version").stdout == f"fastlin {fastlin.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_each_option_and_its_default_within_80_columns(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    help_text, printed = COMMANDS[command].help, run(command, "--help").stdout
    assert max(len(line) for line in printed.splitlines()) < 80
    words = " ".join(printed.split())
    assert help_text.endswith(".")
    assert " ".join(help_text.split()) in words
    assert f"Examples: fastlin {command}" in words
    assert f"\n    fastlin {command}" in printed
    context = click.Context(COMMANDS[command], **COMMANDS[command].context_settings)
    for option in COMMANDS[command].params:
        if not isinstance(option, click.Option):
            continue
        _, help_record = option.get_help_record(context)
        assert len(option.help.split()) > 3 or "[default: " in help_record, option.name
        # A flag is off unless it is given; any other optional option shows its default.
        if not (option.required or option.is_flag):
            assert "[default: " in help_record, option.name
            if option.default and not isinstance(option.show_default, str):
                assert f"[default: {option.default}" in help_record, option.name


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="On Windows SIGINT cannot be sent to a child alone")
def test_ctrl_c_during_training_leaves_no_traceback_and_no_results(tmp_path, mnist_folder):
    process = subprocess.Popen(
        [*FASTLIN, "reproduce", "l2_sweep", "--output", str(tmp_path), "--data", str(mnist_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # rich shows progress only in a terminal.
        env={**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    output = ""
    # The program prints λ when a training run begins.
    while "λ" not in output and process.poll() is None:
        output += process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\nfastlin: interrupted\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_fit_does_not_load_the_studies():
    program = "import sys; from fastlin.cli import main; main(['fit', '--help']); print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "fastlin.cli.fit_and_predict" in printed
    assert "fastlin.course" not in printed
    assert "fastlin.benchmarking" not in printed


@pytest.mark.skipif(not hasattr(click.exceptions, "NoSuchCommand"), reason="this version of Click has no suggestions")
def test_a_misspelled_command_is_corrected(run):
    assert "fit" in run("fitt", status=2).stderr.split("fitt")[-1]
