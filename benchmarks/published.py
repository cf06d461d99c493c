"""The files of published figures, one for each machine in docs/benchmarks: the only source of figures in documents.

Files with EARLIER were measured before the rules that docs/benchmarks.md states, and are shown nowhere.
"""

import hashlib
import json
from pathlib import Path

from fastlin.cli.results import change_results, read_results

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
# The key of the sentence that says which rules a file was measured under, where they are not those of today.
EARLIER = "earlier rules"


def read_machines(folder=FOLDER):
    """Return the contents of the files measured under today's rules, by the names of the files without their ending."""
    contents = {path.stem: read_results(path) for path in sorted(folder.glob("*.json"))}
    return {name: content for name, content in contents.items() if EARLIER not in content}


def add_records(machine, run, records, folder=FOLDER):
    """Put records, with the run of each, into the file of a machine, in place of those of the same names."""
    folder.mkdir(parents=True, exist_ok=True)

    def change(former):
        same_rules = {} if EARLIER in former else former.get("records", {})
        kept = {**same_rules, **{name: record | run for name, record in records.items()}}
        return {"machine": machine, "records": dict(sorted(kept.items()))}

    change_results(folder / f"{machine['name']}.json", change)


def digest(records):
    """Return a short hash of plain values, by which a picture names what it was drawn from."""
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()[:16]
