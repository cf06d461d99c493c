"""MLPClassifier: scikit-learn's multi-layer perceptron, with batch normalization and dropout."""

import warnings
from functools import partial
from numbers import Integral
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit, log_softmax
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastlin.containers.fitted import as_array, check_same_structure, require, validate_arrays, validate_count
from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.containers.tensors import view_as_numpy
from fastlin.estimators.checkpoints import Checkpoints
from fastlin.estimators.columns import validate_matrix
from fastlin.estimators.fit_reporting import restore_on_error, warn_of_stopped_training
from fastlin.estimators.labels import validate_relative_weights
from fastlin.estimators.network_training import EpochTrainingMixin, check_finite_parameters
from fastlin.estimators.parameters import (
    Activation,
    Initialization,
    NetworkSolver,
    Normalization,
    estimator,
    fitted,
    parameter,
)
from fastlin.estimators.scikit_learn import BaseEstimator, ClassifierMixin, check_parameters
from fastlin.estimators.summary import NETWORK_ATTRIBUTES, copy_model
from fastlin.networks import NORMALIZATIONS, Network, initialize_parameters
from fastlin.training import AdamDescent, EarlyStopping, MomentumDescent, train_by_epochs, train_by_lbfgs
from fastlin.typing import Array, FloatArray, MatrixLike, PathLike

# The batch size of scikit-learn's "auto".
AUTO_BATCH_SIZE = 200
# The arguments of `Network` that predictions depend on.
NETWORK_PLAN_KEYS = {"layer_sizes", "activation", "normalization", "is_independent", "dtype"}


