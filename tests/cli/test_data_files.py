"""Tables in files: types of columns, categories and labels, number formats, encodings, notes and errors."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fastlin.cli import comparison, data_files

FIT_ARGS = "fit", "--target", "end"
PREDICT_ARGS = "predict", "model.skops"
# The options of the file format.
FORMAT_OPTIONS = {"separator": None, "decimal": ".", "thousands": None, "encoding": "utf-8"}
TEXT_PREDICTIONS = pyarrow.csv.ConvertOptions(column_types={"prediction": pa.string()})
BROKEN = {
    "empty.csv": "",
    "header.csv": "a,end\n",
    "twice.csv": "a,a,end\n1,2,x\n1,3,y\n",
    "ragged.csv": "a,end\n1,x,3\n",
    "holes.csv": "a,b,end\n1,,x\n2,3,y\n",
    "unlabeled.csv": "a,end\n1,x\n2,\n",
    "nothing.csv": "a,end\n,x\n,y\n",
    "one.csv": "a,end\n1,x\n2,x\n",
    "halves.csv": "a,end\n1,1\n2,0.50\n",
    "endless.csv": "a,end\n1,1\n2,inf\n",
    "huge.csv": "a,end\n1,1\n2,1e20\n",
    "commas.csv": "a;end\n1,5;x\n2,5;y\n;x\n",
    "tabs.csv": "a\tend\n1\tx\n2\ty\n",
    "marked.csv": "a,end\n1,x\n ?,y\n2.5,x\n",
    "target.csv": "end\nx\ny\n",
    "latin.csv": "größe,end\n1,x\n2,y\n",
    "late.csv": "city,end\nköln,x\nbonn,y\n",
    "wide.csv": "city,end\nköln,x\nbonn,y\n",
    "data.xls": "",
    "broken.parquet": "PAR1",
}
ENCODING_REMEDY = "give its encoding, such as --encoding latin-1 or --encoding utf-16"


def test_the_index_of_a_pandas_dataframe_is_excluded(files, run):
    is_late = np.arange(60) > 29
    rows = {"delay": np.sin(np.arange(60.0)), "end": np.where(is_late, "late", "on time")}
    dataframe = pd.DataFrame(rows).sample(frac=1, random_state=0)
    dataframe.to_parquet(files / "frame.parquet")
    dataframe.to_parquet(files / "plain.parquet", index=False)
    dataframe.rename_axis("row").to_parquet(files / "named.parquet")
    dataframe.to_csv(files / "frame.csv")
    dataframe.rename_axis("row").to_csv(files / "named.csv")
    # For text columns, half as many distinct values suffice.
    dataframe.assign(day=[f"F{i % 40}" for i in range(60)]).to_csv(files / "texts.csv", index=False)

    def fit(*arguments):
        lines = run(*FIT_ARGS, *arguments).stdout.splitlines()
        return [line for line in lines if "accuracy" in line], [line for line in lines if line.startswith("Note: ")]

    accuracy, _ = fit("plain.parquet")
    for name, column in (("frame.parquet", "__index_level_0__"), ("named.parquet", "row")):
        note = f"Note: column {column!r} is the index of a pandas DataFrame and is excluded"
        assert fit(name) == (accuracy, [note])
        assert fit(name, "--drop", column) == (accuracy, [])
        run(*PREDICT_ARGS, name)
    for name, column, reason in (
        ("frame.csv", "", "has no name, like an index that pandas wrote to CSV"),
        ("named.csv", "row", "has 60 different values in 60 rows, like a name or an index"),
        ("texts.csv", "day", "has 40 different values in 60 rows, like a name or an index"),
    ):
        assert f"Note: column {column!r} {reason}; exclude it with --drop {column!r}" in fit(name)[1]


def test_the_row_order_does_not_change_the_fit(files, table, run):
    outputs = []
    for rows in (table, table.take(np.arange(table.num_rows)[::-1])):
        for name, write in (("rows.csv", pyarrow.csv.write_csv), ("rows.parquet", pyarrow.parquet.write_table)):
            write(rows, files / name)
            lines = run(*FIT_ARGS, name, "--inference").stdout.splitlines()
            outputs.append([line[:40] for line in lines if line.startswith(("carrier_", "delay"))])
    # Two tables contain each coefficient.
    assert len(outputs[0]) == 6
    assert outputs == outputs[:1] * 4


def write_rows(path, header, *rows):
    path.write_text("\n".join([header, *rows * 8]))


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (["01", "1", "2"], "conversion to numbers drops the leading zero of '01'"),
        (["1", "1.0", "2"], "'1' and '1.0' are the same number"),
        (["+1", "-1", "0"], "conversion to numbers drops the sign of '+1'"),
        ([" 1", "1", "2"], "' 1' and '1' are the same number"),
        (["False", "TRUE", "True"], "'TRUE' and 'True' are the same boolean"),
        (["2026-01-01", "2026-01-02", "2026-02-01"], "'2026-01-01' is a date or a time"),
    ],
)
def test_labels_keep_their_spelling_in_fit_predict_and_compare(files, run, assert_error, labels, loss):
    # Column `x` determines the label, so the model classifies every row correctly.
    write_rows(files / "data.csv", "x,end", *(f"{'abc'[k]},{label}" for k, label in enumerate(labels)))
    printed = run(*FIT_ARGS, "data.csv").stdout
    assert "24 rows, 1 column (9 coefficients), 3 classes" in printed
    assert f"{'accuracy':<17}{'1.0000':>12}\n" in printed
    assert f"Note: column 'end' of data.csv stays text: {loss}\n" in printed
    assert run(*PREDICT_ARGS, "data.csv", "--target", "end").stdout.startswith("accuracy 1.0000 on 24 rows\n")
    predictions = pyarrow.csv.read_csv(files / "predictions.csv", convert_options=TEXT_PREDICTIONS)
    assert predictions["prediction"].to_pylist() == labels * 8
    assert predictions.column_names[1:] == [f"probability of {label}" for label in sorted(labels)]
    options = SimpleNamespace(**FORMAT_OPTIONS, target="end", drop=(), table="data.csv", C=1.0, dtype="float64")
    assert comparison.read_training_and_held_out_problems(options)[0].n_classes == 3
    # Without the third label, two of the labels would be numbers. A label that the fit lacks is an error.
    write_rows(files / "two.csv", "x,end", *(f"{'abc'[k]},{label}" for k, label in enumerate(labels) if k != 1))
    assert run(*PREDICT_ARGS, "two.csv", "--target", "end").stdout.startswith("accuracy 1.0000 on 16 rows\n")
    write_rows(files / "other.csv", "x,end", f"a,{labels[0]}", "b,3")
    names = ", ".join(map(repr, sorted(labels)))
    assert_error(
        f"column 'end' of other.csv contains '3', but the labels of the fit are {names}; write",
        *PREDICT_ARGS,
        "other.csv",
        "--target",
        "end",
    )


def test_numeric_labels_do_not_match_other_spellings(files, run, assert_error):
    write_rows(files / "data.csv", "x,end", "a,1", "b,2")
    run(*FIT_ARGS, "data.csv")
    write_rows(files / "points.csv", "x,end", "a,1.0", "b,2.0")
    assert run(*PREDICT_ARGS, "points.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
    for label in ("01", "+1", "1.5", "x"):
        write_rows(files / "other.csv", "x,end", "a,1", f"b,{label}")
        shown = label if label == "1.5" else repr(label)
        words = f"column 'end' of other.csv contains {shown}, but the labels of the fit are 1, 2; write the labels as"
        assert_error(words, *PREDICT_ARGS, "other.csv", "--target", "end")


def test_column_types_of_the_fit_apply_to_other_files(files, run, assert_error):
    write_rows(files / "data.csv", "code,number,end", "01234,1,x", "1234,2,y", "99,3,y")
    printed = run(*FIT_ARGS, "data.csv", "--C", "100").stdout
    loss = "conversion to numbers drops the leading zero of '01234'"
    remedy = "to fit it as numbers, write each value as a plain number"
    assert f"Note: column 'code' of data.csv stays text: {loss}; {remedy}\n" in printed
    assert "coefficients  4 of 4 nonzero" in printed
    options = SimpleNamespace(**FORMAT_OPTIONS, target="end", drop=(), table="data.csv", C=1.0, dtype="float64")
    assert comparison.read_training_and_held_out_problems(options)[0].X.shape[1] == 4
    probabilities = []
    for rows in (["1234,2,y"], ["1234,2,y", "01234,1,x"], ["1234,02.0,y"]):
        write_rows(files / "new.csv", "code,number,end", *rows)
        output = run(*PREDICT_ARGS, "new.csv", "--target", "end").stdout
        assert output.startswith("accuracy 1.0000")
        probabilities.append(pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()["probability of y"][0])
    assert probabilities == probabilities[:1] * 3
    note = "column 'number' of new.csv is read as numbers, as in the fit: conversion to numbers drops the leading zero"
    assert note in output
    write_rows(files / "new.csv", "code,number", "1234,1 234", "1234,2")
    words = "column 'number' of new.csv has text such as '1 234', which is the number 1234 with --thousands space"
    assert_error(words, *PREDICT_ARGS, "new.csv")


def test_dates_are_text_in_csv_and_parquet(files, run):
    days = ["2026-01-02", "2026-03-04", "2026-05-06"] * 8
    table = pa.table({"when": days, "end": days})
    pyarrow.csv.write_csv(table, files / "dates.csv")
    pyarrow.parquet.write_table(
        table.cast(pa.schema({"when": pa.date32(), "end": pa.date32()})), files / "dates.parquet"
    )
    written = []
    for name, reason in (
        ("dates.csv", "'2026-01-02' is a date or a time"),
        ("dates.parquet", "its type is date32[day]"),
    ):
        printed = run(*FIT_ARGS, name).stdout
        assert f"Note: column 'end' of {name} stays text: {reason}\n" in printed
        assert f"Note: column 'when' of {name} stays text: {reason}; fastlin fit --dates" in printed
        for other in ("dates.csv", "dates.parquet"):
            assert run(*PREDICT_ARGS, other, "--target", "end").stdout.startswith("accuracy 1.0000")
            written.append((files / "predictions.csv").read_bytes())
    assert written == written[:1] * 4


def test_thousands_separators_are_read_if_an_option_names_them(files, run, assert_error):
    numbers = [999.5, 1234, 76705, 1234567.25, 12, 4321]
    ends = ["x", "y", "y", "x", "y", "x"]
    write_rows(
        files / "plain.csv", "price;end", *(f"{number};{end}" for number, end in zip(numbers, ends, strict=True))
    )
    call = "--separator", ";"
    run(*FIT_ARGS, "plain.csv", *call)
    run(*PREDICT_ARGS, "plain.csv", *call)
    expected = (files / "predictions.csv").read_bytes()
    for marks, *options in (
        (",.", "--thousands", ","),
        (".,", "--thousands", ".", "--decimal", ","),
        (" .", "--thousands", "space"),
        ("\u202f,", "--thousands", "space", "--decimal", ","),
        ("'.", "--thousands", "apostrophe"),
    ):
        strings = [f"{number:,}".translate(str.maketrans(",.", marks)) for number in numbers]
        write_rows(
            files / "data.csv", "price;end", *(f"{string};{end}" for string, end in zip(strings, ends, strict=True))
        )
        run(*FIT_ARGS, "data.csv", *call, *options)
        run(*PREDICT_ARGS, "data.csv", *call, *options)
        assert (files / "predictions.csv").read_bytes() == expected
        assert_error("column 'price' of data.csv has text such as ", *FIT_ARGS, "data.csv", *call)
    write_rows(files / "data.csv", "price;end", "999;x", "76,705;y")
    meanings = "'76,705', which is the number 76705 with --thousands , or 76.705 with --decimal ,; give these options"
    assert_error(f"column 'price' of data.csv has text such as {meanings}", *FIT_ARGS, "data.csv", *call)
    printed = run(*FIT_ARGS, "data.csv", *call, "--decimal", ",").stdout
    note = "'76,705' is read as 76.705; if the comma separates thousands, give --decimal . and --thousands ,"
    assert f"Note: column 'price' of data.csv: {note}\n" in printed
    words = "--decimal and --thousands are both ','; numbers such as 1,234.5 need --decimal ."
    assert_error(words, *FIT_ARGS, "data.csv", "--decimal", ",", "--thousands", ",")


def test_column_names_match_without_outer_spaces(files, run, assert_error):
    write_rows(files / "spaced.csv", "a, b, end ", "1, 2, x", "3, 4, y")
    write_rows(files / "plain.csv", "a,b,end", "1,2,x", "3,4,y")
    note = "Note: column names are used without the spaces around them: ' b', ' end '\n"
    words = "spaced.csv has no column 'c'; its columns are 'a', 'b', 'end'"
    assert_error(words, "fit", "spaced.csv", "--target", "c")
    assert note in run("fit", "spaced.csv", "--target", " end").stdout
    assert note in run(*FIT_ARGS, "spaced.csv", "--drop", "b").stdout
    assert note in run(*FIT_ARGS, "spaced.csv").stdout
    probabilities = []
    for name in ("spaced.csv", "plain.csv"):
        run(*PREDICT_ARGS, name, "--keep", "b")
        probabilities.append([line.split(",")[2] for line in (files / "predictions.csv").read_text().splitlines()])
    assert probabilities[0] == probabilities[1]
    # Without spaces, two names would be equal.
    write_rows(files / "twice.csv", "a, a,end", "1,2,x", "3,4,y")
    printed = run(*FIT_ARGS, "twice.csv", "--drop", " a").stdout
    assert "1 features" in printed
    assert "spaces" not in printed
    run(*PREDICT_ARGS, "twice.csv")


def test_spaces_around_all_values_get_a_note(files, run, assert_error):
    rows = [(0.5, "red", "yes"), (1.5, "blue", "no"), (2.5, "?", "yes"), (0.7, "blue", "no")]
    for name, separator, end in (("plain.csv", ",", ""), ("spaced.csv", ", ", ""), ("padded.csv", ",", " ")):
        lines = [separator.join([str(number), f"{color}{end}", label]) for number, color, label in rows]
        write_rows(files / name, "size,color,end", *lines)
    remedy = "the spaces are part of the values and must match in other files; consider removing them\n"
    printed = run(*FIT_ARGS, "spaced.csv").stdout
    for column, value in (("end", " yes"), ("color", " red")):
        note = f"Note: column '{column}' of spaced.csv: all values begin with spaces, such as '{value}'; {remedy}"
        assert note in printed
    printed = run(*PREDICT_ARGS, "plain.csv").stdout
    assert printed.startswith(
        "Note: column 'color' has 2 categories not seen in training, such as 'red', in 24 rows; they"
    )
    assert "; 2 of them differ only by spaces from categories of the fit, such as 'red' from ' red'\n" in printed
    words = "contains 'no', but the labels of the fit are ' no', ' yes'; they differ by spaces; write the labels"
    assert_error(f"column 'end' of plain.csv {words} as in the fit", *PREDICT_ARGS, "plain.csv", "--target", "end")
    note = f"'color' of padded.csv: all values end with spaces, such as 'red '; {remedy}"
    assert note in run(*FIT_ARGS, "padded.csv").stdout
    # Spaces in only some rows may be intended, and a value that matches no category after trimming is unseen.
    write_rows(files / "some.csv", "size,color,end", "1, red,x", "2,blue,y")
    assert "spaces" not in run(*FIT_ARGS, "some.csv").stdout
    write_rows(files / "new.csv", "size,color,end", "1,red,x", "2, green,z")
    printed = run(*PREDICT_ARGS, "new.csv").stdout
    assert "2 categories" in printed
    assert "1 of them differs only by spaces from categories of the fit, such as 'red' from ' red'" in printed
    words = "contains 'z', but the labels of the fit are 'x', 'y'; write"
    assert_error(words, *PREDICT_ARGS, "new.csv", "--target", "end")
    # The number 1 differs from the label '1' by its type.
    pyarrow.parquet.write_table(pa.table({"color": ["a", "b"], "end": ["1", "2"]}), files / "texts.parquet")
    pyarrow.parquet.write_table(pa.table({"color": ["a", "b"], "end": [1, 2]}), files / "numbers.parquet")
    run(*FIT_ARGS, "texts.parquet")
    assert_error(
        "labels of the fit are '1', '2'; write the labels", *PREDICT_ARGS, "numbers.parquet", "--target", "end"
    )
    # Databases pad strings of fixed length, and Parquet files can contain the padding.
    pyarrow.parquet.write_table(pa.table({"color": ["red ", "blue "], "end": ["x", "y"]}), files / "padded.parquet")
    assert "'color' of padded.parquet: all values end with spaces" in run(*FIT_ARGS, "padded.parquet").stdout


class CountedName(str):
    """A name that counts comparisons."""

    n_comparisons = 0

    def __eq__(self, other):
        CountedName.n_comparisons += 1
        return str(self) == str(other)

    __hash__ = str.__hash__

    def strip(self):
        return CountedName(super().strip())


@contextlib.contextmanager
def count_calls():
    """Count the calls in the program and the estimators; calls in a solver depend on its iterations."""
    counter = SimpleNamespace(n_calls=0)

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            counter.n_calls += frame.f_globals.get("__name__", "").startswith(("fastlin.cli", "fastlin.estimators"))

    sys.setprofile(count)
    try:
        yield counter
    finally:
        sys.setprofile(None)


def test_the_cost_of_a_command_is_linear_in_the_number_of_columns(files, run, monkeypatch):
    read = data_files._read_csv

    def read_counted_names(*arguments):
        table = read(*arguments)
        names = [CountedName(name) for name in table.column_names]
        return SimpleNamespace(column_names=names, columns=table.columns, num_rows=table.num_rows, schema=table.schema)

    monkeypatch.setattr(data_files, "_read_csv", read_counted_names)
    options = SimpleNamespace(**FORMAT_OPTIONS, target="end", drop=(), table="wide.csv", C=1.0, dtype="float64")
    steps = {
        "fit": lambda: run(*FIT_ARGS, "wide.csv", "--C", "1e-3"),
        "predict": lambda: run(*PREDICT_ARGS, "wide.csv", "--target", "end"),
        "compare": lambda: comparison.read_training_and_held_out_problems(options),
    }
    n_calls = {name: [] for name in steps}
    # The first run imports modules and is not counted.
    for n_pairs in (10, 10, 20, 40):
        header = ",".join([*(f"number{j},text{j}" for j in range(n_pairs)), "end"])
        rows = [",".join([*(f"{i + j}.5,{'uvw'[(i + j) % 3]}" for j in range(n_pairs)), "xy"[i]]) for i in range(2)]
        write_rows(files / "wide.csv", header, *rows)
        for name, step in steps.items():
            CountedName.n_comparisons = 0
            with count_calls() as counter:
                step()
            n_calls[name].append(counter.n_calls)
            assert CountedName.n_comparisons <= 20 * n_pairs
    for _, *calls in n_calls.values():
        # Doubling the columns doubles the added calls; a quadratic step would quadruple them.
        assert calls[2] - calls[1] < 3 * (calls[1] - calls[0])


def test_columns_of_the_keep_option_are_copied_unchanged(files, run, assert_error):
    run(*FIT_ARGS, "flights.csv")
    rows = "id,when,carrier,delay,day,prediction\n007,2026-01-02,AA,0.50,1,x\n,2026-01-03,ZZ,1,2,y\n1e3,,ZZ,1,2,z\n"
    (files / "new.csv").write_text(rows)
    completed_process = run(*PREDICT_ARGS, "new.csv", "--keep", "id", "--keep", "when", "--keep", "day")
    assert completed_process.stdout == (
        "Note: column 'carrier' has 1 category not seen in training, such as 'ZZ', in 2 rows; they contribute zero to "
        "the linear predictor\nWrote predictions.csv.\n"
    )
    lines = [line.split(",") for line in (files / "predictions.csv").read_text().splitlines()]
    assert lines[0][3] == '"prediction"'
    assert [line[:3] for line in lines] == [
        ['"id"', '"when"', '"day"'],
        ['"007"', '"2026-01-02"', "1"],
        ["", '"2026-01-03"', "2"],
        ['"1e3"', "", "2"],
    ]
    words = "--keep 'prediction' duplicates a column of the predictions"
    assert_error(words, *PREDICT_ARGS, "new.csv", "--keep", "prediction")
    words = "new.csv has no column 'no'; its columns are 'id', 'when', 'carrier', 'delay', 'day'"
    assert_error(words, *PREDICT_ARGS, "new.csv", "--keep", "no")


def test_other_separators_and_encodings_are_read(files, table, run):
    plain = table.set_column(0, "carrier", table["carrier"].fill_null("köln"))
    pyarrow.csv.write_csv(plain, files / "plain.csv")
    rows = [plain.column_names, *(map(str, row.values()) for row in plain.to_pylist())]
    piped_lines = "\n".join("|".join(row) for row in rows)
    (files / "german.csv").write_text(piped_lines.replace("|", ";").replace(".", ","), encoding="cp1252")
    (files / "piped.csv").write_text(piped_lines, encoding="utf-16")
    models = []
    for call in (
        ["plain.csv"],
        ["german.csv", "--separator", ";", "--decimal", ",", "--encoding", "latin-1"],
        ["piped.csv", "--separator", "|", "--encoding", "utf-16"],
    ):
        run(*FIT_ARGS, *call)
        completed_process = run(*PREDICT_ARGS, *call, "--target", "end")
        models.append((completed_process.stdout, (files / "predictions.csv").read_bytes()))
    assert models == models[:1] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("none.csv", "File 'none.csv' does not exist."),
        ("data.xls", "the name of a table must end with .csv, .tsv, .parquet, .pq, .csv.gz, .tsv.gz, got data.xls"),
        ("broken.parquet", "cannot read broken.parquet: "),
        ("empty.csv", "cannot read empty.csv: Empty CSV file"),
        ("header.csv", "header.csv has no rows"),
        ("twice.csv", "twice.csv has 2 columns named 'a'"),
        ("ragged.csv", "cannot read ragged.csv: CSV parse error: Expected 2 columns, got 3: 1,x,3 (read with --sep"),
        (
            "holes.csv",
            "column 'b' of holes.csv has 1 missing values (of 2 rows); fill them in, for example with fastlin",
        ),
        ("unlabeled.csv", "label column 'end' of unlabeled.csv has 1 missing values (of 2 rows); remove"),
        ("nothing.csv", "column 'a' of nothing.csv has 2 missing values (of 2 rows); fill"),
        ("one.csv", "cannot fit one.csv: "),
        ("halves.csv", "label column 'end' of halves.csv has the label 0.5; labels must be text, booleans or int"),
        ("endless.csv", "label column 'end' of endless.csv has the label inf; labels must be text, booleans or int"),
        ("huge.csv", "label column 'end' of huge.csv has the label 1e+20; labels must be text, booleans or int"),
        ("target.csv", "target.csv has no feature columns: --target and --drop name all of its columns"),
        ("flights.csv --target x", "flights.csv has no column 'x'; its columns are 'carrier', 'delay', 'day', 'end'"),
        ("flights.csv --drop x", "flights.csv has no column 'x'"),
        ("latin.csv", f"cannot read latin.csv: it is not encoded in utf-8; {ENCODING_REMEDY}"),
        ("late.csv", f"cannot read late.csv: it is not encoded in utf-8; {ENCODING_REMEDY}"),
        ("late.csv --encoding ascii", f"cannot read late.csv: it is not encoded in ascii; {ENCODING_REMEDY}"),
        ("wide.csv", f"cannot read wide.csv: it is not encoded in utf-8; {ENCODING_REMEDY}"),
        ("latin.csv --encoding x", "cannot read latin.csv: unknown encoding: x"),
        ("flights.csv --separator ab", "--separator must be one character or tab, got 'ab'"),
        ("commas.csv --separator ;", "text such as '1,5', which is the number 1.5 with --decimal ,; give the"),
        ("tabs.csv", r"tabs.csv has no column 'end'; its columns are 'a\tend' (see --separator)"),
        ("marked.csv", "column 'a' of marked.csv has 1 missing values (of 3 rows); fill"),
        ("flights.csv --C 1 --cross-validate", "--cross-validate chooses C and cannot be combined with --C"),
        (
            "flights.csv --cross-validate --validation holes.csv",
            "--validation chooses C and cannot be combined with --cross-",
        ),
        ("flights.csv --C 0", "'--C': 0.0 is not in the range x>=1e-300"),
        ("flights.csv --C nan", "cannot fit flights.csv: "),
        ("flights.csv --l1-ratio x", "'--l1-ratio': 'x' is not a valid float"),
        ("flights.csv --model no/m.skops", "cannot write no/m.skops: No such file or directory"),
    ],
)
def test_invalid_files_are_reported_in_one_line(files, assert_error, call, message):
    for name, text in BROKEN.items():
        encoding = {"latin.csv": "latin-1", "late.csv": "latin-1", "wide.csv": "utf-16"}.get(name)
        (files / name).write_text(text, encoding)
    assert_error(message, *FIT_ARGS, *call.split())


def test_predictions_of_a_row_do_not_depend_on_other_rows(files, run):
    rows = ["007,True,1", "042,False,2", "x,maybe,other"] * 20
    (files / "train.csv").write_text("\n".join(["code,names,end", *rows]))
    run(*FIT_ARGS, "train.csv")
    probabilities = []
    # On its own, the first row looks like a number and a boolean, and the label of that row looks like a number.
    for lines in (rows[:1], [rows[0], rows[2]]):
        (files / "new.csv").write_text("\n".join(["code,names,end", *lines]))
        assert run(*PREDICT_ARGS, "new.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
        probabilities.append(pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()["probability of 1"][0])
    assert probabilities[0] == probabilities[1]


def test_identifiers_that_float64_would_round_stay_text(files, run):
    codes, labels = ["9007199254740993", "7"], ["123456789012345678901", "7"]
    rows = [f"{code},{label}" for code, label in zip(codes, labels, strict=True)] * 20
    (files / "long.csv").write_text("\n".join(["code,end", *rows]))
    notes = run(*FIT_ARGS, "long.csv").stdout
    for column, rounded in (("code", "'9007199254740993' to 9007199254740992"), ("end", f"{labels[0]!r} to 1234567")):
        assert f"column {column!r} of long.csv stays text: float64 rounds {rounded}" in notes
    assert run(*PREDICT_ARGS, "long.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
    predicted = pyarrow.csv.read_csv(files / "predictions.csv", convert_options=TEXT_PREDICTIONS)["prediction"]
    assert predicted.to_pylist() == labels * 20


def test_multiline_strings_are_read_from_large_files(files, run):
    # The file is larger than the default block of Arrow, a megabyte.
    rows = [f'"{"ab"[i % 2]}\n{"x" * 60}",{"uv"[i % 2]}' for i in range(20_000)]
    (files / "large.csv").write_text("\n".join(["note,end", *rows]))
    assert "coefficients  2 of 2 nonzero" in run(*FIT_ARGS, "large.csv").stdout
