"""The models of the course: logistic and softmax regression. The bias is the weight of a column of ones."""

from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from fastlin.course.trainers.checks import check_count, check_number
from fastlin.course.trainers.differences import warn_once
from fastlin.exceptions import CourseAssertionError
from fastlin.typing import Array, FloatArray

N_PIXELS = 784
# An integer-valued float of at least this size could also be a number of inputs.
MIN_AMBIGUOUS_N_INPUTS = 10


class Predictor(Protocol):
    """A model that makes predictions, either from this module or written by a student."""

    def forward(self, X: Array, /) -> FloatArray:
        """Return an array of outputs of shape (N, outputs) for N rows."""


class CourseModel(Predictor, Protocol):
    """A model that trainers accept, either from this module or written by a student."""

    # These are float64 or float32 arrays.
    w: Any
    grad: Any

    def backward(self, X: Array, outputs: FloatArray, targets: Array, /) -> object:
        """Set ``grad`` to the gradient of the cost with respect to ``w``."""


class _WeightsDimension:
    """An attribute that returns one dimension of the model's weights. Models can assign to it, as in the course."""

    def __init__(self, axis):
        self._axis = axis

    def __get__(self, model: Any, owner: Any = None) -> Any:
        return self if model is None else model.w.shape[self._axis]


class _LinearModel:
    """Weights, gradient and backward pass of both models."""

    _shape_advice = "pre_process_images adds the column of ones"
    I = _WeightsDimension(0)  # noqa: E741 - the course's name
    num_outputs = _WeightsDimension(1)

    # Subclasses whose constructors do not call this constructor use these defaults.
    l2_reg_lambda: float = 0.0
    half: bool = False

    def __init__(self, n_inputs: int, n_outputs: int, l2_reg_lambda: float, half: bool | None) -> None:
        check_number("l2_reg_lambda", l2_reg_lambda)
        check_count("n_inputs", n_inputs)
        check_count("n_outputs", n_outputs)
        self.w: FloatArray = np.zeros((n_inputs, n_outputs))
        self.grad: FloatArray | None = None
        self.l2_reg_lambda, self.half = l2_reg_lambda, bool(half)
        if half is None and l2_reg_lambda > 0 and type(self).backward is _LinearModel.backward:
            warn_once("half", 3, name=type(self).__name__, weight=l2_reg_lambda)

    @property
    def l2(self) -> float:
        """Factor of w in the gradient of the penalty: lambda if `half`, otherwise 2 lambda."""
        return self.l2_reg_lambda * (1 if self.half else 2)

    @l2.setter
    def l2(self, factor: float) -> None:
        self.l2_reg_lambda, self.half = factor, True

    def backward(self, X: Array, outputs: FloatArray, targets: Array) -> None:
        """Set ``grad`` to the mean gradient X' (outputs - targets) / N plus the gradient of the L2 penalty.

        Parameters
        ----------
        X : ndarray of shape (N, inputs)
            Rows of a batch.
        outputs, targets : ndarray of shape (N, outputs)
            Probabilities that `forward` returned for the rows, and the targets of the rows.

        Raises
        ------
        CourseAssertionError
            A shape does not match the weights or the number of rows.
        """
        self._check_inputs(X)
        expected = X.shape[0], self.w.shape[1]
        if outputs.shape != expected or targets.shape != expected:
            raise CourseAssertionError(
                f"outputs and targets must have shape {expected}, got {outputs.shape} and {targets.shape}"
            )
        self.grad = X.T @ (outputs - targets) / X.shape[0]
        if self.l2:
            self.grad += self.l2 * self.w

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        self.grad = None

    def _check_inputs(self, X):
        if X.ndim != 2 or X.shape[1] != self.w.shape[0]:
            raise CourseAssertionError(
                f"X must have shape (N, {self.w.shape[0]}), the number of rows of w, got {X.shape}; "
                f"{self._shape_advice}"
            )


