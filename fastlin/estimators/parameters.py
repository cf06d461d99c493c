"""The parameters of estimators: each is declared once, by its type, its default and the values that it accepts."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, dataclass_transform, get_args, get_origin

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastlin.estimators import scikit_learn
from fastlin.estimators.columns import find_columns
from fastlin.estimators.labels import prefix_errors
from fastlin.estimators.scikit_learn import Hidden, Interval, Options, StrOptions
from fastlin.kernels.machine.threads import limit_threads
from fastlin.tensors import read_in_place
from fastlin.typing import Array, FloatArray, RandomState

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegression, LogisticRegressionCV
    from fastlin.matrices import Matrix

Declared = TypeVar("Declared", bound=type)
Solver: TypeAlias = Literal[
    "auto", "lbfgs", "liblinear", "newton-cd", "newton-cd-gram", "newton-cg", "newton-cholesky", "sag", "saga"
]
Penalty: TypeAlias = Literal["l1", "l2", "elasticnet"]
Activation: TypeAlias = Literal["identity", "logistic", "relu", "tanh"]
Normalization: TypeAlias = Literal["input", "hidden", "both"]
Initialization: TypeAlias = Literal["xavier", "he", "normal"]
# The rules of a network's steps, the courses of a learning rate, and the types that a training computes in.
NetworkSolver: TypeAlias = Literal["adam", "sgd", "lbfgs"]
LearningRateSchedule: TypeAlias = Literal["constant", "invscaling", "adaptive"]
Precision: TypeAlias = Literal["float32", "float64"]
BoundsLike: TypeAlias = float | ArrayLike | Mapping[str, float] | None

# Frames from a warning up to the line that calls `fit`: a function here, `_fit` and `fit`.
STACKLEVEL_OF_FIT = 4

# Without an L1 penalty grids of C lie between these powers of 10, as in scikit-learn, and those of alpha between these.
C_EXPONENTS, ALPHA_EXPONENTS = (-4, 4), (-7, 2)

# The l1_ratio that the deprecated `penalty` stands for, and scikit-learn's warnings of it.
PENALTY_L1_RATIOS: dict[str | None, float] = {"l2": 0, "l1": 1}
PENALTY_DEPRECATION = (
    "'penalty' was deprecated in scikit-learn 1.8 and goes in 1.10. Use {} instead of penalty='l2', {} instead of "
    "penalty='l1', {} instead of penalty='elasticnet', and {} instead of penalty=None."
)
L1_RATIO_UNUSED = "{} parameter is only used when penalty is 'elasticnet'. Got (penalty={})"

# What the words of a declaration mean; any other word is one of scikit-learn's `_parameter_constraints`.
CONSTRAINTS = {
    "above 0": Interval(Real, 0, None, closed="neither"),
    "above 0, or inf": Interval(Real, 0, None, closed="right"),
    "at least 0": Interval(Real, 0, None, closed="left"),
    "from 0 to 1": Interval(Real, 0, 1, closed="both"),
    "from 0 to below 1": Interval(Real, 0, 1, closed="left"),
    "above 0 to 1": Interval(Real, 0, 1, closed="right"),
    "between 0 and 1": Interval(Real, 0, 1, closed="neither"),
    "whole number": Integral,
    "count": Interval(Integral, 1, None, closed="left"),
    "count or 0": Interval(Integral, 0, None, closed="left"),
    "inf": Options(Real, {math.inf}),
    "never": Options(bool, {False}),
    "deprecated": Hidden(StrOptions({"deprecated"})),
    "warn": Hidden(StrOptions({"warn"})),
    **{name: StrOptions({name}) for name in ("1/n_samples", "auto", "balanced", "from_dtype")},
}


def parameter(*, default: Any, accepts: list[Any], kw_only: bool = True) -> Any:
    """Return the declaration of a parameter; ``accepts`` has words, Literals, and constraints of scikit-learn."""
    constraints = [StrOptions(set(get_args(each))) if get_origin(each) is Literal else each for each in accepts]
    constraints = [CONSTRAINTS.get(each, each) if isinstance(each, str) else each for each in constraints]
    return field(default=default, metadata={"accepts": constraints}, kw_only=kw_only)


def fitted(*, init: Literal[False] = False) -> Any:
    """Return the declaration of an attribute that a fit sets."""
    return field(init=init)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter, fitted))
def estimator(declared: Declared) -> Declared:
    """Give a class the constructor that sets its parameters, and their constraints; its own precede its bases'."""
    made: Any = dataclass(kw_only=True, eq=False, repr=False, match_args=False)(declared)
    made._parameter_constraints = {each.name: each.metadata["accepts"] for each in fields(made) if each.init}
    # The constructor knows the defaults, and a class does not have what only its instances mean.
    for name in vars(made).keys() & made._parameter_constraints.keys():
        delattr(made, name)
    order = ["self", *(name for base in made.__mro__ for name in inspect.get_annotations(base))]
    signature = inspect.signature(made.__init__)
    ordered = sorted(signature.parameters.values(), key=lambda each: (each.kind, order.index(each.name)))
    made.__init__.__signature__ = signature.replace(parameters=ordered)
    return made


