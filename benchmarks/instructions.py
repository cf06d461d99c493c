"""How many instructions passes and small fits take: no other program on the machine changes them.

``python -m benchmarks.instructions`` counts them under callgrind, on one thread and with code for x86-64-v3, and fails
where a case takes 3 % more than in instructions.json. ``--record`` puts the new counts there. Counts of other versions
are not compared.
"""

import argparse
import json
import platform
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import find_level
from benchmarks.processes import run_python
from fastlin.kernels.machine.levels import LEVELS

FILE = Path(__file__).with_name("instructions.json")
LEVEL, LEVELS_ABOVE = "x86-64-v3", ("x86-64-v3", "x86-64-v4")
PACKAGES = "numpy", "scipy", "scikit-learn", "numba"
# From one process to the next a fit of iris differs by 0.3 % and a fit of digits by 0.02 %.
ALLOWED = 0.03
SETTINGS = {
    "NUMBA_CPU_NAME": LEVEL,
    "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in LEVELS[LEVEL].features),
    "FASTLIN_COMPILED": "off",
    "FASTLIN_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "PYTHONHASHSEED": "0",
}


def count_instructions():
    """Return the instructions of each case of `counted`, by its name.

    Raises NotImplementedError without valgrind, or on a processor that lacks instructions of the level.
    """
    if shutil.which("valgrind") is None:
        raise NotImplementedError("valgrind is not installed")
    if find_level() not in LEVELS_ABOVE:
        raise NotImplementedError(f"the processor has no code of the level {LEVEL}")
    # Its first run compiles, for which valgrind would take minutes.
    run_python("-m", "benchmarks.counted", **SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        callgrind = (
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/out",
        )
        names = json.loads(run_python("-m", "benchmarks.counted", under=callgrind, **SETTINGS))
        dumps = [Path(folder, f"out.{number}").read_text("utf-8") for number in range(1, len(names) + 1)]
    return {name: read_total(dump) for name, dump in zip(names, dumps, strict=True)}


def read_total(dump):
    """Return the instructions that a dump of callgrind counts."""
    return int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE)[1])


def find_versions():
    """Return the versions of what counts depend on."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{package: version(package) for package in PACKAGES},
    }


def compare(counts, former):
    """Return a line for each case, and those that take more than is allowed."""
    lines, failed = [], []
    for name, count in counts.items():
        change = count / former[name] - 1 if name in former else 0.0
        if change > ALLOWED:
            failed.append(name)
        lines.append(f"{name:32} {count:>12,}  {f'{change:+.1%}' if name in former else 'new'}")
    return lines, failed


def main(arguments=None, path=FILE):
    """Count, and compare with the recorded counts or record the new ones; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="put the new counts into instructions.json")
    options = parser.parse_args(arguments)
    recorded, versions = json.loads(path.read_text("utf-8")), find_versions()
    if not options.record and recorded["versions"] != versions:
        print(f"Skipped: the counts were recorded with {recorded['versions']}, and here are {versions}.")
        return 0
    try:
        counts = count_instructions()
    except NotImplementedError as error:
        print(f"Skipped: {error}.")
        return 0
    lines, failed = compare(counts, recorded["counts"])
    print(*lines, sep="\n")
    if options.record:
        path.write_text(json.dumps({"versions": versions, "counts": counts}, indent=1) + "\n", "utf-8")
        return 0
    if failed:
        print(f"More than {ALLOWED:.0%} more instructions: {'; '.join(failed)}. If they are worth it, --record them.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
