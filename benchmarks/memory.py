"""asv benchmarks of the memory that a fit takes beside X: the peak of a process of its own, in per cent of X.

The process loads X, fits a few rows of the same type, which loads the compiled kernels, and then fits all of it. What
the peak rises by during that last fit is what the fit takes.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import load_data

DTYPES = ("float64", "float32", "uint8")
N_ROWS = 60_000
WARM_UP_ROWS = 500
C = 1.0
STATUS = Path("/proc/self/status")


def read_peak():
    """Return the most bytes of memory that this process has held so far."""
    if STATUS.exists():
        # Linux starts a process's ru_maxrss with the peak of the process that started it, in which X was made.
        kilobytes = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def measure(X, y, C=C):
    """Return the bytes that fastlin's fit takes beside X, at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        # From a file straight into place: what made X would otherwise be the peak already.
        np.save(f"{folder}/X.npy", X)
        np.save(f"{folder}/y.npy", y)
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", folder, str(C)],
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(finished.stdout)


def measure_here(folder, C):
    """Fit the X and y of a folder in this process; return what the peak rises by."""
    from fastlin import LogisticRegression

    X, y = np.load(f"{folder}/X.npy"), np.load(f"{folder}/y.npy")
    model = LogisticRegression(C=C)
    model.fit(X[:WARM_UP_ROWS], y[:WARM_UP_ROWS])
    before = read_peak()
    model.fit(X, y)
    if not model.converged_:
        raise AssertionError("The fit has not converged.")
    return read_peak() - before


def load(dtype, n_rows=N_ROWS):
    """Return MNIST's X, y and the C that means the same for pixels from 0 to 255 as for those from 0 to 1."""
    data = load_data("mnist", n_rows, dtype)
    return data.X_train, data.y_train, C / 255**2 if dtype == "uint8" else C


class PeakMemory:
    """A fit of MNIST, C = 1, default tol."""

    params = list(DTYPES)
    param_names = ("dtype",)
    timeout = 300

    def setup(self, dtype):
        self.problem = load(dtype)

    def track_beside_X(self, dtype):
        return 100 * measure(*self.problem) / self.problem[0].nbytes

    track_beside_X.unit = "% of X"


def main(arguments):
    """Print the table; with a folder and C, which `measure` passes, the bytes that the fit of its data takes."""
    if arguments:
        print(measure_here(arguments[0], float(arguments[1])))
        return
    n_rows = 1_000 if os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1" else N_ROWS
    print(f"{'X':8} {'X, MB':>8} {'fit, MB':>8} {'% of X':>8}")
    for dtype in DTYPES:
        X, y, C = load(dtype, n_rows)
        taken = measure(X, y, C)
        print(f"{dtype:8} {X.nbytes / 1e6:8.1f} {taken / 1e6:8.1f} {100 * taken / X.nbytes:8.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
