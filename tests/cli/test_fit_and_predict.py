"""The commands fit and predict: printed output, saved models, predictions, and errors, which leave no files."""

import os
import re
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin

FIT_COMMAND = "fit", "--target", "end"
PREDICT_COMMAND = "predict", "model.skops"
CATEGORICAL_PARAMETERS = {"categorical_features": "from_dtype", "missing_as_category": True}


def encode(table):
    carrier = table["carrier"].combine_chunks().dictionary_encode()
    return table.select(["delay", "day"]).add_column(0, "carrier", carrier), np.array(table["end"].to_pylist())


def test_csv_and_parquet_give_the_same_model_as_the_estimator(files, table, run):
    X, labels = encode(table)
    model = fastlin.LogisticRegression(C=0.5, **CATEGORICAL_PARAMETERS).fit(X, labels)
    accuracy = f"{model.score(X, labels):.4f} on 200 rows"
    for name in ("flights.csv", "flights.parquet"):
        lines = run(*FIT_COMMAND, name, "--C", "0.5").stdout.splitlines()
        assert "data          200 rows, 3 columns (5 coefficients), 2 classes" in lines
        assert f"{'accuracy':<17}{model.score(X, labels):>12.4f}" in lines
        assert run(*PREDICT_COMMAND, name, "--target", "end").stdout.startswith(f"accuracy {accuracy}\n")
        predictions = pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()
        assert predictions["prediction"] == model.predict(X).tolist()
        # The categories have different orders in the two fits, so sums are rounded differently.
        np.testing.assert_allclose(predictions["probability of late"], model.predict_proba(X)[:, 0], rtol=1e-6)
    assert not list(files.glob("*.part"))


@pytest.mark.skipif(os.name == "nt", reason="Windows does not allow such file names")
def test_control_characters_in_names_are_escaped(files, run):
    ansi_red_name = "\x1b[31mred\x07"
    lines = "\n".join(f"n{i},{'xy'[i % 2]}" for i in range(60))
    (files / f"{ansi_red_name}.csv").write_text(f"{ansi_red_name},end\n{lines}\n")
    for status, *call in (
        [0, *FIT_COMMAND, f"{ansi_red_name}.csv", "--model", f"{ansi_red_name}.skops"],
        [2, "fit", f"{ansi_red_name}.csv", "--target", "none"],
        [2, *FIT_COMMAND, f"{ansi_red_name}.none"],
        [2, "predict", f"{ansi_red_name}.skops", f"{ansi_red_name}.csv", "--output", f"{ansi_red_name}.csv"],
        [0, "predict", f"{ansi_red_name}.skops", f"{ansi_red_name}.csv", "--output", f"{ansi_red_name}.tsv"],
        [2, "predict", f"{ansi_red_name}.skops", "flights.csv"],
        [2, "reproduce", ansi_red_name],
    ):
        completed_process = run(*call, status=status)
        printed = completed_process.stdout + completed_process.stderr
        assert r"\x1b[31mred\x07" in printed
        assert all(line.isprintable() for line in printed.split("\n")), call
    assert (files / f"{ansi_red_name}.tsv").exists()


def test_cross_validation_chooses_c(files, run):
    printed = run(*FIT_COMMAND, "flights.csv", *["--drop", "day"] * 2, "--cross-validate", "--l1-ratio", "1").stdout
    assert "data          200 rows, 2 columns (4 coefficients), 2 classes" in printed
    assert "chosen        C=" in printed
    # Columns that the model does not use are ignored.
    assert run(*PREDICT_COMMAND, "flights.parquet", "--output", "out.parquet").stdout == "Wrote out.parquet.\n"
    assert pyarrow.parquet.read_table(files / "out.parquet").column_names[0] == "prediction"


def test_standard_errors_are_printed(files, table, run):
    numbers = table.drop_columns(["carrier", "end"])
    pyarrow.csv.write_csv(table.drop_columns(["carrier"]), files / "numbers.csv")
    printed = run(*FIT_COMMAND, "numbers.csv", "--inference").stdout
    labels = np.array(table["end"].to_pylist())
    model = fastlin.LogisticRegression(C=np.inf, tol=1e-8).fit(numbers, labels)
    assert f"\n\n{model.inference(numbers, labels).summary()}\n" in printed
    assert re.search(r"^objective     0\.\d+, \d\.\de-\d+ standard errors from its minimum$", printed, re.M)
    assert "without a bound" not in printed
    # Categories are compared with the first one, but the saved model has coefficients for all.
    printed = run(*FIT_COMMAND, "flights.csv", "--inference").stdout
    lines = [line.split()[0] for line in printed.splitlines() if line.startswith("carrier_")]
    assert lines[:2] == ["carrier_UA", "carrier_nan"]
    # The table of odds ratios is sorted by the standardized coefficients.
    assert sorted(lines[2:]) == lines[:2]
    assert "reference categories  carrier_AA\n" in printed
    run(*PREDICT_COMMAND, "flights.csv")