def _uses_mini_batches(estimator):
    """Return True if the solver uses mini-batches; otherwise raise an AttributeError, which hides `partial_fit`."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit requires solver 'adam' or 'sgd', because 'lbfgs' uses all rows in each step")
    return True


@estimator
class MLPClassifier(EpochTrainingMixin, ClassifierMixin, BaseEstimator):
    """Multi-layer perceptron with softmax cross-entropy, trained with mini-batches or with L-BFGS.

    This class is a drop-in replacement for scikit-learn's estimator of the same name. With ``init="xavier"``,
    ``dtype="float64"`` and the same random_state, the loss curve is the same. In addition, this class supports batch
    normalization, dropout, decaying learning rates, soft labels, class weights, other initializations, and a
    user-defined validation set. Dense X of type float64, float32, uint8, int8, int16 or bool, CPU tensors and CSR
    matrices are read in place, one batch at a time. float16 and bfloat16 are converted to float32, all other types to
    float64, and other sparse formats to CSR.

    The same seed gives bitwise identical results. The results do not depend on the number of threads either, except
    that for some matrix shapes OpenBLAS sums products in an order that depends on this number.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Number of units in each hidden layer; () is a softmax regression.
    activation : {"identity", "logistic", "relu", "tanh"}, default="relu"
        Activation function of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        Algorithm of the optimization: "adam" (Kingma and Ba 2015), "sgd" with momentum, or "lbfgs" on all rows at once,
        for small data. "lbfgs" supports neither batch normalization nor dropout.
    batch_size : int or "auto", default="auto"
        Number of rows per batch, at most n_samples; "auto" means 200. The last batch of an epoch may be smaller. With
        `batch_norm`, which requires batches of at least 2 rows, all batches have about the same size.
    learning_rate_init : float, default=0.001
        Initial learning rate.
    max_iter : int, default=200
        Maximum number of epochs, or of iterations of "lbfgs".
    max_fun : int, default=15000
        Maximum number of evaluations of the loss and gradient by "lbfgs".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    beta_1, beta_2 : float, default=0.9, 0.999
        Exponential decay rates of the first and second moments in "adam", at least 0 and below 1.
    epsilon : float, default=1e-8
        Constant above 0 for numerical stability in "adam".
    batch_norm : {False, "input", "hidden", "both"}, default=False
        Batch normalization (Ioffe and Szegedy 2015). "input" normalizes X; the first layer provides the scale and
        shift. "hidden" normalizes the input of each activation function, with a learned scale and with the layer's
        intercept as the shift. "both" combines the two. Predictions use running statistics.
    dropout : float, default=0.0
        Fraction of hidden units, at least 0 and below 1, that are dropped in each step (Srivastava et al. 2014).
    init : {"xavier", "he", "normal"}, default="xavier"
        Initialization of the coefficients. "xavier" draws coefficients and intercepts uniformly between -b and b, where
        b = sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010, equation 16). As in scikit-learn, the 6 is replaced by
        2 for logistic units. "he" draws coefficients from a normal distribution with variance 2 / fan in (He et al.
        2015, equation 10), which suits deep networks with ReLU. "normal" uses the standard deviation `init_scale`. With
        "he" and "normal" the intercepts start at zero.
    init_scale : float, default=0.01
        Standard deviation for ``init="normal"``.
    n_iter_no_change : int or np.inf, default=10
        Training stops after more than this number of consecutive epochs without an improvement of at least `tol`. With
        np.inf, training runs for max_iter epochs.
    tol : float, default=0.0001
        Minimum improvement of the training loss or, with `early_stopping`, of the validation accuracy. "lbfgs" stops
        when no entry of the gradient exceeds tol, or when the loss no longer decreases.
    alpha : float, default=0.0001
        Strength of the L2 penalty. The loss of a batch includes alpha / 2 times the sum of the squared coefficients,
        divided by the number of rows in the batch (or by their total weight).
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Learning rate schedule of "sgd"; "adam" always uses "constant". "invscaling" divides `learning_rate_init` by (t
        + 1)^power_t after the first epoch, where t is the number of training samples seen. "adaptive" divides the
        learning rate by 5 whenever training would otherwise stop for lack of improvement, until the learning rate is at
        most 1e-6.
    power_t : float, default=0.5
        Exponent of "invscaling".
    learning_rate_decay : float, default=1.0
        Factor by which the learning rate is multiplied after each epoch, above 0 and at most 1.
    momentum : float, default=0.9
        Momentum of "sgd", at least 0 and below 1.
    early_stopping : bool, default=False
        Whether to stop training when the accuracy on the validation data does not improve. The validation data are
        passed to `fit`, or otherwise drawn at random from the training data. As in scikit-learn, "lbfgs" ignores this
        parameter.
    validation_fraction : float, default=0.1
        Fraction of the training data to set aside as validation data if `early_stopping` is True and no validation data
        are passed. The split is the same as in scikit-learn, stratified for two classes.
    shuffle : bool, default=True
        Whether to shuffle the rows in each epoch.
    class_weight : dict, "balanced" or None, default=None
        Class weights in the loss; "balanced" weights are inversely proportional to the class frequencies. Class weights
        are not supported for multilabel y or soft labels.
    warm_start : bool, default=False
        Whether to start from the parameters of the previous fit.
    random_state : int, RandomState or None, default=None
        Seed or random number generator for the initialization, the validation split, shuffling and dropout.
    verbose : bool or int, default=False
        Whether to show a progress bar with the training loss and accuracy, and the validation loss and accuracy.
    dtype : {"float32", "float64"}, default="float32"
        Data type of all computations, including X. Use float64 for columns whose standard deviation is below 1e-6 times
        their values. ``solver="lbfgs"`` trains in float64 and rounds the parameters to this type at the end.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels; 0, 1, ... if y has one column per class.
    coefs_ : list of ndarray of shape (fan in, fan out)
        Coefficients of each layer.
    intercepts_ : list of ndarray of shape (fan out,)
        Intercepts of each layer. For two classes, the only output is the score of the second class.
    batch_norm_scales_ : list of ndarray
        Scales of the hidden layers; empty if these are not normalized.
    batch_norm_means_, batch_norm_variances_ : list of ndarray
        Running statistics of the normalized inputs: X, the hidden layers, or both.
    loss_curve_, accuracy_curve_ : list of float
        Mean training loss, including the penalty, and accuracy of each epoch. Each batch is evaluated before its step.
    validation_scores_, validation_loss_curve_ : list of float or None
        Accuracy and mean loss on the validation data after each epoch.
    best_validation_score_ : float or None
        Largest value of `validation_scores_`.
    loss_, best_loss_ : float
        Last and smallest values of `loss_curve_`; `best_loss_` is None with `early_stopping`.
    n_iter_ : int
        Number of complete epochs or iterations of the last fit or, after `partial_fit`, of all calls so far.
    t_ : int
        Number of training samples seen so far, including repetitions.
    interrupted_ : bool
        Whether the last training run was stopped by Ctrl-C. If so, the model is the result of the last complete epoch.
    n_layers_, n_outputs_ : int
        Number of layers, including the input layer, and number of outputs.
    out_activation_ : {"softmax", "logistic"}
        Activation function of the output.
    fit_seconds_ : float
        Duration of the last fit in seconds.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number and names of the features seen during `fit`; the names exist only if X has column names.

    See Also
    --------
    LogisticRegression : Fit a model without hidden layers to a certified tolerance.
    TwoLayerNet : The two-layer network of a course assignment, with its methods.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier((20,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    hidden_layer_sizes: int | ArrayLike = parameter(default=(100,), accepts=["array-like", "count"], kw_only=False)
    activation: Activation = parameter(default="relu", accepts=[Activation], kw_only=False)
    solver: NetworkSolver = parameter(default="adam", accepts=[NetworkSolver])
    batch_size: int | Literal["auto"] = parameter(default="auto", accepts=["auto", "count"])
    learning_rate_init: float = parameter(default=0.001, accepts=["above 0"])
    max_iter: int = parameter(default=200, accepts=["count"])
    max_fun: int = parameter(default=15000, accepts=["count"])
    nesterovs_momentum: bool = parameter(default=True, accepts=["boolean"])
    beta_1: float = parameter(default=0.9, accepts=["from 0 to below 1"])
    beta_2: float = parameter(default=0.999, accepts=["from 0 to below 1"])
    epsilon: float = parameter(default=1e-8, accepts=["above 0"])
    batch_norm: Literal[False] | Normalization = parameter(default=False, accepts=["never", Normalization])
    dropout: float = parameter(default=0.0, accepts=["from 0 to below 1"])
    init: Initialization = parameter(default="xavier", accepts=[Initialization])
    init_scale: float = parameter(default=0.01, accepts=["above 0"])
    n_iter_no_change: float = parameter(default=10, accepts=["count", "inf"])
    tol: float = parameter(default=1e-4, accepts=["at least 0"])

    coefs_: list[FloatArray] = fitted()
    intercepts_: list[FloatArray] = fitted()
    batch_norm_scales_: list[FloatArray] = fitted()
    batch_norm_means_: list[FloatArray] = fitted()
    batch_norm_variances_: list[FloatArray] = fitted()
    best_validation_score_: float | None = fitted()
    loss_: float = fitted()
    best_loss_: float | None = fitted()
    n_layers_: int = fitted()
    n_outputs_: int = fitted()
    out_activation_: Literal["softmax", "logistic"] = fitted()
    n_features_in_: int = fitted()
    feature_names_in_: Array = fitted()
    _plan: dict[str, Any] = fitted()
    _kind: str = fitted()

    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        save_checkpoint: PathLike | None = None,
        resume: PathLike | None = None,
    ) -> Self:
        """Train the network.

        With validation data, passed here or set aside for `early_stopping`, the fitted parameters are those of the
        first epoch (or iteration) with the highest validation accuracy. Otherwise, they are those of the last one.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Class labels; or, with one column per class, zeros and ones (multilabel) or probabilities that sum to one in
            each row (soft labels).
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Sample weights in the loss. Batch normalization ignores them.
        X_val, y_val : array-like of shapes (n_validation, n_features) and (n_validation, ...), or None
            Validation data.
        save_checkpoint : path or None, default=None
            File to which a checkpoint is written atomically after each epoch; it contains no pickle. Not supported with
            "lbfgs" or `warm_start`.
        resume : path or None, default=None
            Checkpoint from which to resume, with the same data and parameters, except for the training limits. The
            result is bitwise identical to that of an uninterrupted fit.

        Returns
        -------
        self : MLPClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is invalid, or if the data have a wrong shape or NaN or infinite values.
        CheckpointError
            If the checkpoint is damaged, or was written with other parameters or data. Only the shapes, labels,
            weights, and first and last rows of the data are compared.
        OSError
            If the checkpoint to resume from cannot be read.

        Warns
        -----
        ConvergenceWarning
            If training diverged, if it reached max_iter while the loss was still improving, or if "lbfgs" reached a
            limit or could not decrease the loss.
        UserWarning
            If training was stopped by Ctrl-C. The model then keeps its complete epochs, and `interrupted_` is True. If
            Ctrl-C is pressed before the end of the first epoch, KeyboardInterrupt is raised, and the model is
            unchanged.
        CheckpointWarning
            If a checkpoint cannot be written. Training continues, and `fit` tries again after the next epoch.
        UserWarning
            If `batch_size` exceeds the number of rows, which then form one batch.
        """
        with restore_on_error(self):
            self._check_training_parameters()
            checkpoints = Checkpoints(self, save_checkpoint, resume)
            is_continuation = self.warm_start and hasattr(self, "coefs_")
            examples, validation, kind = self._read_rows(X, y, sample_weight, X_val, y_val, is_continuation)
            random_state = checkpoints.random_state
            network = self._make_training_network(random_state, is_continuation, kind)
            if self.early_stopping and validation is None and self.solver != "lbfgs":
                examples, validation = self._split_validation(examples, random_state)
            if self.solver == "lbfgs":
                train = partial(self._train_on_all_rows, network, examples, validation, random_state, is_continuation)
            else:
                if self.batch_size != "auto" and self.batch_size > len(examples):
                    warnings.warn(
                        "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped to the "
                        f"{len(examples)} rows to train on (it is {self.batch_size}).",
                        stacklevel=2,
                    )
                descent = self._make_descent(network, random_state)
                arguments = descent, examples, validation, random_state, self.max_iter, is_continuation
                train = partial(self._train, *arguments, **checkpoints.prepare(self, descent, examples, validation))
            training = self._train_with_callbacks(X, y, sample_weight, network, train)
            self.n_iter_ = len(training.records)
        warn_of_stopped_training(self, training, stacklevel=3)
        return self

    @available_if(_uses_mini_batches)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on the given rows, with the momentum, learning rate and random state of the last call.

        Parameters
        ----------
        X, y, sample_weight : array-like
            Training data, labels and weights, as in `fit`. Fewer rows than `batch_size` form one batch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that occur in any call. This argument is required in the first call.

        Returns
        -------
        self : MLPClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`, and if a label is not among the classes or `early_stopping` is True.

        Warns
        -----
        ConvergenceWarning
            If training diverged. The parameters are then reset to those before the call.
        UserWarning
            If Ctrl-C was pressed after the epoch, whose result is kept. If Ctrl-C is pressed earlier, KeyboardInterrupt
            is raised, and the model is unchanged.
        """
        with restore_on_error(self):
            self._check_training_parameters()
            self._check_partial_fit()
            is_continuation = hasattr(self, "coefs_")
            random_state = self._begin_partial_fit(classes, is_continuation)
            examples, kind = self._make_examples_of_part(X, y, sample_weight, reset=not is_continuation)
            network = self._make_training_network(random_state, is_continuation, kind)
            descent = self._make_descent(network, random_state)
            # After a change of solver, or in a model converted from scikit-learn, there is no optimizer state.
            before = getattr(self, "_optimizer", None) if is_continuation else None
            monitor = None
            if before is not None and before.solver == self.solver:
                check_same_structure("_optimizer.optimizer_arrays", before.optimizer_arrays, descent.optimizer_arrays)
                descent.restore([*network.state, *before.optimizer_arrays])
                monitor = before.monitor
            n_epochs = len(self.loss_curve_) if is_continuation else 0
            with self._show_epochs(1) as on_epoch:
                arguments = descent, examples, None, random_state, 1, is_continuation, on_epoch
                training = self._train(*arguments, n_epochs=n_epochs, previous_monitor=monitor)
            self.n_iter_ = len(self.loss_curve_)
        if training.stop_reason in ("diverged", "interrupted"):
            warn_of_stopped_training(self, training, stacklevel=3)
        return self

    def predict(self, X: MatrixLike) -> Array:
        """Predict the most probable class of each row, or the labels of each row for multilabel y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Input data.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Predicted classes, or zeros and ones for multilabel y.
        """
        probabilities = self._predict(X, Network.predict_probabilities)
        if probabilities.shape[1] == 1:
            # If y had a single class, the modulo makes sure that this class is predicted for every row.
            return self.classes_[(probabilities[:, 0] >= 0.5).astype(np.int64) % len(self.classes_)]
        if self.out_activation_ == "logistic":
            return (probabilities >= 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Predict the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Input data.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities, with columns in the order of `classes_`. Their data type is `dtype`, or float64 for
            multilabel y. If y had a single class, there are two columns.
        """
        check_is_fitted(self)
        if self._validate_network_plan()["is_independent"]:
            return np.exp(self.predict_log_proba(X))
        probabilities = self._predict(X, Network.predict_probabilities)
        return np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Predict the logarithm of the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Input data.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Log-probabilities, with columns in the order of `classes_`.
        """
        # Computed from the scores, the logarithm is finite even if the probability rounds to 0.
        scores = self._predict(X, Network.compute_scores)
        if self.out_activation_ == "softmax":
            return log_softmax(scores, axis=1)
        if scores.shape[1] == 1:
            return np.hstack([log_expit(-scores), log_expit(scores)])
        # In float32 many probabilities would round to 0 or 1. log1p is deliberately not used: the logarithm of a
        # probability that rounds to 1 must be 0, so that the label with the largest probability also has the largest
        # logarithm.
        scores = scores.astype(np.float64)
        return np.minimum(scores, 0) - np.log(1 + np.exp(-np.abs(scores)))

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy on test data, or the subset accuracy for multilabel y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Test data.
        y : array-like of shape (n_samples,), or array-like or sparse matrix of shape (n_samples, n_classes)
            True classes, or multilabel y.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Sample weights; None means that all weights are one.

        Returns
        -------
        accuracy : float
            Accuracy, from 0 to 1.
        """
        # scikit-learn would convert the labels without these checks.
        y = validate_if_sparse(view_as_numpy(y, "y"), "y")
        return super().score(X, y, validate_relative_weights(sample_weight, y, may_be_negative=True))

    def _describe_result(self):
        network = self._load_network()
        layers = " → ".join(map(str, network.layer_sizes))
        n_parameters = sum(array.size for array in (*network.coefs, *network.intercepts))
        return {"layers": f"{layers}, {n_parameters:,} coefficients and intercepts", **self._describe_training()}

    def to_sklearn(self) -> Any:
        """Convert this fitted model to scikit-learn's MLPClassifier.

        Returns
        -------
        model : sklearn.neural_network.MLPClassifier
            A fitted model with the same predictions. Batch normalization is folded into its coefficients, and
            parameters that scikit-learn does not have are dropped.
        """
        model_copy = copy_model(self, ScikitLearnMLPClassifier, NETWORK_ATTRIBUTES)
        network = self._load_network().make_prediction_network()
        coefs, intercepts = ([part.copy() for part in parts] for parts in (network.coefs, network.intercepts))
        n_classes, is_multilabel = len(self.classes_), self.out_activation_ == "logistic" and self.n_outputs_ > 1
        if n_classes == 2 and self.n_outputs_ == 2 and not is_multilabel:
            # For two classes, scikit-learn has one output, the difference between the scores.
            coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
            intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
            model_copy.n_outputs_, model_copy.out_activation_ = 1, "logistic"
        model_copy.coefs_, model_copy.intercepts_ = coefs, intercepts
        model_copy._label_binarizer = LabelBinarizer().fit(
            np.eye(n_classes, dtype=int) if is_multilabel else self.classes_
        )
        model_copy._random_state, model_copy._no_improvement_count = check_random_state(self.random_state), 0
        return model_copy

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Convert a fitted MLPClassifier of scikit-learn to this class.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier
            A fitted model.

        Returns
        -------
        model : MLPClassifier
            A fitted model with the same predictions. Its `dtype` is the type of the coefficients, from which
            `partial_fit` and `warm_start` continue.

        Raises
        ------
        TypeError
            If the model is an instance of another class.
        """
        model_copy = copy_model(model, cls, NETWORK_ATTRIBUTES)
        is_float32 = isinstance(model.coefs_, list) and getattr(model.coefs_[0], "dtype", None) == np.float32
        model_copy.dtype = "float32" if is_float32 else "float64"
        model_copy.batch_norm_scales_, model_copy.batch_norm_means_, model_copy.batch_norm_variances_ = [], [], []
        model_copy.accuracy_curve_, model_copy.validation_loss_curve_, model_copy.interrupted_ = [], None, False
        model_copy._random_state = check_random_state(model.random_state)
        model_copy._kind = "multilabel" if model.out_activation_ == "logistic" and model.n_outputs_ > 1 else "class"
        model_copy._plan = model_copy._make_network_plan(model_copy._kind)
        model_copy._load_network()
        return model_copy

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, which declare support for sparse X and multilabel y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def _predict(self, X, method):
        """Return the probabilities or scores of the rows of X, computed by a method of the network."""
        # scikit-learn's check would take a tenth of the time of a prediction for one row.
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        matrix = validate_matrix(self, X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            # Each call loads its own network, because several threads may predict at the same time.
            network = self._load_network().make_prediction_network()
            outputs = method(network, matrix)
        if not np.isfinite(outputs).all():
            check_finite_parameters(network)
            raise ValueError(
                f"X has rows whose scores overflow {network.dtype}; scale X"
                + (', or train with dtype="float64".' if network.dtype == np.float32 else ".")
            )
        return outputs

    def _check_training_parameters(self):
        """Raise a ValueError if a parameter is invalid or not supported by the solver."""
        check_parameters(self)
        if self.solver == "lbfgs" and (self.batch_norm or self.dropout):
            raise ValueError(
                f"solver='lbfgs' supports neither batch_norm nor dropout, got batch_norm={self.batch_norm!r} and "
                f"dropout={self.dropout}"
            )

    def _make_descent(self, network, random_state):
        """Return the GradientDescent of the solver for a Network, with dropout drawn from random_state."""
        if self.solver == "adam":
            return AdamDescent(network, self.beta_1, self.beta_2, self.epsilon, random_state)
        return MomentumDescent(network, self.momentum, self.nesterovs_momentum, random_state)

    def _make_network_plan(self, kind):
        """Return the arguments of the Network for a kind of Targets, without the training options."""
        sizes: Any = self.hidden_layer_sizes
        hidden = tuple(sizes) if np.iterable(sizes) else (sizes,)
        if not all(isinstance(size, Integral) and int(size) > 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be integers > 0, got {self.hidden_layer_sizes!r}")
        n_outputs = 1 if len(self.classes_) <= 2 and kind == "class" else len(self.classes_)
        return {
            "layer_sizes": (self.n_features_in_, *map(int, hidden), n_outputs),
            "activation": self.activation,
            "normalization": tuple(name for name in NORMALIZATIONS if self.batch_norm in (name, "both")),
            "is_independent": kind == "multilabel",
            "dtype": self.dtype,
        }

    def _validate_network_plan(self):
        """Return the arguments of the Network for predictions, checked against the public attributes."""
        network_plan: Any = self._plan
        require(
            isinstance(network_plan, dict) and network_plan.keys() == NETWORK_PLAN_KEYS,
            "_plan",
            "describe a network",
            network_plan,
        )
        n_inputs, *_, n_outputs = network_plan["layer_sizes"]
        n_features = validate_count("n_features_in_", self.n_features_in_)
        require(n_features == n_inputs, "n_features_in_", f"be {n_inputs}, the inputs of the network", n_features)
        classes = as_array("classes_", self.classes_)
        # There is one output for two classes and for a single class.
        accepted_class_counts = (1, 2) if n_outputs == 1 and not network_plan["is_independent"] else (n_outputs,)
        is_valid = classes.ndim == 1 and len(classes) in accepted_class_counts
        require(is_valid, "classes_", f"contain {accepted_class_counts[-1]} classes, as the network does", classes)
        output: Any = self.out_activation_
        activation = "logistic" if n_outputs == 1 or network_plan["is_independent"] else "softmax"
        require(isinstance(output, str) and output == activation, "out_activation_", f"be {activation!r}", output)
        return network_plan

    def _load_network(self, **training):
        """Return the last trained network, with options for a new training run; errors name the invalid attribute."""
        network = Network(**self._validate_network_plan(), **training)
        for name, targets in network.named_arrays().items():
            arrays = validate_arrays(f"{name}_", getattr(self, f"{name}_"), [target.shape for target in targets])
            for target, values in zip(targets, arrays, strict=True):
                target[:] = values
        return network

    def _make_training_network(self, random_state, is_continuation, kind):
        """Return a network with the parameters of the last training run, or with initial parameters."""
        network_plan = self._make_network_plan(kind)
        if is_continuation:
            before = self._validate_network_plan()
            require(kind == self._kind, "y", f"be of the same kind as in the last training, {self._kind}", kind)
            for name, parameter in (("layer_sizes", "hidden_layer_sizes"), ("normalization", "batch_norm")):
                requirement = f"be unchanged, because this training continues the last one, with {name}={before[name]}"
                require(network_plan[name] == before[name], parameter, requirement, str(network_plan[name]))
        if network_plan["normalization"] and self.batch_size == 1:
            raise ValueError(f"batch_size must be at least 2 with batch_norm={self.batch_norm!r}, got 1")
        self._plan, self._kind = network_plan, kind
        make = self._load_network if is_continuation else partial(Network, **network_plan)
        network = make(dropout=float(self.dropout))
        if is_continuation:
            check_finite_parameters(network)
        else:
            initialize_parameters(network, self.init, random_state, self.init_scale)
        return network

    def _train_on_all_rows(self, network, examples, validation, random_state, is_continuation, on_iteration):
        """Train with L-BFGS, set the fitted attributes, and return the Training."""
        limits = {name: getattr(self, name) for name in ("alpha", "max_iter", "max_fun", "tol")}
        training = train_by_lbfgs(network, examples, validation, on_iteration=on_iteration, **limits)
        self._store_training_results(training, network, validation is not None, is_continuation)
        self.t_ = self.t_ if is_continuation else 0
        # If mini-batch training continues from here, it starts without an optimizer state.
        self._optimizer, self._no_improvement_count, self._random_state = None, 0, random_state
        return training

    def _train(
        self, descent, examples, validation, random_state, max_epochs, is_continuation, on_epoch, *, n_epochs=0, **more
    ):
        """Train with mini-batches, set the fitted attributes, and return the Training."""
        if self.batch_norm and len(examples) < 2:
            raise ValueError(f"batch_norm={self.batch_norm!r} requires at least 2 training rows, got {len(examples)}")
        batch_size: Any = AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size
        schedule = self._make_schedule(max_epochs, min(batch_size, len(examples)), self.n_iter_no_change)
        n_rows_before = self.t_ if is_continuation else 0
        descent.counts[0] = n_rows_before
        arguments = descent, examples, validation, schedule, random_state, on_epoch
        training = train_by_epochs(*arguments, n_epochs=n_epochs, **more)
        self.t_ = n_rows_before + len(training.records) * len(examples)
        assert training.monitor is not None
        rate = schedule.learning_rate.at(n_epochs + len(training.records), self.t_, training.monitor.n_rate_reductions)
        self._optimizer = _NetworkTrainingState(self.solver, rate, descent.optimizer_arrays, training.monitor)
        self._no_improvement_count, self._random_state = training.monitor.n_without_improvement, random_state
        self._store_training_results(training, descent.network, validation is not None, is_continuation)
        return training

    def _describe(self, network):
        has_logistic_output = network.layer_sizes[-1] == 1 or self._plan["is_independent"]
        return {
            **{f"{name}_": [array.copy() for array in arrays] for name, arrays in network.named_arrays().items()},
            "n_layers_": network.n_layers + 1,
            "n_outputs_": network.layer_sizes[-1],
            "out_activation_": "logistic" if has_logistic_output else "softmax",
            "_plan": self._plan,
            "_kind": self._kind,
        }

    def _store_training_results(self, training, trained_state, has_validation, is_continuation):
        super()._store_training_results(training, trained_state, has_validation, is_continuation)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.nan
        uses_training_loss = not self.early_stopping or self.solver == "lbfgs"
        best = getattr(self, "best_loss_", None) if is_continuation else None
        losses = [epoch.loss for epoch in training.records]
        self.best_loss_ = min([np.inf if best is None else best, *losses]) if uses_training_loss else None
        self.best_validation_score_ = max(self.validation_scores_) if self.validation_scores_ else None


class _NetworkTrainingState(NamedTuple):
    """The state of a solver from which `partial_fit` continues."""

    solver: str
    learning_rate: float  # of the next epoch
    optimizer_arrays: Any  # the state of the GradientDescent
    monitor: EarlyStopping
