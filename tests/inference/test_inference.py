"""The tests, intervals, tables and summaries of an Inference, and its copies."""

import copy
import pickle
import sys
import warnings

import numpy as np
import pandas
import pytest
from conftest import assert_raises
from objectives import build_objective
from scipy import stats
from threadpoolctl import threadpool_limits

from fastlin import FirthLogisticRegression, LogisticRegression
from fastlin.inference import Inference
from fastlin.inference.likelihood import compute_null_log_likelihood
from fastlin.inference.tables import format_columns
from fastlin.kernels.machine.threads import limit_threads

from .conftest import assert_inference_raises, infer, make_rows

sm = pytest.importorskip("statsmodels.api")
X, Y = make_rows(3)


def test_wald_tests_match_statsmodels():
    X, y = make_rows(2)
    baseline = sm.Logit(y, sm.add_constant(X, prepend=False)).fit(disp=0, tol=1e-14)
    generator = np.random.default_rng(0)
    R, r = generator.normal(size=(2, 4)), generator.normal(size=2) * 0.1
    normal, t_result = infer(X, y), infer(X, y, use_t=True)
    for result, use_f in ((normal.wald_test(R, r), False), (t_result.wald_test(R, r), True)):
        expected = baseline.wald_test((R, r), use_f=use_f, scalar=True)
        assert result.statistic == pytest.approx(float(expected.statistic), rel=1e-6)
        assert result.p_value == pytest.approx(float(expected.pvalue), rel=1e-5)
        assert (result.df, result.df_denominator) == (2, 396.0 if use_f else None)
    assert str(result).startswith("R coef = r: F(2, 396) = ")
    np.testing.assert_array_equal(normal.std_errors, t_result.std_errors)
    np.testing.assert_allclose(t_result.p_values, 2 * stats.t.sf(np.abs(t_result.z), 396), rtol=1e-10)
    half = stats.t.ppf(0.995, 396) * t_result.std_errors
    np.testing.assert_allclose(t_result.conf_int(0.99)[..., 1], t_result.coef + half, rtol=1e-10)
    np.testing.assert_allclose(normal.p_values, 2 * stats.norm.sf(np.abs(normal.z)), rtol=1e-10)
    # The test of a single coefficient equals that of the table.
    one = normal.wald_test("intercept")
    assert one.statistic == pytest.approx(normal.z[0, -1] ** 2, rel=1e-12)
    assert one.p_value == pytest.approx(normal.p_values[0, -1], rel=1e-9)


