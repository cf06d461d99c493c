"""Sums over clusters against plain NumPy, in every form of X, and how clusters are read."""

from itertools import combinations

import numpy as np
import pandas
import pytest
from reference import log_likelihood, losses_of
from scipy import sparse

import fastlin.inference.covariances as module
from fastlin.exceptions import InferenceWarning
from fastlin.inference.covariances import read_clusters

from .conftest import infer, refuse

pytestmark = pytest.mark.usefixtures("sparse_passes")


def find_covariance(X, y, result, keys, weights):
    """Return the covariance by one or several keys, for contrasts of classes."""
    n, rows = len(y), len(result.coef)
    columns = np.column_stack([X, np.ones(n)])
    q = rows * columns.shape[1]
    residuals = losses_of(np.column_stack([np.zeros(n), columns @ result.coef.T]), y)[2][:, 1:] * weights[:, None]
    gradients = np.einsum("ik,ij->ikj", residuals, columns).reshape(n, -1)
    middle = np.zeros((q, q))
    for m in range(1, len(keys) + 1):
        for chosen in combinations(keys, m):
            known, numbers = np.unique(np.column_stack(chosen), axis=0, return_inverse=True)
            sums = np.array([gradients[numbers.ravel() == number].sum(axis=0) for number in range(len(known))])
            middle -= (-1) ** m * len(known) / (len(known) - 1) * (n - 1) / (n - q) * sums.T @ sums
    inverse = np.linalg.inv(log_likelihood(result.coef, columns, y, weights, False)[1])
    return inverse @ middle @ inverse


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cluster_covariances_match_explicit_sums_in_every_input_format(monkeypatch, n_classes):
    generator = np.random.default_rng(0)
    n = 240
    table = pandas.DataFrame(
        {"size": generator.normal(size=n) + 3, "color": pandas.Categorical(generator.choice(list("abc"), n))}
    )
    wide = np.column_stack([table["size"], *((table["color"] == level) for level in "abc")]).astype(float)
    X, y = wide[:, [0, 2, 3]], generator.integers(0, n_classes, n)
    weights = generator.uniform(0.5, 2, n)
    keys = [generator.integers(0, 20, n), generator.integers(0, 5, n), generator.integers(0, 9, n)]
    # Of several keys, with a few clusters and a few rows at a time.
    for m, together in ((1, module.PROBABILITY_BYTES), (3, 8 * 7 * (1 if n_classes == 2 else 3) * 4)):
        monkeypatch.setattr(module, "PROBABILITY_BYTES", together)
        monkeypatch.setattr(module, "SCORE_BYTES", together)
        options = {"covariance": "cluster", "weight_type": "sampling", "clusters": np.column_stack(keys[:m])}
        for rows in (X, sparse.csr_array(X), X.astype(np.float32)):
            result = infer(rows, y, weights, **options)
            kept = X if rows.dtype == np.float64 else rows.astype(np.float64)
            expected = find_covariance(kept, y, result, keys[:m], weights)
            np.testing.assert_allclose(result.covariance_matrix(), expected, rtol=1e-6, atol=1e-9)
    # A table has a column for each level, of which a penalty determines the coefficients.
    parameters, options = {"C": 5, "tol": 1e-13}, {"penalized": "sandwich", **options}
    result = infer(table, y, weights, parameters={"categorical_features": ["color"], **parameters}, **options)
    expected = infer(wide, y, weights, parameters=parameters, **options).covariance_matrix()
    np.testing.assert_allclose(result.covariance_matrix(), expected, rtol=1e-7, atol=1e-12)
    assert result.names.tolist() == ["size", "color_a", "color_b", "color_c", "intercept"]


def test_cluster_keys_may_have_any_sortable_type():
    names, years = np.array(["b", "a", "b", "c"]), np.array([3, 3, 1, 1])
    for given in (names, names.tolist(), pandas.Series(names), names.astype(object), names[:, None], [names]):
        assert [each.tolist() for each in read_clusters(given, 4)] == [[1, 0, 1, 2]]
    dataframe = pandas.DataFrame({"firm": names, "year": years})
    for given in (dataframe, [names, years], dataframe.to_numpy().tolist()):
        assert [each.tolist() for each in read_clusters(given, 4)] == [[1, 0, 1, 2], [1, 1, 0, 0]]
    for wrong, text in (
        (names[:3], "one entry per row for each key, shape [(]4,[)]"),
        (np.array([1, 2, np.nan, 1]), "got None, NaN or mixed types"),
        (["a", None, "b", "b"], "got None, NaN or mixed types"),
        (pandas.Series(["a", None, "b", "b"], dtype="string"), "got None, NaN or mixed types"),
        (np.array([1, "a", 2, 3], dtype=object), "sortable entries without missing values"),
        (np.zeros((4, 2, 1)), "got shape"),
    ):
        with pytest.raises(ValueError, match=text):
            read_clusters(wrong, 4)
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 2)), generator.integers(0, 2, 60)
    refuse("at least two clusters", X, y, covariance="cluster", clusters=np.zeros(60))
    # What two keys of two clusters each have in common may exceed both.
    with pytest.warns(InferenceWarning, match="are negative, so their standard errors are NaN"):
        result = infer(X, y, covariance="cluster", clusters=generator.integers(0, 2, (2, 60)).T)
    assert np.isnan(result.std_errors).sum() == 1
    assert result.coef_error < 1e-6
