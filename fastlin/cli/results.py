"""results.json: the results of the studies, in a file that is written atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastlin import __version__
from fastlin.cli.arguments import CommandError
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.environment.file_system import lock, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def read_results(path: Path) -> dict[str, Any]:
    """Return the results in a file, or {} if it does not exist; raise a CommandError if the file is unreadable."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        remedy = "To keep them, fix the file or move it away, and try again"
        raise CommandError(f"cannot read the results in {path}: {error}. {remedy}") from error


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write results atomically, so that an interrupted run leaves no incomplete file."""
    with write_atomically(path) as part:
        part.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def update_results(path: Path, compute_results: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Apply a function to the results in a file and write its return value.

    A lock excludes other processes.
    """
    with lock(path):
        write_results(path, compute_results(read_results(path)))


def add_results(path: Path, results: dict[str, Any]) -> None:
    """Add results to a file. They replace stored results with the same names."""
    update_results(path, lambda stored: {**stored, **results})


def choose_report_entries(results: dict[str, Any], run_entries: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a dict from the names of studies to the entries that the report shows.

    `results` contains the entries of all runs, with keys of the form "data.study". `run_entries` contains the entries
    of this run. In each returned entry, `data` is the name of the data set, and `earlier` is whether an earlier run
    produced the entry.

    The report uses one data set for the studies of the assignment and one for the studies of the homework: the data set
    of this run, or the best data set of earlier runs. Results of other versions of fastlin are omitted, because their
    format may differ.
    """
    chosen_entries: dict[str, dict[str, Any]] = {}
    for studies in (STUDIES, CIFAR10_STUDIES):
        entry_keys = [entry_key for entry_key in results if entry_key.partition(".")[2] in studies]
        keys_of_this_version = [
            entry_key for entry_key in entry_keys if results[entry_key].get("version") == __version__
        ]
        # The digits are only used in place of an unavailable data set.
        preferred_key = min(
            keys_of_this_version,
            key=lambda entry_key: (entry_key not in run_entries, entry_key.startswith("digits.")),
            default="",
        )
        data = preferred_key.partition(".")[0]
        for study in studies:
            if (entry_key := f"{data}.{study}") in keys_of_this_version:
                chosen_entries[study] = {**results[entry_key], "data": data, "earlier": entry_key not in run_entries}
    return chosen_entries
