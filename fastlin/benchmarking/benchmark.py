"""Benchmarks of any estimators: `BenchmarkProblem`, `compare`, and its result."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from scipy.sparse import issparse

from fastlin.benchmarking import timing
from fastlin.benchmarking.baseline import Baseline
from fastlin.benchmarking.candidate import COMPARED_SUBOPTIMALITY
from fastlin.benchmarking.objectives import LeastSquaresObjective
from fastlin.benchmarking.suboptimality_curves import (
    DEFAULT_COMPARISON_SECONDS,
    N_SAMPLE_ROWS,
    find_needed_seconds,
    measure_curves,
    sample_classes,
)
from fastlin.benchmarking.timing import classify_interval
from fastlin.environment.file_system import write_atomically
from fastlin.environment.interruption import import_uninterrupted
from fastlin.figures import benchmarks as figures

# What a baseline is if its time is longer, shorter or even.
DIFFERENCES = {"longer": "slower", "shorter": "faster", "even": "no significant difference"}
# If a sample of all classes has more rows, numeric targets are probably those of a regression.
MAX_SAMPLE_ROWS = 2_000
# The other values of a point of a curve.
RESERVED_NAMES = frozenset(("objective", "suboptimality", "effort", "effort_index", "threads", "seconds", "fits"))


@dataclass(frozen=True, eq=False)
class BenchmarkProblem:
    """The data of a benchmark, and the measures of fitted models.

    Parameters
    ----------
    X : array, sparse matrix or DataFrame of shape (n, d)
        The training rows.
    y : array of shape (n,)
        The training targets.
    objective : callable or None, default=None
        A function of a fitted model, X and y that returns the objective that all baselines minimize, for example
        `LogisticObjective`. If it has a method ``find_minimum(X, y)``, suboptimalities are relative to its result,
        whose relative error must be at most 1e-6. Otherwise, they are relative to the lowest objective of any fit. None
        means that the baselines have no common objective; then only times and held-out scores are compared.
    X_test, y_test : array or None, default=None
        Held-out rows and targets for the scores.
    scores : dict of str to callable, default={}
        Functions of a fitted model, X_test and y_test that return held-out scores.
    name : str, default="problem"
        The name in tables and figures.

    Raises
    ------
    ValueError
        X is not two-dimensional, y is not one-dimensional or has another length, there are scores without held-out
        rows, or a score has the name of another value of a fit, such as "seconds".
    TypeError
        `objective` is not callable.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin.benchmarking import BenchmarkProblem, LogisticObjective
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = {"accuracy": lambda model, X, y: model.score(X, y)}
    >>> problem = BenchmarkProblem(X[::2], y[::2], LogisticObjective(C=10.0), X[1::2], y[1::2], scores, name="iris")
    >>> problem.describe()
    {'samples': 75, 'features': 4, 'held_out': 75, 'scores': ['accuracy']}
    """

    X: Any
    y: Any
    objective: Callable[[Any, Any, Any], float] | None = None
    X_test: Any = None
    y_test: Any = None
    scores: Mapping[str, Callable[[Any, Any, Any], float]] = field(default_factory=dict)
    name: str = "problem"

    def __post_init__(self) -> None:
        """Check the parameters."""
        shape: tuple[int, ...] = getattr(self.X, "shape", ())
        if len(shape) != 2:
            raise ValueError(f"X must be two-dimensional, got {type(self.X).__name__} of shape {shape}.")
        if len(self.y) != shape[0]:
            raise ValueError(f"y must have one value per row of X, got {len(self.y)} values for {shape[0]} rows.")
        if np.ndim(self.y) != 1:
            raise ValueError(f"y must be one-dimensional, got the shape {np.shape(self.y)}.")
        if issparse(self.X) and self.X.format not in ("csr", "csc"):
            object.__setattr__(self, "X", self.X.tocsr())
        if reserved := RESERVED_NAMES.intersection(self.scores):
            raise ValueError(f"scores must not have the names {sorted(RESERVED_NAMES)}, got {sorted(reserved)}.")
        if self.objective is not None and not callable(self.objective):
            raise TypeError(f"objective must be a function or None, got {type(self.objective).__name__}.")
        if self.scores and (self.X_test is None or self.y_test is None):
            raise ValueError(f"scores require X_test and y_test, but one is missing: {', '.join(self.scores)}.")

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for another process. Functions that are lambdas are pickled by value."""
        wrap = joblib.wrap_non_picklable_objects
        functions = {
            "objective": None if self.objective is None else wrap(self.objective),
            # joblib cannot wrap a class.
            "scores": {
                name: wrap(lambda *arguments, score=score: score(*arguments)) for name, score in self.scores.items()
            },
        }
        return {**self.__dict__, **functions}

    @property
    def train(self) -> Self:
        """The problem that baselines solve."""
        return self

    def make_sample(self) -> Self:
        """Return the problem with the first rows of each class, or N_SAMPLE_ROWS evenly spaced rows of a regression."""
        targets = np.asarray(self.y)
        # A column of numbers may be stored as objects. The sample keeps them.
        y = np.asarray(targets.tolist()) if targets.dtype == object else targets
        is_continuous = y.dtype.kind == "f" and np.any(y != np.trunc(y))
        is_regression = is_continuous or isinstance(self.objective, LeastSquaresObjective)
        rows = None if is_regression else sample_classes(y)
        if rows is None or (len(rows) > MAX_SAMPLE_ROWS and y.dtype.kind in "iuf"):
            rows = np.unique(np.linspace(0, len(y) - 1, N_SAMPLE_ROWS).astype(np.int64))
        X = self.X.iloc[rows] if hasattr(self.X, "iloc") else self.X[rows]
        return replace(self, X=X, y=self.y.iloc[rows] if hasattr(self.y, "iloc") else targets[rows])

    def find_optimum(self) -> float | None:
        """Return the minimum of the objective, or None if it is unknown."""
        find_minimum: Callable[[Any, Any], float] | None = getattr(self.objective, "find_minimum", None)
        return None if find_minimum is None else find_minimum(self.X, self.y)

    def measure(self, model: Any) -> dict[str, float]:
        """Return the objective and the held-out scores of a fitted model."""
        objective = {} if self.objective is None else {"objective": float(self.objective(model, self.X, self.y))}
        scores = {name: float(score(model, self.X_test, self.y_test)) for name, score in self.scores.items()}
        return objective | scores

    def describe(self) -> dict[str, Any]:
        """Return the shape of the data and the names of the scores, as plain values."""
        n, d = self.X.shape
        return {
            "samples": n,
            "features": d,
            "held_out": 0 if self.y_test is None else len(self.y_test),
            "scores": list(self.scores),
        }


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """The result of `compare`.

    Attributes
    ----------
    problems : list of dict
        For each problem, its name and shape (``name``, ``samples``, ``features``), the name of the reference
        (``reference``), the lowest objective (``optimum``) and why the minimum is unknown (``unknown_optimum``), the
        points of each baseline's curve (``points``), the ratios of the times of interleaved repetitions to the times of
        the reference (``repetitions``), in total and by process (``by_process``), and the reasons why baselines were
        excluded (``left_out``), were stopped (``stopped``) or failed (``failed``). If only a later fit failed, there
        are also points. All values are plain numbers and strings.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, compare
    >>> problem = BenchmarkProblem(*load_iris(return_X_y=True), LogisticObjective(), name="iris")
    >>> baseline = Baseline("lbfgs", lambda tol: LogisticRegression(tol=tol, max_iter=1000), [1e-1, 1e-6])
    >>> result = compare(problem, [baseline], seconds=1)
    >>> print(result)  # doctest: +ELLIPSIS
    iris, 150 × 4:
    - lbfgs: the reference, ... s to a suboptimality of 1e-4; last fit ... s, suboptimality ...
    """

    problems: list[dict[str, Any]]

    def __str__(self) -> str:
        """Return the summary."""
        return self.summary()

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """Return the problems as JSON, and write them to a file if `path` is given. NaN and infinity become null."""
        text = json.dumps({"problems": replace_non_finite_numbers(self.problems)}, indent=1, allow_nan=False)
        if path is not None:
            with write_atomically(Path(path)) as part:
                part.write_text(text, encoding="utf-8")
        return text

    def to_frame(self) -> Any:
        """Return the points of all curves as a pandas DataFrame, or as a dict of columns if pandas is not installed."""
        rows = [
            {"problem": problem["name"], "baseline": name, **point}
            for problem in self.problems
            for name, points in problem["points"].items()
            for point in points
        ]
        keys = list(dict.fromkeys(key for row in rows for key in row if key != "effort_index"))
        columns = {key: [row.get(key) for row in rows] for key in keys}
        try:
            (pandas,) = import_uninterrupted("pandas")
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def plot(self, axes: Any = None) -> Any:
        """Plot suboptimality vs seconds for one problem, or a performance profile for several problems.

        Parameters
        ----------
        axes : matplotlib Axes or None, default=None
            The axes to plot on. None means the current axes.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            There is one problem, and it has no objective.
        """
        if len(self.problems) == 1:
            return figures.plot_suboptimality(self.problems[0], axes)
        return figures.plot_profile(self.problems, axes)

    def summary(self) -> str:
        """Return sentences that state which baselines are faster than the reference, with confidence intervals."""
        lines = [line for problem in self.problems for line in _describe_problem(problem)]
        needed_seconds = find_needed_seconds(self.problems)
        if needed_seconds is not None:
            lines.append(f"More fits need at least seconds={needed_seconds}.")
        return "\n".join(lines)


