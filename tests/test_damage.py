"""Public methods with damaged models and containers, in a child process: each call has to end in an error.

`damages.py` draws the damages and `damaged_calls.py` is the child.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMPILED

PROGRAM = Path(__file__).with_name("damaged_calls.py")
FEWEST = 710
# A child that ends is begun anew behind the call that ended it.
MOST_ENDS = 5


@pytest.mark.skipif(not COMPILED, reason="uncompiled kernels read nothing out of bounds")
def test_damaged_input_ends_in_an_error_that_names_it():
    names, faults, n_ends, status = [], [], 0, None
    while status != 0 and n_ends < MOST_ENDS:
        command = [sys.executable, "-X", "faulthandler", str(PROGRAM), str(len(names))]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
        lines, status = [json.loads(line) for line in finished.stdout.splitlines()], finished.returncode
        assert lines, finished.stderr[-1_000:]
        names += lines[::2]
        # Of the call that ended the child there is no second line.
        ends = lines[1::2] + [f"the process ended with status {status}"] * (len(lines) % 2)
        faults += [f"{name}: {end}" for name, end in zip(lines[::2], ends, strict=True) if end is not None]
        n_ends += 1
    assert not faults, "\n".join([f"{len(faults)} of {len(names)} damages:", *faults])
    assert status == 0
    assert len(names) >= FEWEST
