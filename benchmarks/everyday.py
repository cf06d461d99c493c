"""Everyday fits: tables of a few hundred to a hundred thousand rows, defaults against defaults.

`python -m benchmarks.everyday` measures a grid of rows, columns and classes, real tables, columns that make fits hard,
L1 and elastic net, and frames with categories, and prints them; `--scikit-learn` those that scikit-learn's own issues
and suites publish. `--short` takes up to 10,000 rows of the grid and of the real tables, and about a minute. The peers
are the solvers of scikit-learn with their defaults, and Cyanure, glum and skglm where they are installed, each on one
thread and on all.

A default proves no more than its tol, so that equal objectives are no condition here. Each problem says by how much
fastlin's objective is above the peer's, and how far the coefficients of both are from the minimum: a drop-in is
compared by its coefficients.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

import numpy as np
from sklearn.linear_model import LogisticRegression

import fastlin
from benchmarks import everyday_cases
from benchmarks.data import encode_before
from benchmarks.everyday_cases import DEFAULT_ITERATIONS
from benchmarks.fits import MAX_ITER, TOL, by_cyanure, by_scikit_learn, write_tol
from benchmarks.many_fits import Grid, fit_skglm_path
from benchmarks.races import EQUAL, FASTLIN, TURNS, Race, Rule, run, run_race
from benchmarks.tables import make_console, print_tables, tabulate_everyday, tabulate_everyday_problems
from fastlin.contenders import MOST_PARAMETERS_OF_A_HESSIAN, fit_fastlin, fit_glum
from fastlin.kernels.machine.threads import count_threads

SOLVERS = "lbfgs", "newton-cg", "newton-cholesky"
# Coefficients further from the minimum than this part of the largest, and further than the peer's, are clearly worse.
WORSE = 1e-3
# What the reference minimum is fitted to.
REFERENCE_TOL = 1e-13
# newton-cholesky is no peer where its Hessian takes more multiply-adds than this, which is seconds.
MOST_HESSIAN_WORK, MOST_SHORT_WORK = 100_000_000_000, 1_000_000_000
# Peers whose default stops further than this above the minimum do not count: on raw columns some stop 5 % above.
WITHIN = 1e-3


def fit_by_default(problem, tol=TOL):
    """Fit fastlin.LogisticRegression with its defaults but for what the problem says, and tol where it is no frame."""
    if problem.given is not None:
        model = fastlin.LogisticRegression(categorical_features="from_dtype").fit(problem.given, problem.y)
    else:
        model = fastlin.LogisticRegression(
            C=problem.C, l1_ratio=problem.l1_ratio, fit_intercept=problem.fit_intercept, tol=tol
        ).fit(problem.X, problem.y)
    return model.coef_, model.intercept_


def fit_pipeline(problem):
    """Fit scikit-learn's one-hot encoder and LogisticRegression with their defaults."""
    model = encode_before(LogisticRegression()).fit(problem.given, problem.y)[-1]
    return model.coef_, model.intercept_


def fit_skglm(problem, tol):
    """Fit L1 with two classes by skglm, as a path of one C."""
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    grid = Grid(problem.name, *arrays, 2, np.array([problem.C]), problem.fit_intercept, problem.l1_ratio)
    coef, intercept = fit_skglm_path(grid, tol)
    return coef[0], intercept[0]


def choose_peers(problem, most_work, tol=TOL, max_iter=DEFAULT_ITERATIONS):
    """Return the peers of a problem by name, scikit-learn's default the first of them."""
    if problem.given is not None:
        return {"scikit-learn's encoder and lbfgs": fit_pipeline}
    peers, n, d = {}, *problem.X.shape
    if problem.l1_ratio == 0:
        n_parameters = problem.n_rows_coef * (d + 1)
        fits_hessian = n_parameters <= MOST_PARAMETERS_OF_A_HESSIAN and n * n_parameters**2 <= most_work
        solvers = [solver for solver in SOLVERS if solver != "newton-cholesky" or fits_hessian]
        peers |= by_scikit_learn(*solvers, tol=tol, max_iter=max_iter)
        if find_spec("cyanure"):
            peers |= by_cyanure(tol)
    else:
        solvers = ["saga"]
        if problem.n_classes == 2 and problem.l1_ratio == 1 and not problem.fit_intercept:
            # It would penalise an intercept.
            solvers.append("liblinear")
        # The default of 100 iterations ends far from the minimum.
        peers |= by_scikit_learn(*solvers, tol=tol, max_iter=10 * MAX_ITER)
        if problem.n_classes == 2 and problem.l1_ratio == 1 and find_spec("skglm"):
            peers[f"skglm, tol {write_tol(tol)}"] = partial(fit_skglm, tol=tol)
    if problem.n_classes == 2 and find_spec("glum"):
        peers["glum"] = partial(fit_glum, max_iter=DEFAULT_ITERATIONS, tol=tol)
    return peers


