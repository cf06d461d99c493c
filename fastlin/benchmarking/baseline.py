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
        A function that returns an unfitted estimator for an effort. The estimator needs the method ``fit(X, y)``.
        The function may also be a lambda.
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

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not callable(self.make):
            raise TypeError(f"make must be a function of an effort, got {type(self.make).__name__}.")
        if not len(self.efforts):
            raise ValueError(f"efforts must contain at least one value, got none for the baseline {self.name!r}.")
        object.__setattr__(self, "efforts", tuple(self.efforts))
        object.__setattr__(self, "package", self.package or self.name)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for another process. Lambdas are pickled by value."""
        return {**self.__dict__, "make": joblib.wrap_non_picklable_objects(self.make)}

    def solve(self, problem: Any, effort: Any) -> Any:
        """Return an estimator that is fitted to ``problem.X`` and ``problem.y``."""
        with warnings.catch_warnings():
            # Fits are deliberately stopped before convergence.
            warnings.simplefilter("ignore")
            estimator = self.make(effort)
            estimator.fit(problem.X, problem.y)
        return estimator


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

    The efforts are TOLERANCES if the name of the parameter with the question mark contains "tol", otherwise
    ITERATION_LIMITS. A ValueError is raised if the description has another form, and an ImportError if the module or
    the class cannot be imported.
    """
    match = DESCRIPTION_PATTERN.fullmatch(description)
    if match is None:
        raise ValueError(f"a baseline must have the form {DESCRIPTION_FORM}, got {description!r}")
    try:
        # The question mark is no Python expression, so it is replaced by an ellipsis.
        call: Any = ast.parse(f"f({(match['arguments'] or '').replace('?', '...')})", mode="eval").body
        parameters = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"a baseline must have the form {DESCRIPTION_FORM}, got {description!r}") from error
    effort_names = [name for name, value in parameters.items() if value is Ellipsis]
    if call.args or len(effort_names) > 1:
        raise ValueError(f"a baseline must have the form {DESCRIPTION_FORM}, got {description!r}")
    effort_name = effort_names[0] if effort_names else None
    fixed_parameters = {name: value for name, value in parameters.items() if value is not Ellipsis}
    make = _ClassWithEffort(match["module"], match["attribute"], fixed_parameters, effort_name)
    try:
        attribute = import_module(match["module"])
        for name in match["attribute"].split("."):
            attribute = getattr(attribute, name)
    except (ImportError, AttributeError) as error:
        raise ImportError(f"the baseline {description!r} cannot be imported: {error}") from error
    if effort_name is None:
        return Baseline(description, make)
    return Baseline(description, make, TOLERANCES if "tol" in effort_name else ITERATION_LIMITS)
