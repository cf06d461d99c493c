"""The files of published figures, one for each machine in docs/benchmarks: the only source of figures in documents.

A file holds the machine and its records by name, each with the date and the versions that it was measured with.
"""

import hashlib
import json
from pathlib import Path

from fastlin.cli.results import change_results, read_results

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"


def read_machines(folder=FOLDER):
    """Return the contents of all files, by the name of the file without its ending, in the order of the names."""
    return {path.stem: read_results(path) for path in sorted(folder.glob("*.json"))}


def add_records(machine, run, records, folder=FOLDER):
    """Put records into the file of a machine, in place of former ones with the same names.

    Parameters
    ----------
    machine : dict
        What `machine.describe_machine` returns.
    run : dict
        What `machine.describe_run` returns; it is added to each record.
    records : dict of str to dict
        The records by name.
    folder : Path
        The folder of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def change(former):
        kept = {**former.get("records", {}), **{name: record | run for name, record in records.items()}}
        return {"machine": machine, "records": dict(sorted(kept.items()))}

    change_results(folder / f"{machine['name']}.json", change)


def digest(records):
    """Return a short hash of plain values, by which a picture names what it was drawn from."""
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()[:16]
