"""The public interface matches interface.txt. Each change of the interface requires a changelog entry.

``python tests/test_interface.py`` rewrites interface.txt.
"""

import difflib
import inspect
from importlib import import_module
from pathlib import Path

from repository import PUBLIC_MODULES, list_documented_names

FILE = Path(__file__).parent / "interface.txt"
PUBLIC_MODULE_NAMES = ("fastlin", "fastlin.estimators", *(f"fastlin.{module}" for module in PUBLIC_MODULES))
INTERFACE_CHANGE_HELP = (
    "The public interface has changed. If that is intended, run `python tests/test_interface.py` and add a line to "
    "CHANGELOG.md; docs/deprecations.md lists which changes are allowed when."
)


def describe_signature(function):
    """Return a function's parameters and defaults. Annotations are not part of the interface."""
    parameters = inspect.signature(function).parameters.values()
    return str(inspect.Signature([parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]))


def describe_class(name, kind):
    """Yield a line for a class and one for each method and attribute that fastlin defines."""
    if issubclass(kind, BaseException):
        yield f"{name}({', '.join(base.__name__ for base in kind.__bases__)})"
        return
    yield f"{name}{'' if getattr(kind, '_is_protocol', False) else describe_signature(kind)}"
    ours = [base for base in kind.__mro__ if base.__module__.split(".")[0] == "fastlin"]
    # scikit-learn generates the methods for setting metadata requests.
    names = {
        member
        for base in ours
        for member in vars(base)
        if not member.startswith("_") and not member.endswith("_request")
    }
    attributes = list_documented_names(kind, "Attributes")
    for member in sorted(names):
        if callable(getattr(kind, member)) and not isinstance(inspect.getattr_static(kind, member), type):
            yield f"{name}.{member}{describe_signature(getattr(kind, member))}"
        else:
            attributes.add(member)
    yield from (f"{name}.{member}" for member in sorted(attributes))


def describe_interface():
    """Return the lines of the interface. Each object is described once, under the first module that contains it."""
    lines, first_names_by_id = [], {}
    for module in PUBLIC_MODULE_NAMES:
        for member in sorted(import_module(module).__all__):
            name, value = f"{module}.{member}", getattr(import_module(module), member)
            is_definition = inspect.isclass(value) or inspect.isfunction(value)
            if is_definition and id(value) in first_names_by_id:
                lines.append(f"{name} = {first_names_by_id[id(value)]}")
                continue
            first_names_by_id[id(value)] = name
            if inspect.isclass(value):
                lines += describe_class(name, value)
            else:
                lines.append(name + (describe_signature(value) if inspect.isfunction(value) else ""))
    return lines


def test_the_interface_is_the_one_of_interface_txt():
    changed = difflib.unified_diff(
        FILE.read_text(encoding="utf-8").splitlines(), describe_interface(), "then", "now", lineterm="", n=0
    )
    assert not (differences := "\n".join(changed)), f"{INTERFACE_CHANGE_HELP}\n{differences}"


if __name__ == "__main__":
    FILE.write_text("\n".join(describe_interface()) + "\n", encoding="utf-8")
