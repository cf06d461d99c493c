"""Instruction counts of functions, which do not depend on other programs on the machine.

`python -m fastlin.benchmarking.instructions module:function` calls a function without arguments until its code is
compiled, and then counts the instructions of a call under valgrind's callgrind, with one thread and the instructions of
x86-64-v3. `--record` stores the counts. Otherwise they are compared with the stored counts, and the exit status is 1 if
a function needs more instructions than the tolerance allows. Only this command is public, not the functions.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import mmap
import os
import pkgutil
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastlin.environment.file_system import write_atomically
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS, choose_level, list_levels
from fastlin.kernels.machine.target import WHEEL_CODE_VARIABLE, read_features

DEFAULT_FILE, DEFAULT_TOLERANCE = "instructions.json", 3.0
# Valgrind does not support AVX-512.
COUNTED_LEVEL, SUPPORTED_LEVELS = "x86-64-v3", ("x86-64-v3", "x86-64-v4")
ENVIRONMENT_SETTINGS = {
    "NUMBA_CPU_NAME": COUNTED_LEVEL,
    "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in INSTRUCTION_SET_LEVELS[COUNTED_LEVEL].features),
    WHEEL_CODE_VARIABLE: "off",
    "OPENBLAS_CORETYPE": "Haswell",
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(
        ("FASTLIN_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
    ),
}
# The counts depend on these packages.
PACKAGES = "numpy", "scipy", "scikit-learn", "numba"
# The number of calls of a function before the count, and of counted calls. Python specializes bytecode during the
# first calls, up to the eighth.
N_CALLS = 12
# Machine code of a valgrind client request on x86-64: it sets rax to an address and rdx to zero, before
# the instructions that valgrind recognizes.
CLIENT_REQUEST_CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# The numbers of callgrind's requests in callgrind.h.
DUMP_REQUEST, ZERO_REQUEST, START_REQUEST = 0x43540000, 0x43540001, 0x43540004


def call_counted(functions: Mapping[str, Callable[[], Any]], n_calls: Mapping[str, int] | None = None) -> None:
    """Call functions under callgrind, first without counting. Print the name of each counted call, as JSON.

    Outside valgrind, the calls only compile code. `n_calls` is the number of calls of some functions; by default each
    is called N_CALLS times.
    """
    request = _make_client_request()
    calls = [name for name in functions for _ in range((n_calls or {}).get(name, N_CALLS))]
    for name in calls:
        functions[name]()
    # Garbage collection would be counted in an arbitrary call.
    gc.disable()
    request(START_REQUEST)
    for name in calls:
        request(ZERO_REQUEST)
        functions[name]()
        request(DUMP_REQUEST)
    # The last output of a function may not end its line.
    print("\n" + json.dumps(calls))


def _make_client_request():
    """Return a function that makes a client request with a number."""
    code_page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code_page.write(CLIENT_REQUEST_CODE)
    machine_code = ctypes.c_char.from_buffer(code_page)
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(ctypes.addressof(machine_code))
    # The default argument keeps the page alive as long as the function.
    return lambda request_number, machine_code=machine_code: call(ctypes.byref((ctypes.c_ulong * 6)(request_number)))


def count_instructions(arguments: Sequence[str]) -> dict[str, int]:
    """Return the smallest number of instructions of each function that a Python program passes to `call_counted`.

    `arguments` are the arguments of Python. Raise a NotImplementedError if the system is unsuitable, and a
    `subprocess.CalledProcessError` if the program fails.
    """
    check_system()
    # The first run compiles the code. Under valgrind, the compilation would take minutes.
    _run_python((), arguments)
    with tempfile.TemporaryDirectory() as folder:
        options = "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"
        # The program may print other lines before the names.
        names = json.loads(_run_python(("valgrind", *options), arguments).splitlines()[-1])
        dumps = [Path(folder, f"out.{number}").read_text("utf-8") for number in range(1, len(names) + 1)]
    counts: dict[str, int] = {}
    for name, dump in zip(names, dumps, strict=True):
        count = read_instruction_count(dump)
        counts[name] = min(count, counts.get(name, count))
    return counts


def check_system() -> None:
    """Raise a NotImplementedError if instructions cannot be counted on this system."""
    if shutil.which("valgrind") is None:
        raise NotImplementedError("valgrind is not installed")
    if choose_level(list_levels(platform.machine()), read_features()) not in SUPPORTED_LEVELS:
        raise NotImplementedError(f"the processor has no code of the level {COUNTED_LEVEL}")


def _run_python(wrapper_command, arguments):
    return subprocess.run(
        [*wrapper_command, sys.executable, *arguments],
        env={**os.environ, **ENVIRONMENT_SETTINGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def read_instruction_count(dump: str) -> int:
    """Return the number of instructions in a callgrind dump."""
    (count,) = re.findall(r"^totals: (\d+)$", dump, re.MULTILINE)
    return int(count)


def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages on which the counts depend."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def compare_counts(
    counts: Mapping[str, int], stored_counts: Mapping[str, int], tolerance: float
) -> tuple[list[str], list[str]]:
    """Return a line for each function, and the functions that need more instructions than `tolerance` percent allow."""
    lines, failed_names = [], []
    for name, count in counts.items():
        change = count / stored_counts[name] - 1 if name in stored_counts else 0.0
        if 100 * change > tolerance:
            failed_names.append(name)
        lines.append(f"{name:32} {count:>14,}  {f'{change:+.1%}' if name in stored_counts else 'not stored'}")
    return lines, failed_names


def check_counts(
    arguments: Sequence[str],
    path: Path,
    *,
    should_record: bool = False,
    should_keep_others: bool = True,
    is_strict: bool = False,
    tolerance: float = DEFAULT_TOLERANCE,
) -> int:
    """Count instructions, and compare them with the counts in a file or store them; return the exit status.

    `arguments` are those of `count_instructions`. The status is 1 if a function needs more instructions than
    `tolerance` percent allow, or its count is not stored. If the stored counts are for other versions of packages, or
    the system is unsuitable, a line states why nothing was compared, and the status is 0, or 1 if `is_strict` or if
    nothing can be recorded. If `should_keep_others`, the file keeps the counts of other functions.
    """
    versions = find_versions()
    stored: dict[str, Any] = {"versions": versions, "counts": {}}
    if path.exists():
        stored = json.loads(path.read_text("utf-8"))
    if not should_record and stored["versions"] != versions:
        print(
            f"Skipped: the counts were recorded with {stored['versions']}, but the installed versions are {versions}."
        )
        return int(is_strict)
    try:
        counts = count_instructions(arguments)
    except NotImplementedError as error:
        print(f"Skipped: {error}.")
        return int(is_strict or should_record)
    lines, failed_names = compare_counts(counts, stored["counts"], tolerance)
    print(*lines, sep="\n")
    if should_record:
        is_kept = should_keep_others and stored["versions"] == versions
        counts = stored["counts"] | counts if is_kept else counts
        with write_atomically(path) as part:
            part.write_text(json.dumps({"versions": versions, "counts": counts}, indent=1) + "\n", "utf-8")
        return 0
    new_names = [name for name in counts if name not in stored["counts"]]
    if new_names:
        print(f"No counts in {path}: {'; '.join(new_names)}. Store them with --record.")
    if failed_names:
        print(f"More than {tolerance:g} % more instructions: {'; '.join(failed_names)}. Accept them with --record.")
    return int(bool(failed_names or new_names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m fastlin.benchmarking.instructions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("functions", nargs="+", metavar="module:function", help="a function without arguments")
    parser.add_argument("--record", action="store_true", help="store the counts instead of comparing them")
    parser.add_argument("--strict", action="store_true", help="fail if the counts cannot be compared")
    parser.add_argument(
        "--file", type=Path, default=Path(DEFAULT_FILE), help="the stored counts (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=DEFAULT_TOLERANCE,
        help="the allowed increase in percent (default: %(default)g)",
    )
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    functions = {}
    for name in options.functions:
        try:
            function = pkgutil.resolve_name(name) if ":" in name else None
        except (ImportError, AttributeError, ValueError) as error:
            parser.error(f"{name} cannot be imported: {error}")
        if not callable(function):
            parser.error(f"{name} is not the name of a function, such as package.module:function")
        functions[name] = function
    if options.run:
        call_counted(functions)
        return 0
    program = ["-m", "fastlin.benchmarking.instructions", *options.functions, "--run"]
    try:
        return check_counts(
            program,
            options.file,
            should_record=options.record,
            is_strict=options.strict,
            tolerance=options.tolerance,
        )
    except subprocess.CalledProcessError as error:
        print(f"The call failed with exit status {error.returncode}; its message is above.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
