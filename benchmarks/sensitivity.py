"""Which tuning constants of the solvers matter: each one halved and doubled, over random problems and published ones.

`python -m benchmarks.sensitivity` prints a line for each constant of fastlin/solvers/tuning.py and each factor: on how
many problems it changes a bit of the coefficients, the number of passes, or the time by more than noise, and how long
these fits then take, relative to the constant as it stands. A constant that changes nothing beyond noise is no tuning
constant, but for those whose problems are not among these: then its comment names them. With --large, larger problems
are fitted too; names of constants leave the others out. Some constants serve several rules, which change together.
"""

import argparse
import importlib
import pkgutil
import sys
import warnings
from time import perf_counter

import numpy as np
from scipy import sparse

import fastlin.solvers
from benchmarks.data import load_letter, load_mnist
from benchmarks.everyday import CASES
from fastlin import LogisticRegression
from fastlin.exceptions import ConvergenceWarning
from fastlin.solvers import tuning

FACTORS = 0.5, 2.0
N_RANDOM = 200
# Entries of X times classes of the published problems that are fitted, and of random ones.
MOST_WORK, MOST_RANDOM_WORK = 3_000_000, 1_000_000
# Problems that take longer, in seconds, tell no more than others, but for the large ones.
MOST_SECONDS = 0.06
# A problem whose fit takes so many times longer, or less, counts as changed; by more than NOISE it is looked at anew.
CHANGED, NOISE = 1.1, 1.4
N_TIMES = 5