def limit_jobs(n_jobs: int | None) -> AbstractContextManager[None]:
    """Return a context in which as many threads run as `n_jobs` says; None sets no limit."""
    if n_jobs == 0:
        raise ValueError(f"n_jobs must be None or a whole number other than 0, got {n_jobs}")
    return limit_threads(None if n_jobs is None else joblib.effective_n_jobs(n_jobs))


def read_seed(random_state: RandomState) -> int:
    """Return the seed of draws that each have a seed of their own beside it."""
    with prefix_errors("random_state"):
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def warn_of_future_change(text: str, since: tuple[int, int], until: tuple[int, int] = (2, 0)) -> None:
    """Warn of what changes in scikit-learn, where the installed version says so: from one up to before another."""
    if since <= scikit_learn.VERSION < until:
        warnings.warn(text, FutureWarning, stacklevel=STACKLEVEL_OF_FIT + 1)


def uses_alpha(estimator: object) -> bool:
    """Say whether `alpha`, or `alphas`, tells an estimator's penalty 1 / (C S): what fits call C is then 1 / alpha."""
    is_number = not isinstance(getattr(estimator, "alpha", "1/n_samples"), str)
    return is_number or getattr(estimator, "alphas", None) is not None


def invert(alpha: float) -> float:
    """Return 1 / alpha."""
    return 1 / alpha if alpha else np.inf


def read_penalty(estimator: LogisticRegression) -> tuple[float, float]:
    """Return C, or 1 / alpha, and l1_ratio after the deprecated `penalty`, with scikit-learn's warnings and errors."""
    penalty, C, l1_ratio = estimator.penalty, estimator.C, estimator.l1_ratio
    if not isinstance(estimator.alpha, str):
        if C != 1.0:
            raise ValueError(f"C must be left out where alpha is a number, got C={C} and alpha={estimator.alpha}")
        C = invert(estimator.alpha)
    if penalty != "deprecated":
        warn_of_future_change(
            PENALTY_DEPRECATION.format("l1_ratio=0", "l1_ratio=1", "l1_ratio between 0 and 1", "C=np.inf"), since=(1, 8)
        )
    if l1_ratio is None:
        if penalty == "elasticnet":
            raise ValueError("l1_ratio must be a number from 0 to 1 where penalty='elasticnet', got None.")
        warn_of_future_change(
            "'l1_ratio=None' was deprecated in scikit-learn 1.8. Use a number from 0 to 1.", since=(1, 8)
        )
        l1_ratio = 0
    if penalty is None and C != 1.0:
        warnings.warn("Setting penalty=None will ignore the C and l1_ratio parameters", stacklevel=STACKLEVEL_OF_FIT)
    fraction = PENALTY_L1_RATIOS.get(penalty, l1_ratio)
    # Before 1.8 penalty="l1" needed no l1_ratio.
    if l1_ratio != fraction and scikit_learn.VERSION >= (1, 8):
        warnings.warn(
            f"Inconsistent values: penalty={penalty} with l1_ratio={l1_ratio}; the penalty counts. Use l1_ratio alone.",
            stacklevel=STACKLEVEL_OF_FIT,
        )
    if penalty in PENALTY_L1_RATIOS and 0 < l1_ratio < 1:
        warnings.warn(L1_RATIO_UNUSED.format("l1_ratio", penalty), stacklevel=STACKLEVEL_OF_FIT)
    if penalty is None or (penalty == "deprecated" and C == np.inf):
        return np.inf, 0
    return C, fraction


