"""Emulate other processors, and run the tests on each of them.

    python -m tests.other_processors                        # each of PROCESSORS that this machine can emulate
    python -m tests.other_processors --as x86-64-v2         # one of them; repeat --as for several
    python -m tests.other_processors --part 10 -n 2 tests/kernels    # a tenth of the tests; the rest goes to pytest

Numba, OpenBLAS and NumPy choose code for the processor, so rounding errors differ.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding
import numpy as np

from fastlin.environment.file_system import find_user_cache_folder
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS

# NumPy's names of the CPU features of each level. Later versions than 2.3 use the last name, which is the level's.
NUMPY_FEATURES_V2 = {"SSSE3", "SSE41", "POPCNT", "SSE42", "X86_V2"}
NUMPY_FEATURES_V3 = NUMPY_FEATURES_V2 | {"AVX", "F16C", "FMA3", "AVX2", "X86_V3"}
NUMPY_FEATURES_V4 = NUMPY_FEATURES_V3 | {"AVX512F", "AVX512CD", "AVX512_SKX", "X86_V4"}


class Processor(NamedTuple):
    """An emulated processor: kernel level, OpenBLAS core type, NumPy's CPU features and number of threads."""

    level: str
    blas: str
    features: set[str]
    n_threads: int


PROCESSORS = {
    "host": None,
    "x86-64-v4": Processor("x86-64-v4", "SkylakeX", NUMPY_FEATURES_V4, 4),
    "x86-64-v3": Processor("x86-64-v3", "Haswell", NUMPY_FEATURES_V3, 3),
    # Sandy Bridge has AVX without AVX2. There is no separate kernel level for it.
    "sandybridge": Processor("x86-64-v2", "Sandybridge", NUMPY_FEATURES_V2 | {"AVX"}, 2),
    "x86-64-v2": Processor("x86-64-v2", "Prescott", NUMPY_FEATURES_V2, 1),
}
# This test, which checks the available instructions, runs in every part.
ALWAYS_RUN_FILE = "test_emitter.py"
# Environment variables that select every n-th test: n, and the index of the first test.
TEST_INTERVAL_VARIABLE, FIRST_TEST_VARIABLE = "FASTLIN_TESTS_PART", "FASTLIN_TESTS_FIRST"


def pytest_collection_modifyitems(items):
    """Select every n-th test. Pytest calls this function, because it loads this file as a plugin."""
    part, first = int(os.environ.get(TEST_INTERVAL_VARIABLE, "1")), int(os.environ.get(FIRST_TEST_VARIABLE, "0"))
    items[:] = [item for i, item in enumerate(items) if i % part == first or item.path.name == ALWAYS_RUN_FILE]


def environment(processor):
    """Return environment variables that emulate a `Processor`. None means this processor."""
    if processor is None:
        return dict(os.environ)
    level, folder = (
        INSTRUCTION_SET_LEVELS[processor.level],
        find_user_cache_folder() or Path(".pytest_cache").absolute(),
    )
    umath = np._core._multiarray_umath
    # NumPy warns if a disabled feature is missing on this machine.
    available = {name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]}
    disabled_features = sorted(available - processor.features)
    return {
        **os.environ,
        **level.environment,
        "NUMBA_CACHE_DIR": str(folder / processor.level),
        "OPENBLAS_CORETYPE": processor.blas,
        "OPENBLAS_NUM_THREADS": str(processor.n_threads),
        "NPY_DISABLE_CPU_FEATURES": " ".join(disabled_features),
        "FASTLIN_NUM_THREADS": str(processor.n_threads),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="Other arguments go to pytest.")
    parser.add_argument("--as", action="append", choices=list(PROCESSORS), dest="names", help="default: all of them")
    parser.add_argument("--part", type=int, default=1, metavar="N", help="run every N-th test (default: all)")
    options, arguments = parser.parse_known_args()
    if options.part < 1:
        parser.error(f"--part must be an integer of at least 1, but is {options.part}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.other_processors", *arguments]
    available, failed = llvmlite.binding.get_host_cpu_features(), []
    for number, (name, processor) in enumerate(PROCESSORS.items()):
        if options.names and name not in options.names:
            continue
        if processor is not None and not all(
            available.get(feature) for feature in INSTRUCTION_SET_LEVELS[processor.level].features
        ):
            print(f"{name}: skipped, because this machine lacks some of its instructions", flush=True)
            continue
        print(f"{name}:", flush=True)
        # Each processor runs a different part of the tests.
        chosen = {
            TEST_INTERVAL_VARIABLE: str(options.part),
            FIRST_TEST_VARIABLE: str(number * options.part // len(PROCESSORS)),
        }
        run = subprocess.run(command, cwd=Path(__file__).parents[1], env=environment(processor) | chosen)
        failed += [name] if run.returncode != 0 else []
    print("failed as on " + ", ".join(failed) if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
