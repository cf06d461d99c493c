"""Parameters of the estimators: their declarations (type, default and accepted values) and their validation.

The decorator `estimator` generates the constructor and scikit-learn's `_parameter_constraints` from declarations.
"""

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

from fastlin.containers.tensors import view_as_numpy
from fastlin.estimators import scikit_learn
from fastlin.estimators.columns import find_columns
from fastlin.estimators.labels import prefix_error_messages
from fastlin.estimators.scikit_learn import Hidden, Interval, Options, StrOptions
from fastlin.kernels.machine.threads import limit_threads
from fastlin.typing import Array, FloatArray, RandomState

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegression, LogisticRegressionCV
    from fastlin.matrices import Matrix

EstimatorClass = TypeVar("EstimatorClass", bound=type)
Solver: TypeAlias = Literal[
    "auto", "lbfgs", "liblinear", "newton-cd", "newton-cd-gram", "newton-cg", "newton-cholesky", "sag", "saga"
]
Penalty: TypeAlias = Literal["l1", "l2", "elasticnet"]
Activation: TypeAlias = Literal["identity", "logistic", "relu", "tanh"]
Normalization: TypeAlias = Literal["input", "hidden", "both"]
# The scoring of `permutation_test` that is not a scorer of scikit-learn.
LIKELIHOOD_RATIO_SCORING = "likelihood_ratio"
Initialization: TypeAlias = Literal["xavier", "he", "normal"]
# The solvers, learning rate schedules and dtypes of a network.
NetworkSolver: TypeAlias = Literal["adam", "sgd", "lbfgs"]
LearningRateSchedule: TypeAlias = Literal["constant", "invscaling", "adaptive"]
FloatDtypeName: TypeAlias = Literal["float32", "float64"]
BoundsLike: TypeAlias = float | ArrayLike | Mapping[str, float] | None

# With this stacklevel, a warning from a function that `_fit` calls points to the line where the user called `fit`.
FIT_STACKLEVEL = 4

# The first and last exponents of 10 in grids of C and of alpha without an L1 penalty, as in scikit-learn.
C_GRID_EXPONENTS, ALPHA_GRID_EXPONENTS = (-4, 4), (-7, 2)

# The l1_ratio for each value of the deprecated `penalty`, and scikit-learn's warnings about it.
PENALTY_L1_RATIOS: dict[str | None, float] = {"l2": 0, "l1": 1}
PENALTY_DEPRECATION_MESSAGE = (
    "'penalty' was deprecated in scikit-learn 1.8 and will be removed in 1.10. Use {} instead of penalty='l2', {} "
    "instead of penalty='l1', {} instead of penalty='elasticnet', and {} instead of penalty=None."
)
UNUSED_L1_RATIO_MESSAGE = "{} parameter is only used when penalty is 'elasticnet'. Got (penalty={})"

# Constraints for strings in declarations; other strings are passed to scikit-learn's `_parameter_constraints`.
CONSTRAINTS = {
    "above 0": Interval(Real, 0, None, closed="neither"),
    "above 0, or inf": Interval(Real, 0, None, closed="right"),
    "at least 0": Interval(Real, 0, None, closed="left"),
    "from 0 to 1": Interval(Real, 0, 1, closed="both"),
    "from 0 to below 1": Interval(Real, 0, 1, closed="left"),
    "above 0 to 1": Interval(Real, 0, 1, closed="right"),
    "between 0 and 1": Interval(Real, 0, 1, closed="neither"),
    "integer": Integral,
    "count": Interval(Integral, 1, None, closed="left"),
    "count or 0": Interval(Integral, 0, None, closed="left"),
    "inf": Options(Real, {math.inf}),
    "never": Options(bool, {False}),
    "deprecated": Hidden(StrOptions({"deprecated"})),
    "warn": Hidden(StrOptions({"warn"})),
    **{name: StrOptions({name}) for name in ("1/n_samples", "auto", "balanced", "from_dtype")},
}


def parameter(*, default: Any, accepts: list[Any], kw_only: bool = True) -> Any:
    """Return the declaration of a parameter; `accepts` lists keys of CONSTRAINTS, Literals, or other constraints."""
    constraints = [StrOptions(set(get_args(item))) if get_origin(item) is Literal else item for item in accepts]
    constraints = [CONSTRAINTS.get(item, item) if isinstance(item, str) else item for item in constraints]
    return field(default=default, metadata={"accepts": constraints}, kw_only=kw_only)


def fitted(*, init: Literal[False] = False) -> Any:
    """Return the declaration of a fitted attribute."""
    return field(init=init)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter, fitted))
