"""The program as a process of its own: its exit status and its streams."""

import subprocess
import sys


def test_the_package_is_the_program_and_a_bad_call_gets_one_line_and_status_2(tmp_path):
    command = [sys.executable, "-m", "fastlin", "reproduce", "binry"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("fastlin: Invalid value for '[STUDY]...': 'binry' is not one of ")
    assert finished.stderr.count("\n") == 1
