"""Instruction counts of passes and small fits. They do not depend on other programs on the machine.

``python -m benchmarks.instructions`` counts instructions under callgrind, with one thread and code for x86-64-v3, and
fails if a case needs 3 % more instructions than in instructions.json. Callgrind runs this module with ``--run``. Each
case runs first without counting, and then between two client requests, which have no effect outside valgrind. Each dump
contains one run of a case, and the smallest count of each case is used.
"""

import argparse
import ctypes
import gc
import json
import mmap
import platform
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import fastlin
from benchmarks.passes import make_pass
from benchmarks.processes import run_python
from benchmarks.published import find_instruction_set_level
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS

INSTRUCTIONS_FILE = Path(__file__).with_name("instructions.json")
COUNTED_LEVEL, SUPPORTED_LEVELS = "x86-64-v3", ("x86-64-v3", "x86-64-v4")
PACKAGES = "numpy", "scipy", "scikit-learn", "numba"
COUNT_TOLERANCE = 0.03
ENVIRONMENT_SETTINGS = {
    "NUMBA_CPU_NAME": COUNTED_LEVEL,
    "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in INSTRUCTION_SET_LEVELS[COUNTED_LEVEL].features),
    "FASTLIN_COMPILED": "off",
    "FASTLIN_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "PYTHONHASHSEED": "0",
}

# Machine code of a valgrind client request on x86-64: it sets rax to an address and rdx to zero, before
# the instructions that valgrind recognizes.
CLIENT_REQUEST_CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# The numbers of callgrind's requests in callgrind.h.
DUMP_REQUEST, ZERO_REQUEST, START_REQUEST = 0x43540000, 0x43540001, 0x43540004


def make_cases():
    """Return a dict from the name of each case to a function without arguments."""
    iris, digits, cancer = (load(return_X_y=True) for load in (load_iris, load_digits, load_breast_cancer))
    pixels, digit_labels = digits[0] / 16, digits[1]
    cell_features = cancer[0] / cancer[0].std(axis=0)
    X = np.random.default_rng(0).standard_normal((2_000, 64))
    rows_by_dtype = {
        "float64": X,
        "float32": X.astype(np.float32),
        "uint8": (40 * X + 128).clip(0, 255).astype(np.uint8),
    }
    fit, model = fastlin.LogisticRegression, fastlin.LogisticRegression().fit(pixels[:100], digit_labels[:100])
    return {
        "a fit of iris": lambda: fit().fit(*iris),
        "a fit of breast cancer, L1": lambda: fit(l1_ratio=1.0, C=0.1).fit(cell_features, cancer[1]),
        "a fit of digits": lambda: fit().fit(pixels, digit_labels),
        "a fit of digits, sparse": lambda: fit().fit(sparse.csr_array(pixels), digit_labels),
        "an epoch of mini-batches": lambda: _train(fastlin.MiniBatchLogisticRegression(), pixels, digit_labels),
        "an epoch of a network": lambda: _train(fastlin.MLPClassifier(20), pixels, digit_labels),
        "a prediction of one row": lambda: model.predict_proba(pixels[:1]),
        **{
            f"a pass over {dtype}, {n_classes} classes": make_pass(rows, n_classes)
            for dtype, rows in rows_by_dtype.items()
            for n_classes in (2, 10)
        },
    }


def _train(model, X, y):
    # `fit` would warn about a single epoch.
    model.set_params(random_state=0).partial_fit(X, y, classes=np.arange(10))


def make_client_request():
    """Return a function that makes a client request with a number."""
    code_page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code_page.write(CLIENT_REQUEST_CODE)
    machine_code = ctypes.c_char.from_buffer(code_page)
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(ctypes.addressof(machine_code))
    # The default argument keeps the page alive as long as the function.
    return lambda request_number, machine_code=machine_code: call(ctypes.byref((ctypes.c_ulong * 6)(request_number)))


def run_cases():
    """Run all cases under callgrind."""
    cases, request = make_cases(), make_client_request()
    # Python specializes bytecode during the first calls, up to the eighth. Fits of digits take many seconds under
    # valgrind, so they are run once.
    runs = [name for name in cases for _ in range(1 if "digits" in name else 12)]
    for name in runs:
        cases[name]()
    # Garbage collection would be counted in an arbitrary case.
    gc.disable()
    request(START_REQUEST)
    for name in runs:
        request(ZERO_REQUEST)
        cases[name]()
        request(DUMP_REQUEST)
    print(json.dumps(runs))


def count_instructions():
    """Return a dict from cases to instruction counts; raise a NotImplementedError if the system is unsuitable."""
    if shutil.which("valgrind") is None:
        raise NotImplementedError("valgrind is not installed")
    if find_instruction_set_level() not in SUPPORTED_LEVELS:
        raise NotImplementedError(f"the processor has no code of the level {COUNTED_LEVEL}")
    # The first run compiles the kernels. Under valgrind, the compilation would take minutes.
    run_python("-m", "benchmarks.instructions", "--run", **ENVIRONMENT_SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        options = "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"
        callgrind_command = "valgrind", *options
        names = json.loads(
            run_python(
                "-m", "benchmarks.instructions", "--run", wrapper_command=callgrind_command, **ENVIRONMENT_SETTINGS
            )
        )
        callgrind_dumps = [Path(folder, f"out.{number}").read_text("utf-8") for number in range(1, len(names) + 1)]
    counts = list(map(read_instruction_count, callgrind_dumps))
    return {
        name: min(count for counted_name, count in zip(names, counts, strict=True) if counted_name == name)
        for name in names
    }


def read_instruction_count(dump):
    """Return the number of instructions in a callgrind dump."""
    return int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE)[1])


def find_versions():
    """Return the versions of Python and of the packages on which the counts depend."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{package: version(package) for package in PACKAGES},
    }


def compare_counts(counts, recorded_counts):
    """Return a line for each case, and a list of the cases that need more instructions than allowed."""
    lines, failed_cases = [], []
    for name, count in counts.items():
        change = count / recorded_counts[name] - 1 if name in recorded_counts else 0.0
        if change > COUNT_TOLERANCE:
            failed_cases.append(name)
        lines.append(f"{name:32} {count:>12,}  {f'{change:+.1%}' if name in recorded_counts else 'new'}")
    return lines, failed_cases


def main(arguments=None, path=INSTRUCTIONS_FILE):
    """Count instructions, and compare them with the recorded counts or record them. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="store the new counts in instructions.json")
    parser.add_argument("--run", action="store_true", help="run the cases, for callgrind")
    options = parser.parse_args(arguments)
    if options.run:
        run_cases()
        return 0
    baseline, versions = json.loads(path.read_text("utf-8")), find_versions()
    if not options.record and baseline["versions"] != versions:
        print(
            f"Skipped: the counts were recorded with {baseline['versions']}, but the installed versions are {versions}."
        )
        return 0
    try:
        counts = count_instructions()
    except NotImplementedError as error:
        print(f"Skipped: {error}.")
        return 0
    lines, failed_cases = compare_counts(counts, baseline["counts"])
    print(*lines, sep="\n")
    if options.record:
        path.write_text(json.dumps({"versions": versions, "counts": counts}, indent=1) + "\n", "utf-8")
        return 0
    if failed_cases:
        print(
            f"More than {COUNT_TOLERANCE:.0%} more instructions: {'; '.join(failed_cases)}. Accept them with --record."
        )
    return 1 if failed_cases else 0


if __name__ == "__main__":
    sys.exit(main())
