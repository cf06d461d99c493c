"""The speed of this commit compared with an earlier one, in fits that alternate between two processes.

``python -m benchmarks.commits COMMIT`` prints the ratio of the times of each case of `asv_history`, with a 95 %
confidence interval, and fails if a whole interval is above SLOWDOWN_LIMIT. Other programs slow both processes alike, so
the ratio changes by a few percent although the times may double.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack, closing

from benchmarks.asv_history import CASES
from benchmarks.random_fits import ROOT, extract_package
from fastlin.benchmarking.timing import summarize_ratios

SLOWDOWN_LIMIT = 1.15
N_ROUNDS = 12


class CaseProcess:
    """A process that imports fastlin from a folder and runs a module, with arguments, that times cases by name."""

    def __init__(self, folder, module="benchmarks.timed_cases", *arguments, **environment_variables):
        command = sys.executable, "-P", "-m", module, *arguments
        environment = {**os.environ, **environment_variables, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, case):
        """Return the shortest time of a case."""
        print(case, file=self._process.stdin, flush=True)
        return float(json.loads(self._process.stdout.readline()))

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()


def compare_processes(processes, cases, n_rounds=N_ROUNDS):
    """Yield each case and the summary of its ratios, the time of the second of two processes divided by the first's."""
    for case in cases:
        # The first round is not counted.
        for process in processes:
            process.measure(case)
        ratios = []
        for number in range(n_rounds):
            # The order alternates, because the second process finds the caches of the processor filled.
            order = (0, 1) if number % 2 else (1, 0)
            seconds = {index: processes[index].measure(case) for index in order}
            ratios.append(seconds[1] / seconds[0])
        yield case, summarize_ratios(ratios)


def main(arguments=None):
    """Compare this commit with an earlier one, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__.splitlines()[0])
    parser.add_argument("commit", nargs="?", default="HEAD", help="the earlier commit")
    options = parser.parse_args(arguments)
    slower_cases = []
    with ExitStack() as stack:
        folder = stack.enter_context(extract_package(options.commit))
        processes = [stack.enter_context(closing(CaseProcess(path))) for path in (folder, ROOT)]
        for case, summary in compare_processes(processes, CASES):
            low, high = summary["interval"]
            print(f"{case}: {summary['ratio']:.3f} ({low:.2f} to {high:.2f}) times as long as before")
            slower_cases += [case] if low > SLOWDOWN_LIMIT else []
    if slower_cases:
        print(f"More than {SLOWDOWN_LIMIT:g} times as long as before: {'; '.join(slower_cases)}.")
    return 1 if slower_cases else 0


if __name__ == "__main__":
    sys.exit(main())