def test_reference_classes_describe_the_same_model():
    X, y = make_rows(4)
    first = infer(X, y)
    assert first.reference == 0
    assert first.classes.tolist() == [1, 2, 3]
    others = [infer(X, y, reference=reference) for reference in (1, 3, "symmetric")]
    for reference, other in zip((1, 3), others, strict=False):
        index = other.classes.tolist().index(0)
        np.testing.assert_allclose(other.coef[index], -first.coef[reference - 1], atol=1e-9)
        np.testing.assert_allclose(other.std_errors[index], first.std_errors[reference - 1], rtol=1e-9)
    # A name selects the coefficients of a column in all classes.
    one, two = first.wald_test("x1"), first.wald_test(["x0", "x2"])
    assert one.df == 3
    assert one.statistic == pytest.approx(first.wald_test(np.eye(12)[[1, 5, 9]]).statistic, rel=1e-12)
    for other in others:
        assert other.wald_test(["x0", "x2"]).statistic == pytest.approx(two.statistic, rel=1e-9)
        assert other.aic == pytest.approx(first.aic)
        assert other.df_resid == first.df_resid
    symmetric = others[-1]
    assert symmetric.coef.shape == (4, 4)
    np.testing.assert_allclose(symmetric.coef.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(symmetric.coef[1:] - symmetric.coef[0], first.coef, atol=1e-9)
    D = np.kron(np.column_stack([-np.ones(3), np.eye(3)]), np.eye(4))
    np.testing.assert_allclose(D @ symmetric.covariance_matrix() @ D.T, first.covariance_matrix(), rtol=1e-8)
    # With two classes each class gets half of the coefficients.
    X, y = make_rows(2)
    one, both = infer(X, y), infer(X, y, reference="symmetric")
    np.testing.assert_allclose(both.coef, [-one.coef[0] / 2, one.coef[0] / 2])
    np.testing.assert_allclose(both.std_errors[1], one.std_errors[0] / 2)
    np.testing.assert_allclose(infer(X, y, reference=1).coef, -one.coef)
    assert both._count_parameters() == one._count_parameters() == 4


def test_likelihood_ratios_compare_models_of_the_same_rows():
    full_inference, reduced_inference = infer(X, Y), infer(X[:, :1], Y)
    result = full_inference.lr_test(reduced_inference)
    baselines = [sm.MNLogit(Y, sm.add_constant(columns)).fit(disp=0, method="newton") for columns in (X, X[:, :1])]
    assert result.statistic == pytest.approx(2 * (baselines[0].llf - baselines[1].llf), rel=1e-8)
    assert result.df == 4
    assert_raises("must be the Inference of a model, got int", full_inference.lr_test, 3, error=TypeError)
    for one, other, message in (
        (reduced_inference, full_inference, "must have fewer parameters than this model [(]4[)], got 8"),
        (full_inference, infer(X[1:, :1], Y[1:]), "different rows, classes, weights or offsets"),
        (
            full_inference,
            infer(X[:, :1], Y, parameters={"C": 1.0}, penalized="laplace"),
            "lr_test needs unpenalized models",
        ),
        (full_inference, infer(X[:, :1], Y, covariance="HC0", weight_type="sampling"), "use wald_test"),
    ):
        assert_raises(message, one.lr_test, other)


def test_invalid_arguments_raise_errors_that_name_them():
    result = infer(X, Y)
    for R, r, message in (
        ("x9", None, "no coefficient 'x9'"),
        ([[1, 2]], None, r"R must have shape \(q, 8\)"),
        ([object()], None, "R must be finite numbers"),
        (np.full(8, np.nan), None, "R must be finite numbers"),
        (np.eye(8)[:1], np.nan, "r must be finite numbers"),
        (np.eye(8)[:2], [1.0], "one number per row of R, shape [(]2,[)]"),
        (np.eye(8)[[0, 0]], None, "Row 1 of R is not an independent hypothesis"),
        (np.zeros((1, 8)), None, "Row 0 of R is not an independent hypothesis"),
    ):
        assert_raises(message, result.wald_test, R, r)
    for level in (0, 1, 95, "0.9", np.array([0.9, 0.95])):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            result.conf_int(level)
    assert result.wald_test("x0", [1, 0]).name == "x0 = r"
    assert result.wald_test(np.array(["x0", "x1"])) == result.wald_test(["x0", "x1"])
    for options in (
        {"covariance": np.array(["HC0"])},
        {"reference": [0, 1]},
        {"features": []},
        {"features": 0.5},
        {"features": [["x0"]]},
    ):
        assert_inference_raises(f"{next(iter(options))} must be", X, Y, **options)
    with pytest.raises(ValueError, match="Class 2 has no row with a positive weight"):
        LogisticRegression(C=np.inf).fit(X, Y).inference(X, Y, 1.0 * (Y < 2))


def test_tables_match_the_arrays(monkeypatch):
    result = infer(X, Y)
    table = result.table(level=0.9)
    assert table.index.names == ["class", "feature"]
    assert table.loc[(2, "x1"), "std_error"] == result.std_errors[1, 1]
    np.testing.assert_array_equal(table[["lower", "upper"]].to_numpy(), result.conf_int(0.9).reshape(-1, 2))
    assert infer(*make_rows(2)).table().index.tolist() == ["x0", "x1", "x2", "intercept"]
    dataframe = pandas.DataFrame(X, columns=["age", "size", "a & b"])
    result = infer(dataframe, np.array(["cat", "dog", "<b>"])[Y])
    text, html = result.summary(), result._repr_html_()
    assert str(result) == str(text) == repr(text)
    for label in ("age", "a & b", "class cat vs <b>", "std error", "log-likelihood", "AIC, BIC", "pseudo R2"):
        assert label in text
    assert f"{result.coef[0, 1]:.4f}" in text and "< 0.0001" in text
    assert "class cat vs &lt;b&gt;" in html
    assert "a &amp; b" in html
    assert text._repr_html_() == html == pickle.loads(pickle.dumps(text))._repr_html_()
    robust_result = infer(X, Y, covariance="cluster", clusters=np.arange(400) // 10, use_t=True, reference="symmetric")
    for label in ("cluster-robust, clusters: 40", "Student's t with 39 degrees", "vs the mean of all classes"):
        assert label in robust_result.summary()
    laplace_result = infer(X, Y, parameters={"C": 1.0}, penalized="laplace")
    assert "the penalty is the prior" in laplace_result.summary()
    monkeypatch.setitem(sys.modules, "pandas", None)
    columns = result.table()
    assert list(columns) == ["class", "feature", "coef", "std_error", "z", "p_value", "lower", "upper"]
    assert len(columns["coef"]) == 8


def test_long_tables_are_truncated_in_the_middle():
    columns = {"C": np.logspace(-2, 3, 6), "name": np.array([*"abcdef"])}
    lines = ["   C  name", "0.01     a", " 0.1     b", "... 2 more", " 100     e", "1000     f"]
    assert format_columns(columns, max_rows=4).splitlines() == lines
    assert len(format_columns(columns).splitlines()) == 7


def test_pickles_do_not_contain_the_rows():
    result = infer(*make_rows(3))
    assert result._basis.point is not None
    for restored in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert isinstance(restored, Inference)
        assert restored._basis.point is None
        assert restored.summary() == result.summary()
        assert restored.wald_test("x0") == result.wald_test("x0")
        np.testing.assert_array_equal(restored.covariance_matrix(), result.covariance_matrix())
    assert len(pickle.dumps(result)) < 10_000
    # Changing a returned array does not change the Inference.
    result.covariance_matrix()[:] = 0
    assert (result.std_errors > 0).all()
    assert repr(result) == "<Inference of 8 coefficients, covariance='model'>"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_inference_has_the_same_bits_for_any_number_of_threads(n_classes):
    X, y = make_rows(n_classes, n=6000, d=5)
    clusters = np.column_stack([np.arange(len(y)) % 700, y])
    model, bits = LogisticRegression(C=np.inf, tol=1e-8).fit(X, y), []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads), threadpool_limits(n_threads, user_api="blas"):
            result = [
                model.inference(X, y),
                model.inference(X, y, covariance="HC1", use_t=True),
                model.inference(X, y, covariance="cluster", clusters=clusters, reference="symmetric"),
            ]
        bits.append(
            [
                (a.coef.tobytes(), a.covariance_matrix().tobytes(), a.distance_from_optimum, a.p_values.tobytes())
                for a in result
            ]
        )
    assert bits[0] == bits[1] == bits[2]


def test_scaling_a_hypothesis_does_not_change_its_test():
    result = infer(*make_rows(2))
    expected = result.wald_test([[1.0, -1, 0, 0], [0, 0, 1, 0]], [0.5, 0.1]).statistic
    for factor in (1e-300, 1e155, 1e300):
        R = np.array([[factor, -factor, 0, 0], [0, 0, 1, 0]])
        assert result.wald_test(R, [0.5 * factor, 0.1]).statistic == pytest.approx(expected, rel=1e-12)
    assert result.wald_test("x0", [1e150]).p_value == 0
    for r in (1e155, 1e308, -1e308):
        assert_raises("The test statistic is not finite: r is too far from R coef, got r=", result.wald_test, "x0", [r])


@pytest.mark.parametrize("weight", [1e308, 1e200, 1e-200, 5e-324])
def test_extreme_total_weights_raise_an_error(weight):
    X, y = make_rows(2, n=60)
    weights, message = np.full(60, weight), r"sample_weight must have a sum from 1e-100 to 1e\+100"
    for options in ({}, {"covariance": "HC0", "weight_type": "sampling"}):
        assert_inference_raises(message, X, y, weights, parameters={"tol": 1e-4}, **options)
    assert_raises(message, FirthLogisticRegression().fit, X, y, weights)


@pytest.mark.filterwarnings("ignore:The optimum seems")
@pytest.mark.parametrize("weight", [1e20, 1e300])
def test_a_class_with_nearly_all_weight_raises_a_clear_error(weight):
    X, y = make_rows(2, n=60)
    X, weights = stats.zscore(X), np.where(y == 1, weight, 1.0)
    model = LogisticRegression().fit(X, y, weights)
    try:
        result = model.inference(X, y, weights, penalized="laplace")
    except ValueError as error:
        assert "weights" in str(error) or "sample_weight" in str(error)
    else:
        assert not np.isinf(result.std_errors).any()


def test_the_null_likelihood_is_finite_for_extreme_offsets():
    X, y = make_rows(2, n=60)
    offset, values = np.linspace(-1, 2, 60), []
    for max_iter in (0, 100):
        model = LogisticRegression(fit_intercept=False, max_iter=max_iter)
        with warnings.catch_warnings(action="ignore"):
            result = model.fit(X, y, offset=offset).inference(X, y, offset=offset, penalized="laplace")
        values.append(result.log_likelihood_null)
    assert values[0] == pytest.approx(values[1], rel=1e-10)
    X, y = make_rows(3, n=60)
    offset = np.random.default_rng(0).normal(size=(60, 3)) * 1e29
    options = {"parameters": {"C": 1.0, "tol": 1e-4}, "penalized": "sandwich", "covariance": "HC0"}
    assert_inference_raises("weights or offsets differ by many orders of magnitude", X, y, None, offset, **options)
    assert np.isfinite(compute_null_log_likelihood(build_objective(X, y, 3, offsets=offset), 60.0))
