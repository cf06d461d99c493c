"""The program as a process of its own: its exit status, its streams, and Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest


def test_the_package_is_the_program_and_a_bad_call_gets_one_line_and_status_2(tmp_path):
    command = [sys.executable, "-m", "fastlin", "reproduce", "binry"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("fastlin: Invalid value for '[STUDY]...': 'binry' is not one of ")
    assert finished.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_ctrl_c_in_a_training_ends_without_a_traceback_and_without_results(fastlin_program, tmp_path, mnist_folder):
    process = subprocess.Popen(
        [*fastlin_program, "reproduce", "l2_sweep", "--output", str(tmp_path), "--data", str(mnist_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # rich shows progress to a terminal only.
        env={**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    shown = ""
    # The program says so when a training begins.
    while "λ" not in shown and process.poll() is None:
        shown += process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\nfastlin: interrupted\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
