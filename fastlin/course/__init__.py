"""The course: models, trainers, data sets, studies of the student reports, figures and the HTML report.

User scripts import `fastlin.trainers` and `fastlin.datasets`. Lower layers do not import this package.
"""

from types import ModuleType
from typing import Any


def find_functions_with_prefix(prefix: str, *modules: ModuleType) -> dict[str, Any]:
    """Return a dict of the functions whose names begin with a prefix; its keys are the names without the prefix."""
    members = (member for module in modules for member in vars(module).items())
    return {name.removeprefix(prefix): function for name, function in members if name.startswith(prefix)}
