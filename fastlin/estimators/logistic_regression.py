"""LogisticRegression: scikit-learn's estimator, with its penalties and attributes, fitted by fastlin's solvers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.utils.validation import check_is_fitted

from fastlin.blocks.blocks import Blocks
from fastlin.coefficient_names import NO_OMITTED_LEVELS
from fastlin.estimators.columns import name_coefficients
from fastlin.estimators.labels import choose_labels, make_training_data, read_columns, read_rows, read_training_data
from fastlin.estimators.linear_predictions import (
    LinearPredictions,
    check_coefficients,
    has_several_labels,
    read_classes,
    read_coefficients,
)
from fastlin.estimators.parameters import (
    TO_THE_CALLER_OF_FIT,
    GivenBounds,
    Penalty,
    Solver,
    estimator,
    fitted,
    invert,
    is_by_alpha,
    limit_jobs,
    parameter,
    read_bounds,
    read_penalty,
    read_penalty_factors,
    read_seed,
)
from fastlin.estimators.scikit_learn import CallbackSupportMixin, check_parameters, has_callbacks, with_callbacks
from fastlin.estimators.stop_reasons import Tasks, restored_on_error, show_iterations, tell_all, warn_of_end
from fastlin.estimators.summary import FitSummary, copy_linear_model, describe_coef, describe_data, describe_end
from fastlin.exceptions import ConvergenceWarning
from fastlin.fitted import as_array, read_finite
from fastlin.tensors import to_numbers
from fastlin.typing import Array, ClassWeight, IntArray, MatrixLike, RandomState

if TYPE_CHECKING:
    from fastlin.estimators.labels import TrainingData
    from fastlin.inference.bootstrap import Bootstrap, Refits
    from fastlin.inference.inference import Inference
    from fastlin.solvers.solution import Iteration


@contextmanager
def reading_known_data(model: Any, X: Any, y: Any, sample_weight: Any, offset: Any) -> Iterator[TrainingData]:
    """Yield the TrainingData of the fit of a model, within the limits of its `n_jobs`."""
    check_is_fitted(model)
    read_classes(model)
    # Overflow at extreme scales is looked for in the result.
    with limit_jobs(model.n_jobs), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        matrix, y, sample_weight = read_rows(model, X, y, sample_weight, reset=False)
        check_coefficients(model, matrix.shape[1])
        # Its checks may not change the model.
        yield make_training_data(copy(model), matrix, y, sample_weight, offset, model.classes_)


@estimator
class Resampling:
    """What linear estimators that read rows of any kind share: the method `bootstrap`."""

    fit_intercept: bool = parameter(default=True, accepts=["boolean"])
    n_jobs: int | None = parameter(default=None, accepts=[None, "whole number"])
    categorical_features: Literal["from_dtype"] | ArrayLike | None = parameter(
        default=None, accepts=["from_dtype", "array-like", None]
    )
    missing_as_category: bool = parameter(default=False, accepts=["boolean"])

    n_samples_fit_: int = fitted()
    categories_: list[Array | None] = fitted()

    def bootstrap(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        n_resamples: int = 1000,
        random_state: RandomState = None,
        clusters: ArrayLike | None = None,
    ) -> Bootstrap:
        """Return the coefficients of fits to resamples of the rows, with errors and intervals made of them.

        Each resample draws as many rows as there are, with replacement, and its fit has the parameters of this model,
        with C at the chosen one. It starts from the coefficients of all rows and ends, by its certificate where it has
        one, within a hundredth of a standard error of its own. Fits run side by side on the threads that `n_jobs`
        allows, and the number of threads changes no bit. A resample that lacks a class is drawn again.

        Fits by Firth's penalized likelihood have no certificate and end within a thousandth of a standard error. A
        resample whose columns depend on each other is drawn again too, and the acceleration of BCa intervals leaves
        out the penalty.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows of the fit.
        y : array-like of shape (n_samples,)
            Their labels. None only where X is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Their weights in the fit; None means ones. A row keeps its weight each time that it is drawn, and
            ``class_weight="balanced"`` is found again in each resample.
        offset : array-like or None
            The offsets of the fit.
        n_resamples : int, default=1000
            The number of resamples, at least 2.
        random_state : int, RandomState or None, default=None
            The seed of the draws. The first resamples are the same for any number of them.
        clusters : array-like of shape (n_samples,) or None
            The cluster of each row: whole clusters are then drawn, as many as there are. None draws single rows.

        Returns
        -------
        Bootstrap
            Coefficients, certificates, errors and intervals.

        Raises
        ------
        ValueError
            The rows do not fit the model, a class is so rare that resamples lack it, or clusters are not one
            for each row, and at least two.

        Warns
        -----
        ConvergenceWarning
            Some fits stopped before they came so near to their minimum.
        """
        from fastlin.inference.bootstrap import Draws, collect, fit_resamples
        from fastlin.inference.covariances import read_clusters

        if isinstance(n_resamples, bool) or not isinstance(n_resamples, (int, np.integer)) or n_resamples < 2:
            raise ValueError(f"n_resamples must be a whole number of at least 2, got {n_resamples!r}")
        n_resamples = int(n_resamples)
        model: Any = copy(self)
        # Those of each resample follow from its rows.
        model.class_weight = None
        with reading_known_data(model, X, y, sample_weight, offset) as data:
            numbers = None
            if clusters is not None:
                keys = read_clusters(clusters, len(data.labels))
                if len(keys) != 1:
                    raise ValueError(f"clusters must be one key of the rows for a bootstrap, got {len(keys)} keys.")
                numbers = keys[0]
                if not numbers.any():
                    raise ValueError("clusters must be at least two for a bootstrap, but all rows lie in one.")
            draws = Draws(read_seed(random_state), data.labels, data.weights, data.targets, numbers)
            refits = self._prepare_refits(data)
            found = collect(fit_resamples(refits, draws, n_resamples), n_resamples, refits, numbers)
        n_missed = n_resamples - np.count_nonzero(found.converged)
        if n_missed:
            warnings.warn(
                f"{n_missed} of {n_resamples} fits of resamples stopped before they came near their optimum; "
                "`converged` says which, and `certificates` what each has proven. Raise max_iter, or with C=inf look "
                "for resamples whose classes are separable: their coefficients grow without end.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return found

    def _prepare_refits(self, data: TrainingData) -> Refits:
        """Return the function that fits resamples of the rows of data."""
        raise NotImplementedError


@estimator
class PenalisedClassifier(CallbackSupportMixin, FitSummary, Resampling, LinearPredictions):
    """A linear classifier whose fits minimize a penalized mean loss."""

    dual: bool = parameter(default=False, accepts=["boolean"])
    tol: float = parameter(default=1e-4, accepts=["at least 0"])
    intercept_scaling: float = parameter(default=1, accepts=["above 0"])
    class_weight: ClassWeight = parameter(default=None, accepts=[dict, "balanced", None])
    random_state: RandomState = parameter(default=None, accepts=["random_state"])
    solver: Solver = parameter(default="auto", accepts=[Solver])
    max_iter: int = parameter(default=1000, accepts=["count or 0"])
    verbose: int = parameter(default=0, accepts=["verbose"])
    penalty_factors: ArrayLike | None = parameter(default=None, accepts=["array-like", None])
    group_lasso: bool = parameter(default=False, accepts=["boolean"])
    lower_bounds: GivenBounds = parameter(default=None, accepts=[Real, dict, "array-like", None])
    upper_bounds: GivenBounds = parameter(default=None, accepts=[Real, dict, "array-like", None])

    certificate_: float = fitted()
    converged_: bool = fitted()
    n_passes_: float = fitted()
    history_: list[Iteration] = fitted()

    # The name of the class in both packages.
    _scikit_learn_name: ClassVar[str]

    def to_sklearn(self) -> Any:
        """Return a fitted model of scikit-learn's class with the same coefficients.

        Returns
        -------
        model : estimator of sklearn.linear_model
            Its class has the name of this one. Parameters at their defaults have scikit-learn's, and those that it has
            not are left out. Before scikit-learn 1.10 `alpha` becomes C = 1 / (alpha n), for n rows of weight 1.

        Raises
        ------
        ValueError
            Columns are categorical, which scikit-learn's class does not know.
        """
        if hasattr(self, "categories_"):
            raise ValueError(
                "to_sklearn needs a model without categorical columns: scikit-learn's takes the columns that "
                "OneHotEncoder(categories=...) makes of them."
            )
        return copy_linear_model(self, getattr(linear_model, self._scikit_learn_name))

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Return a fitted model of this class with the coefficients of scikit-learn's.

        Parameters
        ----------
        model : estimator of sklearn.linear_model
            A fitted model, whose class has the name of this one.

        Returns
        -------
        model : LogisticRegression or LogisticRegressionCV
            It has no certificate: nothing is known of the rows that it was fitted to.

        Raises
        ------
        TypeError
            The model is of another class.
        """
        return copy_linear_model(model, cls)

    def inference(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        covariance: Literal["model", "HC0", "HC1", "cluster"] = "model",
        clusters: ArrayLike | Sequence[ArrayLike] | None = None,
        reference: Any = None,
        penalized: Literal["laplace", "sandwich"] | None = None,
        use_t: bool = False,
        weight_type: Literal["frequency", "sampling"] = "frequency",
        features: Sequence[str | tuple[str, Any] | int] | None = None,
    ) -> Inference:
        """Return standard errors, tests and intervals of the coefficients.

        Levels of a categorical column without rows that have a weight are left out, and `Inference.summary` lists them.
        Without a penalty the other levels are compared with the first of them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows of the fit.
        y : array-like of shape (n_samples,)
            Their labels. None only where X is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Their weights in the fit; None means ones.
        offset : array-like or None
            The offsets of the fit.
        covariance : {"model", "HC0", "HC1", "cluster"}
            "model" is the inverse of the Fisher information, right where the model is. "HC0" is robust against errors
            of the model (Huber 1967, White 1982), "HC1" is HC0 times n / (n - q) for n rows and q parameters.
            "cluster" allows for rows of a cluster that depend on each other, with the factor G / (G - 1) (n - 1) /
            (n - q) for G clusters. With several keys the covariances of all combinations of them are added and
            subtracted (Cameron, Gelbach and Miller 2011), each with its own factor.
        clusters : array-like of shape (n_samples,) or (n_samples, n_keys), or None
            The cluster of each row, for ``covariance="cluster"``.
        reference : object
            The class whose coefficients are zero; None means the first of `classes_`. "symmetric" reports
            coefficients of all classes, which sum to zero, as `coef_` does.
        penalized : {"laplace", "sandwich"} or None
            What the errors of a penalized model mean. "laplace" takes the penalty as a normal
            prior, and reports the standard deviations of the posterior around its largest density. "sandwich" reports
            how the penalized estimates vary over repeated samples, around their own mean: they are biased.
        use_t : bool
            Whether Student's t replaces the normal distribution, and F replaces chi-squared: with n - q degrees of
            freedom, and G - 1 of the key with the fewest clusters for ``covariance="cluster"``.
        weight_type : {"frequency", "sampling"}
            What weights mean: "frequency", the number of equal rows that a row stands for, or "sampling", as for
            sampling weights; the latter take a robust covariance. `class_weight` is of the latter kind.
        features : sequence or None
            The columns to report: their names, which may include "intercept", pairs (column, level) for levels of
            categorical columns, or indices among the names that None reports. A name that stands for several columns
            is an error. None means all. A model with more than 4,096 parameters reports only the columns that are
            given, by conjugate gradients, with the covariances "model", "HC0" and "HC1".

        Returns
        -------
        Inference
            The estimates, with everything that follows from their covariance.

        Raises
        ------
        ValueError
            The rows do not fit the model, the model is penalized and `penalized` is None, or has an L1 penalty,
            weights do not fit the covariance, there are more than 4,096 parameters, or `features` names no column or
            several.

        Warns
        -----
        InferenceWarning
            `coef_` are more than a hundredth of a standard error from the optimum, which the inference describes.
        """
        with reading_known_data(self, X, y, sample_weight, offset) as data:
            choices = {"covariance": covariance, "penalized": penalized, "use_t": use_t, "features": features}
            return self._infer(data, clusters=clusters, reference=reference, weight_type=weight_type, **choices)

    def _set_end(self, fit):
        """Set the attributes that say how the Fit of the model ended."""
        self.certificate_, self.converged_ = fit.certificate, fit.solution.converged
        self.n_passes_, self.history_ = fit.solution.n_passes, fit.solution.history

    def _prepare_refits(self, data):
        from fastlin.estimators.many_fits import prepare_refits

        return prepare_refits(self, data, *self._read_strength())

    def _infer(self, data, *, clusters=None, reference=None, weight_type="frequency", **choices):
        """Return the Inference over the rows of data, with the choices of `inference`, which calls it."""
        from fastlin.estimators.problem import Problem, find_left_out, take_differences
        from fastlin.inference.covariances import read_clusters
        from fastlin.inference.estimation import WeightMeaning, check_options, compute_inference

        # A copy, so that no check changes the model.
        model: Any = copy(self)
        classes, coef, intercept = read_coefficients(model)
        C, l1_ratio = self._read_strength()
        if model.penalty_factors is not None and not np.any(model.penalty_factors):
            # Nothing is penalized at any C.
            C = np.inf
        names, left_out = name_coefficients(model), NO_OMITTED_LEVELS
        levels = find_left_out(data, model.fit_intercept)
        if C < np.inf:
            # The penalty determines the coefficients of all levels that have rows.
            levels = levels._replace(references=levels.references[:0])
        _drop_bounds(model, data, coef, names, levels.unused)
        if hasattr(model, "categories_"):
            matrix = data.matrix
            data, coef, intercept, kept = take_differences(data, levels, coef, intercept)
            names, left_out = names[kept], levels.name(names)
            if model.penalty_factors is not None:
                model.penalty_factors = read_penalty_factors(model.penalty_factors, matrix)[kept]
        question = check_options(
            classes,
            reference,
            weights=WeightMeaning(weight_type, data.weight_unit, model.class_weight is not None),
            names=names,
            omitted_levels=left_out,
            clusters=[] if clusters is None else read_clusters(clusters, data.matrix.shape[0]),
            tol=model.tol,
            stacklevel=TO_THE_CALLER_OF_FIT + 1,
            **{"covariance": "model", "penalized": None, "use_t": False, "features": None, **choices},
        )
        return compute_inference(Problem(model, data).objective(C, l1_ratio), coef, intercept, question)

    def _begin_tasks(self, X, y, sample_weight, classes, n_paths=None):
        """Begin and return the Tasks of a fit, whose models have these classes."""

        def describe(n_iter, coef, intercept):
            return {"classes_": classes, "coef_": coef, "intercept_": intercept, "n_iter_": np.array([n_iter])}

        return Tasks(self, X, y, sample_weight, describe, n_paths)

    def _read_strength(self):
        """Return C, or 1 / alpha, and l1_ratio of the fit."""
        model: Any = self
        if hasattr(model, "C_"):
            if not model.refit:
                raise ValueError(
                    "refit must be True or 'train', got False: the coefficients are the means of those of the folds, "
                    "where no likelihood has its maximum."
                )
            C = invert(np.ravel(model.alpha_)[0]) if is_by_alpha(model) else np.ravel(model.C_)[0]
            return float(C), float(np.ravel(model.l1_ratio_)[0])
        with warnings.catch_warnings():
            # The fit has warned of them.
            warnings.simplefilter("ignore")
            return read_penalty(model)


