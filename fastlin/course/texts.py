"""Texts that are data: those with braces are filled with what a study found, named by its path in the results."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

DATA_NAMES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "digits": "scikit-learn's 8 × 8 digits",
    "synthetic": "synthetic data",
    "table": "your table",
}
# What was found in a text: its path and, after a colon, the format of its numbers.
PLACE = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


def read_texts(package: str, file: str) -> dict[str, Any]:
    """Return the contents of a TOML file of a package of the course."""
    return tomllib.loads(files(f"fastlin.course.{package}").joinpath(file).read_text(encoding="utf-8"))


def find(found: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as "by_lambda/1/roughness"; KeyError(path) where there is none."""
    value: Any = found
    for key in path.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(path)
        value = value[key]
    return value


def write(text: str, found: Mapping[str, Any]) -> str:
    """Fill the braces of a text with the values that they name; those of a dict or a list are joined by commas."""
    return PLACE.sub(lambda place: _format(find(found, place[1]), place[2] or ""), text)


def _format(value, form):
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return ", ".join(_format(one, form) for one in value)
    # A line does not break after a minus, as it may after a hyphen; the exponent of a number keeps its hyphen.
    return "never" if value is None else re.sub("^-", "−", format(value, form))
