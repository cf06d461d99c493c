"""The course: models and trainers, data sets, the studies of the student reports, their figures and the HTML report.

User scripts import `fastlin.trainers` and `fastlin.datasets`. Lower layers do not import this package.
"""

from types import ModuleType
from typing import Any


def find_functions(prefix: str, *modules: ModuleType) -> dict[str, Any]:
    """Return the functions of modules whose names begin with a prefix, by their names without the prefix."""
    members = (member for module in modules for member in vars(module).items())
    return {name.removeprefix(prefix): function for name, function in members if name.startswith(prefix)}
