"""A fully connected network: its layers, the loss of a batch, and the gradient of the loss.

The network applies L layers to each row x_i of a batch. Layer l has coefficients W_l (fan in, fan out) and intercepts
b_l. Row i has the label y_i and the weight s_i >= 0, with S = sum s_i::

    a_0 = x                                     or, with "input" normalization, N(x)
    z_l = a_(l-1) W_l                           l = 1 ... L
    a_l = D(f(z_l + b_l))                       l < L; with "hidden" normalization D(f(gamma_l N(z_l) + b_l))
    loss = (1 / S) sum_i s_i l(z_L + b_L, y_i)

f is the activation function, and l is the softmax cross-entropy or, for two classes, the logistic loss of one output. D
is dropout (Srivastava et al. 2014): a unit is set to zero with probability `dropout`, and otherwise divided by 1 -
dropout. N is batch normalization (Ioffe and Szegedy 2015), which ignores the weights of the rows. The intercept of a
normalized layer is the shift of its normalization. The normalized input has neither scale nor shift, because the first
layer already has both.

Predictions omit D, and N uses running means and variances. `make_prediction_network` merges these statistics into the
coefficients and intercepts, so a network for predictions has only plain layers. See docs/derivations.md for the
derivatives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastlin.kernels.linear.operands import NO_ROWS
from fastlin.kernels.machine.arrays import writable_view, zeros_aligned
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, READ_NUMBER_WORK, count_blocks, run_blocks
from fastlin.kernels.networks.layers import (
    IDENTITY,
    LOGISTIC,
    RELU,
    TANH,
    activate_block,
    backpropagate_block,
    fill_block_probabilities,
    fill_block_residuals,
)
from fastlin.matrices import DenseMatrix, SparseMatrix
from fastlin.typing import Array, FloatArray, IntArray

# BATCH_NORM_EPSILON is added to variances, and BATCH_NORM_MOMENTUM is the weight of a batch in the running statistics.
# The values are those of PyTorch.
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.1


class Normalization:
    """Batch normalization (Ioffe and Szegedy 2015, algorithm 1): (z - mean) / sqrt(variance + BATCH_NORM_EPSILON).

    `mean` and the unbiased `variance`, (width,) each, are running statistics, in which each batch has the weight
    BATCH_NORM_MOMENTUM.
    """

    def __init__(self, width: int) -> None:
        self.mean, self.variance = np.zeros(width), np.ones(width)
        # The inverse standard deviations of the most recent batch.
        self._inverse_deviations: FloatArray = np.empty(0)

    def normalize(self, values: FloatArray, normalized: FloatArray) -> None:
        """Fill `normalized` (n, m) with N(values), and update the running statistics. The arrays may be the same."""
        n = len(values)
        # Values may not be finite if the training run diverges.
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = values.mean(axis=0, dtype=np.float64), values.var(axis=0, dtype=np.float64)
            inverse_deviations = (1 / np.sqrt(variance + BATCH_NORM_EPSILON)).astype(values.dtype)
            np.subtract(values, mean.astype(values.dtype), out=normalized)
            normalized *= inverse_deviations
        self._inverse_deviations = inverse_deviations
        self.mean += BATCH_NORM_MOMENTUM * (mean - self.mean)
        # The variance of a single row is undefined.
        if n > 1:
            self.variance += BATCH_NORM_MOMENTUM * (variance * n / (n - 1) - self.variance)

    def backpropagate(
        self,
        normalized: FloatArray,
        scale: FloatArray,
        mean_slope: FloatArray,
        mean_product: FloatArray,
        slopes: FloatArray,
    ) -> None:
        """Overwrite `slopes` with the gradient with respect to z.

        Before, `slopes` (n, m) is the gradient g with respect to scale * N(z) + shift. `mean_slope` and `mean_product`
        are the means of g and of g * N(z) over the batch.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            slopes -= mean_slope.astype(slopes.dtype)
            slopes -= mean_product.astype(slopes.dtype) * normalized
            slopes *= self._inverse_deviations * scale

    def inverse_deviations(self) -> FloatArray:
        """Return 1 / sqrt(running variance + BATCH_NORM_EPSILON), float64."""
        return 1 / np.sqrt(self.variance + BATCH_NORM_EPSILON)