def read_l1_ratios(penalty: str, l1_ratios: ArrayLike | None) -> FloatArray:
    """Return the l1_ratios after the deprecated `penalty`, an array, with the warnings of scikit-learn."""
    if isinstance(l1_ratios, str):
        warn_of_future_change(
            "The default value for l1_ratios will change from None to (0.0,) in scikit-learn 1.10, which means the "
            "same. Set l1_ratios=(0,).",
            since=(1, 8),
            until=(1, 10),
        )
    if l1_ratios is None:
        warn_of_future_change("'l1_ratios=None' was deprecated in scikit-learn 1.8. Use l1_ratios=(0,).", since=(1, 8))
    if penalty != "deprecated":
        ratios = "l1_ratios=(0,)", "l1_ratios=(1,)", "l1_ratios of numbers from 0 to 1", "Cs=(np.inf,)"
        warn_of_future_change(PENALTY_DEPRECATION.format(*ratios), since=(1, 8))
    accepted = "l1_ratios must be a list of numbers between 0 and 1"
    if l1_ratios is None or isinstance(l1_ratios, str):
        if penalty == "elasticnet":
            raise ValueError(f"{accepted} where penalty='elasticnet'; got (l1_ratios={l1_ratios!r})")
        return np.array([1.0 if penalty == "l1" else 0.0])
    try:
        given = np.asarray(l1_ratios, np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.ndim != 1 or not given.size or not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"{accepted}; got (l1_ratios={l1_ratios!r})")
    if penalty in PENALTY_L1_RATIOS:
        warnings.warn(L1_RATIO_UNUSED.format("l1_ratios", penalty), stacklevel=STACKLEVEL_OF_FIT)
        return np.array([PENALTY_L1_RATIOS[penalty]], np.float64)
    return given


def warn_of_defaults(scoring: object, use_legacy_attributes: object) -> None:
    """Warn of defaults of LogisticRegressionCV that mean something else in a coming version of scikit-learn."""
    if scoring == "warn":
        warn_of_future_change(
            "The default value of the parameter 'scoring' will change from None, that is accuracy, to 'neg_log_loss', "
            "as in scikit-learn 1.11: another C may be chosen then. Set scoring='accuracy' or scoring='neg_log_loss'.",
            since=(1, 9),
            until=(1, 11),
        )
    if use_legacy_attributes == "warn":
        warn_of_future_change(
            "The default value of use_legacy_attributes will change from True to False in scikit-learn 1.10: C_, "
            "l1_ratio_, coefs_paths_, scores_ and n_iter_ get simpler shapes then. Set it to False for these, or to "
            "True for those of today.",
            since=(1, 8),
            until=(1, 10),
        )


def read_scoring(scoring: str | Callable[..., float] | None) -> str | Callable[..., float] | None:
    """Return the parameter `scoring`, for its default what scikit-learn's installed version takes."""
    if scoring != "warn":
        return scoring
    return None if scikit_learn.VERSION < (1, 11) else "neg_log_loss"


def read_inverses(estimator: LogisticRegressionCV) -> FloatArray:
    """Return the Cs of a search, or 1 / alpha where it is by `alphas`, a sorted float64 array."""
    Cs, alphas = estimator.Cs, estimator.alphas
    if alphas is None:
        Cs = read_Cs(Cs)
        return np.logspace(*C_EXPONENTS, Cs) if isinstance(Cs, int) else Cs
    if not (isinstance(Cs, int) and Cs == 10):
        raise ValueError(f"Cs must be left out where alphas are given, got Cs={Cs!r} and alphas={alphas!r}")
    alphas = read_Cs(alphas, "alphas")
    alphas = np.logspace(*ALPHA_EXPONENTS, alphas) if isinstance(alphas, int) else alphas
    with np.errstate(divide="ignore"):
        return 1 / alphas[::-1]


