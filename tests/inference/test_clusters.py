"""Cluster-robust covariances, compared with explicit sums in every format of X, and the reading of cluster keys."""

from itertools import combinations

import numpy as np
import pandas
import pytest
from reference import evaluate_losses, log_likelihood
from scipy import sparse

import fastlin.inference.covariances as module
from fastlin.exceptions import InferenceWarning
from fastlin.inference.covariances import encode_clusters

from .conftest import assert_inference_raises, infer

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")


def compute_covariance(X, y, result, keys, weights):
    """Return the covariance of the class contrasts, clustered by one or several keys."""
    n, rows = len(y), len(result.coef)
    columns = np.column_stack([X, np.ones(n)])
    q = rows * columns.shape[1]
    residuals = evaluate_losses(np.column_stack([np.zeros(n), columns @ result.coef.T]), y)[2][:, 1:] * weights[:, None]
    gradients = np.einsum("ik,ij->ikj", residuals, columns).reshape(n, -1)
    meat = np.zeros((q, q))
    for m in range(1, len(keys) + 1):
        for key_subset in combinations(keys, m):
            clusters, indices = np.unique(np.column_stack(key_subset), axis=0, return_inverse=True)
            sums = np.array([gradients[indices.ravel() == cluster].sum(axis=0) for cluster in range(len(clusters))])
            meat -= (-1) ** m * len(clusters) / (len(clusters) - 1) * (n - 1) / (n - q) * sums.T @ sums
    bread = np.linalg.inv(log_likelihood(result.coef, columns, y, weights, False)[1])
    return bread @ meat @ bread


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cluster_covariances_match_explicit_sums_in_every_input_format(monkeypatch, n_classes):
    generator = np.random.default_rng(0)
    n = 240
    table = pandas.DataFrame(
        {"size": generator.normal(size=n) + 3, "color": pandas.Categorical(generator.choice(list("abc"), n))}
    )
    wide = np.column_stack([table["size"], *((table["color"] == category) for category in "abc")]).astype(float)
    X, y = wide[:, [0, 2, 3]], generator.integers(0, n_classes, n)
    weights = generator.uniform(0.5, 2, n)
    keys = [generator.integers(0, 20, n), generator.integers(0, 5, n), generator.integers(0, 9, n)]
    # With three keys, only a few clusters and a few rows fit into memory at a time.
    for n_keys, n_bytes in ((1, module.PROBABILITY_BATCH_BYTES), (3, 8 * 7 * (1 if n_classes == 2 else 3) * 4)):
        monkeypatch.setattr(module, "PROBABILITY_BATCH_BYTES", n_bytes)
        monkeypatch.setattr(module, "SCORE_BATCH_BYTES", n_bytes)
        options = {"covariance": "cluster", "weight_type": "sampling", "clusters": np.column_stack(keys[:n_keys])}
        for rows in (X, sparse.csr_array(X), X.astype(np.float32)):
            result = infer(rows, y, weights, **options)
            float64_rows = X if rows.dtype == np.float64 else rows.astype(np.float64)
            expected = compute_covariance(float64_rows, y, result, keys[:n_keys], weights)
            np.testing.assert_allclose(result.covariance_matrix(), expected, rtol=1e-6, atol=1e-9)
    # A table has a column for each category; only the penalty determines their coefficients uniquely.
    parameters, options = {"C": 5, "tol": 1e-13}, {"penalized": "sandwich", **options}
    result = infer(table, y, weights, parameters={"categorical_features": ["color"], **parameters}, **options)
    expected = infer(wide, y, weights, parameters=parameters, **options).covariance_matrix()
    np.testing.assert_allclose(result.covariance_matrix(), expected, rtol=1e-7, atol=1e-12)
    assert result.names.tolist() == ["size", "color_a", "color_b", "color_c", "intercept"]


def test_cluster_keys_may_have_any_sortable_type():
    names, years = np.array(["b", "a", "b", "c"]), np.array([3, 3, 1, 1])
    for clusters in (names, names.tolist(), pandas.Series(names), names.astype(object), names[:, None], [names]):
        assert [indices.tolist() for indices in encode_clusters(clusters, 4)] == [[1, 0, 1, 2]]
    dataframe = pandas.DataFrame({"firm": names, "year": years})
    for clusters in (dataframe, [names, years], dataframe.to_numpy().tolist()):
        assert [indices.tolist() for indices in encode_clusters(clusters, 4)] == [[1, 0, 1, 2], [1, 1, 0, 0]]
    for invalid_clusters, message in (
        (names[:3], "one entry per row for each key, shape [(]4,[)]"),
        (np.array([1, 2, np.nan, 1]), "got None, NaN or mixed types"),
        (["a", None, "b", "b"], "got None, NaN or mixed types"),
        (pandas.Series(["a", None, "b", "b"], dtype="string"), "got None, NaN or mixed types"),
        (np.array([1, "a", 2, 3], dtype=object), "sortable entries without missing values"),
        (np.zeros((4, 2, 1)), "got shape"),
    ):
        with pytest.raises(ValueError, match=message):
            encode_clusters(invalid_clusters, 4)
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 2)), generator.integers(0, 2, 60)
    assert_inference_raises("at least two clusters", X, y, covariance="cluster", clusters=np.zeros(60))
    # The term of the intersections of two keys, which is subtracted, may exceed the sum of both keys' terms.
    with pytest.warns(InferenceWarning, match="are negative, so their standard errors are NaN"):
        result = infer(X, y, covariance="cluster", clusters=generator.integers(0, 2, (2, 60)).T)
    assert np.isnan(result.std_errors).sum() == 1
    assert result.coef_error < 1e-6