def estimator(estimator_class: EstimatorClass) -> EstimatorClass:
    """Add a constructor and parameter constraints to a class; its own parameters precede inherited ones."""
    decorated_class: Any = dataclass(kw_only=True, eq=False, repr=False, match_args=False)(estimator_class)
    constraints = {item.name: item.metadata["accepts"] for item in fields(decorated_class) if item.init}
    decorated_class._parameter_constraints = constraints
    # The constructor contains the defaults. Class attributes with the defaults would hide missing instance attributes.
    for name in vars(decorated_class).keys() & constraints.keys():
        delattr(decorated_class, name)
    order = ["self", *(name for base in decorated_class.__mro__ for name in inspect.get_annotations(base))]
    signature = inspect.signature(decorated_class.__init__)
    ordered_parameters = sorted(signature.parameters.values(), key=lambda item: (item.kind, order.index(item.name)))
    decorated_class.__init__.__signature__ = signature.replace(parameters=ordered_parameters)
    return decorated_class


def limit_jobs(n_jobs: int | None) -> AbstractContextManager[None]:
    """Return a context manager that limits the number of threads to `n_jobs`; None sets no limit."""
    if n_jobs == 0:
        raise ValueError(f"n_jobs must be None or an integer other than 0, got {n_jobs}")
    return limit_threads(None if n_jobs is None else joblib.effective_n_jobs(n_jobs))


def draw_seed(random_state: RandomState) -> int:
    """Return a seed drawn from a random_state; other seeds are derived from this seed."""
    with prefix_error_messages("random_state"):
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def warn_of_future_change(text: str, since_version: tuple[int, int], until_version: tuple[int, int] = (2, 0)) -> None:
    """Issue a FutureWarning if scikit-learn's version is at least `since_version` and below `until_version`."""
    if since_version <= scikit_learn.SKLEARN_VERSION < until_version:
        warnings.warn(text, FutureWarning, stacklevel=FIT_STACKLEVEL + 1)


def uses_alpha(estimator: object) -> bool:
    """Return whether `alpha` or `alphas` sets the penalty 1 / (C S); if so, C is 1 / alpha in fits."""
    is_number = not isinstance(getattr(estimator, "alpha", "1/n_samples"), str)
    return is_number or getattr(estimator, "alphas", None) is not None


def invert_alpha(alpha: float) -> float:
    """Return 1 / alpha, or infinity for zero."""
    return 1 / alpha if alpha else np.inf


def resolve_penalty(estimator: LogisticRegression) -> tuple[float, float]:
    """Return C (or 1 / alpha) and l1_ratio, with scikit-learn's handling of the deprecated `penalty`."""
    penalty, C, l1_ratio = estimator.penalty, estimator.C, estimator.l1_ratio
    if not isinstance(estimator.alpha, str):
        if C != 1.0:
            raise ValueError(f"C must not be set if alpha is a number, got C={C} and alpha={estimator.alpha}")
        C = invert_alpha(estimator.alpha)
    if penalty != "deprecated":
        warn_of_future_change(
            PENALTY_DEPRECATION_MESSAGE.format("l1_ratio=0", "l1_ratio=1", "l1_ratio between 0 and 1", "C=np.inf"),
            since_version=(1, 8),
        )
    if l1_ratio is None:
        if penalty == "elasticnet":
            raise ValueError("l1_ratio must be a number from 0 to 1 if penalty='elasticnet', got None.")
        warn_of_future_change(
            "'l1_ratio=None' was deprecated in scikit-learn 1.8. Use a number from 0 to 1.", since_version=(1, 8)
        )
        l1_ratio = 0
    if penalty is None and C != 1.0:
        warnings.warn("Setting penalty=None will ignore the C and l1_ratio parameters", stacklevel=FIT_STACKLEVEL)
    fraction = PENALTY_L1_RATIOS.get(penalty, l1_ratio)
    # Before 1.8 penalty="l1" needed no l1_ratio.
    if l1_ratio != fraction and scikit_learn.SKLEARN_VERSION >= (1, 8):
        warnings.warn(
            f"Inconsistent values: penalty={penalty} with l1_ratio={l1_ratio}. penalty is used; please set only "
            "l1_ratio.",
            stacklevel=FIT_STACKLEVEL,
        )
    if penalty in PENALTY_L1_RATIOS and 0 < l1_ratio < 1:
        warnings.warn(UNUSED_L1_RATIO_MESSAGE.format("l1_ratio", penalty), stacklevel=FIT_STACKLEVEL)
    if penalty is None or (penalty == "deprecated" and C == np.inf):
        return np.inf, 0
    return C, fraction


