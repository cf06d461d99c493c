"""What type checkers see of fastlin: annotations of all that is public, and names that are imported later."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from repository import PACKAGE, files, parse

import fastlin
from fastlin import typing

ESTIMATORS = (
    fastlin.LogisticRegression,
    fastlin.LogisticRegressionCV,
    fastlin.MLPClassifier,
    fastlin.MiniBatchLogisticRegression,
)
# Of kernels the docstring is the contract: the compiler finds the types, and any change of a file compiles it anew.
WITHOUT_ANNOTATIONS = "kernels"


def is_public(name):
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def public_functions(tree):
    """Yield the public functions and methods of a file, those of private bases of public classes among them."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and is_public(node.name):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
            for each in (node, *bases):
                for method in each.body:
                    if isinstance(method, ast.FunctionDef) and is_public(method.name):
                        yield f"{node.name}.{method.name}", method


def is_annotated(function, is_method):
    """Say whether all parameters but the first one of a method have annotations, and what is returned."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    skipped = is_method and not any(ast.unparse(each) == "staticmethod" for each in function.decorator_list)
    parameters = [*named[skipped:], *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return function.returns is not None and all(each is None or each.annotation is not None for each in parameters)


def test_public_functions_and_methods_are_annotated():
    missing = []
    for path in files("fastlin"):
        place = path.relative_to(PACKAGE)
        if place.parts[0] != WITHOUT_ANNOTATIONS:
            found = public_functions(parse(path))
            missing += [f"{place}::{name}" for name, each in found if not is_annotated(each, "." in name)]
    assert missing == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_attributes_that_docstrings_describe_have_types(estimator):
    described = NumpyDocString(inspect.getdoc(estimator))["Attributes"]
    names = {name for each in described for name in each.name.split(", ")}
    assert "classes_" in names
    typed = {name for base in estimator.__mro__ for name in vars(base).get("__annotations__", {})}
    assert names - typed == set()


def test_every_alias_is_described():
    body = parse(Path(typing.__file__)).body
    aliases = {
        node.target.id: isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign)
    }
    assert aliases.keys() | {"ArrowTable"} == set(typing.__all__)
    assert all(aliases.values())


@pytest.mark.parametrize("package", [fastlin, fastlin.estimators])
def test_type_checkers_know_what_is_imported_later(package):
    tree = parse(Path(package.__file__))
    checked = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    known = {alias.name for node in checked.body for alias in node.names}
    assert known == {*package._IMPORTED_LATER, *getattr(package, "_ROOMS_IMPORTED_LATER", ())}