class BinaryModel(_LinearModel):
    """Logistic regression with one output, p(class 1).

    Parameters
    ----------
    n_inputs : int, default=785
        Number of pixels, plus one for the column of ones. A float, or 0, is used as `l2_reg_lambda`, the first
        argument in some years of the course. An integer-valued float of 10 or more is ambiguous and raises an error.
    l2_reg_lambda, half : float and bool
        As in `SoftmaxModel`.

    Attributes
    ----------
    w, grad : ndarray of shape (n_inputs, 1)
        Weights, initially zero, and the gradient of the last backward pass, initially None.
    I, num_outputs : int
        Number of rows and number of columns of ``w``. The latter is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import BinaryModel
    >>> model = BinaryModel(n_inputs=3)
    >>> model.forward(np.ones((2, 3)))
    array([[0.5],
           [0.5]])
    """

    _shape_advice = f"{_LinearModel._shape_advice}; pass the strength of a penalty as l2_reg_lambda="

    def __init__(self, n_inputs: float = N_PIXELS + 1, *, l2_reg_lambda: float = 0.0, half: bool | None = None) -> None:
        if isinstance(n_inputs, (float, np.floating)) or n_inputs == 0:
            if n_inputs >= MIN_AMBIGUOUS_N_INPUTS and float(n_inputs).is_integer():
                raise ValueError(
                    f"n_inputs must be an int, or a float below {MIN_AMBIGUOUS_N_INPUTS} or with a fraction for "
                    f"l2_reg_lambda, got {float(n_inputs)}, which is ambiguous: write "
                    f"BinaryModel(n_inputs={int(n_inputs)}) or BinaryModel(l2_reg_lambda={float(n_inputs)})"
                )
            if l2_reg_lambda:
                raise ValueError(f"l2_reg_lambda must be given only once, got {n_inputs!r} and {l2_reg_lambda!r}")
            n_inputs, l2_reg_lambda = N_PIXELS + 1, n_inputs
        super().__init__(n_inputs, 1, l2_reg_lambda, half)

    def forward(self, X: Array) -> FloatArray:
        """Return the probabilities 1 / (1 + exp(-X w)) as an array of shape (N, 1)."""
        self._check_inputs(X)
        return expit(X @ self.w)


class SoftmaxModel(_LinearModel):
    """Softmax regression.

    Parameters
    ----------
    l2_reg_lambda : float, default=0.0
        Strength lambda of the penalty lambda ||w||^2 on all weights, including the bias. Its gradient is 2 lambda w.
    half : bool or None, default=None
        Whether the penalty is lambda / 2 ||w||^2, whose gradient is lambda w. None means False, with a CourseWarning
        if lambda is not 0.
    n_inputs : int, default=785
        Number of pixels, plus one for the column of ones.
    n_outputs : int, default=10
        Number of classes.

    Attributes
    ----------
    w, grad : ndarray of shape (n_inputs, n_outputs)
        Weights, initially zero, and the gradient of the last backward pass, initially None.
    I, num_outputs : int
        Number of rows and number of columns of ``w``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import SoftmaxModel
    >>> model = SoftmaxModel(l2_reg_lambda=0.1, half=False, n_inputs=3)
    >>> model.forward(np.ones((2, 3))).shape
    (2, 10)
    """

    def __init__(
        self, l2_reg_lambda: float = 0.0, half: bool | None = None, *, n_inputs: int = N_PIXELS + 1, n_outputs: int = 10
    ) -> None:
        super().__init__(n_inputs, n_outputs, l2_reg_lambda, half)

    def forward(self, X: Array) -> FloatArray:
        """Return the softmax probabilities of the scores X w as an array of shape (N, K)."""
        self._check_inputs(X)
        scores = X @ self.w
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


def has_fastlin_methods(model: object) -> bool:
    """Return whether a model uses the forward and backward of this module, so that kernels may replace them."""
    return any(
        isinstance(model, model_class)
        and all(getattr(type(model), name) is method and name not in vars(model) for name, method in methods.items())
        for model_class, methods in _MODEL_METHODS.items()
    )


# The methods are recorded at import, so that a method that a user later assigns to the class is detected.
_MODEL_METHODS = {
    model_class: {"forward": model_class.forward, "backward": model_class.backward}
    for model_class in (BinaryModel, SoftmaxModel)
}