def resolve_l1_ratios(penalty: str, l1_ratios: ArrayLike | None) -> FloatArray:
    """Return the array of l1_ratios, with scikit-learn's handling of the deprecated `penalty`."""
    if isinstance(l1_ratios, str):
        warn_of_future_change(
            "The default value for l1_ratios will change from None to (0.0,) in scikit-learn 1.10, which has the same "
            "effect. Set l1_ratios=(0,) to avoid this warning.",
            since_version=(1, 8),
            until_version=(1, 10),
        )
    if l1_ratios is None:
        warn_of_future_change(
            "'l1_ratios=None' was deprecated in scikit-learn 1.8. Use l1_ratios=(0,).", since_version=(1, 8)
        )
    if penalty != "deprecated":
        replacement_options = "l1_ratios=(0,)", "l1_ratios=(1,)", "l1_ratios between 0 and 1", "Cs=(np.inf,)"
        warn_of_future_change(PENALTY_DEPRECATION_MESSAGE.format(*replacement_options), since_version=(1, 8))
    requirement = "l1_ratios must be a list of numbers between 0 and 1"
    if l1_ratios is None or isinstance(l1_ratios, str):
        if penalty == "elasticnet":
            raise ValueError(f"{requirement} if penalty='elasticnet'; got (l1_ratios={l1_ratios!r})")
        return np.array([1.0 if penalty == "l1" else 0.0])
    try:
        ratios = np.asarray(l1_ratios, np.float64)
    except (TypeError, ValueError):
        ratios = np.empty(0)
    if ratios.ndim != 1 or not ratios.size or not ((ratios >= 0) & (ratios <= 1)).all():
        raise ValueError(f"{requirement}; got (l1_ratios={l1_ratios!r})")
    if penalty in PENALTY_L1_RATIOS:
        warnings.warn(UNUSED_L1_RATIO_MESSAGE.format("l1_ratios", penalty), stacklevel=FIT_STACKLEVEL)
        return np.array([PENALTY_L1_RATIOS[penalty]], np.float64)
    return ratios


def warn_of_changing_defaults(scoring: object, use_legacy_attributes: object) -> None:
    """Warn about defaults of LogisticRegressionCV that change in a future version of scikit-learn."""
    if scoring == "warn":
        warn_of_future_change(
            "The default value of the parameter 'scoring' will change from None, i.e. accuracy, to 'neg_log_loss', as "
            "in scikit-learn 1.11, which may select another C. Set scoring='accuracy' or scoring='neg_log_loss' to "
            "avoid this warning.",
            since_version=(1, 9),
            until_version=(1, 11),
        )
    if use_legacy_attributes == "warn":
        warn_of_future_change(
            "The default value of use_legacy_attributes will change from True to False in scikit-learn 1.10, which "
            "simplifies the shapes of C_, l1_ratio_, coefs_paths_, scores_ and n_iter_. Set it to False for the new "
            "shapes, or to True for the current ones.",
            since_version=(1, 8),
            until_version=(1, 10),
        )


def resolve_scoring(scoring: str | Callable[..., float] | None) -> str | Callable[..., float] | None:
    """Return the parameter `scoring`; "warn" is replaced by the default of the installed scikit-learn."""
    if scoring != "warn":
        return scoring
    return None if scikit_learn.SKLEARN_VERSION < (1, 11) else "neg_log_loss"


def resolve_inverse_strengths(estimator: LogisticRegressionCV) -> FloatArray:
    """Return the Cs of a search, or 1 / alphas if `alphas` is set, as a sorted float64 array."""
    Cs, alphas = estimator.Cs, estimator.alphas
    if alphas is None:
        Cs = validate_Cs(Cs)
        return np.logspace(*C_GRID_EXPONENTS, Cs) if isinstance(Cs, int) else Cs
    if not (isinstance(Cs, int) and Cs == 10):
        raise ValueError(f"Cs must not be set if alphas are, got Cs={Cs!r} and alphas={alphas!r}")
    alphas = validate_Cs(alphas, "alphas")
    alphas = np.logspace(*ALPHA_GRID_EXPONENTS, alphas) if isinstance(alphas, int) else alphas
    with np.errstate(divide="ignore"):
        return 1 / alphas[::-1]