class _BatchBuffers:
    """Buffers for forward and backward passes over n rows; views of `larger_buffers`, if there are any.

    `sums`, `products`, `losses` and `n_correct` contain one partial sum for each of `n_blocks` row blocks.
    """

    def __init__(self, n_rows, layer_sizes, dtype, normalizes_hidden_layers, larger_buffers=None):
        hidden = layer_sizes[1:-1]
        self.n_rows = n_rows
        if larger_buffers is None:
            self.activations = [zeros_aligned((n_rows, size), dtype) for size in layer_sizes]
            self.slopes = [zeros_aligned((n_rows, size), dtype) for size in hidden]
            self.normalized = [
                zeros_aligned((n_rows, size) if normalizes_hidden_layers else (0, 0), dtype) for size in hidden
            ]
        else:
            self.activations, self.slopes, self.normalized = (
                [array[:n_rows] for array in arrays]
                for arrays in (larger_buffers.activations, larger_buffers.slopes, larger_buffers.normalized)
            )
        self.n_blocks = [
            count_blocks(n_rows, READ_NUMBER_WORK * size, 16 * size, n_rows * size * np.dtype(dtype).itemsize)
            for size in layer_sizes
        ]
        self.sums = [np.zeros(shape) for shape in zip(self.n_blocks, layer_sizes, strict=True)]
        self.products = [np.zeros((len(sums), sums.shape[1] * normalizes_hidden_layers)) for sums in self.sums]
        self.losses, self.n_correct = np.zeros((2, self.n_blocks[-1]))


