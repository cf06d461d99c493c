"""Access to the repository's files, for tests that check all of them."""

import ast
import configparser
import inspect
from functools import cache
from pathlib import Path

from numpydoc.docscrape import NumpyDocString

import fastlin

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fastlin"
# Public modules except fastlin.estimators.
PUBLIC_MODULES = [
    "benchmarking",
    "blocks",
    "callbacks",
    "dask",
    "datasets",
    "exceptions",
    "figures",
    "inference",
    "patch",
    "trainers",
    "typing",
]
ESTIMATORS = (
    fastlin.LogisticRegression,
    fastlin.LogisticRegressionCV,
    fastlin.MLPClassifier,
    fastlin.MiniBatchLogisticRegression,
    fastlin.FirthLogisticRegression,
)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def read_setup_cfg():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return settings


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def find_nodes(kind, paths):
    """Return the path and the node for each node of a kind in the given files."""
    return [(path, node) for path in paths for node in ast.walk(parse(path)) if isinstance(node, kind)]


def list_documented_names(public_object, section):
    """Return the names that a section of an object's docstring describes."""
    entries = NumpyDocString(inspect.getdoc(public_object))[section]
    return {name for entry in entries for name in entry.name.split(", ")}
