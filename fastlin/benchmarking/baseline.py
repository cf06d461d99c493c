"""`Baseline`: an estimator of any library, with settings of increasing accuracy."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import joblib

# The efforts of a baseline in the program: tolerances, and numbers of iterations.
TOLERANCES = tuple(10.0**-k for k in range(1, 11))
ITERATION_LIMITS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
TOLERANCE_PATTERN = re.compile("tol|gap|(^|_)eps")
DESCRIPTION_PATTERN = re.compile(r"(?P<module>[\w.]+):(?P<attribute>[\w.]+)(\((?P<arguments>.*)\))?")
DESCRIPTION_FORM = '"module:Class(parameter=value, tol=?)", with ? for the parameter that determines the accuracy'


@dataclass(frozen=True)
class Baseline:
    """An estimator that a benchmark fits with increasing accuracy.

    Parameters
    ----------
    name : str
        The name in tables and figures.
    make : callable
        A function, for example a lambda, that returns an unfitted estimator with the method ``fit(X, y)``, or a
        function of X and y that returns a fitted model, for an effort.
    efforts : sequence, default=(None,)
        The arguments of `make`, in increasing order of accuracy, for example tolerances or numbers of iterations.
    package : str, default=""
        Baselines with the same package run in one process. By default, each baseline has its own process.

    Raises
    ------
    TypeError
        `make` is not callable.
    ValueError
        `efforts` is empty.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastlin.benchmarking import Baseline
    >>> baseline = Baseline("scikit-learn", lambda tol: LogisticRegression(tol=tol, max_iter=10_000), [1e-2, 1e-4])
    >>> baseline.efforts
    (0.01, 0.0001)
    """

    name: str
    make: Callable[[Any], Any]
    efforts: Sequence[Any] = (None,)
    package: str = ""

    # Each user-defined baseline may have its own objective.
    minimizes_objective = False
    chooses_threads = False

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not callable(self.make):
            raise TypeError(f"make must be a function of an effort, got {type(self.make).__name__}.")
        # Scalars of NumPy become Python numbers, which JSON can store.
        efforts = tuple(getattr(effort, "item", lambda effort=effort: effort)() for effort in self.efforts)
        if not efforts:
            raise ValueError(f"efforts must contain at least one value, got none for the baseline {self.name!r}.")
        object.__setattr__(self, "efforts", efforts)
        object.__setattr__(self, "package", self.package or self.name)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for another process. Lambdas are pickled by value."""
        # joblib cannot wrap a class.
        make = joblib.wrap_non_picklable_objects(lambda effort, make=self.make: make(effort))
        return {**self.__dict__, "make": make}

    def solve(self, problem: Any, effort: Any) -> Any:
        """Return a model that is fitted to ``problem.X`` and ``problem.y``."""
        with warnings.catch_warnings():
            # Fits are deliberately stopped before convergence.
            warnings.simplefilter("ignore")
            estimator = self.make(effort)
            if hasattr(estimator, "fit"):
                estimator.fit(problem.X, problem.y)
                return estimator
            if callable(estimator):
                return estimator(problem.X, problem.y)
        type_name = type(estimator).__name__
        raise TypeError(f"make must return an estimator with a method fit, or a function of X and y, got {type_name}")


@dataclass(frozen=True)
class _ClassWithEffort:
    """A function from an effort to an estimator. `effort_name` is the parameter that receives the effort."""

    module: str
    attribute: str
    parameters: dict[str, Any]
    effort_name: str | None

    def __call__(self, effort):
        value: Any = import_module(self.module)
        for name in self.attribute.split("."):
            value = getattr(value, name)
        effort_parameters = {} if self.effort_name is None else {self.effort_name: effort}
        return value(**self.parameters, **effort_parameters)


def parse_baseline(description: str) -> Baseline:
    """Return the Baseline for a description such as "sklearn.linear_model:SGDClassifier(loss='log_loss', tol=?)".

    The efforts are TOLERANCES if the name of the parameter with the question mark matches TOLERANCE_PATTERN, otherwise
    ITERATION_LIMITS. A ValueError is raised if the description has another form, and an ImportError if the module or
    the class cannot be imported.
    """
    form_error = ValueError(f"a baseline must have the form {DESCRIPTION_FORM}, got {description!r}")
    match = DESCRIPTION_PATTERN.fullmatch(description)
    if match is None:
        raise form_error
    # The question mark is no Python expression, so it is replaced by an ellipsis.
    arguments = re.sub(r"=\s*\?\s*(?=,|$)", "=...", match["arguments"] or "")
    try:
        call: Any = ast.parse(f"f({arguments})", mode="eval").body
        is_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
        parameters = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords} if is_call else {}
    except (SyntaxError, ValueError) as error:
        raise form_error from error
    effort_names = [name for name, value in parameters.items() if value is Ellipsis]
    if not is_call or None in parameters or len(effort_names) > 1:
        raise form_error
    effort_name = effort_names[0] if effort_names else None
    fixed_parameters = {name: value for name, value in parameters.items() if value is not Ellipsis}
    make = _ClassWithEffort(match["module"], match["attribute"], fixed_parameters, effort_name)
    try:
        attribute = import_module(match["module"])
        for name in match["attribute"].split("."):
            attribute = getattr(attribute, name)
    except Exception as error:
        raise ImportError(
            f"the baseline {description!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if effort_name is None:
        return Baseline(description, make)
    return Baseline(description, make, TOLERANCES if TOLERANCE_PATTERN.search(effort_name) else ITERATION_LIMITS)
