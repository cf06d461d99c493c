"""The three test tiers: the tests in each tier, the order in which they run, and limits.

| tier | tests | run by |
| --- | --- | --- |
| default | tests without a mark | the test line of the README, `.ci/run` |
| `--thorough` | also tests marked `thorough`: processes, types of data, more of scikit-learn's checks | workflow `ci` |
| `--slow` | also tests marked `slow`: every type and layout, studies on whole data, builds | `.ci/nightly` |

`--hold-tier` fails if a run has more tests, or compiles more specializations into an empty folder, than
`tests/tiers.json` allows. A change that raises a limit must give the reason.
"""

import json
from pathlib import Path

import pytest

OUTCOMES = "passed", "failed", "error", "skipped", "xfailed", "xpassed"
LIMITS = Path(__file__).with_name("tiers.json")
# The slowest files, in order. If one of them ran last, the other process would be idle.
SLOWEST_FILES = (
    "test_code_blocks.py",
    "test_proximal_newton.py",
    "test_logistic_regression_cv.py",
    "test_cluster.py",
    "test_collection_folds.py",
    "test_collection_fits.py",
    "test_logistic_regression.py",
    "test_mini_batch_logistic_regression.py",
    "test_objective.py",
    "test_robustness.py",
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
    """Add the options that choose a tier and check its limits."""
    for option, description in (
        ("--thorough", "also run the tests that are marked thorough, as CI does"),
        ("--slow", "run all tests, those that are marked slow too"),
        ("--hold-tier", "fail if more tests run, or more kernels are compiled, than tests/tiers.json allows"),
    ):
        parser.addoption(option, action="store_true", help=description)


def get_tier(config):
    return "slow" if config.getoption("--slow") else "thorough" if config.getoption("--thorough") else "default"


def select_tests(config, items):
    """Deselect the tests of higher tiers, and run the slowest files first."""
    tier = get_tier(config)
    higher_tiers = {"default": ("thorough", "slow"), "thorough": ("slow",), "slow": ()}[tier]
    for item in items:
        # scikit-learn's checks have no marks. This check fits every numeric type.
        if "check_estimators_dtypes" in item.name:
            item.add_marker(pytest.mark.slow)
    deselected = [item for item in items if any(map(item.get_closest_marker, higher_tiers))]
    chosen = [item for item in items if item not in set(deselected)]
    order = {name: number for number, name in enumerate(SLOWEST_FILES)}
    # The order within each file does not change.
    chosen.sort(key=lambda item: order.get(item.path.name, len(order)))
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    items[:] = chosen


def find_exceeded_limits(tier, counts, limits):
    """Return a sentence for each limit that a tier exceeds."""
    return [
        f"The tier {tier} has {number} {what}, and tests/tiers.json allows {limits[tier][what]}."
        for what, number in counts.items()
        if number > limits[tier][what]
    ]


def check_limits(session, folder):
    """Fail the session if the tier exceeds a limit. `folder` contains the compiled kernels."""
    tier = get_tier(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    n_run_tests = sum(len(reporter.stats.get(outcome, ())) for outcome in OUTCOMES)
    counts = {"tests": n_run_tests, "specializations": len(list(folder.rglob("*.nbc")))}
    reporter.write_line(f"\ntier {tier}: {counts['tests']} tests, {counts['specializations']} compiled specializations")
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))
    for sentence in find_exceeded_limits(tier, counts, limits):
        reporter.write_line(sentence, red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
