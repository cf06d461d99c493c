"""MLPClassifier: scikit-learn's network of dense layers, with batch normalization and dropout."""

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

from fastlin.containers import read_if_sparse
from fastlin.estimators.checkpoints import Checkpoints
from fastlin.estimators.columns import read_matrix
from fastlin.estimators.labels import read_ratios
from fastlin.estimators.network_training import EpochTrained, check_finite
from fastlin.estimators.parameters import Activation, Initialization, Normalization, Rule, estimator, fitted, parameter
from fastlin.estimators.scikit_learn import BaseEstimator, ClassifierMixin, check_parameters
from fastlin.estimators.stop_reasons import restored_on_error, warn_of_training
from fastlin.estimators.summary import OF_NETWORKS, copy_model
from fastlin.fitted import as_array, check_like, expect, read_arrays, read_count
from fastlin.networks import NORMALIZATIONS, Network, initialize
from fastlin.tensors import read_in_place
from fastlin.training import AdamDescent, EarlyStopping, MomentumDescent, train_by_epochs, train_by_lbfgs
from fastlin.typing import Array, FloatArray, MatrixLike, PathLike

# As scikit-learn's "auto".
AUTO_BATCH_SIZE = 200
# The arguments of a Network that predicts.
PLAN = {"layer_sizes", "activation", "normalization", "is_independent", "dtype"}


