"""From an objective and a model's coefficients to an Inference: the optimum, a covariance, the likelihoods."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastlin.coefficient_names import LeftOut, append_intercept, describe_each, find_indices
from fastlin.exceptions import InferenceWarning
from fastlin.inference.collinearity import check_collinearity
from fastlin.inference.contrasts import Contrasts, find_reference
from fastlin.inference.covariances import count_weights, find_covariance
from fastlin.inference.hessian import Curvature, Information
from fastlin.inference.inference import Basis, Inference, report
from fastlin.inference.likelihood import sum_weights
from fastlin.inference.optimum import Optimum, come_near, find_optimum, make_buffer
from fastlin.inference.separation import certifies_maximum, check_separation
from fastlin.objective.objective import Objective
from fastlin.typing import Array, FloatArray

ACCEPTED: dict[str, tuple[str | None, ...]] = {
    "covariance": ("model", "HC0", "HC1", "cluster"),
    "penalized": ("laplace", "sandwich", None),
    "weight_type": ("frequency", "importance"),
}
# The most parameters K (d + 1) whose covariance is made: it takes 134 MB, and so do the Hessian and its factor.
MAX_PARAMETERS = 4096
# Coefficients of a model, and the optimum, are reported where they are no further away than this part of an error.
CLOSE = 0.01


class Meaning(NamedTuple):
    """What the weights of an objective stand for: "frequency" or "importance", their unit, and whether by_class too."""

    are: str
    unit: float
    by_class: bool


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked for: the parameters of `LogisticRegression.inference`, checked.

    `reference` is the number of a class, None for symmetric coefficients. `names` (d,) name the columns, and `features`
    the reported ones, None for all. `left_out` are the levels without a coefficient. `clusters` are the numbers of each
    row's cluster, by each key. `stacklevel` counts frames from `answer`, for warnings.
    """

    covariance: str
    penalized: str | None
    use_t: bool
    features: Sequence[Any] | None
    reference: int | None
    classes: Array
    names: Array
    left_out: LeftOut
    clusters: list[Array]
    weights: Meaning
    tol: float
    stacklevel: int

    @property
    def power(self) -> int:
        """The power of the weights in robust covariances."""
        return 1 if self.weights.are == "frequency" else 2

    @cached_property
    def shown_names(self) -> Array:
        """The names of the columns (d,) as messages and the summary write them, each of which stands for one column."""
        # The intercept comes last, and may share its name with a column.
        return describe_each(append_intercept(self.names, True), self.left_out)[:-1]


def ask(classes: Array, reference: Any, **choices: Any) -> Question:
    """Return the Question for the label of a reference and its other fields; ValueError: there is no such choice."""
    for name, accepted in ACCEPTED.items():
        given = choices["weights"].are if name == "weight_type" else choices[name]
        if not (given is None or isinstance(given, str)) or given not in accepted:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted))}, got {given!r}.")
    if not isinstance(choices["use_t"], (bool, np.bool_)):
        raise ValueError(f"use_t must be True or False, got {choices['use_t']!r}.")
    if (choices["covariance"] == "cluster") != bool(choices["clusters"]):
        raise ValueError(
            "clusters must be given with covariance='cluster', and with no other: got covariance="
            f"{choices['covariance']!r} and {'no clusters' if not choices['clusters'] else 'clusters'}."
        )
    return Question(reference=find_reference(reference, classes), classes=classes, **choices)