def _drop_bounds(model, data, coef, names, unused):
    """Take the bounds of coefficients from a copy of a model, once it is known that none bind but of unused levels."""
    bounds = read_bounds(model, data.matrix, len(coef))
    if bounds is not None:
        binds = ((coef <= bounds[0]) | (coef >= bounds[1])).any(axis=0)
        binds[unused] = False
        if binds.any():
            shown = ", ".join(map(str, names[binds][:5])) + (", ..." if binds.sum() > 5 else "")
            raise ValueError(
                f"The coefficients of {shown} are at their lower_bounds or upper_bounds, where estimates have no "
                "normal distribution, so that no standard errors hold for them. Leave the bounds out."
            )
    model.lower_bounds = model.upper_bounds = None


@estimator
class LogisticRegression(PenalisedClassifier):
    """Logistic regression for two classes and softmax regression for more, with L2, L1, elastic-net or group penalty.

    This is a drop-in for scikit-learn's estimator of the same name, with its objective::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (C S)) sum_j f_j ((1 - r) ||W_.j||^2 / 2 + r ||W_.j||_1)

    Here s_i is the sample weight times the class weight of row i and S is their sum. An `offset` of `fit` is added to
    ``W x_i + b``, and soft labels y_i replace l by its mean over the classes, by their probabilities. l is the logistic
    loss for two classes, else the softmax cross-entropy. r is the `l1_ratio`, f_j = 1 are the `penalty_factors`, and
    ``W_.j`` the coefficients of feature j over the classes. The intercept b is not penalized.

    Dense data of float64, float32, uint8, int8, int16 and bool are read in place, in any memory layout, unless X is
    small; float16 and bfloat16 are copied to float32, other types to float64. An L1 penalty takes one copy, transposed.
    Tensors in the processor's memory are read as NumPy arrays; predictions are NumPy arrays. CSR with int32 or int64
    indices is read in place, with one transposed copy. If a third of X is filled, a dense copy of at most X or 64 MB
    replaces it. Other sparse containers are converted once.
    Columns of any scale and offset converge without standardization. The same data give the same bits for any number of
    threads.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratio` and `C`.
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` means no penalty.
    alpha : float or "1/n_samples", default="1/n_samples"
        The strength 1 / (C S) itself, at least 0, by which scikit-learn 1.10 replaces C. "1/n_samples" leaves it to C.
    l1_ratio : float, default=0.0
        Share of the L1 penalty: 0 is the L2 penalty, 1 the L1 penalty, which makes coefficients exactly zero, and
        numbers between are the elastic net.
    warm_start : bool, default=False
        Whether a fit starts from the coefficients of the last one.
    dual : bool, default=False
        Accepted where scikit-learn accepts it; the primal problem has the same solution.
    tol : float, default=1e-4
        With ``solver="auto"`` the fit stops when J is proven to lie within tol * min(J_0 - J, J) of its minimum. J_0
        is the minimum for intercepts and offsets alone, so J_0 - J is the improvement over the null model. The fit of a
        small table, whose passes take microseconds, goes on to a hundredth of a tol of 1e-6 and more. Without a proof
        (``C=np.inf``), half the square of the Newton decrement estimates the distance. With any other solver the fit
        stops when no entry of the gradient of J exceeds tol, as in scikit-learn, and that distance is estimated to be
        within tol. Thirty times tol, but no more than 3e-3, is enough if no entry exceeds tol for five iterations in a
        row and J is proven to lie within a third of its minimum.
    intercept_scaling : float, default=1
        Accepted and without effect: no solver penalizes the intercept.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by which the sample weights of its rows are multiplied. "balanced" gives every class the
        same total weight. None gives every class the weight 1.
    random_state : int, RandomState or None, default=None
        Accepted and without effect: a solver draws with a fixed seed.
    solver : str, default="auto"
        "auto" chooses by the shape of the data. Of scikit-learn's names, "lbfgs", "newton-cg" and "newton-cholesky"
        are these methods; the last one runs up to 4,096 coefficients and 4e11 multiply-adds for the sums of its Hessian
        over the rows, and L-BFGS runs for more. "liblinear", "newton-cd", "newton-cd-gram", "sag" and "saga" take the
        solver that "auto" would. All find the minimum of J. With `l1_ratio` above 0, and with bounds, every name means
        proximal Newton.
    max_iter : int, default=1000
        Largest number of iterations of the solver. With 0, coefficients and intercept are zero, or with `warm_start`
        the last fit's.
    verbose : int, default=0
        Above 0, a line with iteration, objective, gap to the optimum and seconds is shown.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        The f_j, at least 0, by which both penalties of a feature are multiplied; a feature of factor 0 is not
        penalized. They are not rescaled. None means ones.
    group_lasso : bool, default=False
        Whether the group lasso over the classes replaces the L1 penalty: ||W_.j||_2 in place of ||W_.j||_1, without a
        factor of sqrt(K). A feature is then in or out for all classes at once.
    lower_bounds, upper_bounds : float, dict or array-like of shape (n_features,) or that of `coef_`, default=None
        Bounds of the coefficients of the columns as given; a lower bound of 0 forbids negative ones. An array of one
        dimension holds for all classes, and a dict has a number for each feature that it names. None means no bounds,
        and infinity no bound for a feature. With bounds every solver is proximal Newton. Coefficients at a bound are
        exactly there; float32 ones are rounded to the inside. Not with `group_lasso`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    n_jobs : int or None, default=None
        Number of threads of fits and predictions, as joblib counts (-1: all processors). None takes all processors
        that the process may use.
    categorical_features : "from_dtype", array-like or None, default=None
        The columns of a table whose values are levels rather than numbers, as scikit-learn's
        `HistGradientBoostingClassifier` takes them. "from_dtype" means pandas' categories, polars' Categorical and
        Enum, Arrow dictionaries, and text: the types of strings and bytes of all three, and columns of objects that
        hold some. An array names columns, gives their numbers or is a mask. Each level has coefficients of its own, as
        after a one-hot encoding, which is never made. None reads X as scikit-learn does, but refuses dates and times.
    missing_as_category : bool, default=False
        Whether the missing values of a categorical column are a level of their own. Otherwise they are an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_labels,)
        Labels of the classes, sorted. Where rows have several labels, the numbers of these.
    coef_ : ndarray of shape (1, n_features), (n_classes, n_features) or (n_labels, n_features)
        Coefficients, float32 for float32 data, else float64, and float64 with ``solver="liblinear"``. For three classes
        and more the intercepts sum to zero over the classes, and so do coefficients without an L1 penalty.
    intercept_ : ndarray of shape (1,), (n_classes,) or (n_labels,)
        Intercepts in the type of `coef_`; zeros without `fit_intercept`. Of several labels one that is constant in the
        fit has the intercept inf if all rows have it, and -inf if none has it, and coefficients of zero.
    n_iter_ : ndarray of shape (1,) or (n_labels,), int32
        Number of iterations of the solver.
    certificate_ : float, or ndarray of shape (n_labels,)
        Upper bound on J - J*, the distance to the minimum; inf where none is known. With ``C=np.inf``, or a penalty
        factor of 0, Newton's steps with the whole Hessian give one, and so do fits in which each coefficient that is
        not penalized has both bounds.
    converged_ : bool
        Whether tol was reached, or the floor that rounding sets, also by float32 coefficients; `summary` names it.
    n_passes_ : float
        Number of passes over X; a pass over a tenth of the rows counts as a tenth. Fits to several labels a row have
        neither this nor `history_`.
    history_ : list
        For each iteration `objective` (J), `bound` (on J - J*: proven in the last one, where it was computed in
        float64, and estimated in those before), `gradient` (the largest entry of the gradient of J), `n_passes` and
        `seconds`, both from the start of the fit. Wide data are fitted in the space of their rows, where both are
        estimated: `bound` as if the intercept were stationary, `gradient` from above.
    fit_seconds_ : float
        Seconds that the fit took.
    multilabel_ : bool
        True where rows have several labels; otherwise it does not exist.
    n_samples_fit_ : int
        Number of rows of the fit.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X has names that are strings.
    categories_ : list of ndarray or None
        For each column of X its levels, in the order of their coefficients, or None for numbers. A level of missing
        values is the last, NaN. It exists where columns are categorical.

    See Also
    --------
    LogisticRegressionCV : Chooses C by cross-validation.
    logistic_path : Fits many values of C.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> LogisticRegression().fit(X, y).score(X, y)
    0.97...
    """

    penalty: Penalty | Literal["deprecated"] | None = parameter(
        default="deprecated", accepts=[Penalty, None, "deprecated"], kw_only=False
    )
    C: float = parameter(default=1.0, accepts=["above 0, or inf"])
    alpha: float | Literal["1/n_samples"] = parameter(default="1/n_samples", accepts=["at least 0", "1/n_samples"])
    l1_ratio: float | None = parameter(default=0.0, accepts=["from 0 to 1", None])
    warm_start: bool = parameter(default=False, accepts=["boolean"])

    multilabel_: bool = fitted()
    n_iter_: IntArray = fitted()

    _scikit_learn_name = "LogisticRegression"

    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Rows of finite numbers. Those of `fastlin.blocks` need not lie in memory.
        y : array-like of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            Labels of at least two classes: numbers, strings or bools. Floats in at least two columns, not all of them 0
            or 1, are soft labels: the probability of each class, at least 0, which sum to one in each row within 1e-5.
            A row then counts as weighted copies of it would, one for each class. Zeros and ones in at least two
            columns, or a sparse matrix of them, say which labels a row has, unless `classes` is given: a model of two
            classes is fitted to each label, many of them side by side, and neither offset nor a start may be given. A
            label that all rows of weight have, or none, is predicted for every row or none, with a warning, as by
            scikit-learn's `OneVsRestClassifier`.
            None only where X is Blocks that hold labels.
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows, at least 0 and not all 0; None means ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Finite numbers that are added to the scores of the rows: one for each row with two classes, else one for
            each row and class. Predictions take them again. For Blocks it is an array of all rows.
        classes : array-like of shape (n_classes,) or None
            The classes of the columns of soft labels, sorted, which may then be zeros and ones; None means numbers from
            0 on. For other labels, those that y has: where it has others, or lacks one, that is an error.
        coef_init : array-like of shape (1, n_features) or (n_classes, n_features), or None
            Coefficients that the fit starts from, in the shape of `coef_`, whatever `warm_start` says. None means zeros
            where `intercept_init` is given, or else that the solver chooses its start. A start where J is larger than
            at the best intercepts alone is left out. What is outside of bounds starts at them.
        intercept_init : array-like of shape (1,) or (n_classes,), or None
            Intercepts that the fit starts from, likewise; without `fit_intercept` they do not count.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For NaN or infinite values, wrong shapes, one class, continuous labels, soft labels that are no
            probabilities, sparse X whose index arrays point outside of X, and parameters out of range.

        Warns
        -----
        ConvergenceWarning
            The fit stopped before it reached tol.
        UserWarning
            One of several labels is the same in all rows of weight.
        """
        read = partial(read_training_data, offset=offset, classes=classes)
        given = {"offset": offset, "coef_init": coef_init, "intercept_init": intercept_init}
        with restored_on_error(self):
            several, _ = read_columns(choose_labels(X, y, None)[0] if isinstance(X, Blocks) else y)
            if several is not None and classes is None:
                from fastlin.estimators.many_fits import fit_labels

                return fit_labels(self, X, several, sample_weight, given)
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)

    def _fit(self, X, y, sample_weight, coef_init, intercept_init, read=read_training_data):
        from fastlin.estimators.problem import Problem

        check_parameters(self)
        C, l1_ratio = read_penalty(self)
        with limit_jobs(self.n_jobs):
            data = read(self, X, y, sample_weight)
            shape = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
            starts = self._starts(shape, data.classes, coef_init, intercept_init)
            problem = Problem(self, data)
            minimize = partial(problem.minimize, C, l1_ratio, starts)
            # scikit-learn's context of callbacks takes as long as reading X.
            is_watched = self.verbose or has_callbacks(self)
            fit = self._minimize_and_tell(minimize, X, y, sample_weight, data) if is_watched else minimize()
        solution = fit.solution
        if not solution.converged:
            warn_of_end(self, solution, stacklevel=TO_THE_CALLER_OF_FIT)
        self.n_samples_fit_ = data.matrix.shape[0]
        vars(self).pop("multilabel_", None)
        self.classes_ = data.classes
        self.coef_ = fit.coef
        self.intercept_ = fit.intercept
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self._set_end(fit)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: y may have several labels a row."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _describe_result(self):
        lines = {"data": describe_data(self)}
        if has_several_labels(self):
            reached = "reached by all labels" if self.converged_ else "not reached by some label"
            lines["tol"] = f"{self.tol:g}, {reached}"
            lines["iterations"] = f"{self.n_iter_.min():,} to {self.n_iter_.max():,} of a label"
            return {**lines, "coefficients": describe_coef(self)}
        if hasattr(self, "converged_"):
            lines |= describe_end(self, int(self.n_iter_[0]))
        return {**lines, "coefficients": describe_coef(self)}

    @with_callbacks
    def _minimize_and_tell(self, minimize, X, y, sample_weight, data):
        """Return the Fit that a function finds, and tell the callbacks, which get what `fit` was given."""
        tasks = self._begin_tasks(X, y, sample_weight, data.classes).begin_fit()
        count_read_bytes = data.matrix.count_read_bytes if isinstance(X, Blocks) else None
        with show_iterations(self.verbose, count_read_bytes) as show:
            fit = minimize(on_iteration=tell_all(show, tasks))
        if tasks is not None:
            tasks.end(fit.coef, fit.intercept)
        return fit

    def _starts(self, shape, classes=None, coef_init=None, intercept_init=None):
        """Return the points to start from, pairs of coef (K, d) and intercept (K,): those given, or the last fit's.

        shape is (K, d), and classes None where rows have several labels.
        """
        given = {"coef_init": coef_init, "intercept_init": intercept_init}
        if coef_init is None and intercept_init is None:
            if not (self.warm_start and hasattr(self, "coef_")) or has_several_labels(self) != (classes is None):
                return []
            found = getattr(self.coef_, "shape", None)
            if found != shape:
                raise ValueError(
                    f"warm_start needs coef_ of shape {shape}, but the last fit left {found}; make a new estimator for "
                    "data of another shape."
                )
            # Setting coef_ and intercept_ is enough for a warm start.
            known = np.arange(shape[0]) if classes is None else None if hasattr(self, "classes_") else classes
            _, coef, intercept = read_coefficients(self, shape[1], known)
            if classes is None:
                # A label that was constant begins at zero.
                intercept = np.where(np.isinf(intercept), 0.0, intercept)
            given = {"coef_": coef, "intercept_": intercept}
        kinds = f"{shape[0]} labels" if classes is None else f"{len(classes)} classes"
        reason, point = f", for {kinds} and {shape[1]} features", []
        for (name, values), expected in zip(given.items(), (shape, shape[:1]), strict=True):
            # What is not given begins at zero.
            values = np.zeros(expected) if values is None else to_numbers(as_array(name, values))
            point.append(read_finite(name, values, expected, reason).astype(np.float64))
        return [(point[0], point[1] if self.fit_intercept else np.zeros(shape[0]))]
