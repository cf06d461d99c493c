"""The tests of the kernels and of what stands on them, compiled for several instruction sets, one after the other.

Run from the repository's root::

    python -m tests.instruction_sets                    # host, x86-64-v3 (AVX2) and x86-64-v2 (SSE 4.2)
    python -m tests.instruction_sets --set x86-64-v2    # one of them, several with more of --set
    python -m tests.instruction_sets --part 10 -n 2     # a tenth of the tests; what else is given goes to pytest

Each set runs in a process of its own with its own folder of compiled kernels. The name of a processor alone changes
how code is scheduled, but not which instructions may stand in it: its features are set too.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding

from fastlin.kernels.machine.levels import AVX2, SSE
from fastlin.places import user_cache_folder

# The features of each level of the x86-64 processor supplement; None are the host's own.
SETS = {"host": None, "x86-64-v3": AVX2, "x86-64-v2": SSE}
FOLDERS = ["kernels", "matrices", "objective", "solvers"]
# The test that says which instructions there are runs with every part.
ALWAYS = "test_emitter.py"
# The environment variables that tell the processes which part of the tests to run.
PART, FIRST = "FASTLIN_TESTS_PART", "FASTLIN_TESTS_FIRST"


def pytest_collection_modifyitems(items):
    """Keep every PART-th test from FIRST on; pytest calls it, to which this file is a plugin."""
    part, first = int(os.environ.get(PART, "1")), int(os.environ.get(FIRST, "0"))
    items[:] = [item for i, item in enumerate(items) if i % part == first or item.path.name == ALWAYS]


def host_has(features):
    """Say whether this machine has all of the features."""
    there = llvmlite.binding.get_host_cpu_features()
    return all(there.get(feature, False) for feature in features)


def environment(name):
    """Return the environment in which Numba compiles for a set."""
    features = SETS[name]
    if features is None:
        return dict(os.environ)
    folder = user_cache_folder() or Path(".pytest_cache").absolute()
    return {
        **os.environ,
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in features),
        "NUMBA_CACHE_DIR": str(folder / name),
    }


def run_tests(name, part, arguments):
    """Return the exit status of the tests, or of every part-th of them, under a set."""
    root = Path(__file__).parents[1]
    # Each set runs another part of the tests.
    first = list(SETS).index(name) * part // len(SETS)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.instruction_sets", *arguments]
        + [f"tests/{folder}" for folder in FOLDERS],
        cwd=root,
        env={**environment(name), PART: str(part), FIRST: str(first)},
    )
    return finished.returncode


def main():
    """Run the tests under each set that was asked for and that this machine has; fail where one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="Other arguments go to pytest.")
    parser.add_argument("--set", action="append", choices=list(SETS), dest="sets", help="default: all of them")
    parser.add_argument("--part", type=int, default=1, metavar="N", help="run every N-th test (default: all)")
    options, arguments = parser.parse_known_args()
    if options.part < 1:
        parser.error(f"--part must be a whole number from 1 on, but is {options.part}")
    failed = []
    for name in options.sets or SETS:
        if not host_has(SETS[name] or []):
            print(f"{name}: left out, since this machine lacks some of its instructions", flush=True)
            continue
        print(f"{name}:", flush=True)
        if run_tests(name, options.part, arguments) != 0:
            failed.append(name)
    print("failed under " + ", ".join(failed) if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
