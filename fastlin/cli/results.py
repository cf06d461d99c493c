"""results.json: what the studies found, in a file that is either written whole or not changed at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastlin import __version__
from fastlin.cli.arguments import CommandError
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.places import lock, write_whole

if TYPE_CHECKING:
    from pathlib import Path

# The data sets on which a study is looked for where this run did not say, the best one first.
PREFERRED = {"course": ("mnist", "digits"), "homework": ("cifar10", "digits")}


def read_results(path: Path) -> dict[str, Any]:
    """Return the results in a file as a dict, empty where there is no file; a file that cannot be read is an error."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        lost = "They would be lost: mend the file or move it away, and try again"
        raise CommandError(f"cannot read the results in {path}: {error}. {lost}") from error


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write results, so that an interrupted run leaves no half-written file."""
    with write_whole(path) as part:
        part.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def change_results(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write what a function makes of the results in a file; of several processes none loses what another wrote."""
    with lock(path):
        write_results(path, change(read_results(path)))


def add_results(path: Path, results: dict[str, Any]) -> None:
    """Add results to those in a file; what has the same name is replaced."""
    change_results(path, lambda former: {**former, **results})


def choose_entries(results: dict[str, Any], found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entry of each study that the report shows, by the name of the study.

    An entry gets its data set as `data`, and in `earlier` whether it is of an earlier run. results has all runs by
    "data.study", and found this run only.

    The assignment's studies are shown on one data set, and so are the homework's: the data set of this run, or else the
    best one of earlier runs. Results of another version of fastlin are left out, since the report may not know them.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for kind, studies in (("course", STUDIES), ("homework", CIFAR10_STUDIES)):
        of_this_run = [data for data, _, study in (title.partition(".") for title in found) if study in studies]
        for data in (*of_this_run, *PREFERRED[kind]):
            entries = {study: results.get(f"{data}.{study}", {}) for study in studies}
            known = {study: entry for study, entry in entries.items() if entry.get("version") == __version__}
            if known:
                chosen |= {
                    study: {**entry, "data": data, "earlier": f"{data}.{study}" not in found}
                    for study, entry in known.items()
                }
                break
    return chosen
