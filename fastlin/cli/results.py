"""results.json: what the studies found, in a file that is either written whole or not changed at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastlin import __version__
from fastlin.cli.arguments import CommandError
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.file_system import lock, write_whole

if TYPE_CHECKING:
    from pathlib import Path


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
    for studies in (STUDIES, CIFAR10_STUDIES):
        titles = [title for title in results if title.partition(".")[2] in studies]
        known = [title for title in titles if results[title].get("version") == __version__]
        # Digits stand in for a data set that is not there.
        best = min(known, key=lambda title: (title not in found, title.startswith("digits.")), default="")
        data = best.partition(".")[0]
        for study in studies:
            if (title := f"{data}.{study}") in known:
                chosen[study] = {**results[title], "data": data, "earlier": title not in found}
    return chosen
