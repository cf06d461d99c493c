"""The tiers select the documented tests and enforce limits."""

import json
import re
from pathlib import Path

import pytest
import tiers

pytest_plugins = ["pytester"]

TEST_FILE = """
import pytest
slow, thorough = pytest.mark.slow, pytest.mark.thorough

@pytest.mark.parametrize("tier", [
    pytest.param("slow", marks=slow), pytest.param("thorough", marks=thorough),
    pytest.param("both", marks=[slow, thorough]), "default",
])
def test_any(tier): pass
"""
PLUGIN_FILE = "import tiers\npytest_addoption = tiers.add_options\npytest_collection_modifyitems = tiers.select_tests\n"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("", "default"),
        ("--thorough", "thorough default"),
        ("--slow", "slow thorough both default"),
        ("--slow --thorough", "slow thorough both default"),
    ],
)
def test_a_tier_runs_its_tests_and_those_below(pytester, options, names):
    pytester.makepyfile(test_any=TEST_FILE)
    pytester.makeconftest(PLUGIN_FILE)
    result = pytester.runpytest_inprocess("--collect-only", "-q", *options.split())
    assert re.findall(r"::test_any\[(\w+)", result.stdout.str()) == names.split()


def test_exceeded_limits_are_described():
    numbers = json.loads(tiers.LIMITS.read_text(encoding="utf-8"))
    assert tiers.find_exceeded_limits("slow", numbers["slow"], numbers) == []
    assert len(tiers.find_exceeded_limits("default", numbers["slow"], numbers)) == 2
    assert list(numbers) == ["default", "thorough", "slow"]
    for what in ("tests", "specializations"):
        assert numbers["default"][what] <= numbers["thorough"][what] <= numbers["slow"][what]
    assert set(tiers.SLOWEST_FILES) <= {path.name for path in Path(__file__).parent.rglob("test_*.py")}