def read_Cs(Cs: Any, name: str = "Cs") -> int | FloatArray:
    """Return the number of Cs or alphas that is asked for, an int, or the given ones, a sorted float64 array."""
    is_C = name == "Cs"
    numbers = "numbers above 0 (inf: no penalty)" if is_C else "finite numbers of at least 0"
    accepted = f"{name} must be a whole number of at least 1, or a list of {numbers}"
    if isinstance(Cs, Integral) and not isinstance(Cs, bool) and int(Cs) >= 1:
        return int(Cs)
    try:
        grid = np.asarray(Cs, np.float64)
    except (TypeError, ValueError):
        grid = np.empty(0)
    is_accepted = grid > 0 if is_C else (grid >= 0) & (grid < np.inf)
    if grid.ndim != 1 or not grid.size or not is_accepted.all():
        raise ValueError(f"{accepted}; got {Cs!r:.200}")
    return np.sort(grid)


def read_penalty_factors(penalty_factors: ArrayLike, matrix: Matrix) -> FloatArray:
    """Return the penalty factors as an array (d,) of float64."""
    n_features = matrix.shape[1]
    factors = _read_numbers("penalty_factors", penalty_factors, matrix, [(n_features,)], "hold one number for")
    wrong = ~(np.isfinite(factors) & (factors >= 0))
    if wrong.any():
        j = int(np.argmax(wrong))
        raise ValueError(f"penalty_factors must be finite and at least 0, got {factors[j]} for feature {j}")
    return factors


def read_bounds(estimator: LinearEstimator, matrix: Matrix, n_rows_coef: int) -> tuple[FloatArray, FloatArray] | None:
    """Return the lower and the upper bounds of the coefficients, (K, d) each, or None where none is finite."""
    if estimator.lower_bounds is None and estimator.upper_bounds is None:
        return None
    shape = n_rows_coef, matrix.shape[1]
    lower = _read_bounds(estimator, "lower_bounds", -np.inf, matrix, shape)
    upper = _read_bounds(estimator, "upper_bounds", np.inf, matrix, shape)
    wrong = (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if wrong.any():
        k, j = np.argwhere(wrong)[0]
        raise ValueError(
            f"lower_bounds must be at most upper_bounds, and leave finite numbers between them, got {lower[k, j]} and "
            f"{upper[k, j]} for feature {j}{f' of class {k}' if n_rows_coef > 1 else ''}"
        )
    if np.isinf(lower).all() and np.isinf(upper).all():
        return None
    if estimator.group_lasso:
        raise ValueError("group_lasso must be False where lower_bounds or upper_bounds are given, got True")
    return lower, upper


def _read_bounds(estimator, name, missing, matrix, shape):
    """Return the bounds of a name as an array of a shape (K, d); `missing` is none."""
    given = getattr(estimator, name)
    if given is None:
        return np.full(shape, missing)
    if isinstance(given, Mapping):
        names = getattr(estimator, "feature_names_in_", None)
        if names is None:
            raise ValueError(f"{name} names features, but the columns of X have no names; give an array")
        numbers = find_columns(name, list(given), names, "an array with a number for each column")
        of_columns = [missing] * len(names)
        for number, bound in zip(numbers, given.values(), strict=True):
            of_columns[number] = bound
        given = of_columns
    others = f", or have the shape of coef_, {shape};"
    bounds = _read_numbers(name, given, matrix, [(), shape[1:], shape], "be a number, hold one for", others)
    if np.isnan(bounds).any():
        raise ValueError(f"{name} must not hold NaN or None; {missing} means no bound")
    return np.broadcast_to(bounds, shape).copy()


def _read_numbers(
    name: str, given: Any, matrix: Matrix, shapes: list[tuple[int, ...]], accepted: str, others: str = ","
) -> Array:
    """Return numbers for features as float64 in one of the shapes; a table's column has one for all its levels."""
    given = read_in_place(given, name)
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number or numbers, one for each feature, got {given!r}") from None
    # How many coefficients each column of a table has.
    n_features = matrix.shape[1]
    widths = getattr(matrix, "widths", np.ones(n_features, np.int64))
    if numbers.shape[-1:] == widths.shape and (*numbers.shape[:-1], n_features) in shapes:
        numbers = np.repeat(numbers, widths, axis=-1)
    if numbers.shape not in shapes:
        columns = f", or of the {len(widths)} columns" if len(widths) < n_features else ""
        raise ValueError(
            f"{name} must {accepted} each of the {n_features} features{columns}{others} got the shape {numbers.shape}"
        )
    return numbers
