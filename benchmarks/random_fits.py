"""Random fits with two commits, to find fits that no longer converge, find another minimum, or are much slower.

``python -m benchmarks.random_fits COMMIT`` runs random fits of `LogisticRegression` with the commit and with this
checkout, on one thread and each in its own process. It prints fits that converge only with the commit, fits whose
objectives contradict a certificate, and fits that are much slower now. It fails after a contradiction, if more than one
of a hundred fits no longer converges, or if no fit converges with both. A single fit can fail because of rounding
errors alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import warnings
from contextlib import contextmanager
from io import BytesIO
from math import inf
from pathlib import Path
from time import process_time

import numpy as np
from scipy import sparse

from fastlin import LogisticRegression

# Processes with an earlier commit import this file, so it may only use old features of fastlin.
ROOT = Path(__file__).parent.parent
# Time limit for the fits of a commit, in seconds.
MAX_COMMIT_SECONDS = 3_600
# A fit is much slower if it takes this many times as long, and at least this many seconds.
SLOWDOWN_FACTOR, MIN_SLOW_SECONDS = 3.0, 0.03
# Relative rounding error of J, by the dtype of X.
ROUNDING_ERRORS = {"float64": 1e-9, "float32": 1e-5}
FEATURE_TRANSFORMS = {
    "plain": lambda X, generator: X,
    "of all scales": lambda X, generator: X * 10 ** generator.uniform(-6, 6, X.shape[1]),
    "far from zero": lambda X, generator: X + 10 ** generator.uniform(1, 4) * generator.standard_normal(X.shape[1]),
    "copied": lambda X, generator: np.hstack([X, X]),
    "nearly dependent": lambda X, generator: np.hstack([X, X + 10 ** generator.uniform(-6, -1) * X**2]),
    "counted": lambda X, generator: generator.poisson(np.exp(X.clip(-3, 3))).astype(X.dtype),
    "with heavy tails": lambda X, generator: X / generator.standard_normal(X.shape),
    "sparse": lambda X, generator: sparse.csr_array(
        X * (generator.random(X.shape) < 10 ** generator.uniform(-2, -0.5))
    ),
}
PENALTIES = {
    "L2": {},
    "no penalty": {"C": inf},
    "L1": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "groups": {"l1_ratio": 1.0, "group_lasso": True},
    "bounds": {"lower_bounds": 0.0},
}


def sample_fit(number):
    """Return the name of a fit, the parameters of the estimator, X, y and the other arguments of `fit`."""
    generator = np.random.default_rng(number)
    n, d, n_classes = (
        int(10 ** generator.uniform(1.5, 3.5)),
        int(10 ** generator.uniform(0.3, 2.2)),
        generator.choice([2, 2, 3, 6]),
    )
    X = generator.standard_normal((n, d))
    scores = X @ generator.standard_normal((d, n_classes)) * 10 ** generator.uniform(-1, 1) / np.sqrt(d)
    y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    transform_name, penalty_name, dtype = (
        str(generator.choice(list(names))) for names in (FEATURE_TRANSFORMS, PENALTIES, ROUNDING_ERRORS)
    )
    parameters = {
        "C": 10 ** generator.uniform(-3, 4),
        "tol": 10.0 ** generator.choice([-4, -8]),
        **PENALTIES[penalty_name],
    }
    parameters["fit_intercept"] = bool(generator.random() < 0.7)
    arguments = {}
    if generator.random() < 0.2:
        arguments["sample_weight"] = generator.choice([0.0, 0.3, 1.0, 2.0], n)
    if generator.random() < 0.1:
        arguments["offset"] = generator.standard_normal(n if n_classes == 2 else (n, n_classes))
    words = [
        f"{n} × {d}",
        f"{n_classes} classes",
        transform_name,
        dtype,
        penalty_name,
        f"C={parameters['C']:.2g}",
        f"tol={parameters['tol']:g}",
    ]
    if not parameters["fit_intercept"]:
        words.append("no intercept")
    return (
        ", ".join([*words, *arguments]),
        parameters,
        FEATURE_TRANSFORMS[transform_name](X, generator).astype(dtype),
        y,
        arguments,
    )


def measure_fit(number):
    """Return the record of a fit: convergence, J, certificate and seconds, or its error."""
    name, parameters, X, y, arguments = sample_fit(number)
    record = {
        "number": number,
        "name": name,
        "rounding": ROUNDING_ERRORS[X.dtype.name],
        "converged": False,
        "seconds": inf,
    }
    # The first repetition may include compilation.
    for _ in range(2):
        begin = process_time()
        try:
            # An earlier commit may not have all parameters. Its error is recorded, and the fit is not compared.
            model = LogisticRegression(**parameters).fit(X, y, **arguments)
        except Exception as error:
            return {**record, "error": f"{type(error).__name__}: {error}".partition("\n")[0]}
        record["seconds"] = min(record["seconds"], process_time() - begin)
    # A fit that starts at the minimum has no iterations.
    objective = model.history_[-1].objective if model.history_ else None
    return {
        **record,
        "converged": bool(model.converged_),
        "objective": objective,
        "certificate": float(model.certificate_),
    }


def print_fits(numbers):
    """Print a line for each fit, as JSON."""
    warnings.simplefilter("ignore")
    for number in numbers:
        print(json.dumps(measure_fit(number)), flush=True)


def run_fits_in_process(folder, first, n_fits):
    """Return the records of fits in a process that imports fastlin from a folder."""
    command = sys.executable, "-P", "-m", "benchmarks.random_fits", "--run", f"--first={first}", f"--fits={n_fits}"
    variables = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "FASTLIN_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    completed_process = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=MAX_COMMIT_SECONDS,
    )
    return [json.loads(line) for line in completed_process.stdout.splitlines()]


@contextmanager
def extract_package(commit):
    """Return a folder with the package of a commit."""
    archive = subprocess.run(("git", "archive", commit, "fastlin"), cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as package_archive:
            package_archive.extractall(folder, filter="data")
        yield folder


def run_fits_at_commit(commit, first, n_fits):
    """Return the records of fits with the package of a commit."""
    with extract_package(commit) as folder:
        return run_fits_in_process(folder, first, n_fits)


def has_contradiction(old_fit, fit):
    """Return whether the certificate of one fit excludes the objective of the other fit."""
    if None in (old_fit.get("objective"), fit.get("objective")):
        return False
    suboptimality = fit["objective"] - old_fit["objective"]
    rounding_error = fit["rounding"] * abs(old_fit["objective"])
    return (
        suboptimality > fit["certificate"] + rounding_error or -suboptimality > old_fit["certificate"] + rounding_error
    )


def compare_fits(pairs):
    """Return lines about pairs of an earlier and a later fit, and whether the later fits are acceptable."""
    lines, n_contradictions, n_no_longer_converged = [], 0, 0
    for old_fit, fit in pairs:
        name = f"{fit['number']}: {fit['name']}"
        if has_contradiction(old_fit, fit):
            n_contradictions += 1
            lines.append(
                f"{name}: a certificate is wrong, for J = {old_fit['objective']:.15g} or J = {fit['objective']:.15g}"
            )
        if old_fit["converged"] and not fit["converged"]:
            n_no_longer_converged += 1
            lines.append(f"{name}: converged before, now {fit.get('error', 'stops early')}")
        if fit["seconds"] > max(SLOWDOWN_FACTOR * old_fit["seconds"], MIN_SLOW_SECONDS):
            lines.append(f"{name}: {old_fit['seconds']:.3f} s before, {fit['seconds']:.3f} s now")
    time_ratios = [
        fit["seconds"] / old_fit["seconds"] for old_fit, fit in pairs if old_fit["converged"] and fit["converged"]
    ]
    if not time_ratios:
        return [*lines, f"None of {len(pairs)} fits converges with both commits."], False
    ratio = np.exp(np.mean(np.log(time_ratios)))
    lines.append(
        f"{len(time_ratios)} of {len(pairs)} fits converge with both commits, in {ratio:.2f} times the earlier time."
    )
    return lines, n_contradictions == 0 and 100 * n_no_longer_converged <= len(pairs)


def main(arguments=None):
    """Run random fits with two commits and compare them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.random_fits", description=__doc__.splitlines()[0])
    parser.add_argument("commit", nargs="?", default="HEAD", help="the earlier commit")
    parser.add_argument("--fits", type=int, default=300, help="number of fits")
    parser.add_argument("--first", type=int, help="the number of the first fit; by default a random one")
    parser.add_argument("--run", action="store_true", help="run the fits and print their records")
    options = parser.parse_args(arguments)
    first = int(np.random.default_rng().integers(10**6)) * 1_000 if options.first is None else options.first
    if options.run:
        print_fits(range(first, first + options.fits))
        return 0
    print(f"The first fit is --first={first}.")
    old_fits = run_fits_at_commit(options.commit, first, options.fits)
    lines, is_acceptable = compare_fits(
        list(zip(old_fits, run_fits_in_process(ROOT, first, options.fits), strict=True))
    )
    print(*lines, sep="\n")
    return int(not is_acceptable)


if __name__ == "__main__":
    sys.exit(main())
