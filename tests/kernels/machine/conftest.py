"""Copies of the package with compiled kernels, like installed wheels, and processes that create and use them."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KERNELS_ONLY_PREAMBLE

from fastlin.environment import file_system
from fastlin.kernels.machine.compilation_time import COMPILATION_MESSAGE
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS, list_levels

PACKAGE = Path(file_system.__file__).parents[1]

# This program compiles a kernel and writes the archive, without running the kernel.
COMPILE_PROGRAM = """
import sys
from pathlib import Path
from numba import types
from fastlin.kernels.machine import archives
vector = types.Array(types.float64, 1, "C")
archives.compile_signatures([("fastlin.kernels.machine.vectors", "dot", (vector, vector))])
archives.write_archive(Path(sys.argv[1]))
"""
# This program calls the same kernel. If it gets an argument, it also calls a second kernel. The second kernel calls the
# first kernel and is in no archive.
RUN_KERNELS_PROGRAM = """
import json, logging, os, sys
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
import numpy as np
from fastlin.kernels.machine.cache_folder import cache_folder
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.machine.vectors import add_block_linear_combination, dot
folder = cache_folder()
report = {"target": TARGET.name, "bytes": TARGET.vector_bytes, "made": folder is not None and folder.exists()}
a = np.random.default_rng(0).normal(size=1_003)
report["value"] = dot(a, a).hex()
if len(sys.argv) > 1:
    vector = a.copy()
    add_block_linear_combination(0, 1, a[None], 1, np.ones(1), vector)
    report["step"] = vector.sum().hex()
for kernel in (dot, add_block_linear_combination):
    report[kernel.__name__] = sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())
print(json.dumps(report))
"""


def start(package, program, *arguments, **environment):
    """Start a program that imports the kernels of a package, without the compilation settings of this process."""
    inherited_variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_CPU", "FASTLIN_"))
    }
    code = KERNELS_ONLY_PREAMBLE.replace(PACKAGE.as_posix(), package.as_posix()) + program
    environment = {**inherited_variables, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, text=True, **pipes)


def finish(process):
    """Return a program's output, parsed as JSON, and its logged lines. Exclude the line about compilation time."""
    printed, log_text = process.communicate(timeout=120)
    assert process.returncode == 0, log_text
    return json.loads(printed or "null"), [
        line for line in log_text.splitlines() if not line.endswith(COMPILATION_MESSAGE)
    ]


@pytest.fixture
def run_kernels(tmp_path):
    """Return a function that runs `RUN_KERNELS_PROGRAM` with the kernels of a package in a new process.

    The function returns the output and the log.
    """

    def run_kernels(package, *arguments, **environment):
        return finish(
            start(
                package, RUN_KERNELS_PROGRAM, *arguments, **{"NUMBA_CACHE_DIR": str(tmp_path / "cache"), **environment}
            )
        )

    return run_kernels


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Return a folder with an archive of a kernel for each level of this architecture, even an unsupported level."""
    folder = tmp_path_factory.mktemp("archives")
    names = list_levels(platform.machine())
    if not names:
        pytest.skip("there are no levels of this machine")
    cache = {"NUMBA_CACHE_DIR": str(folder / "cache")}
    processes = [
        start(PACKAGE, COMPILE_PROGRAM, folder / f"{name}.zip", **cache, **INSTRUCTION_SET_LEVELS[name].environment)
        for name in names
    ]
    for process in processes:
        finish(process)
    return folder


@pytest.fixture
def wheel(archives, tmp_path):
    """Return the folder of a copy of the package with archives, like an installed wheel. Tests may modify the copy."""
    package = tmp_path / "fastlin"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = package / "kernels" / "compiled"
    compiled.mkdir()
    for path in archives.glob("*.zip"):
        shutil.copy(path, compiled)
    return package
