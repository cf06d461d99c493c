"""Dense X of any type and layout, read in place: statistics of its columns, predictions, an objective's walks."""

from threading import Lock

import numpy as np

from fastlin.kernels.linear.columns import fill_block_column_statistics, fill_block_panel
from fastlin.kernels.linear.curvature import (
    PANEL,
    fill_block_class_pair_gram,
    fill_block_gram,
    fill_block_hessian_product,
)
from fastlin.kernels.linear.dense_rows import fill_block_best_class, fill_block_loss_and_gradient, fill_block_scores
from fastlin.kernels.machine.arrays import copy_aligned, writable_view
from fastlin.kernels.machine.products import CHUNK_BYTES
from fastlin.kernels.machine.simd import VECTOR_BYTES
from fastlin.kernels.machine.threads import count_blocks, run_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.networks.layers import fill_block_rows
from fastlin.matrices.columns import Columns, Transposed

# The types that are read as they are.
DTYPES = [np.float64, np.float32, np.uint8, np.int8, np.int16, np.int32, np.bool_]
# Below this many multiply-adds a walk takes less than the rest of an iteration, and float64 is as fast.
MIN_FLOAT32_WORK = 20_000_000


class DenseMatrix:
    """X of shape (n, d), of one of DTYPES and of any strides.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        The caller's memory.
    shape : tuple of int
    dtype : dtype
    nbytes : int
    """

    def __init__(self, X):
        self.X = writable_view(X)
        self.shape, self.dtype = X.shape, X.dtype
        self.nbytes = X.nbytes
        self._transposed = {}
        self._lock = Lock()

    def gains_from_float32(self, n_rows_coef):
        """Say whether walks are faster in float32, for K rows of coefficients."""
        return self.X.size * n_rows_coef >= MIN_FLOAT32_WORK

    def count_gram_work(self):
        """Return the multiply-adds of a Gram matrix of the columns."""
        n, d = self.shape
        return n * (d + 1) ** 2

    def measure(self, weights=None):
        """Return the Columns with weights (n,), None for ones; numbers that are not finite are told of, not refused."""
        n, d = self.shape
        # Of a row that counts: far from the others it would leave of the spread what rounding makes of it.
        origins = self.X[0 if weights is None else int(np.argmax(weights > 0))].astype(np.float64)
        n_blocks = count_blocks(n, row_work=d, partial_bytes=32 * d, data_bytes=self.nbytes)
        sums, squares, smallest, largest = np.empty((4, n_blocks, d))
        run_blocks(
            fill_block_column_statistics, n_blocks, self.X, np.empty(0) if weights is None else weights, origins,
            count_tile_rows(d, 1, origins.itemsize), sums, squares, smallest, largest,
        )  # fmt: skip
        smallest, largest = smallest.min(axis=0), largest.max(axis=0)
        total = float(n) if weights is None else float(weights.sum())
        # Comparisons pass over NaN.
        smallest = np.where(np.isnan(squares).any(axis=0), np.nan, smallest)
        with np.errstate(over="ignore", invalid="ignore"):
            shift = sums.sum(axis=0) / total
            variance = np.maximum(squares.sum(axis=0) / total - shift**2, 0)
            return Columns.from_moments(origins + shift, variance, smallest, largest)

    def compute_scores(self, coef, intercept):
        """Return X coef' + intercept, of shape (n, K), in the type of coef (K, d)."""
        scores = np.empty((len(self.X), len(coef)), coef.dtype)
        self._score(fill_block_scores, coef, intercept, scores)
        return scores

    def find_best_class(self, coef, intercept):
        """Return the class of the largest of the scores of each row, (n,) int64; those of all rows are never held."""
        best = np.empty(len(self.X), np.int64)
        self._score(fill_block_best_class, coef, intercept, best)
        return best

    def _score(self, kernel, coef, intercept, found):
        K, d = coef.shape
        n_blocks = count_blocks(len(self.X), row_work=K * d, partial_bytes=0, data_bytes=self.nbytes)
        run_blocks(
            kernel, n_blocks, self.X, np.ones(d, coef.dtype), np.zeros(d, coef.dtype), copy_aligned(coef),
            intercept.astype(coef.dtype), count_tile_rows(d, K, coef.itemsize), found,
        )  # fmt: skip

    def take_rows(self, rows, taken):
        """Return rows (an array or a slice) in the type of taken (m, d): there, or in X where they lie so already."""
        if isinstance(rows, slice):
            if self.X.dtype == taken.dtype and self.X.flags.c_contiguous:
                return self.X[rows]
            rows = np.arange(rows.start, rows.stop)
        n_blocks = count_blocks(*taken.shape, partial_bytes=0, data_bytes=taken.nbytes)
        run_blocks(fill_block_rows, n_blocks, self.X, rows, taken)
        return taken

    def transposed(self, precision):
        """Return X column by column, a copy made once for each precision.

        Numbers of two bytes and less stay as they are. Others become x~ = x scale + shift in the precision, by the
        statistics of all rows: what float32 cannot hold is centred before it is rounded.
        """
        # Folds in threads ask for it at once.
        with self._lock:
            if precision not in self._transposed:
                self._transposed[precision] = self._transpose(precision)
        return self._transposed[precision]

    def _transpose(self, precision):
        n, d = self.shape
        is_narrow = self.X.itemsize <= 2
        panel = np.empty((d, n), self.X.dtype if is_narrow else precision)
        scale, shift = (np.ones(d), np.zeros(d)) if is_narrow else self.measure().choose_coordinates()
        wide = np.float64 if self.X.dtype in (np.float64, np.int32) else precision
        n_blocks = count_blocks(n, row_work=4 * d, partial_bytes=0, data_bytes=self.nbytes)
        run_blocks(
            fill_block_panel, n_blocks, self.X, scale.astype(wide), shift.astype(wide),
            count_tile_rows(d, 1, np.dtype(precision).itemsize), np.empty(0, precision), panel,
        )  # fmt: skip
        no_entries = np.zeros(d + 1, np.int64), np.empty(0, np.int64), np.empty(0)
        return Transposed(panel, np.arange(d), *no_entries, scale, shift)

    def passes(self, *, rows, labels, weights, n_rows_coef, scale, shift):
        """Return the DensePasses over the given rows."""
        return DensePasses(self.X, rows, labels, weights, n_rows_coef, scale, shift)


