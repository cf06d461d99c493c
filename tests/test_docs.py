"""What the documents name exists: functions and tests of the derivations, and the test line that CI runs."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`([\w/]+\.py)::([\w.]+)`", (ROOT / "docs" / "derivations.md").read_text(encoding="utf-8"))


def definitions(path):
    """Return the names of functions, and of methods as Class.method, in a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
    return names


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_the_derivations_name_what_exists(file, name):
    assert name in definitions(ROOT / file)


def test_every_section_of_the_derivations_names_code_and_test():
    sections = (ROOT / "docs" / "derivations.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(sections) == 7
    for section in sections:
        assert "- Computed by `fastlin/" in section
        assert "- Checked by `tests/" in section


def test_the_readme_has_the_two_lines():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fastlin reproduce" in lines
    assert sum(bool(re.fullmatch(r"python3 -m venv \.venv && .*\[test\].* pytest", line)) for line in lines) == 1