def _takes_batches(estimator):
    """Return true where the solver takes mini-batches; raise the AttributeError that hides `partial_fit` elsewhere."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs solver 'adam' or 'sgd': lbfgs takes all rows at once")
    return True


@estimator
class MLPClassifier(EpochTrained, ClassifierMixin, BaseEstimator):
    """A chain of dense layers with softmax cross-entropy, trained by mini-batches or by L-BFGS.

    It replaces scikit-learn's estimator of the same name: parameters and attributes of the same name mean the same, and
    with ``init="xavier"``, ``dtype="float64"`` and the same random_state the loss curve is the same. It adds batch
    normalization, dropout, learning rates that decay, probabilities as targets, class weights, other
    initializations, and validation data that the caller gives. Dense float64, float32, uint8, int8, int16 and bool
    data, tensors in the processor's memory among them, and CSR matrices are read in place, a batch at a time. float16
    and bfloat16 are converted to float32 first, other types to float64, other sparse containers to CSR.

    The same seed gives the same bits. They do not depend on the number of threads as far as NumPy's BLAS does not:
    OpenBLAS adds up the products of some shapes in another order on another number of threads.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; () makes a softmax regression.
    activation : {"identity", "logistic", "relu", "tanh"}, default="relu"
        Activation of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        "adam" takes steps by decaying means of the gradient and of its square (Kingma and Ba 2015), "sgd" steps with
        momentum, and "lbfgs" steps on all rows at once, for small data; it has neither batch normalization nor dropout.
    batch_size : int or "auto", default="auto"
        Number of rows of a batch, at most all rows; "auto" is 200. The last batch of an epoch has the
        rows that are left. With `batch_norm`, which needs at least 2 rows, batches are of about equal size.
    learning_rate_init : float, default=0.001
        Learning rate of the first epoch.
    max_iter : int, default=200
        Largest number of epochs, or of iterations of "lbfgs".
    max_fun : int, default=15000
        Largest number of evaluations of loss and gradient of "lbfgs".
    nesterovs_momentum : bool, default=True
        Whether steps of "sgd" have Nesterov's form.
    beta_1, beta_2 : float, default=0.9, 0.999
        Part of the mean of the gradient, and of its square, that the next step of "adam" keeps, from 0 to below 1.
    epsilon : float, default=1e-8
        Added to the root of the mean square by which a step of "adam" is divided, above 0.
    batch_norm : {False, "input", "hidden", "both"}, default=False
        Batch normalization (Ioffe and Szegedy 2015). "input" normalizes the rows; scale and shift are those of the
        first layer. "hidden" normalizes before each activation, with a scale, and with the layer's intercept as the
        shift. "both" does both. Predictions take running statistics.
    dropout : float, default=0.0
        Part of the hidden units, from 0 to below 1, that are left out of each step (Srivastava et al. 2014).
    init : {"xavier", "he", "normal"}, default="xavier"
        "xavier" draws coefficients and intercepts uniformly within +-sqrt(6 / (fan in + fan out)), with 2 in place of 6
        for logistic units, as scikit-learn does (Glorot and Bengio 2010, equation 16). "he" draws coefficients from a
        normal distribution with variance 2 / fan in (He et al. 2015, equation 10), which deep chains of ReLU need, and
        "normal" with standard deviation `init_scale`; the intercepts of these two are zero.
    init_scale : float, default=0.01
        Standard deviation of ``init="normal"``.
    n_iter_no_change : int or np.inf, default=10
        The training stops after more than this number of epochs without an improvement by `tol`. With np.inf it takes
        max_iter epochs.
    tol : float, default=0.0001
        Smallest improvement that counts, of the loss or, with early_stopping, of the validation accuracy. "lbfgs" ends
        where no entry of the gradient exceeds it, or where the loss no longer falls.
    alpha : float, default=0.0001
        Strength of the penalty: the loss of a batch has alpha / 2 times the sum of squares of all coefficients, divided
        by the number of rows of the batch (or by their weight).
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        How the learning rate goes. With "sgd", "invscaling" divides `learning_rate_init` by (t + 1)^power_t after the
        first epoch, t being the rows trained on, and "adaptive" divides the rate by 5 where the training would end for
        want of an improvement, until it is 1e-6 or below. "adam" follows neither.
    power_t : float, default=0.5
        The power of "invscaling".
    learning_rate_decay : float, default=1.0
        Factor on the learning rate after each epoch, above 0 and at most 1.
    momentum : float, default=0.9
        Part of the velocity that the next step of "sgd" keeps, from 0 to below 1.
    early_stopping : bool, default=False
        Whether the training stops by the accuracy on validation data, which are given to `fit` or else set aside.
        "lbfgs" leaves this out, as in scikit-learn.
    validation_fraction : float, default=0.1
        Part of the rows that early_stopping sets aside where no validation data are given. They are drawn as
        scikit-learn draws them, stratified for two classes.
    shuffle : bool, default=True
        Whether a new order of the rows is drawn for each epoch.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" weighs them inversely to their rows. Only for one class a row.
    warm_start : bool, default=False
        Whether a fit begins with the parameters of the last fit.
    random_state : int, RandomState or None, default=None
        Draws the first parameters, the validation data, the orders of the rows and the dropout.
    verbose : bool or int, default=False
        Whether a progress bar is shown, with loss and accuracy, and after a slash those on the validation data.
    dtype : {"float32", "float64"}, default="float32"
        Type in which the network is computed, X included. Columns whose spread is below 1e-6 of their values need
        float64. ``solver="lbfgs"`` trains in float64 and rounds the parameters to this type at the end.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; numbers from 0 where y has a column for each class.
    coefs_ : list of ndarray of shape (fan in, fan out)
        Coefficients of each layer.
    intercepts_ : list of ndarray of shape (fan out,)
        Intercepts of each layer. Two classes have one output, the score of the second class.
    batch_norm_scales_ : list of ndarray
        Scales of the hidden layers where those are normalized, else empty.
    batch_norm_means_, batch_norm_variances_ : list of ndarray
        Running statistics of the input, where that is normalized, then of the hidden layers, where those are.
    loss_curve_, accuracy_curve_ : list of float
        Mean loss, with the penalty, and accuracy on each epoch's batches before each step.
    validation_scores_, validation_loss_curve_ : list of float or None
        Accuracy and mean loss on the validation data after each epoch.
    best_validation_score_ : float or None
        The highest of `validation_scores_`.
    loss_, best_loss_ : float
        The last and the smallest value of `loss_curve_`; `best_loss_` is None with early_stopping.
    n_iter_ : int
        Number of whole epochs, or iterations, of the last fit; after partial_fit, of all trainings so far.
    t_ : int
        Number of rows trained on so far, each time counted.
    interrupted_ : bool
        Whether Ctrl-C ended the last training, which then kept the last whole epoch.
    n_layers_, n_outputs_ : int
        Number of layers, the input counted, and of outputs.
    out_activation_ : {"softmax", "logistic"}
        Activation of the output.
    fit_seconds_ : float
        Seconds that the last fit took.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number of columns of X, and their names, where X had any.

    See Also
    --------
    LogisticRegression : The network without hidden layers, at its proven minimum.
    TwoLayerNet : The network of a homework, with its methods.

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
    solver: Rule = parameter(default="adam", accepts=[Rule])
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

        Where there are validation data, given here or set aside by early_stopping, the network keeps the parameters of
        the first epoch, or iteration, with the highest accuracy on them, else the last parameters.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows to train on.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes, or for each class a zero or one, of which a row may have several, or a probability; these sum
            to one in each row.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the loss; batch normalization counts every row alike.
        X_val, y_val : array-like of shapes (n_validation, n_features) and that of y, or None
            Validation data.
        save_checkpoint : path or None, default=None
            The file that holds the training after each whole epoch, written whole or not at all; it contains no pickle.
            Not with "lbfgs" or `warm_start`.
        resume : path or None, default=None
            The checkpoint to go on from, with the same data and parameters, save for the limits of the training: the
            fit ends with the same bits as one that was never interrupted.

        Returns
        -------
        self : MLPClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            A parameter is out of range, or data have a wrong shape or values that are not finite.
        CheckpointError
            The checkpoint is damaged, or of other parameters, or of other data: shapes, labels, weights and the rows at
            both ends tell.
        OSError
            The checkpoint to go on from cannot be read.

        Warns
        -----
        ConvergenceWarning
            The training diverged, or came to max_iter while it still improved; "lbfgs" came to a limit, or no step
            lowered the loss.
        UserWarning
            Ctrl-C ended the training, which keeps its whole epochs and sets `interrupted_`. Before the first whole
            epoch it raises, and the model is as it was.
        CheckpointWarning
            A checkpoint cannot be written. The fit goes on, and the next epoch tries again.
        UserWarning
            `batch_size` exceeds the number of rows, which then make one batch.
        """
        with restored_on_error(self):
            self._check_training()
            checkpoints = Checkpoints(self, save_checkpoint, resume)
            continues = self.warm_start and hasattr(self, "coefs_")
            examples, validation, kind = self._read_rows(X, y, sample_weight, X_val, y_val, continues)
            random_state = checkpoints.random_state
            network = self._network_to_train(random_state, continues, kind)
            if self.early_stopping and validation is None and self.solver != "lbfgs":
                examples, validation = self._set_aside(examples, random_state)
            if self.solver == "lbfgs":
                train = partial(self._train_on_all_rows, network, examples, validation, random_state, continues)
            else:
                if self.batch_size != "auto" and self.batch_size > len(examples):
                    warnings.warn(
                        "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped to the "
                        f"{len(examples)} rows to train on (it is {self.batch_size}).",
                        stacklevel=2,
                    )
                descent = self._make_descent(network, random_state)
                given = descent, examples, validation, random_state, self.max_iter, continues
                train = partial(self._train, *given, **checkpoints.prepare(self, descent, examples, validation))
            training = self._train_and_tell(X, y, sample_weight, network, train)
            self.n_iter_ = len(training.records)
        warn_of_training(self, training, stacklevel=3)
        return self

    @available_if(_takes_batches)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch; momentum, learning rate and random numbers go on from call to call.

        Parameters
        ----------
        X, y, sample_weight : array-like
            The rows to train on, their classes and weights, as in `fit`. Fewer rows than `batch_size` make one batch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes of all calls, which the first call needs.

        Returns
        -------
        self : MLPClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`, or a label is not among the classes, or early_stopping is set.

        Warns
        -----
        ConvergenceWarning
            The training diverged; the parameters are those before the call.
        UserWarning
            Ctrl-C came after the epoch, which is kept. Before that it raises, and the model is as it was.
        """
        with restored_on_error(self):
            self._check_training()
            self._check_partial_fit()
            continues = hasattr(self, "coefs_")
            random_state = self._begin_partial_fit(classes, continues)
            examples, kind = self._read_part(X, y, sample_weight, reset=not continues)
            network = self._network_to_train(random_state, continues, kind)
            descent = self._make_descent(network, random_state)
            # Another solver begins with nothing, and so does a model that was made from scikit-learn's.
            before = getattr(self, "_optimizer", None) if continues else None
            patience = None
            if before is not None and before.solver == self.solver:
                check_like("_optimizer.carried", before.carried, descent.carried)
                descent.restore([*network.state, *before.carried])
                patience = before.patience
            n_epochs = len(self.loss_curve_) if continues else 0
            with self._show_epochs(1) as on_epoch:
                given = descent, examples, None, random_state, 1, continues, on_epoch
                training = self._train(*given, n_epochs=n_epochs, patience=patience)
            self.n_iter_ = len(self.loss_curve_)
        if training.ended in ("diverged", "interrupted"):
            warn_of_training(self, training, stacklevel=3)
        return self

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable class of each row, or zeros and ones for the labels that a row may have.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Their classes.
        """
        probabilities = self._predict(X, Network.predict_probabilities)
        if probabilities.shape[1] == 1:
            # Where y had one class it is every row's.
            return self.classes_[(probabilities[:, 0] >= 0.5).astype(np.int64) % len(self.classes_)]
        if self.out_activation_ == "logistic":
            return (probabilities >= 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probabilities of the classes, in the type of the network, or of the labels, in float64.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            A column for each class, in the order of `classes_`; where y had one class, a second column for any other.
        """
        check_is_fitted(self)
        if self._read_plan()["is_independent"]:
            return np.exp(self.predict_log_proba(X))
        probabilities = self._predict(X, Network.predict_probabilities)
        return np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            A column for each class, in the order of `classes_`.
        """
        # A probability that rounds to 0 has a logarithm all the same.
        scores = self._predict(X, Network.compute_scores)
        if self.out_activation_ == "softmax":
            return log_softmax(scores, axis=1)
        if scores.shape[1] == 1:
            return np.hstack([log_expit(-scores), log_expit(scores)])
        # In float32 many labels of a row would have the probabilities 0 and 1. Those that round to 1 have no logarithm
        # either, so that the largest of both is the same label's.
        scores = scores.astype(np.float64)
        return np.minimum(scores, 0) - np.log(1 + np.exp(-np.abs(scores)))

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the part of the rows, or of their weights, for which all that is predicted is right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), or array-like or sparse matrix of shape (n_samples, n_classes)
            Their classes, or the labels of each row.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Their weights; None means ones.

        Returns
        -------
        accuracy : float
            From 0 to 1.
        """
        # scikit-learn converts labels without a look at them.
        y = read_if_sparse(read_in_place(y, "y"), "y")
        return super().score(X, y, read_ratios(sample_weight, y, are_signed=True))

    def _describe_result(self):
        network = self._load_network()
        layers = " → ".join(map(str, network.layer_sizes))
        n_parameters = sum(array.size for array in (*network.coefs, *network.intercepts))
        return {"layers": f"{layers}, {n_parameters:,} coefficients and intercepts", **self._describe_training()}

    def to_sklearn(self) -> Any:
        """Return a fitted model of scikit-learn's class with the same predictions.

        Returns
        -------
        model : sklearn.neural_network.MLPClassifier
            Batch normalization is part of its coefficients. What scikit-learn has no parameter for is left out.
        """
        made = copy_model(self, ScikitLearnMLPClassifier, OF_NETWORKS)
        network = self._load_network().fold()
        coefs, intercepts = ([part.copy() for part in parts] for parts in (network.coefs, network.intercepts))
        n_classes, is_multilabel = len(self.classes_), self.out_activation_ == "logistic" and self.n_outputs_ > 1
        if n_classes == 2 and self.n_outputs_ == 2 and not is_multilabel:
            # Two classes have one output there: the difference of the scores.
            coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
            intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
            made.n_outputs_, made.out_activation_ = 1, "logistic"
        made.coefs_, made.intercepts_ = coefs, intercepts
        made._label_binarizer = LabelBinarizer().fit(np.eye(n_classes, dtype=int) if is_multilabel else self.classes_)
        made._random_state, made._no_improvement_count = check_random_state(self.random_state), 0
        return made

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Return a fitted model of this class with the predictions of scikit-learn's.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier
            A fitted model.

        Returns
        -------
        model : MLPClassifier
            `dtype` is the type of its coefficients. `partial_fit` and `warm_start` go on from them.

        Raises
        ------
        TypeError
            The model is of another class.
        """
        made = copy_model(model, cls, OF_NETWORKS)
        is_narrow = isinstance(model.coefs_, list) and getattr(model.coefs_[0], "dtype", None) == np.float32
        made.dtype = "float32" if is_narrow else "float64"
        made.batch_norm_scales_, made.batch_norm_means_, made.batch_norm_variances_ = [], [], []
        made.accuracy_curve_, made.validation_loss_curve_, made.interrupted_ = [], None, False
        made._random_state = check_random_state(model.random_state)
        made._kind = "multilabel" if model.out_activation_ == "logistic" and model.n_outputs_ > 1 else "class"
        made._plan = made._plan_network(made._kind)
        made._load_network()
        return made

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, with sparse input and several labels a row."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def _predict(self, X, find):
        """Return probabilities or scores of the rows, by `find`, a method of the network."""
        # scikit-learn's own check takes a tenth of the time of a row.
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        matrix = read_matrix(self, X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            # A new one, so that several threads may predict at once.
            network = self._load_network().fold()
            found = find(network, matrix)
        if not np.isfinite(found).all():
            check_finite(network)
            raise ValueError(
                f"X has rows whose scores overflow {network.dtype}: scale X"
                + (', or train with dtype="float64".' if network.dtype == np.float32 else ".")
            )
        return found

    def _check_training(self):
        """Raise a ValueError for a parameter out of range, or one that the solver has no use for."""
        check_parameters(self)
        if self.solver == "lbfgs" and (self.batch_norm or self.dropout):
            given = f"batch_norm={self.batch_norm!r} and dropout={self.dropout}"
            raise ValueError(f"solver='lbfgs' has neither batch_norm nor dropout, got {given}")

    def _make_descent(self, network, random_state):
        """Return the Descent of the solver on a Network, whose dropout random_state draws."""
        if self.solver == "adam":
            return AdamDescent(network, self.beta_1, self.beta_2, self.epsilon, random_state)
        return MomentumDescent(network, self.momentum, self.nesterovs_momentum, random_state)

    def _plan_network(self, kind):
        """Return the arguments of the Network, all but what training alone has, for a kind of Targets."""
        given: Any = self.hidden_layer_sizes
        hidden = tuple(given) if np.iterable(given) else (given,)
        if not all(isinstance(size, Integral) and int(size) > 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be whole numbers > 0, got {self.hidden_layer_sizes!r}")
        n_outputs = 1 if len(self.classes_) <= 2 and kind == "class" else len(self.classes_)
        return {
            "layer_sizes": (self.n_features_in_, *map(int, hidden), n_outputs),
            "activation": self.activation,
            "normalization": tuple(name for name in NORMALIZATIONS if self.batch_norm in (name, "both")),
            "is_independent": kind == "multilabel",
            "dtype": self.dtype,
        }

    def _read_plan(self):
        """Return the arguments of the Network that predicts, after a check against the public attributes."""
        plan: Any = self._plan
        expect(isinstance(plan, dict) and plan.keys() == PLAN, "_plan", "describe a network", plan)
        n_inputs, *_, n_outputs = plan["layer_sizes"]
        n_features = read_count("n_features_in_", self.n_features_in_)
        expect(n_features == n_inputs, "n_features_in_", f"be {n_inputs}, as the network has inputs", n_features)
        classes = as_array("classes_", self.classes_)
        # One output tells two classes apart, or stands for one.
        accepted = (1, 2) if n_outputs == 1 and not plan["is_independent"] else (n_outputs,)
        is_right = classes.ndim == 1 and len(classes) in accepted
        expect(is_right, "classes_", f"hold {accepted[-1]} classes, as the network tells apart", classes)
        given: Any = self.out_activation_
        activation = "logistic" if n_outputs == 1 or plan["is_independent"] else "softmax"
        expect(isinstance(given, str) and given == activation, "out_activation_", f"be {activation!r}", given)
        return plan

    def _load_network(self, **training):
        """Return the network of the last training, with options of a training; an error names a wrong attribute."""
        network = Network(**self._read_plan(), **training)
        for name, targets in network.named_arrays().items():
            found = read_arrays(f"{name}_", getattr(self, f"{name}_"), [target.shape for target in targets])
            for target, values in zip(targets, found, strict=True):
                target[:] = values
        return network

    def _network_to_train(self, random_state, continues, kind):
        """Return a network with the parameters of the last training, or with new ones."""
        plan = self._plan_network(kind)
        if continues:
            before = self._read_plan()
            expect(kind == self._kind, "y", f"be of the kind of the last training, {self._kind}", kind)
            for name, parameter in (("layer_sizes", "hidden_layer_sizes"), ("normalization", "batch_norm")):
                wanted = f"be that of the last training, which this one continues: {name} was {before[name]}"
                expect(plan[name] == before[name], parameter, wanted, str(plan[name]))
        if plan["normalization"] and self.batch_size == 1:
            raise ValueError(f"batch_size must be at least 2 with batch_norm={self.batch_norm!r}, got 1")
        self._plan, self._kind = plan, kind
        make = self._load_network if continues else partial(Network, **plan)
        network = make(dropout=float(self.dropout))
        if continues:
            check_finite(network)
        else:
            initialize(network, self.init, random_state, self.init_scale)
        return network

    def _train_on_all_rows(self, network, examples, validation, random_state, continues, on_iteration):
        """Train by L-BFGS, keep the network and its curves, and return the Training."""
        limits = {name: getattr(self, name) for name in ("alpha", "max_iter", "max_fun", "tol")}
        training = train_by_lbfgs(network, examples, validation, on_iteration=on_iteration, **limits)
        self._keep(training, network, validation is not None, continues)
        self.t_ = self.t_ if continues else 0
        # Mini-batches that go on from here begin with nothing.
        self._optimizer, self._no_improvement_count, self._random_state = None, 0, random_state
        return training

    def _train(
        self, descent, examples, validation, random_state, max_epochs, continues, on_epoch, *, n_epochs=0, **more
    ):
        """Train by mini-batches, keep the network and its curves, and return the result of `train_by_epochs`."""
        if self.batch_norm and len(examples) < 2:
            raise ValueError(f"batch_norm={self.batch_norm!r} needs at least 2 rows to train on, got {len(examples)}")
        batch_size: Any = AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size
        schedule = self._make_schedule(max_epochs, min(batch_size, len(examples)), self.n_iter_no_change)
        n_rows_before = self.t_ if continues else 0
        descent.counts[0] = n_rows_before
        given = descent, examples, validation, schedule, random_state, on_epoch
        training = train_by_epochs(*given, n_epochs=n_epochs, **more)
        self.t_ = n_rows_before + len(training.records) * len(examples)
        assert training.patience is not None
        rate = schedule.learning_rate.at(n_epochs + len(training.records), self.t_, training.patience.n_renewed)
        self._optimizer = _Optimizer(self.solver, rate, descent.carried, training.patience)
        self._no_improvement_count, self._random_state = training.patience.n_without_improvement, random_state
        self._keep(training, descent.network, validation is not None, continues)
        return training

    def _describe(self, network):
        is_logistic = network.layer_sizes[-1] == 1 or self._plan["is_independent"]
        return {
            **{f"{name}_": [each.copy() for each in arrays] for name, arrays in network.named_arrays().items()},
            "n_layers_": network.n_layers + 1,
            "n_outputs_": network.layer_sizes[-1],
            "out_activation_": "logistic" if is_logistic else "softmax",
            "_plan": self._plan,
            "_kind": self._kind,
        }

    def _keep(self, training, trained, is_validated, continues):
        super()._keep(training, trained, is_validated, continues)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.nan
        is_by_loss = not self.early_stopping or self.solver == "lbfgs"
        best = getattr(self, "best_loss_", None) if continues else None
        losses = [epoch.loss for epoch in training.records]
        self.best_loss_ = min([np.inf if best is None else best, *losses]) if is_by_loss else None
        self.best_validation_score_ = max(self.validation_scores_) if self.validation_scores_ else None


class _Optimizer(NamedTuple):
    """The state of a solver from which `partial_fit` goes on."""

    solver: str
    learning_rate: float  # of the next epoch
    carried: Any  # by the rule of the steps
    patience: EarlyStopping  # what is left of it
