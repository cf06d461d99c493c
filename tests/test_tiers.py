"""The tiers of tests, held to what they say of themselves."""

import json
import re
from pathlib import Path

import pytest
import tiers

ROOT = Path(__file__).parent

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.thorough
def test_thorough(): pass

@pytest.mark.slow
@pytest.mark.thorough
def test_both(): pass

def test_default(): pass
"""
PLUGIN = """
import tiers

pytest_addoption = tiers.add_options

def pytest_collection_modifyitems(config, items):
    tiers.choose_items(config, items)
"""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["default"]),
        (["--thorough"], ["thorough", "default"]),
        (["--slow"], ["slow", "thorough", "both", "default"]),
        (["--slow", "--thorough"], ["slow", "thorough", "both", "default"]),
    ],
)
def test_a_tier_runs_its_tests_and_those_below(pytester, options, names):
    pytester.makepyfile(test_any=TESTS)
    pytester.makeconftest(PLUGIN)
    result = pytester.runpytest_inprocess("--collect-only", "-q", *options)
    assert re.findall(r"::test_(\w+)", result.stdout.str()) == names


def test_a_tier_that_has_outgrown_its_numbers_says_so():
    limits = {"default": {"tests": 10, "specialisations": 5}}
    assert tiers.find_excess("default", {"tests": 10, "specialisations": 5}, limits) == []
    found = tiers.find_excess("default", {"tests": 11, "specialisations": 7}, limits)
    assert found == [
        "The tier default has 11 tests, and tests/tiers.json allows 10.",
        "The tier default has 7 specialisations, and tests/tiers.json allows 5.",
    ]
    numbers = json.loads(tiers.LIMITS.read_text(encoding="utf-8"))
    assert list(numbers) == ["default", "thorough", "slow"]
    for what in ("tests", "specialisations"):
        assert numbers["default"][what] <= numbers["thorough"][what] <= numbers["slow"][what]


def test_the_longest_files_exist():
    assert set(tiers.LONGEST_FIRST) <= {path.name for path in ROOT.rglob("test_*.py")}
