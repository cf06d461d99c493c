"""What a study is given and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fastlin.course.datasets import Dataset
from fastlin.course.texts import read_texts

Study: TypeAlias = Callable[["Settings"], "Results"]
# How models and networks are trained.
SETTINGS = read_texts("studies", "settings.toml")


@dataclass(frozen=True, eq=False)
class Settings:
    """The input of every study in one run."""

    data: Dataset
    quick: bool = False  # fewer epochs, rows and seeds, only to see that everything works
    seed: int = 0
    # What the study works on, and where it counts its work the part that is done, from 0 to 1.
    notify: Callable[..., None] = lambda what, part=None: None
    folder: Path | None = None  # where a study that can be continued keeps its records; None keeps none
    draws: int = 100  # of the random search


@dataclass(frozen=True)
class Results:
    """The findings of a study."""

    parameters: dict[str, Any]  # what was run, as plain values
    metrics: dict[str, Any]  # the results, as plain values
    series: dict[str, Any] = field(default_factory=dict)  # histories and arrays to draw
