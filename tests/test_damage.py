"""Public methods with damaged models and containers, in a child process: each call has to end in an error.

`damages.py` draws the damages and `damaged_calls.py` is the child.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMPILED

PROGRAM = Path(__file__).with_name("damaged_calls.py")
FEWEST = 710
# A child that ends is begun anew behind the call that ended it.
MOST_ENDS = 5


def run_child(first):
    """Return the lines that a child printed, how it ended, and its last words."""
    finished = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM), str(first)], capture_output=True, text=True, timeout=300
    )
    return [json.loads(line) for line in finished.stdout.splitlines()], finished.returncode, finished.stderr[-1_000:]


@pytest.mark.skipif(not COMPILED, reason="uncompiled kernels read nothing out of bounds")
def test_damaged_input_ends_in_an_error_that_names_it():
    calls, failures, first, n_ends = {}, [], 0, 0
    while True:
        lines, status, words = run_child(first)
        for kind, *found in lines:
            if kind == "begin":
                number, name, pattern = found
                calls[number] = name, pattern
            elif kind == "end":
                number, kind_of_end, text, is_same = found
                name, pattern = calls[number]
                if kind_of_end != "error" or not re.search(pattern, text):
                    failures.append(f"{name}: {kind_of_end}: {text}")
                elif not is_same:
                    failures.append(f"{name}: the model has changed")
        if lines and lines[-1] == ["done"] and status == 0:
            break
        assert calls, words
        first, n_ends = max(calls) + 1, n_ends + 1
        failures.append(f"{calls[first - 1][0]}: the process ended with status {status}")
        if n_ends == MOST_ENDS:
            break
    assert not failures, "\n".join([f"{len(failures)} of {len(calls)} damages:", *failures])
    assert len(calls) >= FEWEST