ACTIVATIONS = {"identity": IDENTITY, "logistic": LOGISTIC, "relu": RELU, "tanh": TANH}
NORMALIZATIONS = "input", "hidden"
# The maximum number of values of the widest layer in a chunk of rows, so that gathered rows stay in the cache. If the
# widest layer has more than WIDE units, chunks are larger, because each chunk adds a gradient of that width
# (docs/benchmarks/design-choices.md: network chunks).
MAX_CHUNK_VALUES, WIDE_LAYER_SIZE, MAX_WIDE_CHUNK_VALUES = 1_250_000, 1_200, 6_250_000
MIN_CHUNK_ROWS = 128
# The difference between the dropout seeds of successive layers (2^32 divided by the golden ratio).
LAYER_SEED_STEP = 0x9E3779B9
NO_LABELS, NO_TARGETS = np.empty(0, np.int32), np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of a matrix (n, d) with labels (n,) or targets (n, K) between 0 and 1. `rows` selects a subset."""

    matrix: DenseMatrix | SparseMatrix
    labels: np.ndarray
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels) if self.rows is None else len(self.rows)

    @cached_property
    def most_probable_classes(self) -> IntArray:
        """The class of each row, as an array (n,) of int32. With targets, it is the class with the largest target."""
        if self.labels.ndim == 1:
            return self.labels
        if self.labels.shape[1] == 1:
            return (self.labels[:, 0] > 0.5).astype(np.int32)
        return self.labels.argmax(axis=1).astype(np.int32)

    def select_rows(self, part: slice) -> IntArray | slice:
        """Return the rows of the matrix for a slice of the examples. The result is a slice if `rows` is None."""
        return part if self.rows is None else self.rows[part]


class Network:
    """A fully connected network. One vector contains the parameters, another the gradient of the loss of a batch.

    Matrix products use NumPy's BLAS. All other results are bitwise equal for any number of threads. `layer_sizes` are
    the numbers of inputs, hidden units and outputs. Softmax with K classes has K >= 2 outputs, and the logistic loss
    has one. `normalization` may contain "input" and "hidden" for batch normalization of these units, and `dropout` is
    the dropout probability of hidden units. If `is_independent` is true, each output has its own logistic loss
    (multilabel), and the examples have targets. If `has_intercepts` is false, the gradient with respect to the
    intercepts of the last layer is zero.

    `parameters` (p,) contains the coefficients of all layers, then the intercepts, then the scales gamma. `gradient`
    has the same layout. `n_coefficients` is the number of coefficients. `coefs`, `intercepts` and `scales` are lists of
    views, one per layer. Initially, scales are one and all other parameters are zero. `normalizations` starts with that
    of the input, if any. `state` lists all arrays that training changes in place: the parameters, and the mean and
    variance of each normalization.
    """

    def __init__(
        self,
        layer_sizes: Iterable[int],
        activation: str = "relu",
        *,
        normalization: Collection[str] = (),
        dropout: float = 0.0,
        is_independent: bool = False,
        has_intercepts: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.layer_sizes = tuple(layer_sizes)
        self.dtype = np.dtype(dtype)
        self._is_independent, self.has_intercepts = is_independent, has_intercepts
        self.activation, self.dropout = activation, dropout
        self.n_layers = len(self.layer_sizes) - 1
        inputs, *hidden = self.layer_sizes[:-1]
        self._input_normalization = Normalization(inputs) if "input" in normalization else None
        self._hidden_normalizations = [Normalization(width) for width in hidden] if "hidden" in normalization else []
        self.normalizations = [*filter(None, [self._input_normalization]), *self._hidden_normalizations]
        scale_parameter_sizes = hidden if self._hidden_normalizations else []
        self._shapes = [
            *pairwise(self.layer_sizes),
            *((size,) for size in (*self.layer_sizes[1:], *scale_parameter_sizes)),
        ]
        self._boundaries = list(accumulate(map(prod, self._shapes), initial=0))
        self.n_coefficients = self._boundaries[self.n_layers]
        vectors = [zeros_aligned(self._boundaries[-1], self.dtype) for _ in range(3)]
        self.parameters, self.gradient, self._chunk_gradient = vectors
        self.coefs, self.intercepts, self.scales = self.make_layer_views(self.parameters)
        self._gradients, self._chunk_gradients = (
            self.make_layer_views(self.gradient),
            self.make_layer_views(self._chunk_gradient),
        )
        for scale in self.scales:
            scale[:] = 1
        statistics = [array for layer in self.normalizations for array in (layer.mean, layer.variance)]
        self.state = [self.parameters, *statistics]
        self._buffers_by_size: dict[int, _BatchBuffers] = {}
        self._no_scales = np.empty(0, self.dtype)

    def make_layer_views(self, vector: FloatArray) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return views of a vector (p,) with the layout of the parameters: coefficients, intercepts and scales."""
        parts = zip(pairwise(self._boundaries), self._shapes, strict=True)
        parameter_views, n = [vector[first:last].reshape(shape) for (first, last), shape in parts], self.n_layers
        return parameter_views[:n], parameter_views[n : 2 * n], parameter_views[2 * n :]

    def named_arrays(self) -> dict[str, list[Array]]:
        """Return the trained arrays by name: views of the parameters, and running statistics."""
        return {
            "coefs": self.coefs,
            "intercepts": self.intercepts,
            "batch_norm_scales": self.scales,
            "batch_norm_means": [layer.mean for layer in self.normalizations],
            "batch_norm_variances": [layer.variance for layer in self.normalizations],
        }

    def compute_gradient(self, examples: Examples, rows: IntArray | slice, seed: int = 0) -> tuple[float, float, float]:
        """Set `gradient` to the gradient of the loss of a batch, and update the running statistics.

        Return the loss, the weight of the correctly classified rows, and the weight S of all rows. If S is 0, the loss
        and the gradient are zero.
        """
        labels, weights = _select_targets(examples, rows)
        total = float(weights.sum()) if len(weights) else float(len(labels))
        if total == 0:
            self.gradient[:] = 0
            return 0.0, 0.0, 0.0
        loss = n_correct = 0.0
        for part in self._split_into_chunks(len(labels)):
            chunk = slice(rows.start + part.start, rows.start + part.stop) if isinstance(rows, slice) else rows[part]
            inputs, arrays = self._run_forward(examples.matrix, chunk, seed, part.start)
            gradients = self._gradients if part.start == 0 else self._chunk_gradients
            chunk_loss, correct = self._fill_residuals(arrays, labels[part], weights[part], total, gradients[1][-1])
            self._run_backward(inputs, arrays, seed, part.start, gradients)
            if part.start > 0:
                self.gradient += self._chunk_gradient
            loss, n_correct = loss + chunk_loss, n_correct + correct
        return loss / total, n_correct, total

    def make_prediction_network(self, dtype: DTypeLike | None = None) -> Network:
        """Return the network for predictions, without dropout. Running statistics are merged into the parameters.

        The result has the dtype `dtype`, by default that of this network. If nothing changes, it is this network
        itself.
        """
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        if not self.normalizations and not self.dropout and dtype == self.dtype:
            return self
        options: Any = {"is_independent": self._is_independent, "has_intercepts": self.has_intercepts, "dtype": dtype}
        prediction_network = Network(self.layer_sizes, self.activation, **options)
        for layer in range(self.n_layers):
            coef, shift = self.coefs[layer].astype(np.float64), 0.0
            if layer == 0 and self._input_normalization:
                coef *= self._input_normalization.inverse_deviations()[:, np.newaxis]
                shift = self._input_normalization.mean @ coef
            if layer < len(self.scales):
                normalization = self._hidden_normalizations[layer]
                scale = self.scales[layer] * normalization.inverse_deviations()
                coef *= scale
                shift = (shift + normalization.mean) * scale
            prediction_network.coefs[layer][:] = coef
            prediction_network.intercepts[layer][:] = self.intercepts[layer] - shift
        return prediction_network

    def compute_scores(self, matrix: DenseMatrix | SparseMatrix) -> FloatArray:
        """Return the scores z_L + b_L with shape (n, K). The network must be a result of `make_prediction_network`."""
        scores = np.empty((matrix.shape[0], self.layer_sizes[-1]), self.dtype)
        for part in self._split_into_chunks(len(scores)):
            _, arrays = self._run_forward(matrix, part)
            np.add(arrays.activations[-1], self.intercepts[-1], out=scores[part])
        return scores

    def predict_probabilities(self, matrix: DenseMatrix | SparseMatrix) -> FloatArray:
        """Return the probabilities (n, K) of the classes, or (n, 1) of class 1.

        The network must be a result of `make_prediction_network`.
        """
        probabilities, zero_intercepts = self.compute_scores(matrix), np.zeros(self.layer_sizes[-1], self.dtype)
        n_blocks = count_blocks(len(probabilities), EXPONENTIAL_WORK * self.layer_sizes[-1])
        run_blocks(fill_block_probabilities, n_blocks, probabilities, zero_intercepts, self._is_independent)
        return probabilities

    def measure(self, examples: Examples) -> tuple[float, float]:
        """Return the weighted mean loss and the weighted accuracy. `make_prediction_network` returns such a network."""
        loss = n_correct = total = 0.0
        sums = np.empty(self.layer_sizes[-1], self.dtype)
        # A single layer reads many rows at a time in place. It copies rows only if `rows` selects rows of a dense
        # matrix.
        is_copied = examples.rows is not None and not isinstance(examples.matrix, SparseMatrix)
        sizes = self.layer_sizes if self.n_layers > 1 or is_copied else (1, self.layer_sizes[-1])
        for part in self._split_into_chunks(len(examples), sizes):
            rows = examples.select_rows(part)
            labels, weights = _select_targets(examples, rows)
            if self.n_layers > 1:
                _, arrays = self._run_forward(examples.matrix, rows)
            else:
                arrays = _BatchBuffers(len(labels), sizes, self.dtype, False)
                # The intercept is added with the loss.
                zero_intercepts = np.zeros(sizes[-1], self.dtype)
                examples.matrix.take(rows).score(self.coefs[0].T, zero_intercepts, arrays.activations[-1], NO_ROWS)
            chunk_loss, correct = self._fill_residuals(arrays, labels, weights, 1.0, sums)
            loss, n_correct = loss + chunk_loss, n_correct + correct
            total += float(weights.sum()) if len(weights) else len(labels)
        return loss / total, n_correct / total

    def _split_into_chunks(self, n_rows, layer_sizes=()):
        """Return slices of rows. The rows of a slice are processed together."""
        width = max(layer_sizes or self.layer_sizes)
        max_rows = max(
            MIN_CHUNK_ROWS, (MAX_CHUNK_VALUES if width <= WIDE_LAYER_SIZE else MAX_WIDE_CHUNK_VALUES) // width
        )
        # A normalized batch cannot be divided, because the normalized rows depend on one another.
        chunk = n_rows if self.normalizations else max_rows
        return (slice(start, min(start + chunk, n_rows)) for start in range(0, n_rows, chunk))

    def _get_buffers(self, rows):
        """Return buffers for this number of rows. Batches of the same size reuse the same buffers."""
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        if n not in self._buffers_by_size:
            larger_buffers = next((arrays for arrays in self._buffers_by_size.values() if arrays.n_rows > n), None)
            if larger_buffers is None:
                # The other buffers are views, which would keep the previous largest buffers alive.
                self._buffers_by_size.clear()
            self._buffers_by_size[n] = _BatchBuffers(
                n, self.layer_sizes, self.dtype, bool(self._hidden_normalizations), larger_buffers
            )
        return self._buffers_by_size[n]

    def _run_forward(self, matrix, rows, seed=0, first_row=0):
        """Return a_0 and the buffers. `activations` are a_1 ... a_(L-1) and z_L, and `normalized` are N(z_l)."""
        arrays = self._get_buffers(rows)
        activations = arrays.activations
        inputs = None
        if isinstance(matrix, SparseMatrix) and not self._input_normalization:
            inputs = matrix.take_sparse_rows(rows, self.dtype, self.layer_sizes[1])
        if inputs is None:
            inputs = matrix.take_rows(rows, activations[0])
        if self._input_normalization:
            self._input_normalization.normalize(inputs, activations[0])
            inputs = activations[0]
        previous_activations = inputs
        for layer in range(1, self.n_layers):
            products = _multiply_into(previous_activations, self.coefs[layer - 1], activations[layer])
            if self._hidden_normalizations:
                products = arrays.normalized[layer - 1]
                self._hidden_normalizations[layer - 1].normalize(activations[layer], products)
            previous_activations = activations[layer]
            scales = self.scales[layer - 1] if self.scales else self._no_scales
            activation = ACTIVATIONS[self.activation], *self._make_dropout_arguments(seed, layer), first_row
            shifts, n_blocks = self.intercepts[layer - 1], arrays.n_blocks[layer]
            run_blocks(activate_block, n_blocks, products, scales, shifts, *activation, previous_activations)
        _multiply_into(previous_activations, self.coefs[-1], activations[-1])
        return inputs, arrays

    def _make_dropout_arguments(self, seed, layer):
        """Return the probability of keeping a unit of a layer, and the seed of the layer."""
        return 1.0 - self.dropout, (seed + layer * LAYER_SEED_STEP) % 2**32

    def _fill_residuals(self, arrays, labels, weights, total, intercept_gradient):
        """Replace z_L by the gradient of the loss. Return sum s_i l_i and the weight of correctly classified rows."""
        sums = arrays.losses, arrays.n_correct, arrays.sums[-1]
        targets = (labels, NO_TARGETS) if labels.ndim == 1 else (NO_LABELS, labels)
        operands = arrays.activations[-1], self.intercepts[-1], *targets, weights, total, self._is_independent, *sums
        run_blocks(fill_block_residuals, arrays.n_blocks[-1], *operands)
        loss, n_correct, intercept_gradient[:] = map(_sum_partial_sums, sums)
        if not self.has_intercepts:
            intercept_gradient[:] = 0
        return float(loss), float(n_correct)

    def _run_backward(self, inputs, arrays, seed, first_row, gradients):
        """Fill the gradients. The last of the activations contains the gradient with respect to z_L."""
        coef_gradients, intercept_gradients, scale_gradients = gradients
        slopes = arrays.activations[-1]
        n = len(slopes)
        for layer in range(self.n_layers - 1, 0, -1):
            activations, normalized = arrays.activations[layer], arrays.normalized[layer - 1]
            sums, products, n_blocks = arrays.sums[layer], arrays.products[layer], arrays.n_blocks[layer]
            np.dot(activations.T, slopes, out=coef_gradients[layer])
            slopes = np.dot(slopes, self.coefs[layer].T, out=arrays.slopes[layer - 1])
            activation = ACTIVATIONS[self.activation], *self._make_dropout_arguments(seed, layer), first_row
            run_blocks(backpropagate_block, n_blocks, activations, normalized, *activation, slopes, sums, products)
            sums = _sum_partial_sums(sums)
            intercept_gradients[layer - 1][:] = sums
            if self._hidden_normalizations:
                products = _sum_partial_sums(products)
                scale_gradients[layer - 1][:] = products
                operands = normalized, self.scales[layer - 1], sums / n, products / n
                self._hidden_normalizations[layer - 1].backpropagate(*operands, slopes)
        _multiply_into(inputs.T, slopes, coef_gradients[0])