def replace_non_finite_numbers(value: Any) -> Any:
    """Return plain values with None instead of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: replace_non_finite_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite_numbers(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _describe_problem(problem):
    """Yield the lines of a problem's summary."""
    reference, points, compared = problem["reference"], problem["points"], problem["compared_seconds"]
    yield f"{problem['name']}, {problem['samples']:,} × {problem['features']:,}:"
    accuracy = "" if problem["optimum"] is None else f" to a suboptimality of {COMPARED_SUBOPTIMALITY}"
    for name in dict.fromkeys([*points, *problem["left_out"]]):
        if name in problem["left_out"]:
            yield f"- {name}: excluded, because {problem['left_out'][name]}."
            continue
        failure = f", because {problem['failed'][name]}" if name in problem["failed"] else ""
        end = f"{_describe_last_fit(points[name])}{failure and f'; a later fit failed{failure}'}."
        seconds = f", {compared[name]:.3g} s{accuracy}" if name in compared else ""
        if failure and not points[name]:
            yield f"- {name}: failed{failure}."
        elif name in problem["stopped"] and not points[name]:
            yield f"- {name}: stopped after {problem['stopped'][name]:.3g} s."
        elif name == reference:
            yield f"- {name}: the reference{seconds}; {end}"
        elif name in problem["repetitions"]:
            repetitions = problem["repetitions"][name]
            low, high = repetitions["interval"]
            ratio = f"{repetitions['ratio']:.3g} ({low:.3g} to {high:.3g}) times as long as {reference}"
            yield f"- {name}: takes {ratio} ({DIFFERENCES[classify_interval((low, high))]}){seconds}; {end}"
        else:
            yield f"- {name}: not compared, because {_explain_omission(name, problem)}; {end}"
    if problem["unknown_optimum"] is not None:
        yield f"The minimum is unknown ({problem['unknown_optimum']}); the lowest objective of any fit replaces it."


