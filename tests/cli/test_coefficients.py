"""The table of coefficients: agreement with the estimator, with pandas, and with the tables of the inference."""

import numpy as np
import pandas as pd
import pytest

import fastlin
from fastlin.cli.coefficients import compute_column_std, tabulate_coefficients
from fastlin.cli.model_file import read_model

FIT_CHURN = "fit", "churn.csv", "--target", "churned", "--drop", "customer"


def read_coefficients(folder, classes=("yes",)):
    columns = pd.read_csv(folder / "coef.csv", dtype={"class": str})
    return [columns[columns["class"] == label].set_index("feature") for label in classes]


def test_coefficients_and_odds_ratios_are_those_of_the_model(churn, run, tmp_path):
    call = (*FIT_CHURN, "--impute", "mean", "--missing-indicators", "--coefficients", "coef.csv")
    printed = run(*call, "--drop", "signup").stdout
    model = read_model("model.skops").model
    (columns,) = read_coefficients(tmp_path)
    assert columns.index.tolist() == [*model.get_feature_names_out(), "intercept"]
    coef = np.append(model.coef_, model.intercept_)
    np.testing.assert_array_equal(columns["coef"], coef)
    np.testing.assert_allclose(columns["odds_ratio"], np.exp(coef), rtol=1e-15)
    table = churn["churn"]
    features = table[["age", "income"]].fillna(table[["age", "income"]].mean())
    features[["calls", "autopay"]] = table[["calls", "autopay"]]
    features[["missingindicator_age", "missingindicator_income"]] = table[["age", "income"]].isna()
    for name in ("plan", "region"):
        for category, is_category in pd.get_dummies(table[name].fillna("nan"), prefix=name).items():
            features[category] = is_category
    std = features.astype(float).std(ddof=0).reindex(columns.index)
    # Sums of 2,000 squares have a relative rounding error below 2,000 units of 1.1e-16.
    np.testing.assert_allclose(columns["standardized_coef"], coef * std, rtol=3e-13)
    assert columns["standardized_coef"].isna().tolist() == [False] * (len(coef) - 1) + [True]
    assert columns.columns.tolist() == ["class", "coef", "standardized_coef", "odds_ratio"]
    lines = printed.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("10 of "))
    assert lines[start].split() == f"10 of {len(coef) - 1} coefficients coef standardized odds ratio".split()
    largest = columns["standardized_coef"].abs().sort_values(ascending=False).index[:10]
    assert [line.split()[0] for line in lines[start + 1 : start + 11]] == largest.tolist()
    assert lines[start + 11] == "odds ratio: yes vs no, per unit of the column"
    assert max(map(len, lines[start - 9 : start + 15])) <= 80
    assert "intervals: --inference (no penalty)" in lines


def test_intervals_are_those_of_the_inference(churn, run, tmp_path):
    # With so few positives, one of the categories separates the classes of `churned`.
    call = "fit", "churn.csv", "--target", "autopay", *["--drop", "customer", "--drop", "signup", "--drop", "churned"]
    printed = run(*call, "--drop", "region", "--impute", "mean", "--inference", "--coefficients", "coef.csv").stdout
    (columns,) = read_coefficients(tmp_path, ["True"])
    table = churn["churn"][["age", "income", "plan", "calls"]]
    table = table.fillna(table[["age", "income"]].mean())
    labels = churn["churn"]["autopay"].to_numpy(str)
    parameters = {"categorical_features": ["plan"], "missing_as_category": True, "C": np.inf, "tol": 1e-8}
    expected = fastlin.LogisticRegression(**parameters).fit(table, labels).inference(table, labels).table()
    assert columns.index.tolist() == expected.index.tolist() != []
    for name in ("coef", "std_error", "z", "p_value", "lower", "upper"):
        # Both fits end within 1e-6 standard errors of the same optimum.
        np.testing.assert_allclose(columns[name], expected[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(columns["odds_ratio_lower"], np.exp(columns["lower"]), rtol=1e-14)
    np.testing.assert_allclose(columns["odds_ratio_upper"], np.exp(columns["upper"]), rtol=1e-14)
    is_plus = table["plan"] == "plus"
    std = columns.loc["plan_plus", "standardized_coef"] / columns.loc["plan_plus", "coef"]
    np.testing.assert_allclose(std, is_plus.std(ddof=0), rtol=1e-13)
    # The first table contains standard errors and tests.
    line = [line for line in printed.splitlines() if line.startswith("calls ")][-1]
    assert line.split()[1:] == [
        f"{columns.loc['calls', name]:#.4g}"
        for name in ("coef", "standardized_coef", "odds_ratio", "odds_ratio_lower", "odds_ratio_upper")
    ]
    assert "intervals: --inf" not in printed


@pytest.mark.parametrize("inference", [[], pytest.param(["--inference"], marks=pytest.mark.thorough)])
def test_coefficients_of_three_classes(churn, run, tmp_path, inference):
    table = churn["churn"][["calls", "autopay"]].assign(plan=churn["churn"]["plan"].fillna("pro"))
    table.to_csv(tmp_path / "plans.csv", index=False)
    printed = run("fit", "plans.csv", "--target", "plan", *inference, "--coefficients", "coef.csv").stdout
    model = read_model("model.skops").model
    assert "2,000 rows, 2 columns (6 coefficients), 3 classes" in printed
    if inference:
        rows = read_coefficients(tmp_path, ["plus", "pro"])
        expected, comparison = model.coef_[1:] - model.coef_[0], "class vs basic"
    else:
        rows = read_coefficients(tmp_path, ["basic", "plus", "pro"])
        expected, comparison = model.coef_, "class vs the geometric mean of the classes"
    for row, coef in zip(rows, expected, strict=True):
        np.testing.assert_allclose(row["coef"][["calls", "autopay"]], coef, rtol=1e-5, atol=1e-9)
    assert f"odds ratio: {comparison}, per unit of the column" in printed
    assert "pro: calls" in printed


def test_odds_ratios_with_an_l1_penalty_compare_with_the_mean_of_the_classes():
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(300, 3)), columns=list("abc"))
    y = np.argmax(X + generator.normal(size=(300, 3)), axis=1)
    model = fastlin.LogisticRegression(C=0.1, l1_ratio=1.0).fit(X, y)
    columns = tabulate_coefficients(model, X.std(ddof=0).to_numpy())
    ratios, coef = columns["odds_ratio"].reshape(3, 4), np.column_stack([model.coef_, model.intercept_])
    # The coefficients themselves do not sum to zero, because the penalty sets some of them to zero.
    assert np.abs(coef[:, :-1].sum(axis=0)).max() > 0.1
    np.testing.assert_allclose(ratios.prod(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(ratios[1] / ratios[0], np.exp(coef[1] - coef[0]), rtol=1e-13)


def test_columns_and_categories_with_equal_names_have_their_own_deviations():
    import pyarrow as pa

    table = pa.table({"a_b": [1.0, 3.0, 5.0, 7.0], "a": ["b", "b", "b", None]})
    std = compute_column_std(table, {"a_b": None, "a": np.array(["b", np.nan], object)})
    np.testing.assert_allclose(std, [5**0.5, 3**0.5 / 4, 3**0.5 / 4], rtol=1e-15)
