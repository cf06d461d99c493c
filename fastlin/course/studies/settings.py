"""The input and the output of a study."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fastlin.course.datasets import Dataset
from fastlin.course.text_templates import read_toml

Study: TypeAlias = Callable[["Settings"], "Results"]
# Training settings of models and networks.
SETTINGS = read_toml("studies", "settings.toml")


@dataclass(frozen=True, eq=False)
class Settings:
    """The input of every study in one run."""

    data: Dataset
    quick: bool = False  # whether to use fewer epochs, rows and seeds for a test run
    seed: int = 0
    # Called with the current step and, if known, the completed fraction of the study from 0 to 1.
    notify: Callable[..., None] = lambda step, fraction=None: None
    folder: Path | None = None  # the folder for records of a study that can be resumed; None stores no records
    draws: int = 100  # the number of draws of the random search


@dataclass(frozen=True)
class Results:
    """The results of a study."""

    parameters: dict[str, Any]  # the settings of the study, as plain values
    metrics: dict[str, Any]  # the results, as plain values
    series: dict[str, Any] = field(default_factory=dict)  # histories and arrays for figures
