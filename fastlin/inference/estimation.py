"""Compute an Inference from an objective and coefficients: the optimum, the covariance and the likelihoods."""

from __future__ import annotations

import warnings

import numpy as np

from fastlin.coefficient_names import append_intercept, find_coefficient_indices
from fastlin.exceptions import InferenceWarning
from fastlin.inference.collinearity import check_collinearity
from fastlin.inference.contrasts import Contrasts
from fastlin.inference.covariances import compute_covariance, count_positive_and_noninteger
from fastlin.inference.hessian import MAX_PARAMETERS, HessianOperator, InformationMatrix
from fastlin.inference.inference import Inference, InferenceBasis, collect_inference_fields
from fastlin.inference.likelihood import sum_weights
from fastlin.inference.optimum import Optimum, approach_optimum, find_optimum, make_probability_buffer
from fastlin.inference.options import InferenceOptions
from fastlin.inference.predictions import EncodeRows
from fastlin.inference.separation import check_separation, has_certified_maximum
from fastlin.objective.objective import Objective
from fastlin.typing import FloatArray

# Maximum distance from the optimum, in standard errors. A warning is issued if the coefficients of the model, or the
# estimates, are farther from the optimum.
MAX_OPTIMUM_DISTANCE = 0.01


def compute_inference(
    objective: Objective, coef: FloatArray, intercept: FloatArray, options: InferenceOptions, encode_rows: EncodeRows
) -> Inference:
    """Return the Inference of a model with coef (K, d) and intercept (K,) for the rows of its objective.

    `encode_rows` encodes new rows, with the columns of the objective.

    Raise a ValueError if `penalized` does not match the penalty, the weights do not have the stated type, or there are
    too many parameters. Raise a CollinearityError or SeparationError if the estimates do not exist.
    """
    check_penalty(objective, options)
    check_problem_size(objective, options)
    if not (objective.class_weights > 0).all():
        empty_class = options.classes[np.argmin(objective.class_weights)]
        raise ValueError(
            f"Class {empty_class!s} has no row with a positive weight, so its coefficients cannot be estimated. Add "
            "rows of the class, or refit without it."
        )
    if options.clusters and not (objective.rows.has_labels and objective.matrix.lies_in_memory):
        raise ValueError(
            "covariance='cluster' requires X in memory, because it reads the rows cluster by cluster; got X in blocks "
            "or a Dask collection. Use 'HC0' or 'HC1', or load X."
        )
    total_weight = sum_weights(objective, options.weights.unit)
    n_samples = count_samples(objective, options)
    start = objective.coordinates.to_parameters(coef.astype(np.float64), intercept.astype(np.float64))
    contrasts = Contrasts.from_reference(options.reference, len(options.classes), objective)
    n_parameters = contrasts.n_parameters
    df_resid = n_samples - n_parameters
    if df_resid <= 0 and (options.use_t or options.covariance in ("HC1", "cluster")):
        raise ValueError(
            f"use_t=True and the covariances 'HC1' and 'cluster' require more rows than parameters, got {n_samples:g} "
            f"rows and {n_parameters} parameters."
        )
    names = append_intercept(options.names, objective.fit_intercept)
    positions = find_coefficient_indices("features", options.features, names, options.omitted_categories)
    optimum = find_estimates(objective, start, options, n_samples)
    point, std_error_inflations = optimum.point, optimum.curvature.std_error_inflations
    covariance, n_clusters = compute_covariance(optimum, contrasts.build_contrast_matrix(positions), options, n_samples)
    covariance /= total_weight
    if options.covariance in ("HC1", "cluster"):
        covariance *= (n_samples - (options.covariance == "cluster")) / df_resid
    if np.isinf(covariance).any():
        raise ValueError(
            "A standard error overflows float64: the rows have almost no information about some coefficient, because "
            "of the scale of its column, a large offset or a very weak penalty. Scale X."
        )
    n_effective_parameters = (
        float(n_parameters) if objective.penalty.is_zero else optimum.curvature.n_effective_parameters
    )
    inference_basis = InferenceBasis(
        options.covariance,
        options.penalized,
        contrasts,
        positions,
        # The rows of Dask collections are only available until the method returns.
        point if objective.rows.has_labels else None,
        encode_rows,
        options.omitted_categories,
        has_likelihood=options.weights.kind == "frequency" and not objective.rows.has_targets,
        df_t=float(min(n_clusters) - 1 if n_clusters else df_resid) if options.use_t else None,
        n_clusters=n_clusters,
        max_std_error_inflation=(
            options.display_names[std_error_inflations.argmax()],
            float(std_error_inflations.max()),
        )
        if len(std_error_inflations)
        else None,
    )
    inference = Inference(
        **collect_inference_fields(
            inference_basis, point, objective.center(start), covariance, names, options.classes, total_weight
        ),
        n_samples=n_samples,
        df_model=n_effective_parameters - contrasts.n_intercepts,
        distance_from_optimum=optimum.distance,
    )
    warn_if_inaccurate_inference(inference, optimum.is_certified, options, n_samples * point.loss)
    return inference