def measure_case(case, short=False):
    """Return the record of a Case, as plain values: the race and the distances of the coefficients from the minimum."""
    problem = case.load(None)
    peers = choose_peers(problem, MOST_SHORT_WORK if short else MOST_HESSIAN_WORK, case.tol, case.max_iter)
    peers = {name: peer for name, peer in peers.items() if name.startswith(case.among)}
    fit, default = partial(fit_by_default, tol=case.tol), next(iter(peers))
    race = Race(case.name, case.load, fit, peers, within=WITHIN, rule=Rule(excess=TOL), rounds=1 if short else TURNS)
    if case.tried_rows:
        race = choose_on_few_rows(race, case.load(case.tried_rows))
    outcome = run_race(race, problem)
    # Rounding may end it above so small a tol, and a warning is no fault.
    reference, _ = run(partial(fit_fastlin, tol=REFERENCE_TOL), problem).solution
    # People call the default even where it stops far above the minimum.
    names = dict.fromkeys((FASTLIN, default, outcome.peer))
    contenders = {name: outcome.describe_contender(name) for name in names}
    for name, contender in contenders.items():
        contender["coef_error"] = find_coef_error(outcome.runs[name][-1].solution[0], reference)
    seconds, by_default = outcome.seconds, contenders[default]["seconds"]
    by_scikit_learn = [seconds[name] for name in seconds if name.startswith("scikit-learn")] or [by_default]
    ours, theirs = (contenders[name]["coef_error"] for name in (FASTLIN, outcome.peer))
    return outcome.describe() | {
        "contenders": contenders,
        "group": case.group,
        "shape": list(case.shape),
        "default": default,
        "default_ratio": by_default / seconds[FASTLIN],
        "scikit_learn_ratio": min(by_scikit_learn) / seconds[FASTLIN],
        "is_above": outcome.gap > EQUAL,
        "is_worse": ours > max(WORSE, theirs),
    }


def choose_on_few_rows(race, problem):
    """Return the race with its first peer and the one that is fastest on a problem of few rows, on its threads."""
    outcome = run_race(replace(race, rounds=1), problem)
    peers = {name: race.peers[name] for name in (next(iter(race.peers)), outcome.peer)}
    return replace(race, peers=peers, peer_threads=("one" if outcome.best_threads[outcome.peer] == 1 else "all",))


def find_coef_error(coef, reference):
    """Return the largest difference of coefficients from those of the minimum, over the largest of these.

    Those of several classes are compared as differences from their mean: with L1 a constant added to the classes of a
    column may change nothing.
    """
    if len(reference) > 1:
        coef, reference = (each - each.mean(axis=0) for each in (coef, reference))
    return float(np.max(np.abs(coef - reference)) / np.max(np.abs(reference)))


@dataclass(frozen=True)
class Collection:
    """Cases that are kept in one record of a kind, and those of pytest, which take half a minute."""

    kind: str
    title: str
    cases: tuple
    most_few_rows: int

    @property
    def few(self):
        """The cases of pytest, of up to so many rows."""
        return [case for case in self.cases if case.is_short(self.most_few_rows)]

    def measure(self, short=False, cases=None, report=lambda line: None):
        """Return the record of some cases, or of all or those of a short measurement, as plain values.

        A short one has fewer turns. A line on each case is reported as soon as it is known, or why it is left out.
        """
        problems = []
        for case in cases or [case for case in self.cases if not short or case.is_short()]:
            try:
                problems.append(measure_case(case, short))
            except (NotImplementedError, RuntimeError) as error:
                # Data are missing, or no peer comes near the minimum.
                report(f"{case.name}: left out. {error}")
            else:
                report(",  ".join(tabulate_everyday_problems([{"title": "", "problems": problems[-1:]}]).rows[0]))
        return {"kind": self.kind, "title": self.title, "threads": count_threads(), "problems": problems}


EVERYDAY = Collection("everyday", "everyday fits", everyday_cases.CASES, 1_000)
SCIKIT_LEARN = Collection(
    "scikit-learn's cases", "cases of scikit-learn's issues and suites", everyday_cases.SCIKIT_LEARN_CASES, 100
)


def main(arguments=None):
    """Measure the cases that are asked for, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everyday", description=__doc__.splitlines()[0])
    parser.add_argument("--scikit-learn", action="store_true", help="the cases of scikit-learn's issues and suites")
    parser.add_argument("--short", action="store_true", help="up to 10,000 rows, in fewer turns: about a minute")
    parser.add_argument("names", nargs="*", metavar="name", help="only cases whose group or name contains such a text")
    options = parser.parse_args(arguments)
    suite = SCIKIT_LEARN if options.scikit_learn else EVERYDAY
    asked = [
        case
        for case in suite.cases
        if (not options.short or case.is_short())
        and (not options.names or any(name in f"{case.group}: {case.name}" for name in options.names))
    ]
    if not asked:
        parser.error(f"no case is called {' or '.join(map(repr, options.names))}")
    record = suite.measure(options.short, asked, partial(print, flush=True))
    if record["problems"]:
        print_tables([tabulate_everyday([record])], make_console())


if __name__ == "__main__":
    main()
