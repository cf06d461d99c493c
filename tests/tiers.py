"""The three tiers of tests: what each runs, in which order, and how much it may grow.

| tier | tests | runs where |
| --- | --- | --- |
| default | those without a mark | the test line of the README, `.ci/run` |
| `--thorough` | and those marked `thorough`: processes, types of data, more of scikit-learn's checks | workflow `ci` |
| `--slow` | and those marked `slow`: every type and layout, studies on whole data, builds | `.ci/nightly` |

`--hold-tier` fails where a run has more tests, or more specializations compiled into an empty folder, than
`tests/tiers.json` says. A number there may be raised where the change says what is worth it.
"""

import json
from pathlib import Path

import pytest

OUTCOMES = "passed", "failed", "error", "skipped", "xfailed", "xpassed"
LIMITS = Path(__file__).with_name("tiers.json")
# The files that take longest, the longest first: one of them at the end would keep one process waiting.
LONGEST_FIRST = (
    "test_code_blocks.py",
    "test_proximal_newton.py",
    "test_logistic_regression_cv.py",
    "test_cluster.py",
    "test_collection_folds.py",
    "test_collection_fits.py",
    "test_logistic_regression.py",
    "test_mini_batch_logistic_regression.py",
    "test_objective.py",
    "test_faults.py",
    "test_course.py",
    "test_target.py",
    "test_tiles.py",
    "test_fits_of_blocks.py",
    "test_mlp_classifier.py",
    "test_scikit_learn_interface.py",
    "test_layers.py",
    "test_duality.py",
    "test_architecture.py",
)


def add_options(parser):
    """Add the options that choose a tier and hold it to its numbers."""
    for option, words in (
        ("--thorough", "also run the tests that are marked thorough, as CI does"),
        ("--slow", "run all tests, those that are marked slow too"),
        ("--hold-tier", "fail where more tests run, or more kernels are compiled, than tests/tiers.json says"),
    ):
        parser.addoption(option, action="store_true", help=words)


def name_tier(config):
    return "slow" if config.getoption("--slow") else "thorough" if config.getoption("--thorough") else "default"


def choose_items(config, items):
    """Leave out the tests of higher tiers, and put the files that take longest first."""
    tier = name_tier(config)
    higher = {"default": ("thorough", "slow"), "thorough": ("slow",), "slow": ()}[tier]
    for item in items:
        # scikit-learn gives its checks no marks; this one fits every type of numbers.
        if "check_estimators_dtypes" in item.name:
            item.add_marker(pytest.mark.slow)
    left_out = [item for item in items if any(map(item.get_closest_marker, higher))]
    chosen = [item for item in items if item not in set(left_out)]
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    # The order within a file stays.
    chosen.sort(key=lambda item: place.get(item.path.name, len(place)))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = chosen


def find_suboptimality(tier, found, limits):
    """Return a sentence for each number of a tier that is above its limit."""
    return [
        f"The tier {tier} has {number} {what}, and tests/tiers.json allows {limits[tier][what]}."
        for what, number in found.items()
        if number > limits[tier][what]
    ]


def hold_tier(session, folder):
    """Let the session fail where the tier has outgrown its numbers; folder is that of compiled kernels."""
    tier = name_tier(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    n_run = sum(len(reporter.stats.get(outcome, ())) for outcome in OUTCOMES)
    found = {"tests": n_run, "specializations": len(list(folder.rglob("*.nbc")))}
    reporter.write_line(f"\ntier {tier}: {found['tests']} tests, {found['specializations']} compiled specializations")
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))
    for sentence in find_suboptimality(tier, found, limits):
        reporter.write_line(sentence, red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
