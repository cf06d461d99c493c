"""The course: its models and trainers, its data sets, the studies of its reports, their pictures and their page.

Scripts import `fastlin.trainers` and `fastlin.datasets`. Lower layers do not import this package.
"""

from types import ModuleType
from typing import Any


def find_functions(prefix: str, *modules: ModuleType) -> dict[str, Any]:
    """Return the functions of modules whose names begin with a prefix, by the rest of their names."""
    found = (pair for module in modules for pair in vars(module).items())
    return {name.removeprefix(prefix): function for name, function in found if name.startswith(prefix)}
