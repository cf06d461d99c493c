"""What a figure has to name: the machine that it was measured on, and the versions of what ran."""

import importlib.metadata
import platform
import re
from datetime import UTC, datetime

from fastlin.cli.environment import describe_environment
from fastlin.kernels.machine.levels import choose_level, levels_of
from fastlin.kernels.machine.target import read_features

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


def call_machine(machine):
    """Return what documents and tables call a machine that `describe_machine` has described."""
    return f"{machine['processor']}, {machine['processors']} processor{'s' * (machine['processors'] > 1)}"


def name_machine(processor, cores):
    """Return a name for the machine that can be the name of a file."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", "", processor.lower()))
    return "-".join((*words, f"{cores}", "processors" if cores > 1 else "processor"))


def find_level():
    """Return the best level of instructions of this machine, or "none"; bounds may differ by it."""
    return choose_level(levels_of(platform.machine()), read_features()) or "none"


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