def answer(objective: Objective, coef: FloatArray, intercept: FloatArray, question: Question) -> Inference:
    """Return the Inference of a model with coef (K, d) and intercept (K,) over the rows of its objective.

    ValueError: a penalized model without a meaning of its errors, weights of another kind than stated, or too many
    parameters. CollinearityError or SeparationError: the estimates do not exist.
    """
    check_penalty(objective, question)
    check_size(objective, question)
    if not (objective.class_weights > 0).all():
        idle = question.classes[np.argmin(objective.class_weights)]
        raise ValueError(f"No row with a weight above zero has the class {idle!s}: its coefficients have no estimates.")
    if question.clusters and not (objective.rows.has_labels and objective.matrix.lies_in_memory):
        raise ValueError("covariance='cluster' reads the rows in the order of their clusters: X has to lie in memory.")
    total_weight = sum_weights(objective, question.weights.unit)
    n_samples = count_samples(objective, question)
    start = objective.coordinates.to_parameters(coef.astype(np.float64), intercept.astype(np.float64))
    contrasts = Contrasts.against(question.reference, len(question.classes), objective)
    n_parameters = contrasts.n_parameters
    df_resid = n_samples - n_parameters
    if df_resid <= 0 and (question.use_t or question.covariance in ("HC1", "cluster")):
        raise ValueError(
            f"use_t and the covariances 'HC1' and 'cluster' need more rows than parameters, got {n_samples:g} rows and "
            f"{n_parameters} parameters."
        )
    names = append_intercept(question.names, objective.fit_intercept)
    positions = find_indices("features", question.features, names, question.left_out)
    optimum = find_estimates(objective, start, question, n_samples)
    point, inflations = optimum.point, optimum.curvature.inflations
    covariance, n_clusters = find_covariance(optimum, contrasts.list_units(positions), question, n_samples)
    covariance /= total_weight
    if question.covariance in ("HC1", "cluster"):
        covariance *= (n_samples - (question.covariance == "cluster")) / df_resid
    if np.isinf(covariance).any():
        raise ValueError(
            "Standard errors leave the range of float64: the rows tell too little of some coefficient, by the scale of "
            "its column, the size of the offset or that of the penalty. Scale X."
        )
    n_effective = float(n_parameters) if objective.penalty.is_none else optimum.curvature.n_effective
    basis = Basis(
        question.covariance,
        question.penalized,
        contrasts,
        positions,
        # Rows on other machines are there as long as the method runs.
        point if objective.rows.has_labels else None,
        question.left_out,
        is_likelihood=question.weights.are == "frequency" and not objective.rows.has_targets,
        df_t=float(min(n_clusters) - 1 if n_clusters else df_resid) if question.use_t else None,
        n_clusters=n_clusters,
        max_inflated=(question.shown_names[inflations.argmax()], float(inflations.max())) if len(inflations) else None,
    )
    found = Inference(
        **report(basis, point, objective.center(start), covariance, names, question.classes, total_weight),
        n_samples=n_samples,
        df_model=n_effective - contrasts.n_intercepts,
        distance=optimum.distance,
    )
    warn_of_distances(found, optimum.is_certified, question, n_samples * point.loss)
    return found


def find_estimates(objective: Objective, start: FloatArray, question: Question, n_samples: float) -> Optimum:
    """Return the optimum near a model's parameters (K, d + 1); CollinearityError, SeparationError: there is none."""
    buffer, kind = make_buffer(objective), Information
    if is_large(objective):
        point, kind = come_near(objective, [start], buffer), Curvature
        if not objective.penalty.is_bounded:
            # Newton's steps would come to no end.
            check_separation(point, question.shown_names, question.classes)
    else:
        point = objective.at(objective.center(start), out=buffer)
    optimum = find_optimum(point, kind, n_samples)
    check_existence(optimum, question)
    return optimum


def check_existence(optimum: Optimum, question: Question) -> None:
    """Raise an error where there is no optimum.

    CollinearityError, SeparationError: columns without a penalty depend on each other, or separate classes. ValueError:
    standard errors would be rounding for another reason.
    """
    point, curvature, objective = optimum.point, optimum.curvature, optimum.point.objective
    step, names, labels = curvature.direction.step, question.shown_names, question.classes
    is_sought, is_penalized = objective.penalty.curvatures == 0, objective.penalty.is_bounded
    is_sought[-1] = objective.fit_intercept
    if not isinstance(curvature, Information) or curvature.resolves(is_sought):
        if not is_penalized and not certifies_maximum(curvature):
            check_separation(point, names, labels, step, question.stacklevel + 1)
        return
    if not is_penalized:
        # Variances that are rounding prove nothing. The search for a separation takes longest, and where columns nearly
        # depend on each other far too long.
        check_collinearity(objective, names, is_sought)
        check_separation(point, names, labels, step)
    raise ValueError(
        "The information of the rows has no inverse in float64, so that there are no standard errors: "
        f"{'the penalty is too weak for columns that depend on each other, ' if is_penalized else ''}classes are "
        "nearly separated, columns nearly depend on each other, or weights or offsets are of far different sizes."
    )


