"""Hessian products and Gram matrices, compared with NumPy."""

import numpy as np
import pytest
from conftest import JIT_ENABLED, mark_params

from fastlin.kernels.linear import curvature, dense_rows
from fastlin.kernels.linear.operands import BlockSums, Curvature, Parameters
from fastlin.kernels.machine.arrays import make_any_layout_view, zeros_aligned
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

# The numbers of features are close to the width of a vector. With one of them, rows of a tile are 512 bytes apart, and
# with one, there are more pairs of columns than in a step. LARGE_SHAPES has more rows than a tile, more columns than a
# panel.
SHAPES, LARGE_SHAPES = [(14, 1), (14, 7), (14, 16), (11, 23), (14, 33)], [(900, 90) if JIT_ENABLED else (30, 25)]
# The numbers of classes are close to multiples of a loop's step.
CLASSES = [1, 3, 5, 7, 11]


class Rows:
    """Random rows with weights, probabilities, scale and shift."""

    def __init__(self, n, d, n_classes, kind):
        generator = np.random.default_rng(d)
        self.kind, self.K, self.d = kind, n_classes, d
        self.X = generator.normal(size=(n, d))
        self.numbers = generator.permutation(n)[: max(1, 2 * n // 3)]
        self.weights = generator.uniform(0, 2, len(self.numbers)).astype(kind)
        probabilities = generator.uniform(0, 1, (n_classes, len(self.numbers)))
        self.probabilities = (probabilities / (probabilities.sum(axis=0) if n_classes > 1 else 1)).astype(kind)
        self.scaling = Scaling(2.0 ** generator.integers(-4, 0, d), generator.normal(size=d))
        self.scaled = (self.X[self.numbers] * self.scaling.scale + self.scaling.shift).astype(kind).astype(float)
        self.direction = Parameters(
            generator.normal(size=(n_classes, d)).astype(kind), generator.normal(size=n_classes).astype(kind)
        )

    def multiply(self, n_blocks=1):
        products = BlockSums(np.full((n_blocks, self.K, self.d), np.nan), np.full((n_blocks, self.K), np.nan))
        arguments = make_any_layout_view(self.X), self.numbers, self.scaling, self.direction, 8, products
        outputs = None, Curvature(self.weights, self.probabilities)
        run_blocks(dense_rows.fill_block_pass, n_blocks, *arguments, *outputs)
        return products.coef.sum(axis=0), products.intercept.sum(axis=0)

    def gram(self, row_weights, n_parts=1, panel_rows=curvature.PANEL_ROWS):
        grams = np.full((n_parts, len(row_weights), self.d + 1, self.d + 1), np.nan, self.kind)
        n_panels = -(-(self.d + 1) // panel_rows)
        starts = np.arange(n_parts + 1) * len(self.numbers) // n_parts
        arguments = make_any_layout_view(self.X), self.numbers, starts, row_weights, self.scaling, panel_rows, grams
        run_blocks(curvature.fill_block_gram, n_panels * n_parts, *arguments)
        return grams.sum(axis=0)

    def compute_hessian(self, n_parts=1, n_groups=1):
        n_pairs, n_products = (m * (m + 1) // 2 for m in (self.K, self.d + 1))
        width = curvature.round_up_pair_count(n_products)
        sums = zeros_aligned((n_parts * n_pairs, width), np.float64).reshape(n_parts, n_pairs, width)
        arguments = make_any_layout_view(self.X), self.numbers, self.weights, self.probabilities, self.scaling, sums
        run_blocks(curvature.fill_block_class_pair_gram, n_parts * n_groups, *arguments)
        return curvature.unpack_pair_hessian(sums.sum(axis=0), self.K, self.d + 1)

    def rounding(self):
        """Return bounds on the rounding errors of a Hessian-vector product, a Gram matrix and the Hessian.

        The error of a sum of m terms in any order is at most m eps times the sum of their magnitudes (Higham 2002,
        section 3.1). Besides sums over d products and K classes, computing a term takes at most eight operations.
        """
        n, eps = len(self.numbers), np.finfo(self.kind).eps
        x, s, p = np.abs(self.scaled), self.weights.astype(float), self.probabilities.astype(float)
        t = np.abs(self.direction.coef).astype(float) @ x.T + np.abs(self.direction.intercept)[:, None]
        slopes = s * p * (t + (p * t).sum(axis=0))
        ones = np.column_stack([x, np.ones(n)])
        product = (n + self.d + self.K + 8) * eps * slopes @ ones
        gram = (n + 8) * eps * (ones.T * s) @ ones
        return product, gram, np.kron(np.ones((self.K, self.K)), gram)


def assert_within_bound(actual, expected, bound):
    assert (np.abs(actual - expected) <= bound).all()


@pytest.mark.parametrize(
    ("kind", "n_classes", "shapes"),
    [
        *((np.float64, n_classes, SHAPES) for n_classes in CLASSES),
        *mark_params(pytest.mark.thorough, *((np.float32, n_classes, SHAPES) for n_classes in CLASSES)),
        *((kind, 3, LARGE_SHAPES) for kind in (np.float64, np.float32)),
    ],
)
def test_products_and_matrices_agree_with_numpy(kind, n_classes, shapes):
    for n, d in shapes:
        rows = Rows(n, d, n_classes, kind)
        product_bound, gram_bound, hessian_bound = rows.rounding()
        ones = np.column_stack([rows.scaled, np.ones(len(rows.scaled))])
        weights, p = rows.weights.astype(float), rows.probabilities.astype(float)
        pairs = weights * p[:, None] * (np.eye(n_classes)[:, :, None] - p)
        expected = np.einsum("kli,ij,ih->kjlh", pairs, ones, ones, optimize=True).reshape(hessian_bound.shape)
        for n_parts, n_groups in ((1, 1), (3, 1), (2, 3)):
            hessian = rows.compute_hessian(n_parts, n_groups)
            assert_within_bound(hessian, expected, hessian_bound)
            np.testing.assert_array_equal(hessian, hessian.T)
        product = expected @ np.column_stack(rows.direction).astype(float).ravel()
        for n_blocks in (2, 4):
            assert_within_bound(
                np.column_stack(rows.multiply(n_blocks)), product.reshape(product_bound.shape), product_bound
            )
        row_weights = rows.weights * rows.probabilities
        # There is one panel, or there are several.
        for panel_rows in (curvature.PANEL_ROWS, 16):
            for weights, gram in zip(row_weights, rows.gram(row_weights, 3, panel_rows), strict=True):
                assert_within_bound(gram, ones.T @ (weights[:, None] * ones), gram_bound)