def validate_Cs(Cs: Any, name: str = "Cs") -> int | FloatArray:
    """Return the number of Cs or alphas as an int, or their values as a sorted float64 array."""
    is_C = name == "Cs"
    numbers = "numbers above 0 (inf: no penalty)" if is_C else "finite numbers of at least 0"
    requirement = f"{name} must be an integer of at least 1, or a list of {numbers}"
    if isinstance(Cs, Integral) and not isinstance(Cs, bool) and int(Cs) >= 1:
        return int(Cs)
    try:
        grid = np.asarray(Cs, np.float64)
    except (TypeError, ValueError):
        grid = np.empty(0)
    is_accepted = grid > 0 if is_C else (grid >= 0) & (grid < np.inf)
    if grid.ndim != 1 or not grid.size or not is_accepted.all():
        raise ValueError(f"{requirement}; got {Cs!r:.200}")
    return np.sort(grid)


def validate_penalty_factors(penalty_factors: ArrayLike, matrix: Matrix) -> FloatArray:
    """Return the validated penalty factors as a float64 array of shape (d,)."""
    n_features = matrix.shape[1]
    factors = _validate_feature_values(
        "penalty_factors", penalty_factors, matrix, [(n_features,)], "contain one number for"
    )
    is_invalid = ~(np.isfinite(factors) & (factors >= 0))
    if is_invalid.any():
        j = int(np.argmax(is_invalid))
        raise ValueError(f"penalty_factors must be finite and at least 0, got {factors[j]} for feature {j}")
    return factors


def validate_bounds(
    estimator: LinearEstimator, matrix: Matrix, n_rows_coef: int
) -> tuple[FloatArray, FloatArray] | None:
    """Return arrays (K, d) of lower and of upper bounds on the coefficients, or None if no bound is finite."""
    if estimator.lower_bounds is None and estimator.upper_bounds is None:
        return None
    shape = n_rows_coef, matrix.shape[1]
    lower = _validate_bound_values(estimator, "lower_bounds", -np.inf, matrix, shape)
    upper = _validate_bound_values(estimator, "upper_bounds", np.inf, matrix, shape)
    is_invalid = (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if is_invalid.any():
        k, j = np.argwhere(is_invalid)[0]
        raise ValueError(
            f"lower_bounds must be at most upper_bounds, with finite numbers between them, got {lower[k, j]} and "
            f"{upper[k, j]} for feature {j}{f' of class {k}' if n_rows_coef > 1 else ''}"
        )
    if np.isinf(lower).all() and np.isinf(upper).all():
        return None
    if estimator.group_lasso:
        raise ValueError("group_lasso must be False if lower_bounds or upper_bounds are given, got True")
    return lower, upper


def _validate_bound_values(estimator, name, missing, matrix, shape):
    """Return the lower or upper bounds as an array of this shape (K, d); `missing` means no bound."""
    values = getattr(estimator, name)
    if values is None:
        return np.full(shape, missing)
    if isinstance(values, Mapping):
        names = getattr(estimator, "feature_names_in_", None)
        if names is None:
            raise ValueError(f"{name} is a dict of feature names, but the columns of X have no names; use an array")
        indices = find_columns(name, list(values), names, "an array with a number for each column")
        column_bounds = [missing] * len(names)
        for index, bound in zip(indices, values.values(), strict=True):
            column_bounds[index] = bound
        values = column_bounds
    others = f", or have the shape of coef_, {shape};"
    bounds = _validate_feature_values(
        name, values, matrix, [(), shape[1:], shape], "be a number, contain one for", others
    )
    if np.isnan(bounds).any():
        raise ValueError(f"{name} must not contain NaN or None; {missing} means no bound")
    return np.broadcast_to(bounds, shape).copy()


def _validate_feature_values(
    name: str, values: Any, matrix: Matrix, shapes: list[tuple[int, ...]], requirement: str, others: str = ","
) -> Array:
    """Return `values` as float64 in one of the shapes; the number of a categorical column applies to its categories."""
    values = view_as_numpy(values, name)
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number or an array with a number per feature, got {values!r}") from None
    # The number of coefficients of each column of a table.
    n_features = matrix.shape[1]
    widths = getattr(matrix, "widths", np.ones(n_features, np.int64))
    if numbers.shape[-1:] == widths.shape and (*numbers.shape[:-1], n_features) in shapes:
        numbers = np.repeat(numbers, widths, axis=-1)
    if numbers.shape not in shapes:
        columns = f", or of the {len(widths)} columns" if len(widths) < n_features else ""
        raise ValueError(
            f"{name} must {requirement} each of the {n_features} features{columns}{others} got the shape "
            f"{numbers.shape}"
        )
    return numbers