def find_estimates(objective: Objective, start: FloatArray, options: InferenceOptions, n_samples: float) -> Optimum:
    """Return the optimum near `start` (K, d + 1). Raise a CollinearityError or SeparationError if there is none."""
    probability_buffer, kind = make_probability_buffer(objective), InformationMatrix
    if is_large(objective):
        point, kind = approach_optimum(objective, [start], probability_buffer), HessianOperator
        if not objective.penalty.is_bounded:
            # If the classes are separated, Newton steps do not converge.
            check_separation(point, options.display_names, options.classes)
    else:
        point = objective.at(objective.center(start), out=probability_buffer)
    optimum = find_optimum(point, kind, n_samples)
    check_estimates_exist(optimum, options)
    return optimum


def check_estimates_exist(optimum: Optimum, options: InferenceOptions) -> None:
    """Raise an error if the estimates or their standard errors do not exist.

    The error is a CollinearityError if unpenalized columns are collinear, and a SeparationError if they separate the
    classes. It is a ValueError if rounding error would dominate the standard errors for another reason.
    """
    point, curvature, objective = optimum.point, optimum.curvature, optimum.point.objective
    step, names, labels = curvature.direction.step, options.display_names, options.classes
    is_unpenalized, is_penalized = objective.penalty.curvatures == 0, objective.penalty.is_bounded
    is_unpenalized[-1] = objective.fit_intercept
    if not isinstance(curvature, InformationMatrix) or curvature.has_accurate_variances(is_unpenalized):
        if not is_penalized and not has_certified_maximum(curvature):
            check_separation(point, names, labels, step, options.stacklevel + 1)
        return
    if not is_penalized:
        # Variances dominated by rounding error certify nothing. The search for a separation is last, because it is the
        # slowest check, and may not terminate if columns are nearly collinear.
        check_collinearity(objective, names, is_unpenalized)
        check_separation(point, names, labels, step)
    raise ValueError(
        "The information matrix is singular in float64, so the standard errors would be dominated by rounding error: "
        f"{'the penalty is too weak for collinear columns, ' if is_penalized else ''}classes are nearly separated, "
        "columns are nearly collinear, or weights or offsets differ by many orders of magnitude. Remove columns, "
        "strengthen the penalty, or rescale."
    )


def check_penalty(objective: Objective, options: InferenceOptions) -> None:
    """Raise a ValueError unless standard errors are defined for the penalty and `penalized` matches the penalty."""
    penalty, penalized = objective.penalty, options.penalized
    if not penalty.is_smooth:
        raise ValueError(
            "The model has an L1 or group penalty, which selects features; standard errors that ignore the selection "
            "would be too small. Refit the selected features with C=inf, on different rows."
        )
    if penalty.is_zero:
        if penalized is not None:
            raise ValueError(
                f"penalized={penalized!r} requires a penalized model, but no coefficient of this model is penalized. "
                "Use penalized=None."
            )
        return
    if penalized is None:
        raise ValueError(
            "The model is penalized, so its coefficients are biased towards zero and maximum-likelihood standard "
            "errors do not apply. Refit with C=inf, or choose penalized='laplace' (posterior standard deviations, "
            "with the penalty as a normal prior) or penalized='sandwich' (sampling variation of the penalized "
            "estimates around their own mean, not around the true values)."
        )
    if penalized == "laplace" and options.covariance != "model":
        raise ValueError(
            "penalized='laplace' is the covariance of a posterior distribution and requires covariance='model', got "
            f"covariance={options.covariance!r}. Use penalized='sandwich'."
        )


