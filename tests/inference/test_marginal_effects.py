"""Marginal effects, compared with their formula, finite differences, and the same rows in other formats."""

import pickle

import numpy as np
import pytest
from scipy.special import softmax

import fastlin.inference.marginal_effects as module
from fastlin import LogisticRegression

from .conftest import infer, list_input_formats, make_rows

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")


def compute_effects(coef, X, weights, offset, at):
    """Return the effects, of shape (K, d). `coef` has shape (K, d + 1), and its last column is the intercept."""
    if at == "mean":
        X, offset = (np.average(values, axis=0, weights=weights)[None] for values in (X, offset))
        weights = np.ones(1)
    slopes = coef[:, :-1]
    p = softmax(X @ slopes.T + coef[:, -1] + offset, axis=1)
    return np.average(p[:, :, None] * (slopes - (p @ slopes)[:, None]), axis=0, weights=weights)


@pytest.mark.parametrize("at", ["overall", "mean"])
@pytest.mark.parametrize(("n_classes", "fit_intercept"), [(2, True), (3, True), (4, True), (2, False), (3, False)])
def test_marginal_effects_and_their_errors_match_finite_differences(monkeypatch, n_classes, fit_intercept, at):
    # Rows and features are processed in several batches.
    monkeypatch.setattr(module, "BYTES_PER_BATCH", 3_000)
    X, y = make_rows(n_classes, 150, d=4)
    generator = np.random.default_rng(1)
    weights, offset = generator.integers(0, 4, len(X)).astype(float), generator.normal(size=(len(X), n_classes))
    offset[:, -1] = 0
    # With two classes the offset is that of the second class.
    offset_argument = -offset[:, 0] if n_classes == 2 else offset
    data = X, y, weights, offset_argument, {"fit_intercept": fit_intercept}
    result = infer(*data, reference=n_classes - 1)

    def evaluate(coef):
        # The coefficients of the last class and an omitted intercept are zero.
        whole = np.zeros((n_classes, 5))
        whole[:-1, : coef.shape[1]] = coef
        return compute_effects(whole, X, weights, offset, at)

    size, errors = result.coef.size, result.std_errors
    steps = 1e-5 * errors.ravel()[:, None, None] * np.eye(size).reshape(size, *errors.shape)
    slopes = [(evaluate(result.coef + step) - evaluate(result.coef - step)) / (2 * step.max()) for step in steps]
    variances = np.einsum("ekj,ef,fkj->kj", slopes, result.covariance_matrix(), slopes)
    for reference in (n_classes - 1, None, "symmetric"):
        effects = infer(*data, reference=reference).marginal_effects(at)
        np.testing.assert_allclose(effects.effects, evaluate(result.coef), rtol=1e-8, atol=1e-14)
        np.testing.assert_allclose(effects.std_errors, np.sqrt(variances), rtol=1e-7)
        assert effects.classes.tolist() == list(range(n_classes))


def test_marginal_effects_do_not_depend_on_the_input_format_or_the_origin():
    X, y = make_rows(3, d=4)
    effects_near_zero, effects_far_from_zero = (
        infer(X + shift, y).marginal_effects() for shift in (0, np.array([1e3, -2e3, 0, 0]))
    )
    np.testing.assert_allclose(effects_far_from_zero.std_errors, effects_near_zero.std_errors, rtol=1e-6)
    X[:, 0] = np.maximum(X[:, 0], 0)
    # All formats use one fit, because two fits may differ by tol.
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(X, y)
    expected, *others = (model.inference(*form).marginal_effects() for form in list_input_formats(X, y))
    for result in others:
        np.testing.assert_allclose(result.effects, expected.effects, rtol=1e-8)
        np.testing.assert_allclose(result.std_errors, expected.std_errors, rtol=1e-8)


def test_marginal_effects_are_printed_as_a_table():
    X, y = make_rows(3, d=4)
    result = infer(X, np.array(["low", "middle", "high"])[y], reference="low")
    effects = result.marginal_effects()
    assert effects.classes.tolist() == ["high", "low", "middle"]
    half = effects.conf_int(0.9)[..., 1] - effects.effects
    np.testing.assert_allclose(half, 1.6448536269514722 * effects.std_errors)
    table = effects.table()
    dataframe = table.reset_index() if hasattr(table, "reset_index") else table
    assert dataframe["feature"].tolist() == ["x0", "x1", "x2", "x3"] * 3
    np.testing.assert_array_equal(dataframe["p_value"], effects.p_values.ravel())
    title, headers, *lines = repr(effects).splitlines()
    assert title == "marginal effects of 4 features on 3 classes, at='overall'"
    assert headers.split() == ["class", "feature", "effect", "std_error", "z", "p_value", "lower", "upper"]
    assert len(lines) == 12
    assert lines[5].split()[2:4] == [f"{effects.effects[1, 1]:.4g}", f"{effects.std_errors[1, 1]:.4g}"]
    with pytest.raises(ValueError, match="at must be 'overall' or 'mean', got 'median'"):
        result.marginal_effects("median")
    with pytest.raises(RuntimeError, match="does not keep them if it is pickled"):
        pickle.loads(pickle.dumps(result)).marginal_effects()