class DensePasses:
    """The sums over rows that an objective is made of, each one pass over X.

    A row enters as x~ = x scale + shift. Sums are not divided by the total weight.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    rows : ndarray of shape (m,), int64
        The row numbers that are walked; all where there are none.
    labels : ndarray of shape (n,), int32
    weights : ndarray of shape (n,), float64
        Without entries for ones.
    n_rows_coef : int
        K.
    scale, shift : ndarray of shape (d,), float64
    """

    def __init__(self, X, rows, labels, weights, n_rows_coef, scale, shift):
        self._X, self._rows, self._labels, self._weights = X, rows, labels, weights
        self._scale, self._shift = scale, shift
        self._n_rows = len(rows) or len(X)
        K, d = n_rows_coef, X.shape[1]
        self._shape = K, d + 1
        self._n_blocks = count_blocks(
            self._n_rows, row_work=2 * K * d, partial_bytes=8 * K * d, data_bytes=self._n_rows * X.itemsize * d
        )
        self._losses = np.empty(self._n_blocks)
        self._gradients = np.empty((self._n_blocks, K, d))
        self._intercept_gradients = np.empty((self._n_blocks, K))

    @property
    def roundings(self):
        """How many roundings a product of a row, and a sum over the rows, take one after the other, in float64.

        A product runs over the lanes of a vector side by side, in chunks whose sums are added. A sum runs over the rows
        of a tile, then over tiles and blocks.
        """
        d, lanes = self._X.shape[1], VECTOR_BYTES // 8
        n_products = -(-d // lanes) + lanes + -(-8 * d // CHUNK_BYTES)
        tile_rows = self._tile_rows(np.float64)
        n_tiles = -(-self._n_rows // (self._n_blocks * tile_rows))
        return n_products + 1, tile_rows + n_tiles + self._n_blocks

    @property
    def shift_roundings(self):
        """How many roundings the shift of a column takes part in, relative to those of a product.

        It takes part in none: the scale is a power of two, so that x scale + shift is rounded once, by a part of itself.
        """
        return 0.0

    def empty_probabilities(self, precision):
        """Return room for the probabilities of the walked rows, (K, m), in the type that Hessians are computed in."""
        return np.empty((self._shape[0], self._n_rows), precision)

    def evaluate(self, parameters, precision, probabilities, gradient):
        """Return sum s_i l_i; fill gradient (K, d + 1), float64, with its derivative by parameters (K, d + 1).

        The products are computed in the precision, float64 or float32; sums over rows are float64 in both.
        probabilities (K, m) are filled, (K, 0) left out.
        """
        run_blocks(
            fill_block_loss_and_gradient, self._n_blocks, self._X, self._rows, self._labels, self._weights,
            *self._columns(precision), *_split(parameters, precision), self._tile_rows(precision),
            self._losses, self._gradients, self._intercept_gradients, probabilities,
        )  # fmt: skip
        self._sum_of_blocks(gradient)
        return float(self._losses.sum())

    def hessian_product(self, direction, probabilities):
        """Return the Hessian of sum s_i l_i at the probabilities (K, m) times direction (K, d + 1), in their type."""
        precision = probabilities.dtype.type
        run_blocks(
            fill_block_hessian_product, self._n_blocks, self._X, self._row_numbers(self._rows),
            self._row_weights(precision), probabilities, *self._columns(precision), *_split(direction, precision),
            self._tile_rows(precision), self._gradients, self._intercept_gradients,
        )  # fmt: skip
        return self._sum_of_blocks(np.empty(self._shape))

    def gram(self, rows, row_weights, precision):
        """Return sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Over the given row numbers (all of X where there are none), row_weights (C, m) in their order.
        """
        size = self._shape[1]
        grams = np.empty((len(row_weights), size, size), precision)
        run_blocks(
            fill_block_gram, _count_panels(size), self._X, self._row_numbers(rows), row_weights.astype(precision),
            *self._columns(precision), count_tile_rows(size, PANEL, grams.itemsize), grams,
        )  # fmt: skip
        return grams

    def class_pair_gram(self, probabilities):
        """Return the Hessian of sum s_i l_i at the probabilities (K, m), (K (d + 1), K (d + 1)), by classes."""
        K, size = self._shape
        precision = probabilities.dtype.type
        hessian = np.empty((K * size, K * size))
        run_blocks(
            fill_block_class_pair_gram, _count_panels(K * size), self._X, self._row_numbers(self._rows),
            self._row_weights(precision), probabilities, *self._columns(precision),
            count_tile_rows(K * size, PANEL, probabilities.itemsize), hessian,
        )  # fmt: skip
        return hessian

    def _sum_of_blocks(self, total):
        self._gradients.sum(axis=0, out=total[:, :-1])
        self._intercept_gradients.sum(axis=0, out=total[:, -1])
        return total

    def _row_numbers(self, rows):
        return rows if len(rows) else np.arange(len(self._X))

    def _row_weights(self, precision):
        if not len(self._weights):
            return np.ones(self._n_rows, precision)
        return (self._weights[self._rows] if len(self._rows) else self._weights).astype(precision)

    def _columns(self, precision):
        # Numbers that float32 cannot hold are centred before they are rounded to it.
        kind = np.float64 if self._X.dtype in (np.float64, np.int32) else precision
        return self._scale.astype(kind), self._shift.astype(kind)

    def _tile_rows(self, precision):
        return count_tile_rows(self._X.shape[1], self._shape[0], np.dtype(precision).itemsize)


def _split(parameters, precision):
    """Return coefficients and intercept as the kernels take them."""
    return np.ascontiguousarray(parameters[:, :-1], precision), np.ascontiguousarray(parameters[:, -1], precision)


def _count_panels(size):
    return -(-size // PANEL)