def is_large(objective: Objective) -> bool:
    """Return whether the covariance of all parameters would be too large."""
    return objective.n_parameters > MAX_PARAMETERS


def check_problem_size(objective: Objective, options: InferenceOptions) -> None:
    """Raise a ValueError if the covariance would be too large."""
    K, m = objective.shape
    if is_large(objective) and options.features is None:
        raise ValueError(
            f"The model has {K * m:,} parameters; the covariance of all of them is limited to {MAX_PARAMETERS:,}. "
            "Select the columns to report with features=[...]."
        )
    if is_large(objective) and options.clusters:
        raise ValueError(
            f"covariance='cluster' is limited to models of {MAX_PARAMETERS:,} parameters, got {K * m:,}. Use 'model', "
            "'HC0' or 'HC1' with features=[...]."
        )


def count_samples(objective: Objective, options: InferenceOptions) -> float:
    """Return the number of samples that the weights represent.

    Raise a ValueError if the weights do not match their type.
    """
    is_model_based, has_sampling_weights = options.covariance == "model", options.weights.kind == "sampling"
    if is_model_based and (has_sampling_weights or options.weights.has_class_weights):
        raise ValueError(
            "covariance='model' requires unweighted rows or frequency weights, and is not valid with sampling weights "
            "or class_weight. Use covariance='HC0', 'HC1' or 'cluster'."
        )
    if is_model_based and objective.rows.has_targets:
        raise ValueError(
            "covariance='model' requires observed labels; soft labels are not draws from the model. Use "
            "covariance='HC0', 'HC1' or 'cluster'."
        )
    if objective.rows.has_labels and not len(objective.rows.weights):
        return float(objective.n_rows)
    n_rows, n_noninteger_weights = objective.rows.passes.sum_with_probabilities(
        count_positive_and_noninteger, np.zeros(objective.shape), options.weights.unit
    )
    if has_sampling_weights:
        return float(n_rows)
    if options.weights.has_class_weights:
        raise ValueError(
            "With class_weight the row weights are not frequencies: use weight_type='sampling', and repeat rows whose "
            "sample_weight is a frequency."
        )
    if n_noninteger_weights:
        raise ValueError(
            f"sample_weight has {n_noninteger_weights:.0f} non-integer entries, but frequency weights are integers. "
            "Use weight_type='sampling' with a robust covariance."
        )
    return float(round(objective.rows.total_weight * options.weights.unit))


def warn_if_inaccurate_inference(
    inference: Inference, is_certified: bool, options: InferenceOptions, loss: float
) -> None:
    """Warn if variances are negative, or if the estimates are inaccurate.

    They are inaccurate if the optimum or the model is farther than MAX_OPTIMUM_DISTANCE from the estimates.
    """
    if len(options.clusters) > 1 and (np.diagonal(inference._covariance) < 0).any():
        message = (
            "Some multiway cluster variances are negative, so their standard errors are NaN: there are too few "
            "clusters for the correction that subtracts the overlap of the keys. Use fewer keys."
        )
    elif not inference.distance_from_optimum <= MAX_OPTIMUM_DISTANCE:
        verb = "may be" if is_certified else "seems to be"
        message = (
            f"The optimum {verb} {inference.distance_from_optimum:.2g} standard errors from the reported estimates, "
            "the best that float64 permits: columns are nearly collinear, or lie far from zero. Center X, or remove "
            "columns."
        )
    elif not inference.coef_error <= MAX_OPTIMUM_DISTANCE:
        tol = 10.0 ** np.floor(np.log10(0.5 * MAX_OPTIMUM_DISTANCE**2 / max(loss, 1.0)))
        reason = f"The tol of the fit, {options.tol:g}, is too large; fit with tol={tol:.0e} or less."
        if options.tol <= tol:
            reason = (
                f"The tol of the fit, {options.tol:g}, does not explain this: the rows, weights or offsets differ "
                "from those of the fit, or the fit did not converge."
            )
        message = (
            f"coef_ and intercept_ of the model are up to {inference.coef_error:.2g} standard errors from the optimum, "
            f"which the inference describes. {reason}"
        )
    else:
        return
    warnings.warn(message, InferenceWarning, stacklevel=options.stacklevel)
