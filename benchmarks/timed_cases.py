"""A process that times cases, by default those of `asv_history`, whose names it reads from the standard input.

Processes with an earlier commit import this file, so it only uses the public API of fastlin.
"""

import json
import sys
import warnings
from time import perf_counter

from benchmarks.asv_history import CASES

# Seconds of the calls of a case per measurement.
MEASURED_SECONDS = 0.15


def serve_cases(cases=CASES):
    """Time the cases that the parent process names, and print the shortest time of each.

    Each case has a function that loads rows, and a function of these rows that is timed.
    """
    warnings.simplefilter("ignore")
    rows_by_case = {}
    for line in sys.stdin:
        load, call = cases[line.rstrip("\n")]
        if line not in rows_by_case:
            rows_by_case[line] = load()
        rows, seconds = rows_by_case[line], []
        # The first call is not timed. It may load or compile code, and it fills the caches.
        call(*rows)
        while sum(seconds) < MEASURED_SECONDS:
            begin = perf_counter()
            call(*rows)
            seconds.append(perf_counter() - begin)
        print(json.dumps(min(seconds)), flush=True)


if __name__ == "__main__":
    serve_cases()
