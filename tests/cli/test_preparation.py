"""Missing numbers and dates: fit and predict prepare rows in the same way, and one error reports all problems."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

from fastlin.cli.model_file import TRUSTED_TYPES, read_model

FIT_CHURN = "fit", "churn.csv", "--target", "churned", "--drop", "customer"
PREDICT = "predict", "model.skops"
PREPARE = "--impute", "median", "--missing-indicators", "--dates"
POSITIVE_COLUMN = "probability of yes"


def prepare_with_pandas(table, training):
    """Return the features of a table: the oracle of `--impute median --missing-indicators --dates`."""
    numbers = pd.DataFrame(index=table.index)
    for column in ("age", "income"):
        numbers[f"{column} missing"] = table[column].isna()
        numbers[column] = table[column].fillna(training[column].median())
    numbers["days"] = (table["signup"] - training["signup"].min()).dt.days
    numbers[["calls", "autopay"]] = table[["calls", "autopay"]]
    parts = {"month": lambda dates: dates.dt.month, "weekday": lambda dates: dates.dt.day_of_week}
    categories = [numbers]
    for values, seen in (
        *((table[name].fillna("none"), training[name].fillna("none")) for name in ("plan", "region")),
        *((part(table["signup"]), part(training["signup"])) for part in parts.values()),
    ):
        categories.append(pd.DataFrame({category: values == category for category in seen.unique()}))
    return np.column_stack([np.asarray(columns, float) for columns in categories])


@pytest.mark.parametrize("suffix", ["csv", pytest.param("parquet", marks=pytest.mark.thorough)])
def test_predictions_equal_those_of_pandas_and_scikit_learn(churn, run, suffix, tmp_path):
    for name, table in churn.items():
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    training, new = churn["churn"], churn["new"]
    call = [word.replace("csv", suffix) for word in FIT_CHURN]
    printed = run(*call, *PREPARE, "--tol", "1e-13").stdout
    X = prepare_with_pandas(training, training)
    assert f"data          2,000 rows, 7 columns ({X.shape[1]} coefficients), 2 classes\n" in printed
    assert "classes       no 1,972 (98.60%), yes 28 (1.40%)\n" in printed
    model = ScikitLearnLogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, training["churned"])
    expected = model.predict_proba(prepare_with_pandas(new, training))[:, 1]
    # A model file of one format predicts the rows of both formats.
    for data in ("new.csv", "new.parquet"):
        run(*PREDICT, data)
        predictions = pd.read_csv(tmp_path / "predictions.csv")
        # The error of the coefficients is proportional to the square root of the gap, which is at most 1e-13.
        np.testing.assert_allclose(predictions[POSITIVE_COLUMN], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("strategy", "statistic"),
    [
        ("median", np.nanmedian),
        pytest.param("mean", np.nanmean, marks=pytest.mark.thorough),
        pytest.param("most_frequent", lambda values: pd.Series(values).mode().min(), marks=pytest.mark.thorough),
    ],
)
def test_imputed_numbers_are_statistics_of_the_training_rows(churn, run, tmp_path, strategy, statistic):
    validation = churn["val"].assign(age=churn["val"]["age"] + 1_000)
    validation.to_csv(tmp_path / "val.csv", index=False)
    run(*FIT_CHURN, "--drop", "signup", "--impute", strategy, "--validation", "val.csv")
    preparation = skops.io.load(tmp_path / "model.skops", trusted=list(TRUSTED_TYPES))["preparation"]
    assert sorted(preparation["fill_values"]) == ["age", "autopay", "calls", "income"]
    for column, number in preparation["fill_values"].items():
        np.testing.assert_allclose(number, statistic(churn["churn"][column].to_numpy(float)), rtol=1e-14)
    # A column without missing values in training may have missing values later; a row then equals the filled row.
    rows = churn["new"].head(3)
    probabilities = []
    for calls in (["", "", ""], [preparation["fill_values"]["calls"]] * 3):
        rows.assign(calls=calls).to_csv(tmp_path / "rows.csv", index=False)
        run(*PREDICT, "rows.csv")
        probabilities.append(pd.read_csv(tmp_path / "predictions.csv")[POSITIVE_COLUMN].tolist())
    assert probabilities[0] == probabilities[1]


def test_missing_dates_are_imputed(churn, run, tmp_path):
    table = churn["churn"]
    table.assign(signup=table["signup"].where(table.index % 5 > 0)).to_csv(tmp_path / "churn.csv", index=False)
    run(*FIT_CHURN, *PREPARE)
    preparation = read_model("model.skops").preparation
    dates = table["signup"][table.index % 5 > 0]
    assert preparation.fill_values["signup_days"] == (dates - dates.min()).dt.days.median()
    assert preparation.indicators == ("age", "income", "signup_days")
    # The type of a column without values is text in CSV and null in Parquet.
    rows, outputs = churn["new"].assign(signup=None), []
    for name, write in (("rows.csv", rows.to_csv), ("rows.parquet", rows.to_parquet)):
        write(tmp_path / name, index=False)
        run(*PREDICT, name)
        outputs.append((tmp_path / "predictions.csv").read_bytes())
    assert outputs[0] == outputs[1]


def test_one_error_reports_the_problems_of_all_columns(churn, run, tmp_path):
    table = churn["churn"].astype({"autopay": object})
    table["calls"] = table["calls"].where(table.index != 3, np.inf)
    table["price"] = "1,5"
    table.to_csv(tmp_path / "churn.csv", index=False)
    before = set(tmp_path.iterdir())
    lines = run("fit", "churn.csv", "--target", "churnd", "--drop", "custmer", status=2).stderr.splitlines()
    n_age, n_income = table["age"].isna().sum(), table["income"].isna().sum()
    columns = "'customer', 'age', 'income', 'plan', 'region', 'signup', 'calls', 'autopay', 'churned', 'price'"
    remedy = "fill them in, for example with fastlin fit --impute median, or fit without it"
    number = "text such as '1,5', which is the number 1.5 with --decimal ,; give these options, or fit without the"
    assert lines == [
        "fastlin: churn.csv has 6 problems:",
        f"  churn.csv has no column 'churnd'; did you mean 'churned'? Its columns are {columns}",
        f"  churn.csv has no column 'custmer'; did you mean 'customer'? Its columns are {columns}",
        f"  column 'age' of churn.csv has {n_age} missing values (of 2,000 rows); {remedy}: --drop 'age'",
        f"  column 'income' of churn.csv has {n_income} missing values (of 2,000 rows); {remedy}: --drop 'income'",
        "  column 'calls' of churn.csv has 1 infinite values (of 2,000 rows); replace them, or fit without it: "
        "--drop 'calls'",
        f"  column 'price' of churn.csv has {number} column: --drop 'price'",
    ]
    assert set(tmp_path.iterdir()) == before
    # The same holds for the columns of a prediction.
    run(*FIT_CHURN, "--drop", "calls", "--drop", "price", *PREPARE)
    new = churn["new"].rename(columns={"region": "Regions"}).assign(autopay="often", signup="yesterday", churned="?")
    new.to_csv(tmp_path / "new.csv", index=False)
    message = run(*PREDICT, "new.csv", "--target", "churned", "--keep", "costumer", status=2).stderr
    assert message.startswith("fastlin: new.csv has 5 problems:\n  label column 'churned' of new.csv has 1,000 missing")
    for problem in (
        "has no column 'region'; did you mean 'Regions'?",
        "has no column 'costumer'; did you mean 'customer'?",
        "column 'autopay' of new.csv must contain numbers, but 'often' is not a number; fix it, or fit without",
        "column 'signup' of new.csv has the value 'yesterday', which is no date in the order year-month-day; write",
    ):
        assert problem in message
    assert message.count("\n") == 6


def test_invalid_options_of_the_preparation_print_one_line(churn, run, assert_error, tmp_path):
    table = churn["churn"].head(40)
    table.assign(signup_month=1).to_csv(tmp_path / "month.csv", index=False)
    table.assign(missingindicator_age=1).to_csv(tmp_path / "indicator.csv", index=False)
    table.assign(age=np.nan).to_csv(tmp_path / "empty.csv", index=False)
    table.assign(signup=table["signup"].where(table.index > 1)).to_csv(tmp_path / "undated.csv", index=False)
    for call, message in (
        ("churn.csv --missing-indicators", "--missing-indicators requires --impute"),
        ("churn.csv --impute max", "'max' is not one of 'median', 'mean', 'most_frequent'"),
        ("month.csv --impute mean --dates", "month.csv has a column 'signup_month', which is also the name of"),
        ("indicator.csv --impute mean --missing-indicators", "indicator.csv has a column 'missingindicator_age', wh"),
        ("empty.csv --impute mean", "column 'age' of empty.csv has no values (in 40 rows); fill them in, or fit"),
        ("undated.csv --drop age --drop income --dates", "column 'signup' of undated.csv has 2 missing values (of 40"),
        ("churn.csv --impute mean --coefficients c.txt", "the name of --coefficients must end with .csv, .tsv, .parq"),
        ("churn.csv --impute mean --figure c.gif", "the name of --figure must end with .png, .svg, .pdf, got c.gif"),
        ("churn.csv --impute mean --coefficients churn.csv", "cannot write 'churn.csv': it is a folder, an input"),
    ):
        assert_error(message, "fit", *call.split(), "--target", "churned")


def test_nan_in_parquet_is_a_missing_number(run, assert_error, tmp_path):
    numbers = np.array([1.0, np.nan, 3.0, 4.0] * 10)
    table = pa.table({"x": pa.array(numbers), "z": pa.array(numbers.astype(np.float32)), "end": ["a", "b"] * 20})
    assert table["x"].null_count == 0
    pyarrow.parquet.write_table(table, tmp_path / "nan.parquet")
    call = "fit", "nan.parquet", "--target", "end"
    remedy = "fill them in, for example with fastlin fit --impute median, or fit without it: --drop"
    message = run(*call, status=2).stderr
    for column in "xz":
        assert f"column {column!r} of nan.parquet has 10 missing values (of 40 rows); {remedy} {column!r}\n" in message
    run(*call, "--impute", "mean", "--missing-indicators")
    saved = read_model("model.skops")
    np.testing.assert_allclose(saved.preparation.fill_values["x"], 8 / 3, rtol=1e-15)
    assert list(saved.categories) == ["x", "z", "missingindicator_x", "missingindicator_z"]


def test_a_model_file_without_a_preparation_predicts(churn, run, assert_error, tmp_path):
    run(*FIT_CHURN, "--drop", "age", "--drop", "income")
    run(*PREDICT, "new.csv")
    predictions = (tmp_path / "predictions.csv").read_bytes()
    content = skops.io.load(tmp_path / "model.skops", trusted=list(TRUSTED_TYPES))
    skops.io.dump(content["model"], tmp_path / "bare.skops")
    run("predict", "bare.skops", "new.csv")
    assert (tmp_path / "predictions.csv").read_bytes() == predictions
    for change in (
        {"threshold": 2.0},
        {"threshold": "f1"},
        {"preparation": None},
        {"preparation": {**content["preparation"], "fill_values": {"nothing": 0.0}}},
        {"preparation": {**content["preparation"], "dates": {"signup": {"order": "x"}}}},
        {"model": None},
    ):
        skops.io.dump({**content, **change}, tmp_path / "changed.skops")
        assert_error("changed.skops is damaged or was not written by fastlin", "predict", "changed.skops", "new.csv")