def test_predictions_have_intervals_after_a_fit_with_standard_errors(files, table, run, assert_error):
    X, labels = encode(table)
    run(*FIT_COMMAND, "flights.csv", "--inference")
    run(*PREDICT_COMMAND, "flights.csv", "--intervals")
    predictions = pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()
    model = fastlin.LogisticRegression(C=np.inf, tol=1e-8, **CATEGORICAL_PARAMETERS).fit(X, labels)
    expected = model.inference(X, labels).predict(X)
    for k, label in enumerate(model.classes_):
        for limit, values in (("lower", expected.lower), ("upper", expected.upper)):
            # Both estimates are at the optimum, except for 1e-6 standard errors.
            np.testing.assert_allclose(predictions[f"{limit} limit of {label}"], values[:, k], rtol=1e-5)
    run(*FIT_COMMAND, "flights.csv", "--model", "penalized.skops")
    assert_error(
        "penalized.skops contains no standard errors for --intervals; fit it with --inference",
        *("predict", "penalized.skops", "flights.csv", "--intervals", "--output", "none.csv"),
    )
    assert not (files / "none.csv").exists()


def test_inference_errors_print_one_line(files, assert_error):
    (files / "separable.csv").write_text("speed,end\n" + "".join(f"{i},{'xy'[i > 9]}\n" for i in range(20)))
    (files / "collinear.csv").write_text(
        "one,two,end\n" + "".join(f"{i},{2 * i},{'xy'[i % 3 > 0]}\n" for i in range(30))
    )
    for call, message in (
        ("flights.csv --C 2", "--inference fits without a penalty and cannot be combined with --C"),
        ("flights.csv --class-weight balanced", "--inference requires unweighted rows and cannot be combined with"),
        ("flights.csv --l1-ratio 1", "cannot be combined with --l1-ratio"),
        ("flights.csv --cross-validate", "cannot be combined with --cross-validate"),
        ("flights.csv --validation separable.csv", "cannot be combined with --validation"),
        ("separable.csv", "cannot compute standard errors for separable.csv: "),
        ("collinear.csv", "cannot compute standard errors for collinear.csv: "),
    ):
        assert_error(message, *FIT_COMMAND, "--inference", *call.split())


