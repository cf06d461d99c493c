"""The Cholesky factor of an information matrix, against NumPy."""

import numpy as np

from fastlin.inference.factors import Factor


def test_a_factor_inverts_and_tells_what_is_not_definite():
    random = np.random.default_rng(0)
    for size in (1, 2, 31, 80):
        columns = random.normal(size=(2 * size, size)) * 10.0 ** random.integers(-6, 6, size)
        matrix = columns.T @ columns
        factor = Factor(matrix)
        scale = np.sqrt(np.diagonal(matrix))
        assert factor.first_dependent is None
        np.testing.assert_allclose(factor.log_determinant, np.linalg.slogdet(matrix)[1], rtol=1e-10)
        identity = (factor.invert() * scale[:, None]) @ (matrix / scale)
        np.testing.assert_allclose(identity, np.eye(size), atol=1e-9 * size)
        root = factor.inverse_root * scale
        np.testing.assert_allclose(root.T @ root, factor.invert() * scale * scale[:, None], rtol=1e-12, atol=1e-12)
        assert not np.triu(factor.inverse_root, 1).any()
        if size > 2:
            columns[:, 2] = 3 * columns[:, 0] - columns[:, 1]
            columns[:, -1] = 0
            matrix = columns.T @ columns
            assert Factor(matrix).first_dependent == 2
