"""What a study is given and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fastlin.course.datasets import Dataset

Study: TypeAlias = Callable[["Settings"], "Results"]


@dataclass(frozen=True, eq=False)
class Settings:
    """What every study of one run is given.

    A quick study takes fewer epochs, rows and seeds, only to see that everything works. A study calls
    ``notify(what, part=None)`` with a few words on what it is working on and, where it counts its work, with the part
    that is done, from 0 to 1. In `folder` a study that can be continued keeps its records; with None it keeps nothing.
    `draws` are those of a random search.
    """

    data: Dataset
    quick: bool = False
    seed: int = 0
    notify: Callable[..., None] = lambda what, part=None: None
    folder: Path | None = None
    draws: int = 100


@dataclass(frozen=True)
class Results:
    """What a study found: parameters (what was run) and merits (the results) as plain values, and series.

    The series are what is drawn: histories and arrays.
    """

    parameters: dict[str, Any]
    merits: dict[str, Any]
    series: dict[str, Any] = field(default_factory=dict)
