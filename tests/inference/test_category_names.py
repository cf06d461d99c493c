"""Inference on tables with categorical columns: coefficients with similar names, and categories without rows."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from linear_models import fit

from fastlin import FirthLogisticRegression, LogisticRegression
from fastlin.exceptions import CollinearityError, ConvergenceWarning, SeparationError

FROM_DTYPE = {"categorical_features": "from_dtype"}
NAME_PARTS = ("a", "b", "a_b", "b_a")


def make_ambiguous_table(generator, n=150):
    """Return categorical columns and a numerical one, whose names and categories consist of the same parts."""
    columns = {
        str(name): pd.Categorical(generator.choice(generator.permutation(NAME_PARTS)[:3], n))
        for name in generator.permutation(NAME_PARTS)[:2]
    }
    name = f"{generator.choice(NAME_PARTS)}_{generator.choice(NAME_PARTS)}"
    return pd.DataFrame({**columns, name: generator.normal(size=n)})


def list_name_lookups(model, table, y):
    """Return the inference of a model, and one function of a name per argument that selects coefficients."""
    whole = model.inference(table, y)
    name_lookups = {
        "features": lambda name: model.inference(table, y, features=[name]).coef,
        "R": lambda name: whole.wald_test([name]).statistic,
    }
    if isinstance(model, FirthLogisticRegression):
        name_lookups = {"smaller": lambda name: whole.lr_test([name]).statistic}
    return whole, name_lookups


@pytest.mark.parametrize("n_classes", [2, 3])
def test_selection_by_name_matches_selection_by_index_or_raises_an_error(n_classes):
    generator, n_ambiguous_names = np.random.default_rng(n_classes), 0
    for number in range(5):
        table = make_ambiguous_table(generator)
        y = generator.integers(0, n_classes, len(table))
        model = (
            LogisticRegression(C=np.inf, tol=1e-9, **FROM_DTYPE) if number else FirthLogisticRegression(**FROM_DTYPE)
        )
        whole, name_lookups = list_name_lookups(model.fit(table, y), table, y)
        all_names = [*whole.names, *whole._basis.omitted_categories.reference_categories]
        p, (n_rows, _) = len(whole.names), whole.coef.shape
        for index, name in enumerate(whole.names):
            units = np.eye(n_rows * p)[np.arange(n_rows) * p + index]
            expected = {"features": whole.coef[:, [index]], "R": whole.wald_test(units).statistic}
            if "smaller" in name_lookups:
                expected["smaller"] = whole.lr_test(index).statistic
            is_unique = sum(str(other) == name for other in all_names) == 1
            n_ambiguous_names += not is_unique
            keys = [str(name)] + ([(name.column, name.category)] if getattr(name, "column", None) else [])
            for (argument, look_up_name), key in itertools.product(name_lookups.items(), keys):
                if is_unique or isinstance(key, tuple):
                    np.testing.assert_array_equal(look_up_name(key), expected[argument])
                else:
                    assert_raises(f"The name '{name}' in {argument} is ambiguous.*index {index}", look_up_name, key)
    assert n_ambiguous_names >= 4


def test_columns_with_the_same_name_are_selected_by_index():
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(100, 3)), columns=["p", "p", "intercept"])
    y = generator.integers(0, 2, 100)
    result = fit(X, y, C=np.inf).inference(X, y)
    whole = result.profile_conf_int()
    # On some processors, the inner products of strided vectors differ in the last bit.
    assert result._likelihood_profile._list_coefficient_directions(range(4)).flags.c_contiguous
    for index in range(4):
        np.testing.assert_array_equal(result.profile_conf_int(index), whole[:, [index]])
    for name in ("p", "intercept"):
        assert_raises("is ambiguous", result.profile_conf_int, name)
        assert_raises("is ambiguous", result.wald_test, name)
    for parameters in ({"categorical_features": ["p"]}, {"lower_bounds": {"p": 0.0}}):
        message = "contains 'p', the name of several columns of X .0, 1.. Use (indices from 0|an array)"
        assert_raises(message, LogisticRegression(**parameters).fit, X, y)


def make_duplicate_columns(generator, noise, n=300):
    """Return labels and a table. Two categories and a noisy copy of one, a numerical column, are named a_b_c."""
    dataframe = pd.DataFrame(
        {
            "a": pd.Categorical(generator.choice(["x", "b_c"], n), categories=["x", "b_c"]),
            "a_b": pd.Categorical(generator.choice(["y", "c"], n), categories=["y", "c"]),
        }
    )
    dataframe["a_b_c"] = (dataframe["a"] == "b_c") + noise * generator.normal(size=n)
    return dataframe, generator.integers(0, 2, n)


def test_the_summary_and_errors_distinguish_columns_with_the_same_name():
    generator = np.random.default_rng(7)
    dataframe, y = make_duplicate_columns(generator, noise=0.1)
    result = fit(dataframe, y, C=np.inf, **FROM_DTYPE).inference(dataframe, y)
    # The category and the column inflate each other's errors equally, up to rounding.
    (line,) = (line for line in result.summary().splitlines() if line.startswith("collinearity"))
    assert any(f"most: {name}" in line for name in ("('a', 'b_c'), index 0", "column 'a_b_c', index 2"))
    dataframe, y = make_duplicate_columns(generator, noise=0.0)
    message = r": column 'a_b_c', index 2 = \('a', 'b_c'\), index 0\."
    for model in (LogisticRegression(C=np.inf, **FROM_DTYPE), FirthLogisticRegression(**FROM_DTYPE)):
        # Firth's `fit` itself needs the inverse of the information, so it raises the error.
        assert_raises(
            message, lambda model=model: model.fit(dataframe, y).inference(dataframe, y), error=CollinearityError
        )
    y = (dataframe["a_b"] == "c").astype(int).to_numpy()
    dataframe["a_b_c"] = generator.normal(size=len(dataframe))
    model = LogisticRegression(C=np.inf, max_iter=20, **FROM_DTYPE)
    with pytest.warns(ConvergenceWarning):
        model.fit(dataframe, y)
    assert_raises(r"separation: \('a_b', 'c'\), index 1 <= 0", model.inference, dataframe, y, error=SeparationError)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_numbers_in_a_hypothesis_are_not_indices(n_classes):
    generator = np.random.default_rng(8)
    dataframe, _ = make_duplicate_columns(generator, noise=1.0)
    y = generator.integers(0, n_classes, len(dataframe))
    result = fit(dataframe, y, C=np.inf, **FROM_DTYPE).inference(dataframe, y)
    expected = result.wald_test([("a_b", "c")])
    for hypothesis in (1, [1], np.int64(1)):
        with pytest.raises(ValueError, match=r"multiply the estimates; they are not indices") as caught:
            result.wald_test(hypothesis)
        rows, name = re.search(r"R=(.*) tests the coefficients of (.*)\.$", str(caught.value)).groups()
        assert name == "('a_b', 'c'), index 1"
        assert result.wald_test(eval(rows, {"np": np})).statistic == pytest.approx(expected.statistic, rel=1e-12)
    for hypothesis in ([1, 2], [99], -1, np.eye(2)):
        assert_raises(
            r"list of names of columns and pairs \(column, category\); got shape", result.wald_test, hypothesis
        )


def test_a_class_may_be_named_symmetric():
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(300, 1)), np.array(["a", "b", "symmetric"])[generator.integers(0, 3, 300)]
    model = fit(X, y, C=np.inf)
    result = model.inference(X, y, reference="symmetric")
    assert not result.is_symmetric
    assert result.classes.tolist() == ["a", "b"]
    assert "class a vs symmetric" in result.summary()
    named = fit(X, np.where(y == "symmetric", "c", y), C=np.inf)
    result = named.inference(X, np.where(y == "symmetric", "c", y), reference="symmetric")
    assert result.is_symmetric
    assert "class a vs the mean of all classes" in result.summary()


def make_filtered_table(generator, n=300):
    """Return a table with categories without rows, including the first one, and the table without them."""
    dataframe = pd.DataFrame(
        {
            "size": generator.normal(size=n),
            "color": pd.Categorical(generator.choice(["b", "d", "e"], n), categories=list("abcdef")),
            "shape": pd.Categorical(generator.choice(["round", "square"], n), categories=["none", "round", "square"]),
            "only": pd.Categorical(["x"] * n, categories=["w", "x"]),
        }
    )
    return dataframe, dataframe.apply(
        lambda column: column if column.name == "size" else column.cat.remove_unused_categories()
    )


def assert_same_inference(result, expected, rtol=1e-6):
    """Check that two inferences have the same names, coefficients, errors and likelihoods."""
    assert result.names.tolist() == expected.names.tolist()
    np.testing.assert_allclose(result.coef, expected.coef, rtol=0, atol=rtol * expected.std_errors.min())
    np.testing.assert_allclose(result.std_errors, expected.std_errors, rtol=rtol)
    np.testing.assert_allclose(result.log_likelihood, expected.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(result.df_model, expected.df_model, rtol=1e-9)
    assert result.n_samples == expected.n_samples


@pytest.mark.parametrize("n_classes", [2, 3])
def test_categories_without_rows_are_omitted(n_classes):
    sm = pytest.importorskip("statsmodels.api")
    generator = np.random.default_rng(0)
    dataframe, filtered_table = make_filtered_table(generator)
    y = (
        generator.normal(size=(len(dataframe), n_classes)) + 0.5 * np.eye(n_classes)[dataframe["color"].cat.codes % 2]
    ).argmax(1)
    clusters = np.arange(len(y)) // 5
    for fit_intercept in (True, False):
        options = {"C": np.inf, "fit_intercept": fit_intercept, **FROM_DTYPE}
        model, plain = fit(dataframe, y, **options), fit(filtered_table, y, **options)
        result, expected = model.inference(dataframe, y), plain.inference(filtered_table, y)
        names = (
            ["color_d", "color_e", "shape_square", "intercept"] if fit_intercept else ["color_b", "color_d", "color_e"]
        )
        assert result.names.tolist() == ["size", *names, *([] if fit_intercept else ["shape_square"])]
        rows = pd.get_dummies(filtered_table).astype(float).assign(intercept=1.0)[result.names.tolist()].to_numpy()
        baseline = (sm.Logit if n_classes == 2 else sm.MNLogit)(y, rows).fit(disp=0, method="newton", tol=1e-13)
        errors = np.atleast_2d(baseline.bse.T)
        np.testing.assert_allclose(result.coef, np.atleast_2d(baseline.params.T), rtol=0, atol=1e-7 * errors.min())
        np.testing.assert_allclose(result.std_errors, errors, rtol=1e-7)
        np.testing.assert_allclose(result.log_likelihood, baseline.llf, rtol=1e-10)
        assert_same_inference(result, expected)
        np.testing.assert_allclose(result.profile_conf_int("size"), expected.profile_conf_int("size"), rtol=1e-6)
        effects, others = result.marginal_effects(), expected.marginal_effects()
        assert effects.names.tolist() == others.names.tolist()
        np.testing.assert_allclose(effects.std_errors, others.std_errors, rtol=1e-6)
        cluster_options = {"covariance": "cluster", "clusters": clusters}
        assert_same_inference(
            model.inference(dataframe, y, **cluster_options), plain.inference(filtered_table, y, **cluster_options)
        )
    references = "reference categories  {}shape_round, only_x".format("color_b, " if fit_intercept else "")
    assert references in result.summary()
    assert (
        "omitted categories    color_a, color_c, color_f, shape_none, only_w (no rows with a positive weight)"
        in result.summary()
    )
    assert_raises(
        "features selects 'color_a', a category without rows", model.inference, dataframe, y, features=["color_a"]
    )


def test_categories_with_zero_weight_are_omitted_like_categories_without_rows():
    generator = np.random.default_rng(1)
    dataframe, _ = make_filtered_table(generator)
    y, weights = generator.integers(0, 2, len(dataframe)), generator.integers(1, 4, len(dataframe)).astype(float)
    weights[(dataframe["color"] == "b") | (dataframe["shape"] == "round")] = 0
    has_weight = weights > 0
    for options in ({}, {"covariance": "HC0"}):
        model = fit(dataframe, y, weights, C=np.inf, **FROM_DTYPE)
        result = model.inference(dataframe, y, weights, **options)
        plain = fit(dataframe[has_weight], y[has_weight], weights[has_weight], C=np.inf, **FROM_DTYPE)
        assert_same_inference(
            result, plain.inference(dataframe[has_weight], y[has_weight], weights[has_weight], **options)
        )
        assert result.names.tolist() == ["size", "color_e", "intercept"]
    firth_model = FirthLogisticRegression(**FROM_DTYPE).fit(dataframe, y, weights)
    plain = FirthLogisticRegression(**FROM_DTYPE).fit(dataframe[has_weight], y[has_weight], weights[has_weight])
    expected = plain.inference(dataframe[has_weight], y[has_weight], weights[has_weight])
    assert_same_inference(firth_model.inference(dataframe, y, weights), expected)


@pytest.mark.parametrize("penalized", ["laplace", "sandwich"])
def test_penalized_models_omit_categories_without_rows(penalized):
    generator = np.random.default_rng(6)
    dataframe, filtered_table = (whole.drop(columns="only") for whole in make_filtered_table(generator))
    y, weights = generator.integers(0, 2, len(dataframe)), generator.integers(1, 4, len(dataframe)).astype(float)
    weights[dataframe["color"] == "b"] = 0
    has_weight = weights > 0
    filtered_table = filtered_table[has_weight].assign(
        color=filtered_table["color"][has_weight].cat.remove_unused_categories()
    )
    # One factor for each of the columns: size, six colors and three shapes.
    factors, used_columns = np.linspace(1, 2, 10), [0, 4, 5, 8, 9]
    # The bound of a color without rows has no effect.
    for options in ({}, {"penalty_factors": factors}, {"lower_bounds": [-9.0, 0.0, *[-9.0] * 8]}):
        used_penalty_factors = {name: factors[used_columns] for name in options if name == "penalty_factors"}
        model = fit(dataframe, y, weights, **FROM_DTYPE, **options)
        plain = fit(filtered_table, y[has_weight], weights[has_weight], **FROM_DTYPE, **used_penalty_factors)
        result = model.inference(dataframe, y, weights, penalized=penalized)
        expected = plain.inference(filtered_table, y[has_weight], weights[has_weight], penalized=penalized)
        assert_same_inference(result, expected)
        assert result.names.tolist() == ["size", "color_d", "color_e", "shape_round", "shape_square", "intercept"]
        # An independent reference: the dense rows of the categories that occur.
        rows = pd.get_dummies(filtered_table).astype(float)
        dense = fit(rows, y[has_weight], weights[has_weight], **used_penalty_factors).inference(
            rows, y[has_weight], weights[has_weight], penalized=penalized
        )
        assert_same_inference(result, dense)
        assert np.isfinite(result.p_values).all()
    assert (
        "omitted categories  color_a, color_b, color_c, color_f, shape_none (no rows with a positive weight)"
        in result.summary()
    )
    assert "reference categories" not in result.summary()
    arguments = {"penalized": penalized, "features": ["color_a"]}
    assert_raises(
        "features selects 'color_a', a category without rows", model.inference, dataframe, y, weights, **arguments
    )


def test_firth_models_have_no_coefficients_for_categories_without_rows():
    generator = np.random.default_rng(2)
    dataframe, filtered_table = make_filtered_table(generator)
    y = generator.integers(0, 2, len(dataframe))
    model = FirthLogisticRegression(**FROM_DTYPE).fit(dataframe, y)
    plain = FirthLogisticRegression(**FROM_DTYPE).fit(filtered_table, y)
    result, expected = model.inference(dataframe, y), plain.inference(filtered_table, y)
    assert_same_inference(result, expected, rtol=1e-5)
    np.testing.assert_allclose(result.conf_int(), expected.conf_int(), rtol=1e-5)
    assert "color_a, color_c, color_f" in result.summary()
    categories = dict(zip(model.get_feature_names_out(), model.coef_[0], strict=True))
    assert [categories[f"color_{category}"] for category in "abcf"] == [0] * 4
    np.testing.assert_allclose(model.predict_proba(dataframe), plain.predict_proba(filtered_table), rtol=1e-5)
    is_shared_column = np.isin(model.get_feature_names_out(), plain.get_feature_names_out())
    resampled = model.bootstrap(dataframe, y, n_resamples=5, random_state=0)
    expected = plain.bootstrap(filtered_table, y, n_resamples=5, random_state=0)
    # The error of a fit of a resample is about a thousandth of a standard error.
    np.testing.assert_allclose(
        resampled.coef[..., is_shared_column], expected.coef, rtol=0, atol=1e-2 * result.std_errors.min()
    )


def test_firth_resamples_contain_all_categories():
    generator = np.random.default_rng(3)
    dataframe = pd.DataFrame({"color": pd.Categorical(["a"] * 30 + ["b"] * 2 + ["c"] * 28)})
    y = generator.integers(0, 2, len(dataframe))
    result = (
        FirthLogisticRegression(**FROM_DTYPE).fit(dataframe, y).bootstrap(dataframe, y, n_resamples=30, random_state=0)
    )
    # One in eight resamples lacks the category "b", and would have a zero coefficient.
    assert np.all(result.coef[:, 0, 1] != 0)


def test_bounds_of_categories_without_rows_are_ignored():
    generator = np.random.default_rng(4)
    dataframe, filtered_table = make_filtered_table(generator)
    dataframe, filtered_table = dataframe[["size", "color"]], filtered_table[["size", "color"]]
    y = generator.integers(0, 2, len(dataframe))
    bounds = {"lower_bounds": [-5.0, *[0.0, -5.0, 0.0, -5.0, -5.0, 0.0]]}
    result = fit(dataframe, y, C=np.inf, **FROM_DTYPE, **bounds).inference(dataframe, y)
    assert_same_inference(result, fit(filtered_table, y, C=np.inf, **FROM_DTYPE).inference(filtered_table, y))


def test_constant_numerical_columns_still_raise_an_error():
    generator = np.random.default_rng(5)
    dataframe, _ = make_filtered_table(generator)
    y = generator.integers(0, 2, len(dataframe))
    model = fit(dataframe.assign(one=1.0), y, C=np.inf, **FROM_DTYPE)
    with pytest.raises(CollinearityError, match="one is constant"):
        model.inference(dataframe.assign(one=1.0), y)
