"""logistic_path compared with separate fits, and the first C of the grid."""

import numpy as np
import pytest
from conftest import assert_raises, make_problem
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import fastlin

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

X, Y = load_iris(return_X_y=True)
FACTORS = [1.0, 0.0, 0.5, 3.0, 0.0, 2.0]


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("l1_ratio", "tol", "tolerance"), [(0.0, 1e-11, 1e-5), (0.6, 1e-6, 5e-3), (1.0, 1e-6, 5e-3)])
def test_a_path_equals_separate_fits_without_warm_starts(n_classes, l1_ratio, tol, tolerance):
    X, y, weights, *_ = make_problem(120, 6, n_classes)
    options = {"l1_ratio": l1_ratio, "tol": tol, "class_weight": "balanced"}
    path = fastlin.logistic_path(X, y, Cs=[1.0, 0.03, 10.0], sample_weight=weights, **options)
    np.testing.assert_array_equal(path.Cs, [0.03, 1.0, 10.0])
    assert path.coefs.shape == (3, 1 if n_classes == 2 else n_classes, 6)
    for c, C in enumerate(path.Cs):
        separate_model = fastlin.LogisticRegression(C=C, **options).fit(X, y, weights)
        # An L1 penalty may not determine the component of coef that softmax ignores.
        free = (path.coefs[c] - separate_model.coef_).mean(axis=0) if n_classes > 2 else 0
        np.testing.assert_allclose(path.coefs[c] - free, separate_model.coef_, atol=tolerance)
        np.testing.assert_allclose(path.intercepts[c], separate_model.intercept_, atol=tolerance)
        if n_classes == 2:
            np.testing.assert_array_equal(path.coefs[c] == 0, separate_model.coef_ == 0)
        if separate_model.history_:
            assert path.objectives[c] == pytest.approx(separate_model.history_[-1].objective, rel=2 * tol)
        assert path.certificates[c] <= 10 * tol * path.objectives[c]
    np.testing.assert_array_equal(path.n_nonzeros, np.count_nonzero(path.coefs, axis=(1, 2)))
    np.testing.assert_array_equal(path.classes, np.unique(y))
    assert path.converged.all()
    assert path.l1_ratio == l1_ratio


@pytest.mark.parametrize(
    ("n_classes", "l1_ratio", "options"),
    [
        (2, 1.0, {}),
        (4, 0.3, {}),
        (4, 1.0, {"fit_intercept": False}),
        (2, 0.3, {"group_lasso": True}),
        (4, 1.0, {"group_lasso": True}),
        (2, 1.0, {"penalty_factors": FACTORS}),
        (4, 0.3, {"penalty_factors": FACTORS}),
        (4, 1.0, {"penalty_factors": FACTORS, "group_lasso": True, "class_weight": "balanced"}),
    ],
    ids=str,
)
def test_the_grid_starts_where_the_first_coefficient_becomes_nonzero(n_classes, l1_ratio, options):
    X, y, weights, *_ = make_problem(150, 6, n_classes)
    path = fastlin.logistic_path(X * 10.0 + 5, y, Cs=5, l1_ratio=l1_ratio, sample_weight=weights, **options)
    np.testing.assert_allclose(np.diff(np.log10(path.Cs)), 0.75)
    penalized = np.array(options.get("penalty_factors", np.ones(6))) > 0
    assert not path.coefs[0][:, penalized].any()
    assert path.coefs[0][:, ~penalized].all()
    assert (np.diff(path.n_nonzeros) >= 0).all()
    assert path.n_nonzeros[-1] > 0.7 * path.coefs[0].size
    for factor in (0.99, 1.01):
        fit = fastlin.LogisticRegression(C=factor * path.Cs[0], l1_ratio=l1_ratio, tol=1e-6, **options)
        coef = fit.fit(X * 10.0 + 5, y, weights).coef_[:, penalized]
        assert coef.any() == (factor > 1)