def check_penalty(objective: Objective, question: Question) -> None:
    """Raise a ValueError where the penalty has no standard errors, or not those that the question asks for."""
    penalty, asked = objective.penalty, question.penalized
    if not penalty.is_smooth:
        raise ValueError(
            "The model has an L1 or a group penalty, which selects the features: errors that take the selection as "
            "given are too small. Fit the selected features again, on other rows, with C=inf."
        )
    if penalty.is_none:
        if asked is not None:
            raise ValueError(
                f"penalized={asked!r} is for penalized models, but no coefficient of this one is penalized."
            )
        return
    if asked is None:
        raise ValueError(
            "The model is penalized: its coefficients are biased towards zero, and the errors of maximum likelihood "
            "are not theirs. Fit with C=inf, or choose what the errors mean: penalized='laplace' takes the penalty as "
            "a normal prior, and gives the posterior's errors; penalized='sandwich' gives those of the penalized "
            "estimates over repeated samples, around their own mean and not around the true values."
        )
    if asked == "laplace" and question.covariance != "model":
        raise ValueError(
            f"penalized='laplace' is the covariance of a posterior, which is not covariance={question.covariance!r}; "
            "use penalized='sandwich'."
        )


def is_large(objective: Objective) -> bool:
    """Say whether the covariance of all parameters would be too large."""
    return objective.shape[0] * objective.shape[1] > MAX_PARAMETERS


def check_size(objective: Objective, question: Question) -> None:
    """Raise a ValueError where the covariance would be too large."""
    K, m = objective.shape
    if is_large(objective) and question.features is None:
        raise ValueError(
            f"The model has {K * m:,} parameters; the covariance of all of them is made for up to {MAX_PARAMETERS:,}. "
            "Name the columns whose errors are wanted by features=[...]."
        )
    if is_large(objective) and question.clusters:
        raise ValueError(
            f"covariance='cluster' is for models of up to {MAX_PARAMETERS:,} parameters, and this one has {K * m:,}; "
            "with features=[...] there are 'model', 'HC0' and 'HC1'."
        )


def count_samples(objective: Objective, question: Question) -> float:
    """Return how many rows there are, by the meaning of their weights; ValueError: another meaning is asked for."""
    is_model, is_importance = question.covariance == "model", question.weights.are == "importance"
    if is_model and (is_importance or question.weights.by_class):
        raise ValueError(
            "covariance='model' needs rows that each count once, or as often as a frequency says: the curvature does "
            "not tell the errors where weights say how much a row matters (sampling weights, class_weight). Use "
            "covariance='HC0', 'HC1' or 'cluster'."
        )
    if is_model and objective.rows.has_targets:
        raise ValueError(
            "covariance='model' needs labels that were drawn from the model, but soft labels are no draws. Use "
            "covariance='HC0', 'HC1' or 'cluster'."
        )
    if objective.rows.has_labels and not len(objective.rows.weights):
        return float(objective.n_rows)
    n_rows, n_broken = objective.rows.passes.sum_curvature(
        count_weights, np.zeros(objective.shape), question.weights.unit
    )
    if is_importance:
        return float(n_rows)
    if question.weights.by_class:
        raise ValueError(
            "With class_weight the weights of the rows are no frequencies: use weight_type='importance', and repeat "
            "rows that stand for several."
        )
    if n_broken:
        raise ValueError(
            f"sample_weight holds {n_broken:.0f} numbers that are not whole, which are no frequencies; use "
            "weight_type='importance' with a robust covariance."
        )
    return float(round(objective.rows.total_weight * question.weights.unit))


def warn_of_distances(found: Inference, is_certified: bool, question: Question, loss: float) -> None:
    """Warn where errors are none, or the optimum or the model is further away than a hundredth of one."""
    if len(question.clusters) > 1 and (np.diagonal(found._covariance) < 0).any():
        text = (
            "Some variances by several keys of clusters are below zero, so that their standard errors are NaN: what "
            "the keys have in common is subtracted, and there are too few clusters for that."
        )
    elif not found.distance <= CLOSE:
        known = "may be" if is_certified else "seems to be"
        text = (
            f"The optimum {known} {found.distance:.2g} standard errors from the reported estimates, as near as float64 "
            "comes to it: columns nearly depend on each other, or lie far from zero."
        )
    elif not found.coef_error <= CLOSE:
        tol = 10.0 ** np.floor(np.log10(0.5 * CLOSE**2 / max(loss, 1.0)))
        why = f"The tol of the fit, {question.tol:g}, allows that; with tol={tol:.0e} they agree."
        if question.tol <= tol:
            why = (
                f"The tol of the fit, {question.tol:g}, does not allow that: the rows, weights or offsets are not "
                "those of the fit, or it did not converge."
            )
        text = (
            f"coef_ and intercept_ of the model are up to {found.coef_error:.2g} standard errors from the optimum, "
            f"which the inference is about. {why}"
        )
    else:
        return
    warnings.warn(text, InferenceWarning, stacklevel=question.stacklevel)
