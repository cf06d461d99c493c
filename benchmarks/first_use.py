"""asv benchmarks of what the first use costs: the import, the first fit ever and the first fit of a process.

Each time is measured in a process of its own. The first fit ever finds an empty folder for compiled kernels and has to
compile them. The first fit of a process finds compiled kernels and loads what it needs. The fits are of scikit-learn's
digits, 1,797 x 64, and are timed without the imports.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

N_TURNS = 5
IMPORT = """
from time import perf_counter
begin = perf_counter()
import {module}
print(perf_counter() - begin)
"""
FIRST_FIT = """
from time import perf_counter
from sklearn.datasets import load_digits
from {module} import LogisticRegression
X, y = load_digits(return_X_y=True)
model = LogisticRegression(max_iter=1000)
begin = perf_counter()
model.fit(X, y)
print(perf_counter() - begin)
"""
SCIKIT_LEARN = "sklearn.linear_model"


def run(program, cache=None):
    """Run a program in a process of its own, with a folder for compiled kernels; return the seconds that it prints."""
    environment = os.environ if cache is None else {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(finished.stdout)


def run_in_turn(programs, n_turns, cache=None):
    """Run programs in turn and return the median seconds of each.

    Several turns are preceded by one that is left out; it brings the files of the programs into memory.
    """
    seconds = [[] for _ in programs]
    n_ahead = 1 if n_turns > 1 else 0
    for _ in range(n_ahead + n_turns):
        for program, times in zip(programs, seconds, strict=True):
            times.append(run(program, cache))
    return [median(times[n_ahead:]) for times in seconds]


def measure_import(n_turns=N_TURNS):
    """Return the seconds of `import fastlin` and of `import sklearn.linear_model`."""
    return run_in_turn([IMPORT.format(module=module) for module in ("fastlin", SCIKIT_LEARN)], n_turns)


def measure_first_fits(n_turns=N_TURNS):
    """Return the seconds of the first fit ever, of the first fit of a process, and of scikit-learn's."""
    programs = [FIRST_FIT.format(module=module) for module in ("fastlin", SCIKIT_LEARN)]
    with tempfile.TemporaryDirectory() as cache:
        # The first fit ever happens once, as for a user. The later processes load the kernels that it leaves.
        ever = run(programs[0], cache)
        return ever, *run_in_turn(programs, n_turns, cache)


class FirstUse:
    """The import and the first fits beside scikit-learn's."""

    timeout = 300

    def track_import(self):
        ours, theirs = measure_import()
        return ours - theirs

    track_import.unit = "s more than sklearn.linear_model"

    def track_first_fit_ever(self):
        return measure_first_fits(1)[0]

    track_first_fit_ever.unit = "s"

    def track_first_fit_of_a_process(self):
        _, ours, theirs = measure_first_fits()
        return ours - theirs

    track_first_fit_of_a_process.unit = "s more than scikit-learn's"


def main():
    """Measure and print all times."""
    n_turns = 1 if os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1" else N_TURNS
    ours, theirs = measure_import(n_turns)
    print(f"import: fastlin {ours:.3f} s, sklearn.linear_model {theirs:.3f} s, {ours - theirs:+.3f} s", flush=True)
    ever, ours, theirs = measure_first_fits(n_turns)
    print(f"first fit ever, empty cache: {ever:.2f} s")
    print(f"first fit of a process: fastlin {ours:.3f} s, scikit-learn {theirs:.3f} s, {ours - theirs:+.3f} s")


if __name__ == "__main__":
    main()