def _multiply_into(a, b, product):
    """Fill `product` with the matrix product of a and b, and return it. a may be sparse."""
    if isinstance(a, np.ndarray):
        return np.dot(a, b, out=product)
    product[:] = a @ b
    return product


def _select_targets(examples, rows):
    """Return the labels and the weights of `rows`. Empty weights mean all ones."""
    weights = np.empty(0) if examples.weights is None else examples.weights[rows]
    return writable_view(examples.labels[rows]), writable_view(weights)


def _sum_partial_sums(partial_sums):
    """Return the sum over the blocks. NumPy is not called for the single block of a small batch."""
    return partial_sums[0] if len(partial_sums) == 1 else np.add.reduce(partial_sums)


def initialize_parameters(
    network: Network, init: str, random_state: np.random.RandomState, scale: float | None = None
) -> None:
    """Sample the initial parameters of a network in scikit-learn's order. See `MLPClassifier` for `init`."""
    numerator = 2 if network.activation == "logistic" else 6
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        if init == "xavier":
            bound = np.sqrt(numerator / sum(coef.shape))
            coef[:] = random_state.uniform(-bound, bound, coef.shape)
            intercept[:] = random_state.uniform(-bound, bound, intercept.shape)
        else:
            deviation = np.sqrt(2 / len(coef)) if init == "he" else scale
            assert deviation is not None
            coef[:] = random_state.normal(0, deviation, coef.shape)
            intercept[:] = 0
