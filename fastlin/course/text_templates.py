"""Reads texts from TOML files, and replaces placeholders in braces with values from the results of a study."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

DATASET_TITLES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "digits": "scikit-learn's 8 × 8 digits",
    "synthetic": "synthetic data",
    "table": "your table",
}
# A placeholder contains the path of a value and, optionally, a colon and a format for numbers.
PLACEHOLDER_PATTERN = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


def read_toml(package: str, file: str) -> dict[str, Any]:
    """Return the contents of a TOML file in a package of the course."""
    return tomllib.loads(files(f"fastlin.course.{package}").joinpath(file).read_text(encoding="utf-8"))


def find(values: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as "by_lambda/1/roughness"; raise KeyError(path) if the path does not exist."""
    value: Any = values
    for key in path.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(path)
        value = value[key]
    return value


def fill_placeholders(text: str, values: Mapping[str, Any]) -> str:
    """Replace the placeholders in a text with their values; the values of a dict or a list are joined by commas."""
    return PLACEHOLDER_PATTERN.sub(lambda match: _format(find(values, match[1]), match[2] or ""), text)


def _format(value, format_spec):
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return ", ".join(_format(item, format_spec) for item in value)
    # Lines can break after a hyphen but not after a minus sign. The exponent of a number keeps its hyphen.
    return "never" if value is None else re.sub("^-", "−", format(value, format_spec))
