"""The files of the repository, for the tests that look at all of them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fastlin"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def files(*folders):
    """Return the Python files of folders of the repository."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