def draw_problem(seed):
    """Return name, X, y and the parameters of an estimator, all drawn from a seed."""
    generator = np.random.default_rng(seed)
    K = int(generator.choice([2, 2, 2, 3, 5, 10, 40]))
    n = int(np.exp(generator.uniform(np.log(60), np.log(20_000))))
    d = int(np.exp(generator.uniform(np.log(2), np.log(600))))
    n = max(min(n, MOST_RANDOM_WORK // (d * K)), 3 * K)
    kind = generator.choice(["normal", "correlated", "heavy", "counts", "sparse", "one-hot"])
    X = generator.normal(size=(n, d))
    if kind == "correlated":
        X = 0.3 * X + generator.normal(size=(n, 1)) * generator.normal(size=d)
    elif kind == "heavy":
        X = np.sinh(X) * np.exp(2 * generator.normal(size=d))
    elif kind == "counts":
        X = generator.poisson(np.exp(generator.normal(size=d)), (n, d)).astype(np.float64)
    elif kind in ("sparse", "one-hot"):
        X = X * (generator.random((n, d)) < max(0.03, 3 / d))
        X = (X != 0).astype(np.float64) if kind == "one-hot" else X
    scores = X @ generator.normal(size=(d, K)) / np.sqrt(d) * np.exp(generator.normal()) + generator.gumbel(size=(n, K))
    y = np.argmax(scores + generator.normal(size=K), axis=1)
    y[:K] = np.arange(K)
    X = sparse.csr_matrix(X) if kind in ("sparse", "one-hot") else X
    if generator.random() < 0.2:
        X = X.astype(np.float32)
    parameters = {"C": float(10 ** generator.uniform(-2, 3)), "tol": float(generator.choice([1e-2, 1e-4, 1e-4, 1e-7]))}
    if generator.random() < 0.3:
        parameters["l1_ratio"] = float(generator.choice([0.5, 1.0]))
        parameters["group_by_class"] = bool(generator.random() < 0.3)
    elif generator.random() < 0.3:
        parameters["solver"] = str(generator.choice(["lbfgs", "newton-cg", "newton-cholesky"]))
    elif generator.random() < 0.1:
        parameters["C"] = np.inf
    return f"{kind} {n} x {d}, {K} classes, {parameters}", X, y, parameters


def list_problems():
    """Yield those drawn and the published everyday ones."""
    yield from map(draw_problem, range(N_RANDOM))
    yield from list_everyday_problems(MOST_WORK)


def list_everyday_problems(most_work=np.inf):
    """Yield the published everyday ones whose entries of X times classes, where they are known, are no more."""
    for case in CASES:
        if case.group == "frames" or (case.shape and np.prod(case.shape) > most_work):
            continue
        problem = case.load(None)
        yield case.name, problem.X, problem.y, {"C": problem.C, "l1_ratio": problem.l1_ratio}


def list_large_problems():
    """Yield problems for what only larger ones have: samples, blocks of classes, inner products of rows."""
    mnist, letter = load_mnist(), load_letter()
    yield "MNIST", mnist.X_train[:20_000] / 255, mnist.y_train[:20_000], {}
    yield "MNIST, C = 100", mnist.X_train[:20_000] / np.float32(255), mnist.y_train[:20_000], {"C": 100.0}
    yield "Letter, C = 100", letter.X_train, letter.y_train, {"C": 100.0}
    yield "MNIST, L1", mnist.X_train[:5_000] / 255, mnist.y_train[:5_000], {"l1_ratio": 1.0, "C": 0.1}
    for n, d, K in ((200_000, 20, 2), (100_000, 50, 4), (10_000, 256, 300), (500, 5_000, 4)):
        generator = np.random.default_rng(n)
        X = generator.normal(size=(n, d))
        scores = X @ generator.normal(size=(d, K)) + 3 * generator.gumbel(size=(n, K))
        yield f"{n} x {d}, {K} classes", X, np.argmax(scores, axis=1), {}


def fit(problem):
    """Return what tells whether a fit is the same one, and its seconds."""
    _, X, y, parameters = problem
    began = perf_counter()
    model = LogisticRegression(**parameters, n_jobs=1).fit(X, y)
    return (model.coef_.tobytes(), model.n_passes_), perf_counter() - began


def find_constants():
    """Return the tuning constants by name: the modules that know each one, and its value."""
    modules = [
        importlib.import_module(f"fastlin.solvers.{found.name}")
        for found in pkgutil.iter_modules(fastlin.solvers.__path__)
    ]
    values = {name: value for name, value in vars(tuning).items() if name.isupper()}
    return {name: ([module for module in modules if hasattr(module, name)], value) for name, value in values.items()}


def scale(value, factor):
    """Return a constant times a factor, in its type."""
    if isinstance(value, dict):
        return {key: scale(number, factor) for key, number in value.items()}
    if isinstance(value, tuple):
        return tuple(scale(number, factor) for number in value)
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="fit larger problems, too")
    parser.add_argument("names", nargs="*", help="the constants; default: all")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    problems = list(list_problems())
    for _ in range(2):
        problems = [problem for problem in problems if fit(problem)[1] < MOST_SECONDS]
    problems += list_large_problems() if arguments.large else []
    known = [fit(problem) for problem in problems]
    constants = find_constants()
    print(
        f"{len(problems)} problems, {sum(seconds for _, seconds in known):.1f} s; {len(constants)} constants",
        flush=True,
    )
    for name in arguments.names or constants:
        modules, value = constants[name]
        for factor in FACTORS:
            ratios, worst = [], ("", 1.0)
            for problem, (same, before) in zip(problems, known, strict=True):
                for module in modules:
                    setattr(module, name, scale(value, factor))
                try:
                    found, seconds = fit(problem)
                    if found == same and before / NOISE < seconds < before * NOISE:
                        continue
                    times = []
                    for _ in range(N_TIMES):
                        own = fit(problem)[1]
                        for module in modules:
                            setattr(module, name, value)
                        times.append(own / fit(problem)[1])
                        for module in modules:
                            setattr(module, name, scale(value, factor))
                    ratios.append(float(np.median(times)))
                    worst = max(worst, (problem[0], ratios[-1]), key=lambda pair: abs(np.log(pair[1])))
                except Exception as error:
                    ratios.append(np.nan)
                    worst = f"{problem[0]}: {error!r}"[:150], np.nan
                finally:
                    for module in modules:
                        setattr(module, name, value)
            mean = np.exp(np.nansum(np.log(ratios)) / len(problems))
            n_changed = sum(not 1 / CHANGED < ratio < CHANGED for ratio in ratios)
            text = f"{name:26} x {factor:3}  fits changed {len(ratios):3}  by a tenth {n_changed:3}"
            print(f"{text}  all take {mean:.3f}  {worst[1]:.2f} {worst[0][:90]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
