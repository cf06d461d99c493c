"""The three tiers of tests: what each runs, in which order, and how much it may grow.

| tier | tests | runs where |
| --- | --- | --- |
| default | those without a mark | the test line of the README, `.ci/run` |
| `--thorough` | and those marked `thorough`: processes, types of data, more of scikit-learn's checks | workflow `ci` |
| `--slow` | and those marked `slow`: every type and layout, studies on whole data, builds | `.ci/nightly` |

Two thirds of the time with an empty cache go to the compiler, so a tier is held to a number of compiled specialisations
too: `--hold-tier` fails where a run has more of them, or more tests, than `tests/tiers.json` says, and where a file
takes a larger part of the processor's time. It needs an empty folder of compiled kernels. A number there may be raised
where the change says what is worth it.
"""

import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path

import pytest
from numba.core import event

LIMITS = Path(__file__).with_name("tiers.json")
# The files that take longest, the longest first: one of them at the end would keep one process waiting.
LONGEST_FIRST = (
    "test_code_blocks.py",
    "test_proximal_newton.py",
    "test_logistic_regression_cv.py",
    "test_cluster.py",
    "test_folds_of_collections.py",
    "test_fits_of_collections.py",
    "test_logistic_regression.py",
    "test_mini_batch_logistic_regression.py",
    "test_objective.py",
    "test_faults.py",
    "test_course.py",
    "test_target.py",
    "test_products.py",
    "test_tiles.py",
    "test_fits_of_blocks.py",
    "test_mlp_beside_scikit_learn.py",
    "test_scikit_learn_interface.py",
    "test_layers.py",
    "test_duality.py",
    "test_architecture.py",
)
# A file may take so many times its seconds, on a machine as fast as the median of the files says. Two runs of the same
# tests beside other programs differ by a third.
ROOM = 1.6
# Files that a held run shows.
N_SHOWN = 15


class Stopwatch(event.Listener):
    """The processor's seconds of this process and its children, those of the compiler in this process apart.

    Which file compiles what two of them need changes from run to run, and with it what a file takes in all.
    """

    def __init__(self):
        self.compiled, self._depth, self._began = 0.0, 0, 0.0
        self._seen = self._seen_compiled = 0.0
        event.register("numba:compile", self)

    def on_start(self, _):
        self._depth += 1
        if self._depth == 1:
            self._began = time.thread_time()

    def on_end(self, _):
        self._depth -= 1
        if not self._depth:
            self.compiled += time.thread_time() - self._began

    def lap(self):
        """Return the seconds of all but the compiler, and those of the compiler, since the last call."""
        times, compiled = os.times(), self.compiled
        now = time.process_time() + times.children_user + times.children_system
        lap = now - self._seen - (compiled - self._seen_compiled), compiled - self._seen_compiled
        self._seen, self._seen_compiled = now, compiled
        return lap


STOPWATCH = Stopwatch()


def add_options(parser):
    """Add the options that choose a tier and hold it to its numbers."""
    parser.addoption("--thorough", action="store_true", help="also run the tests that are marked thorough, as CI does")
    parser.addoption("--slow", action="store_true", help="run all tests, those that are marked slow too")
    parser.addoption(
        "--hold-tier",
        action="store_true",
        help="fail where more tests run, more kernels are compiled into an empty folder, or a file takes longer than "
        "tests/tiers.json says",
    )


def name_tier(config):
    """Return the name of the tier that was asked for."""
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
    # The imports are no test's.
    STOPWATCH.lap()


def note_seconds(report):
    """Let the report of a test's setup, call or teardown carry the seconds since the one before."""
    report.user_properties = [*report.user_properties, ("seconds", STOPWATCH.lap())]


def count_seconds(terminal_reporter):
    """Return the processor's seconds of each file without those of the compiler, and those of the compiler."""
    working, compiling = Counter(), Counter()
    for reports in terminal_reporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "seconds":
                    file = report.nodeid.partition("::")[0]
                    working[file] += value[0]
                    compiling[file] += value[1]
    return working, compiling


def count_run(terminal_reporter):
    """Return how many tests have run, the skipped ones included."""
    outcomes = "passed", "failed", "error", "skipped", "xfailed", "xpassed"
    return sum(len(terminal_reporter.stats.get(outcome, ())) for outcome in outcomes)


def find_excess(tier, found, limits):
    """Return a sentence for each number of a tier that is above its limit."""
    return [
        f"The tier {tier} has {number} {what}, and tests/tiers.json allows {limits[tier][what]}."
        for what, number in found.items()
        if number > limits[tier][what]
    ]


def find_slower(tier, seconds, limits):
    """Return a sentence for each file that takes more of the tier's time than tests/tiers.json allows.

    limits has the seconds of the files that take longest, on one machine; all others are to take less than these.
    """
    held = limits[tier].get("seconds")
    if not held or not held.keys() <= seconds.keys():
        # A part of the tier says nothing of the machine.
        return []
    speed = statistics.median(seconds[file] / held[file] for file in held)
    least = min(held.values())
    return [
        f"{file} takes {number:.0f} s of the processor, and tests/tiers.json allows {allowed:.0f} on this machine."
        for file, number in sorted(seconds.items())
        if number > (allowed := ROOM * speed * held.get(file, least))
    ]


def hold_tier(session, folder):
    """Let the session fail where the tier has outgrown its numbers; folder is that of compiled kernels."""
    tier = name_tier(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    found = {"tests": count_run(reporter), "specialisations": len(list(folder.rglob("*.nbc")))}
    reporter.write_line(f"\ntier {tier}: {found['tests']} tests, {found['specialisations']} compiled specialisations")
    working, compiling = count_seconds(reporter)
    reporter.write_line(f"seconds of the processor: {working.total():.0f}, and {compiling.total():.0f} of the compiler")
    for file, seconds in working.most_common(N_SHOWN):
        reporter.write_line(f"{seconds:6.1f} {compiling[file]:6.1f}  {file}")
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))
    for sentence in find_excess(tier, found, limits) + find_slower(tier, working, limits):
        reporter.write_line(sentence, red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
