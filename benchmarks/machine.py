"""What a figure has to name: the machine that it was measured on, and the versions of what ran."""

import importlib.metadata
import re
from datetime import UTC, datetime

from fastlin.cli.environment import describe_environment
from fastlin.kernels.machine.emitter import VECTOR_BYTES

PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "cyanure",
    "skglm",
    "celer",
    "glum",
    "snapml",
    "scikit-learn-intelex",
    "torch",
)
LEVELS = {64: "x86-64-v4", 32: "x86-64-v3", 16: "x86-64-v2"}


def describe_machine():
    """Return the name, processor, level of instructions and number of processors of this machine, as plain values."""
    environment = describe_environment()
    processor, cores = environment["processor"], environment["processors"]
    return {
        "name": name_machine(processor, cores),
        "processor": processor,
        "processors": cores,
        "level": find_level(),
    }


def name_machine(processor, cores):
    """Return a name for the machine that can be the name of a file."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", "", processor.lower()))
    return "-".join((*words, f"{cores}", "processors" if cores > 1 else "processor"))


def find_level():
    """Return the level of instructions that kernels are compiled for; bounds may differ by it."""
    return LEVELS[VECTOR_BYTES]


def describe_run():
    """Return the date and the versions of this run, as plain values."""
    environment = describe_environment()
    versions = {"fastlin": environment["fastlin"], "python": environment["python"]}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"date": datetime.now(UTC).date().isoformat(), "versions": versions, "blas": environment["blas"]}