def test_a_validation_file_chooses_c(files, table, run, assert_error):
    # The validation file has another column order, an additional column, and a category unseen in training.
    first, later = table.slice(0, 150), table.slice(150)
    later = later.append_column("more", pa.array(range(50))).select(["end", "more", "day", "delay", "carrier"])
    later = later.set_column(4, "carrier", pa.array(["new", *later["carrier"].to_pylist()[1:]]))
    pyarrow.csv.write_csv(first, files / "first.csv")
    pyarrow.csv.write_csv(later, files / "later.csv")
    call = *FIT_COMMAND, "first.csv", "--validation"
    printed = run(*call, "later.csv").stdout
    assert "data          150 rows, 3 columns (5 coefficients), 2 classes" in printed
    assert " on the validation set" in printed
    X, y, X_val, y_val = *encode(first), *encode(later)
    options = {"Cs": 10, "l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model = fastlin.LogisticRegressionCV(**CATEGORICAL_PARAMETERS, **options).fit(X, y, X_val=X_val, y_val=y_val)
    assert f"chosen        C={model.C_:.6g}," in printed
    training_model = fastlin.LogisticRegression(C=model.C_, **CATEGORICAL_PARAMETERS).fit(X, y)
    scores = f"{np.mean(model.predict(X) == y):>12.4f}{training_model.score(X_val, y_val):>12.4f}"
    assert f"{'rows':<17}{150:>12}{50:>12}\n{'accuracy':<17}{scores}\n" in printed
    run(*PREDICT_COMMAND, "later.csv")
    for name, text, message in (
        ("few.csv", "end,delay,day\nlate,1,2\n", "few.csv has no column 'carrier'"),
        (
            "text.csv",
            "end,carrier,delay,day\nlate,AA,x,1\n",
            "column 'delay' of text.csv must contain numbers, but 'x' is not a number",
        ),
        (
            "other.csv",
            "end,carrier,delay,day\nnever,AA,1,1\n",
            "column 'end' of other.csv contains 'never', but the labels",
        ),
        ("empty.csv", "", "empty.csv"),
    ):
        (files / name).write_text(text)
        assert_error(message, *call, name)


def test_invalid_prediction_calls_print_one_line(files, run, assert_error):
    run(*FIT_COMMAND, "flights.csv")
    (files / "few.csv").write_text("carrier,day\nAA,1\n")
    (files / "text.csv").write_text("carrier,delay,day\nAA,late,1\n")
    (files / "holes.csv").write_text("carrier,delay,day\nAA,?,1\nAA,0.5,2\n")
    (files / "damaged.skops").write_text("no model")
    for name, content in (("dict", "{}"), ("list", "[1]")):
        with zipfile.ZipFile(files / f"{name}.skops", "w") as archive:
            archive.writestr("schema.json", content)
    table = pa.table({"carrier": [1, 2], "delay": [0.1, 0.2], "day": [1, 2]})
    pyarrow.parquet.write_table(table, files / "numbers.parquet")
    skops.io.dump(ScikitLearnLogisticRegression(), files / "other.skops")
    skops.io.dump(fastlin.MLPClassifier(), files / "network.skops")
    damage_message, type_message = "is damaged or was not written by fastlin fit", "has values of type"
    for model, data, message in (
        ("none", "flights.csv", "File 'none.skops' does not exist."),
        *((name, "flights.csv", f"{name}.skops {damage_message}") for name in ("damaged", "dict", "list")),
        ("other", "flights.csv", f"other.skops {damage_message}: it contains"),
        ("network", "flights.csv", "fastlin.estimators.mlp_classifier.MLPClassifier"),
        ("model", "few.csv", "few.csv has no column 'delay'; did you mean 'day'? Its columns are 'carrier', 'day'"),
        ("model", "text.csv", "column 'delay' of text.csv must contain numbers, but 'late' is not a number; fix"),
        ("model", "holes.csv", "column 'delay' of holes.csv has 1 missing values (of 2 rows); fill them in"),
        ("model", "numbers.parquet", f"column 'carrier' of numbers.parquet {type_message} int64 instead of text"),
    ):
        assert_error(message, "predict", f"{model}.skops", data)
    # A column without any value has no type.
    pyarrow.parquet.write_table(table.set_column(0, "carrier", pa.nulls(2)), files / "nothing.parquet")
    run(*PREDICT_COMMAND, "nothing.parquet")


@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
def test_boolean_labels_keep_their_spelling(files, run, assert_error, words):
    ends = [i % 4 > 1 for i in range(40)]
    lines = [f"{words[end]},{i % 3},{words[not end]}" for i, end in enumerate(ends)]
    text = "\n".join(["known,delay,end", *lines])
    (files / "truth.csv").write_text(text)
    (files / "title.csv").write_text(text.replace(words[0], "True").replace(words[1], "False"))
    table = pa.table({"known": [not end for end in ends], "delay": [i % 3 for i in range(40)], "end": ends})
    pyarrow.parquet.write_table(table, files / "truth.parquet")
    # As a feature, booleans are one numeric column.
    assert "coefficients  2 of 2 nonzero" in run(*FIT_COMMAND, "truth.csv").stdout
    for name in ("truth.csv", "title.csv", "truth.parquet"):
        completed_process = run(*PREDICT_COMMAND, name, "--target", "end", "--output", "out.csv")
        assert completed_process.stdout.startswith("accuracy 1.0000")
    written = {line.partition(",")[0] for line in (files / "out.csv").read_text().splitlines()[1:]}
    assert written == {f'"{word}"' for word in words}
    (files / "letters.csv").write_text("known,delay,end\nTrue,1,T\nTrue,2,F\n")
    message = f"column 'end' of letters.csv contains 'F', but the labels of the fit are {words[1]!r}, {words[0]!r};"
    assert_error(message, *PREDICT_COMMAND, "letters.csv", "--target", "end")


def test_outputs_never_overwrite_inputs(files, run, assert_error):
    fit, predict = (*FIT_COMMAND, "flights.csv"), (*PREDICT_COMMAND, "flights.csv", "--output")
    run(*fit)
    suffixes = "the name of the output must end with .csv, .tsv, .parquet, .pq"
    taken = "it is a folder, an input or another output; choose another name"
    for call, message in (
        ([*fit, "--model", "./flights.csv"], f"cannot write './flights.csv': {taken}"),
        ([*fit, "--model", ""], f"cannot write '': {taken}"),
        ([*fit, "--model", "no/x.skops"], "cannot write no/x.skops: No such file or directory"),
        ([*fit, "--model", ".."], f"cannot write '..': {taken}"),
        ([*predict, "flights.csv"], f"cannot write 'flights.csv': {taken}"),
        ([*predict, "x.csv.gz"], f"{suffixes}, got x.csv.gz"),
        ([*predict, "x.json"], f"{suffixes}, got x.json"),
        ([*predict, "no/x.csv"], "cannot write no/x.csv: No such file or directory"),
    ):
        completed_process = assert_error(message, *call)
        assert (completed_process.stdout, completed_process.stderr) == ("", f"fastlin: {message}\n")
