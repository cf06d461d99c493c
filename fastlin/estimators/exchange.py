"""Fitted models of scikit-learn's classes from fastlin's, and the other way round.

Programs that know scikit-learn's classes alone, such as converters to ONNX, take the former.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import linear_model
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastlin.estimators.coefficients import check_coefficients

if TYPE_CHECKING:
    from fastlin.estimators import MiniBatchLogisticRegression, MLPClassifier
    from fastlin.networks.network import Network

# What models of both have, beside their parameters.
OF_EVERY_MODEL = "classes_", "n_features_in_", "feature_names_in_", "n_iter_"
OF_PATHS = "C_", "l1_ratio_", "Cs_", "l1_ratios_", "scores_", "coefs_paths_"
OF_LINEAR_MODELS = *OF_EVERY_MODEL, "coef_", "intercept_", *OF_PATHS
OF_NETWORKS = *OF_EVERY_MODEL, "coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_", "t_", "loss_"
CURVES = "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"


def copy_linear_model(model: Any, made_class: type[Any]) -> Any:
    """Return a fitted linear model of the other package's class, with the parameters and attributes that both have.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    TypeError
        The model is of another class.
    ValueError
        Its coefficients are not those of its classes and features.
    """
    _check_class(model, made_class)
    check_is_fitted(model)
    check_coefficients(model)
    return _copy(model, made_class, OF_LINEAR_MODELS)


def make_linear_model(model: MiniBatchLogisticRegression) -> Any:
    """Return scikit-learn's fitted LogisticRegression with the coefficients of a model of any linear class.

    Its parameters but fit_intercept stay at their defaults.
    """
    check_is_fitted(model)
    check_coefficients(model)
    made = linear_model.LogisticRegression(fit_intercept=model.fit_intercept)
    _copy_attributes(model, made, OF_LINEAR_MODELS)
    made.n_iter_ = np.atleast_1d(np.int32(model.n_iter_))
    return made


def make_scikit_learn_network(model: MLPClassifier, network: Network, made_class: type[Any]) -> Any:
    """Return scikit-learn's fitted MLPClassifier with the predictions of a folded network, a plain chain."""
    made = _copy(model, made_class, (*OF_NETWORKS, *CURVES))
    made.coefs_, made.intercepts_ = ([part.copy() for part in parts] for parts in (network.coefs, network.intercepts))
    n_classes, is_multilabel = len(model.classes_), model.out_activation_ == "logistic" and model.n_outputs_ > 1
    if n_classes == 2 and model.n_outputs_ == 2 and not is_multilabel:
        # Two classes have one output there: the difference of the scores.
        made.coefs_[-1] = made.coefs_[-1][:, 1:] - made.coefs_[-1][:, :1]
        made.intercepts_[-1] = made.intercepts_[-1][1:] - made.intercepts_[-1][:1]
        made.n_outputs_, made.out_activation_ = 1, "logistic"
    made._label_binarizer = LabelBinarizer().fit(np.eye(n_classes, dtype=int) if is_multilabel else model.classes_)
    made._random_state, made._no_improvement_count = check_random_state(model.random_state), 0
    return made


def copy_scikit_learn_network(model: Any, made_class: type[MLPClassifier]) -> MLPClassifier:
    """Return fastlin's MLPClassifier with the parameters and attributes of scikit-learn's network, but for its plan.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    TypeError
        The model is of another class.
    """
    _check_class(model, made_class)
    made = _copy(model, made_class, (*OF_NETWORKS, *CURVES))
    is_narrow = isinstance(model.coefs_, list) and getattr(model.coefs_[0], "dtype", None) == np.float32
    made.dtype = "float32" if is_narrow else "float64"
    made.batch_norm_scales_, made.batch_norm_means_, made.batch_norm_variances_ = [], [], []
    made.accuracy_curve_, made.validation_loss_curve_, made.interrupted_ = [], None, False
    made._random_state = check_random_state(model.random_state)
    made._kind = "multilabel" if model.out_activation_ == "logistic" and model.n_outputs_ > 1 else "class"
    return made


def _check_class(model, made_class):
    """Raise a TypeError where a model is not of the class of the same name in the other package."""
    names = {each.__name__ for each in type(model).__mro__}
    if made_class.__name__ not in names:
        raise TypeError(f"the model must be a fitted {made_class.__name__}, got {type(model).__name__}")


def _differs(value, default):
    """Say whether a parameter is not its default, which may mean the same by another value in another version."""
    is_plain = value is None or isinstance(value, (str, int, float, tuple))
    return value is not default and not (is_plain and type(value) is type(default) and value == default)


def _copy(model, made_class, names):
    """Return an instance with the parameters that both classes have, and copies of attributes of these names.

    A parameter that has its default gets that of the other class.
    """
    check_is_fitted(model)
    known, defaults = made_class().get_params(), type(model)().get_params()
    given = model.get_params(deep=False).items()
    # scikit-learn's LogisticRegressionCV knows no validation set, and the last fit was of X as by default.
    given = [(name, value) for name, value in given if (name, value) != ("refit", "train")]
    made = made_class(**{name: value for name, value in given if name in known and _differs(value, defaults[name])})
    _copy_attributes(model, made, names)
    return made


def _copy_attributes(model, made, names):
    for name in names:
        if hasattr(model, name):
            setattr(made, name, deepcopy(getattr(model, name)))