def _explain_omission(name, problem):
    """Return the reason why there is no ratio of the times of a baseline and the reference."""
    reference, compared = problem["reference"], problem["compared_seconds"]
    goal = "its last effort" if problem["optimum"] is None else f"a suboptimality of {COMPARED_SUBOPTIMALITY}"
    if reference in problem["left_out"]:
        return f"the reference {reference} is excluded"
    for baseline in (reference, name):
        if baseline in compared:
            continue
        if baseline in problem["failed"]:
            return f"a fit of {baseline} failed"
        cut_off, stopped = problem["cut_off"].get(baseline), problem["stopped"].get(baseline)
        end = f" (time over after effort {cut_off})" if cut_off else ""
        return f"{baseline} did not reach {goal}" + (f" (stopped after {stopped:.3g} s)" if stopped else end)
    return "the time was too short for repetitions"


def _describe_last_fit(points):
    """Return the seconds and the measures of the last point of a curve."""
    if not points:
        return "no fit ended"
    last = points[-1]
    hidden_names = RESERVED_NAMES - {"suboptimality"}
    values = [f"{name} {value:.4g}" for name, value in last.items() if name not in hidden_names]
    return f"last fit {last['seconds']:.3g} s" + "".join(f", {value}" for value in values)


def compare(
    problems: BenchmarkProblem | Sequence[BenchmarkProblem],
    baselines: Sequence[Baseline],
    seconds: float = DEFAULT_COMPARISON_SECONDS,
    reference: str | None = None,
    notify: Callable[[str], object] | None = None,
) -> BenchmarkResult:
    """Compare the speed of estimators at equal accuracy.

    Each baseline is fitted with increasing efforts. Fits of different baselines alternate, because the speed of a
    machine changes over time. They run on one thread and on all threads. Baselines run in separate processes, so a
    baseline that fails or takes too long does not end the comparison. In the last quarter of the time, the fit of each
    baseline with the first effort that reaches a relative suboptimality of 1e-4 is repeated, which gives confidence
    intervals for the ratios of the times. Baselines whose time differs from that of the reference by less than a factor
    of 1.25 are repeated in three processes, because equal code differs by several percent from process to process. A
    difference is significant if the whole interval is more than 5 % away from 1. Without an objective, the fits with
    the last effort are repeated.

    Parameters
    ----------
    problems : BenchmarkProblem or sequence of BenchmarkProblem
        The data and the measures.
    baselines : sequence of Baseline
        The estimators. Their names must be unique.
    seconds : float, default=60.0
        The approximate time of the whole comparison. Before it begins, each baseline loads its code and is fitted to a
        small sample and once to the rows, and the minimum of the objective is computed; this time is not counted, nor
        is the start of further processes. Intervals of short fits need about ten seconds for each close baseline.
    reference : str or None, default=None
        The name of the baseline with which the others are compared. None means the first one.
    notify : callable or None, default=None
        A function that is called with a description of the current step.

    Returns
    -------
    result : BenchmarkResult
        The curves, and the ratios of times.

    Raises
    ------
    ValueError
        There are no problems or baselines, their names are not unique, `reference` is no baseline, `seconds` is not
        positive and finite, or a problem or a baseline cannot be sent to another process.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> import fastlin
    >>> from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, compare
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> problem = BenchmarkProblem(X / X.max(axis=0), y, LogisticObjective(C=1.0))
    >>> baselines = [
    ...     Baseline("fastlin", lambda tol: fastlin.LogisticRegression(tol=tol), [1e-2, 1e-4]),
    ...     Baseline("scikit-learn", lambda tol: LogisticRegression(tol=tol, max_iter=1000), [1e-2, 1e-4]),
    ... ]
    >>> result = compare(problem, baselines, seconds=15)  # doctest: +SKIP
    >>> print(result.summary())  # doctest: +SKIP
    """
    problems = [problems] if isinstance(problems, BenchmarkProblem) else list(problems)
    baselines = list(baselines)
    names = [baseline.name for baseline in baselines]
    if not problems or not names:
        raise ValueError(f"problems and baselines must not be empty, got {len(problems)} and {len(names)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"The names of baselines must be unique, got {', '.join(names)}.")
    reference = names[0] if reference is None else reference
    if reference not in names:
        raise ValueError(f"reference must be one of the baselines ({', '.join(names)}), got {reference!r}.")
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds must be positive and finite, got {seconds}.")
    problem_names = [problem.name for problem in problems]
    if len(set(problem_names)) < len(problem_names):
        raise ValueError(f"The names of problems must be unique, got {', '.join(problem_names)}.")
    for baseline in baselines:
        _check_pickling(baseline, f"baseline {baseline.name!r}")
    # An error in a later problem would lose the results of the earlier ones. A sample has the functions of its problem.
    for problem in problems:
        _check_pickling(problem.make_sample(), f"problem {problem.name!r}")
    by_name = dict(zip(names, baselines, strict=True))
    return BenchmarkResult(measure_curves(problems, by_name, reference, seconds, timing.N_REPEATS, notify))


def _check_pickling(value, description):
    """Raise a ValueError if a value cannot be pickled."""
    try:
        pickle.dumps(value)
    except Exception as error:
        raise ValueError(f"The {description} cannot be sent to another process: {error}") from error
