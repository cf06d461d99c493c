"""Published measurements: one file per machine in docs/benchmarks. All numbers in the documents come from them."""

import hashlib
import importlib.metadata
import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import read_results, update_results
from fastlin.kernels.machine.levels import choose_level, list_levels
from fastlin.kernels.machine.target import read_features

RECORDS_FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "cyanure",
    "skglm",
    "celer",
    "glum",
    "adelie",
    "statsmodels",
    "snapml",
    "scikit-learn-intelex",
    "torch",
)
CPU_FOLDER = Path("/sys/devices/system/cpu")


def read_machines(folder=RECORDS_FOLDER):
    """Return a dict from the names of the files, without suffix, to their contents."""
    return {path.stem: read_results(path) for path in sorted(folder.glob("*.json"))}


def add_records(machine, run, records, folder=RECORDS_FOLDER):
    """Store records and their run in the file of a machine, replacing records with the same names."""
    folder.mkdir(parents=True, exist_ok=True)

    def merge_records(stored_results):
        merged_records = stored_results.get("records", {}) | {name: record | run for name, record in records.items()}
        return {"machine": machine, "records": dict(sorted(merged_records.items()))}

    update_results(folder / f"{machine['name']}.json", merge_records)


def digest_records(records):
    """Return a short hash of plain values. It identifies the records of a figure."""
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()[:16]


def describe_machine():
    """Return the name, processor, hardware threads, cores and instruction set level of this machine."""
    environment = describe_environment()
    processor, n_threads, cores = environment["processor"], environment["processors"], count_cores()
    return {
        "name": name_machine(processor, n_threads, cores),
        "processor": processor,
        "processors": n_threads,
        "cores": cores,
        "level": find_instruction_set_level(),
    }


def format_machine_title(machine):
    """Return the title of a machine in documents and tables, from the result of `describe_machine`."""
    return f"{machine['processor']}, {_describe_threads(machine['processors'], machine['cores'])}"


def name_machine(processor, n_threads, cores=None):
    """Return a name for the machine that is valid as a file name."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", "", processor.lower()))
    return "-".join((*words, _describe_threads(n_threads, cores).replace(" ", "-")))


def _describe_threads(n_threads, cores):
    if cores in (None, n_threads):
        return f"{n_threads} {'processor' if cores is None else 'core'}{'s' * (n_threads > 1)}"
    return f"{n_threads} hardware threads of {'one core' if cores == 1 else f'{cores} cores'}"


def count_cores():
    """Return the number of cores of this machine, or None if the system does not report it."""
    sibling_files = CPU_FOLDER.glob("cpu[0-9]*/topology/thread_siblings_list")
    return len({sibling_file.read_text("ascii") for sibling_file in sibling_files}) or None


def find_instruction_set_level():
    """Return the highest instruction set level of this machine, or "none". Bounds can depend on it."""
    return choose_level(list_levels(platform.machine()), read_features()) or "none"


def describe_run():
    """Return the date of this run and the versions of packages, as plain values."""
    environment = describe_environment()
    versions = {"fastlin": environment["fastlin"], "python": environment["python"]}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"date": datetime.now(UTC).date().isoformat(), "versions": versions, "blas": environment["blas"]}
