"""asv benchmarks of the memory that a fit takes beside X: the peak of a process of its own, in per cent of X.

The process loads X and fits it twice; the first fit loads the compiled kernels. What the peak rises by during the
second is what the fit takes. It may take a transposed copy of X where X is sparse or the penalty L1, a fifth of X, an
array (n, K) where that is no more than 64 MB or X, and the solver's vectors of the coefficients' size. Linux alone lets
a process reset its peak.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, issparse

from benchmarks.common import load_data
from benchmarks.sparse_data import make_text

N_ROWS = 60_000
L1_ROWS = 10_000
SHARE_OF_X = 0.2
MOST_SCORES = 64 << 20
# L-BFGS holds the most vectors: two for each of 20 to 35 pairs.
N_VECTORS = 80
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Arrays of a megabyte and more go back to the system when they are freed; malloc would come to keep those below 32.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


@dataclass(frozen=True)
class Case:
    """A fit whose memory is measured.

    Attributes
    ----------
    load : callable
        From a number of rows (None: all) to X, y and the parameters of the estimator.
    smoke_rows : int
    """

    load: Callable
    smoke_rows: int = 1_000


def _load_mnist(n_rows, dtype, n_all=N_ROWS, C=1.0, **parameters):
    """Return MNIST's X and y, and the C that means the same for pixels from 0 to 255 as for those from 0 to 1."""
    data = load_data("mnist", n_rows or n_all, dtype)
    return data.X_train, data.y_train, {"C": C / 255**2 if dtype == "uint8" else C, **parameters}


def _load_text(n_rows, **parameters):
    data = make_text(n_rows) if n_rows else make_text()
    return data.X_train, data.y_train, parameters


CASES = {
    **{f"MNIST, {dtype}": Case(partial(_load_mnist, dtype=dtype)) for dtype in ("float64", "float32", "uint8")},
    "MNIST, 10,000 rows, float64, L1": Case(
        partial(_load_mnist, dtype="float64", n_all=L1_ROWS, C=0.1, l1_ratio=1.0), smoke_rows=300
    ),
    "text": Case(_load_text),
    "text, L1": Case(partial(_load_text, l1_ratio=1.0)),
}


def reset_peak():
    """Let the peak start anew from the memory that is held now.

    Raises
    ------
    NotImplementedError
        The system has no such thing; asv then skips the benchmark.
    """
    if not RESET.exists():
        raise NotImplementedError("The peak of a process can be reset on Linux alone.")
    RESET.write_text("5")


def read_peak():
    """Return the most bytes of memory that this process has held since the last reset."""
    return int(next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))) << 10


def count_bytes(X):
    """Return the bytes of an array or of a CSR matrix."""
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if issparse(X) else X.nbytes


def count_allowed_bytes(X, n_classes, l1_ratio=0.0):
    """Return the most bytes that a fit may take beside X."""
    n, d = X.shape
    n_rows_coef = 1 if n_classes == 2 else n_classes
    size = count_bytes(X)
    scores = n * n_rows_coef * (4 if X.dtype == np.float32 else 8)
    return int(
        (issparse(X) or l1_ratio > 0) * size
        + SHARE_OF_X * size
        + (scores if scores <= max(MOST_SCORES, size) else 0)
        + N_VECTORS * n_rows_coef * (d + 1) * 8
    )


def measure(X, y, parameters):
    """Return the bytes that the fit of an estimator with these parameters takes beside X, at its peak."""
    arrays = {"data": X.data, "indices": X.indices, "indptr": X.indptr} if issparse(X) else {"X": X}
    with tempfile.TemporaryDirectory() as folder:
        # From files straight into place: what made X would otherwise be the peak already.
        for name, array in {**arrays, "y": y}.items():
            np.save(f"{folder}/{name}.npy", array)
        Path(folder, "case.json").write_text(json.dumps({"shape": X.shape, "parameters": parameters}))
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", "--folder", folder],
            cwd=Path(__file__).parent.parent,
            env=os.environ | GIVE_BACK,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(finished.stdout)


def measure_here(folder):
    """Fit the X and y of a folder in this process; return what the peak rises by."""
    from fastlin import LogisticRegression

    case = json.loads(Path(folder, "case.json").read_text())
    arrays = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
    if "X" in arrays:
        X = arrays["X"]
    else:
        X = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=case["shape"])
    LogisticRegression(**case["parameters"]).fit(X, arrays["y"])
    reset_peak()
    before = read_peak()
    model = LogisticRegression(**case["parameters"]).fit(X, arrays["y"])
    if not model.converged_:
        raise AssertionError("The fit has not converged.")
    return read_peak() - before


class PeakMemory:
    """A fit with the default tol."""

    params = list(CASES)
    param_names = ("case",)
    timeout = 300

    def setup(self, case):
        self.problem = CASES[case].load(None)

    def track_beside_X(self, case):
        return 100 * measure(*self.problem) / count_bytes(self.problem[0])

    track_beside_X.unit = "% of X"


def main(arguments=None):
    """Print the table; with a folder, which `measure` passes, the bytes that the fit of its data takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Measure what fits take beside X.")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(map(repr, CASES))}; otherwise all")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.folder:
        print(measure_here(options.folder))
        return
    for name in options.cases:
        if name not in CASES:
            parser.error(f"{name!r} is no case; there are {', '.join(map(repr, CASES))}")
    smoke = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"
    print(f"{'X':32} {'X, MB':>8} {'fit, MB':>8} {'% of X':>8} {'allowed, MB':>12}")
    for name in options.cases or CASES:
        X, y, parameters = CASES[name].load(CASES[name].smoke_rows if smoke else None)
        taken, size, allowed = (
            measure(X, y, parameters),
            count_bytes(X),
            count_allowed_bytes(X, len(np.unique(y)), parameters.get("l1_ratio", 0.0)),
        )
        print(
            f"{name:32} {size / 1e6:8.1f} {taken / 1e6:8.1f} {100 * taken / size:8.1f} {allowed / 1e6:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
