"""Marginal effects against statsmodels, finite differences, and the same rows in other forms."""

import pickle

import numpy as np
import pytest
from scipy import sparse

import fastlin.inference.marginal_effects as module
from fastlin import LogisticRegression

pytestmark = pytest.mark.usefixtures("sparse_passes")


def make_rows(n_classes, n=400, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, 4)) * [1, 30, 1, 1] + [0, 0, 3, 0]
    X[:, 3] = X[:, 3] > 0
    scores = X / X.std(axis=0) @ generator.normal(size=(4, n_classes)) / 2
    return X, (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)


def infer(X, y, weights=None, offset=None, fit_intercept=True, **options):
    model = LogisticRegression(C=np.inf, tol=1e-12, fit_intercept=fit_intercept, max_iter=1000)
    return model.fit(X, y, weights, offset=offset).inference(X, y, weights, offset, **options)


def test_effects_and_errors_are_those_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    for n_classes, fit_intercept in ((2, True), (3, True), (4, True), (2, False), (3, False)):
        X, y = make_rows(n_classes, seed=n_classes)
        columns = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
        fitted = (sm.Logit if n_classes == 2 else sm.MNLogit)(y, columns).fit(disp=0, method="newton", maxiter=100)
        found = infer(X, y, fit_intercept=fit_intercept)
        for at in ("overall", "mean"):
            effects, expected = found.marginal_effects(at), fitted.get_margeff(at=at)
            values, errors = expected.margeff, expected.margeff_se
            if n_classes == 2:
                values, errors = np.column_stack([-values, values]), np.column_stack([errors, errors])
            np.testing.assert_allclose(effects.effects, values[:4].T, rtol=0, atol=1e-7 * errors.min())
            np.testing.assert_allclose(effects.std_errors, errors[:4].T, rtol=1e-7)
            np.testing.assert_allclose(effects.effects.sum(axis=0), 0, atol=1e-14)


def find_effects(coef, X, weights, offset, at):
    """Return the effects (K, d) of coefficients (K, d + 1), the intercept last, with the rows one by one."""
    if at == "mean":
        X, offset = (np.average(values, axis=0, weights=weights)[None] for values in (X, offset))
        weights = np.ones(1)
    total = np.zeros((len(coef), X.shape[1]))
    for row, weight, own in zip(X, weights, offset, strict=True):
        powers = np.exp(coef[:, :-1] @ row + coef[:, -1] + own)
        p = powers / powers.sum()
        total += weight * p[:, None] * (coef[:, :-1] - p @ coef[:, :-1])
    return total / weights.sum()


def test_errors_are_those_of_finite_differences_with_any_reference(monkeypatch):
    # Several pieces of rows and of features.
    monkeypatch.setattr(module, "BYTES_TOGETHER", 3_000)
    for n_classes, at in ((2, "overall"), (2, "mean"), (3, "overall"), (3, "mean")):
        X, y = make_rows(n_classes, 150)
        generator = np.random.default_rng(1)
        weights, offset = generator.integers(0, 4, len(X)).astype(float), generator.normal(size=(len(X), n_classes))
        offset[:, -1] = 0
        # With two classes an offset is that of the second one.
        given = -offset[:, 0] if n_classes == 2 else offset
        found = infer(X, y, weights, given, reference=n_classes - 1)
        coef = np.concatenate([found.coef, np.zeros((1, 5))])
        jacobian = np.empty((n_classes, 4, found.coef.size))
        for place in range(found.coef.size):
            step = 1e-5 * found.std_errors.ravel()[place]
            ends = []
            for sign in (-1, 1):
                moved = coef.copy()
                moved.ravel()[place] += sign * step
                ends.append(find_effects(moved, X, weights, offset, at))
            jacobian[..., place] = (ends[1] - ends[0]) / (2 * step)
        variances = np.einsum("kje,ef,kjf->kj", jacobian, found.covariance_matrix(), jacobian)
        for reference in (n_classes - 1, None, "symmetric"):
            effects = infer(X, y, weights, given, reference=reference).marginal_effects(at)
            np.testing.assert_allclose(
                effects.effects, find_effects(coef, X, weights, offset, at), rtol=1e-8, atol=1e-14
            )
            np.testing.assert_allclose(effects.std_errors, np.sqrt(variances), rtol=1e-7)
            assert effects.classes.tolist() == list(range(n_classes))


def test_every_form_of_rows_has_the_same_effects_far_from_zero_too():
    from fastlin import blocks

    X, y = make_rows(3)
    X[:, 0] = np.maximum(X[:, 0], 0)
    # Of one fit: two of them differ by what tol allows.
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(X, y)
    expected = model.inference(X, y).marginal_effects()
    for rows in (sparse.csr_array(X), blocks.from_arrays(X, y, rows_per_block=90), np.asfortranarray(X)):
        labels = None if isinstance(rows, blocks.Blocks) else y
        found = model.inference(rows, labels).marginal_effects()
        np.testing.assert_allclose(found.effects, expected.effects, rtol=1e-8)
        np.testing.assert_allclose(found.std_errors, expected.std_errors, rtol=1e-8)
    X, y = make_rows(3)
    near, far = infer(X, y).marginal_effects(), infer(X + np.array([1e4, -1e5, 0, 0]), y).marginal_effects()
    np.testing.assert_allclose(far.std_errors, near.std_errors, rtol=1e-6)


def test_the_table_and_what_is_refused():
    X, y = make_rows(3)
    labels = np.array(["low", "middle", "high"])[y]
    found = infer(X, labels, reference="low")
    effects = found.marginal_effects()
    assert effects.classes.tolist() == ["high", "low", "middle"]
    half = effects.conf_int(0.9)[..., 1] - effects.effects
    np.testing.assert_allclose(half, 1.6448536269514722 * effects.std_errors)
    table = effects.table()
    frame = table.reset_index() if hasattr(table, "reset_index") else table
    assert frame["feature"].tolist() == ["x0", "x1", "x2", "x3"] * 3
    np.testing.assert_array_equal(frame["p_value"], effects.p_values.ravel())
    title, heads, *lines = repr(effects).splitlines()
    assert title == "marginal effects of 4 features on 3 classes, at='overall'"
    assert heads.split() == ["class", "feature", "effect", "std_error", "z", "p_value", "lower", "upper"]
    assert len(lines) == 12
    assert lines[5].split()[2:4] == [f"{effects.effects[1, 1]:.4g}", f"{effects.std_errors[1, 1]:.4g}"]
    with pytest.raises(ValueError, match="at must be 'overall' or 'mean', got 'median'"):
        found.marginal_effects("median")
    with pytest.raises(RuntimeError, match="leaves behind where it is pickled"):
        pickle.loads(pickle.dumps(found)).marginal_effects()
