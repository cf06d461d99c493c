"""What type checkers see in fastlin: annotations of the public interface, and lazily imported names."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from repository import ESTIMATORS, PACKAGE, files, list_documented_names, parse

import fastlin
from fastlin import typing

# Kernels have no annotations: the compiler infers types, and any change to a file would recompile its kernels.
UNANNOTATED_PACKAGE = "kernels"


def is_public(node):
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and re.match(r"[^_]|__.*__$", node.name)


def list_public_functions(tree):
    """Yield the public functions and methods in a file, including methods of private bases of public classes."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in filter(is_public, tree.body):
        bases = [classes[base.id] for base in getattr(node, "bases", []) if getattr(base, "id", None) in classes]
        for class_node in (node, *bases) if node.name in classes else ():
            yield from (method for method in filter(is_public, class_node.body) if isinstance(method, ast.FunctionDef))
        if isinstance(node, ast.FunctionDef):
            yield node


def test_public_functions_and_methods_are_annotated():
    paths = [path for path in files("fastlin") if path.relative_to(PACKAGE).parts[0] != UNANNOTATED_PACKAGE]
    functions = [(path, function) for path in paths for function in list_public_functions(parse(path))]
    for path, function in functions:
        parameters = [argument for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
        annotations = [argument.annotation for argument in parameters if argument.arg not in ("self", "cls")]
        assert None not in (function.returns, *annotations), f"{path}::{function.name}"


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_attributes_that_docstrings_describe_have_types(estimator):
    names = list_documented_names(estimator, "Attributes")
    assert "classes_" in names
    typed_names = {name for base in estimator.__mro__ for name in vars(base).get("__annotations__", {})}
    assert names - typed_names == set()


def test_every_type_alias_has_a_docstring():
    body = parse(Path(typing.__file__)).body
    aliases = {
        node.target.id: isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign)
    }
    assert aliases.keys() | {"ArrowTable"} == set(typing.__all__)
    assert all(aliases.values())


@pytest.mark.parametrize("package", [fastlin, fastlin.estimators])
def test_type_checkers_see_lazily_imported_names(package):
    tree = parse(Path(package.__file__))
    checked = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {alias.name for node in checked.body for alias in node.names}
    assert imported == {*package._LAZY_ATTRIBUTES, *getattr(package, "_LAZY_MODULES", ())}
