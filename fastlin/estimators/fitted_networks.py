"""The attributes that a network predicts with and is trained on from, checked against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.fitted import as_array, check_random_state, read_arrays, read_count
from fastlin.networks import Network

if TYPE_CHECKING:
    from fastlin.estimators import MLPClassifier, TrainedEstimator

PLAN = {"layer_sizes", "activation", "normalization", "is_independent", "dtype"}
CURVES = "loss_curve_", "accuracy_curve_", "validation_loss_curve_", "validation_scores_"


def load_network(estimator: MLPClassifier, **training: Any) -> Network:
    """Return the network of the last training, with its parameters and statistics, and what it has in training alone.

    Raises
    ------
    ValueError
        An attribute is of another shape or kind than the network; the error names it.
    """
    network = Network(**read_plan(estimator), **training)
    means, variances = ([getattr(n, name) for n in network.normalizations] for name in ("mean", "variance"))
    for name, targets in (
        ("coefs_", network.coefs),
        ("intercepts_", network.intercepts),
        ("batch_norm_scales_", network.scales),
        ("batch_norm_means_", means),
        ("batch_norm_variances_", variances),
    ):
        found = read_arrays(name, getattr(estimator, name), [target.shape for target in targets])
        for target, values in zip(targets, found, strict=True):
            target[:] = values
    return network


def check_finite(network: Network, names: str = "coefs_, intercepts_ and the attributes of batch_norm") -> None:
    """Raise a ValueError, with the names of the attributes, where the parameters of a network are not finite."""
    if not np.isfinite(network.parameters).all():
        raise ValueError(f"{names} must be finite in {network.dtype}, but they hold NaN or infinity")


def read_plan(estimator: MLPClassifier) -> dict[str, Any]:
    """Return the arguments of the Network that predicts, after a check against the public attributes."""
    plan: Any = estimator._plan
    if not isinstance(plan, dict) or plan.keys() != PLAN:
        raise ValueError(f"_plan must describe a network, got {plan!r:.200}")
    n_inputs, *_, n_outputs = plan["layer_sizes"]
    if read_count("n_features_in_", estimator.n_features_in_) != n_inputs:
        raise ValueError(
            f"n_features_in_ must be {n_inputs}, as the network has inputs, got {estimator.n_features_in_}"
        )
    classes = as_array("classes_", estimator.classes_)
    # One output tells two classes apart, or stands for one.
    accepted = (1, 2) if n_outputs == 1 and not plan["is_independent"] else (n_outputs,)
    if classes.ndim != 1 or len(classes) not in accepted:
        raise ValueError(
            f"classes_ must hold {accepted[-1]} classes, as the network tells apart, got the shape {classes.shape}"
        )
    activation = "logistic" if n_outputs == 1 or plan["is_independent"] else "softmax"
    if not isinstance(estimator.out_activation_, str) or estimator.out_activation_ != activation:
        raise ValueError(f"out_activation_ must be {activation!r}, got {estimator.out_activation_!r:.100}")
    return plan


def check_continuation(estimator: TrainedEstimator) -> None:
    """Raise a ValueError where a training cannot go on from the attributes of the last one; the error names one."""
    classes = as_array("classes_", estimator.classes_)
    try:
        is_sorted = classes.ndim == 1 and np.array_equal(classes, np.unique(classes))
    except TypeError:
        is_sorted = False
    # Labels are searched for in them.
    if not is_sorted:
        raise ValueError(f"classes_ must hold each class once, in ascending order, got {classes.tolist()!r:.100}")
    read_count("t_", estimator.t_)
    for name in CURVES:
        if not isinstance(getattr(estimator, name), (list, type(None))):
            raise ValueError(f"{name} must be a list, got {type(getattr(estimator, name)).__name__}")
    if not isinstance(estimator.loss_curve_, list):
        raise ValueError("loss_curve_ must be a list, got None")
    state: Any = estimator._random_state
    if not isinstance(state, np.random.RandomState):
        raise ValueError(f"_random_state must be a RandomState, got {type(state).__name__}")
    # A caller's generator may be of another kind.
    if state.get_state(legacy=False)["bit_generator"] == "MT19937":
        check_random_state("_random_state", state.get_state())