def test_default_grids_exist_without_an_l1_penalty_or_signal():
    np.testing.assert_array_equal(fastlin.logistic_path(X, Y, Cs=4, l1_ratio=0.0).Cs, np.logspace(-4, 4, 4))
    # Constant columns.
    assert not fastlin.logistic_path(np.ones((20, 2)), np.arange(20) % 2, Cs=3).coefs.any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        *(
            ({"Cs": Cs}, ValueError, "Cs must be")
            for Cs in ([], 0, True, [1.0, -1.0], [np.nan], ["a"], [[1.0]], None, 2.5)
        ),
        ({"l1_ratio": 1.5}, ValueError, "^l1_ratio must be a number from 0 to 1, got 1.5"),
        ({"l1_ratio": np.nan}, ValueError, "^l1_ratio must be a number from 0 to 1, got nan"),
        ({"l1_ratio": "1"}, ValueError, "^l1_ratio must be a number from 0 to 1, got '1'"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"penalty_factors": [1.0, 2.0, np.nan, 0.0]}, ValueError, "penalty_factors"),
        ({"sample_weight": np.zeros(150)}, ValueError, "weight"),
        # Unsupported parameters.
        ({"alpha": 0.1}, TypeError, "logistic_path does not accept alpha"),
        *(({name: 1.0}, TypeError, name) for name in ("C", "penalty", "warm_start", "tolerance")),
    ],
    ids=str,
)
def test_invalid_arguments_raise_an_error(options, error, message):
    assert_raises(message, fastlin.logistic_path, X, Y, **options, error=error)


def test_progress_and_unconverged_fits_are_counted(capsys):
    with pytest.warns(ConvergenceWarning, match="of 3 fits"):
        path = fastlin.logistic_path(X, Y, Cs=[0.1, 1.0, 10.0], l1_ratio=0.0, max_iter=1, tol=1e-9, verbose=1)
    assert not path.converged.all()
    assert "3/3" in capsys.readouterr().out


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_a_path_can_end_without_a_penalty(solver):
    y = np.random.default_rng(0).permutation(Y)
    path = fastlin.logistic_path(X, y, Cs=[1.0, 10.0, np.inf], solver=solver, tol=1e-6)
    expected = fastlin.LogisticRegression(C=np.inf, tol=1e-8).fit(X, y)
    assert path.objectives[-1] == pytest.approx(expected.history_[-1].objective, rel=1e-5)


def test_a_path_is_printed_as_a_table():
    path = fastlin.logistic_path(X, Y, Cs=[0.1, 1.0], l1_ratio=0.0)
    title, headers, first, last = repr(path).splitlines()
    assert title == "RegularizationPath of 4 features and 3 classes, l1_ratio=0"
    assert headers.split() == ["Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"]
    assert first.split()[:2] == ["0.1", f"{path.objectives[0]:.4g}"]
    assert last.split()[3:] == ["12", str(path.n_iter[1]), "True"]


@pytest.mark.parametrize("make", [np.asarray, np.float32, sparse.csr_array])
def test_rounding_errors_give_the_first_model_no_coefficients(make):
    # If the grid started exactly where the first coefficient enters, rounding would make a coefficient nonzero in one
    # of five fits.
    for seed in range(16):
        generator = np.random.default_rng(seed)
        n, d = generator.integers(20, 150), generator.integers(1, 13)
        rows = generator.integers(0, 2, size=(n, d)).astype(float) if seed % 2 else generator.normal(size=(n, d))
        y = generator.integers(0, 2, n)
        for weights in (None, generator.integers(1, 4, n).astype(float)):
            path = fastlin.logistic_path(make(rows), y, Cs=2, sample_weight=weights)
            assert path.n_nonzeros[0] == 0
            above = fastlin.logistic_path(make(rows), y, Cs=path.Cs[:1] * (1 + 1e-5), sample_weight=weights, tol=1e-10)
            assert above.n_nonzeros[0] > 0
