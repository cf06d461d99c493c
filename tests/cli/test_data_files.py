"""Tables in files: what columns, levels and labels are and how they are written; what is refused leaves nothing."""

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

FIT = "fit", "--target", "end"
PREDICT = "predict", "model.skops"
# The options that say how tables are read.
TABLE = {"separator": None, "decimal": ".", "thousands": None, "encoding": "utf-8"}
AS_TEXT = pyarrow.csv.ConvertOptions(column_types={"prediction": pa.string()})
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
OTHER = "--encoding names another one, such as latin-1 or utf-16"


def test_the_index_of_a_frame_of_pandas_is_left_out(files, run):
    is_late = np.arange(60) > 29
    rows = {"delay": np.sin(np.arange(60.0)), "end": np.where(is_late, "late", "on time")}
    dataframe = pd.DataFrame(rows).sample(frac=1, random_state=0)
    dataframe.to_parquet(files / "frame.parquet")
    dataframe.to_parquet(files / "plain.parquet", index=False)
    dataframe.rename_axis("row").to_parquet(files / "named.parquet")
    dataframe.to_csv(files / "frame.csv")
    dataframe.rename_axis("row").to_csv(files / "named.csv")
    # Of texts half as many are enough.
    dataframe.assign(day=[f"F{i % 40}" for i in range(60)]).to_csv(files / "texts.csv", index=False)

    def fit(*arguments):
        lines = run(*FIT, *arguments).stdout.splitlines()
        return [line for line in lines if "accuracy" in line], [line for line in lines if line.startswith("Note: ")]

    accuracy, _ = fit("plain.parquet")
    for name, column in (("frame.parquet", "__index_level_0__"), ("named.parquet", "row")):
        note = f"Note: column {column!r} is the index of a frame of pandas, and is left out"
        assert fit(name) == (accuracy, [note])
        assert fit(name, "--drop", column) == (accuracy, [])
        run(*PREDICT, name)
    for name, column, like in (
        ("frame.csv", "", "has no name, as an index that pandas has written to CSV"),
        ("named.csv", "row", "has 60 different values in 60 rows, as a name or an index has"),
        ("texts.csv", "day", "has 40 different values in 60 rows, as a name or an index has"),
    ):
        assert f"Note: column {column!r} {like}; --drop {column!r} leaves it out" in fit(name)[1]


def test_the_order_of_the_rows_changes_nothing(files, table, run):
    found = []
    for rows in (table, table.take(np.arange(table.num_rows)[::-1])):
        for name, write in (("rows.csv", pyarrow.csv.write_csv), ("rows.parquet", pyarrow.parquet.write_table)):
            write(rows, files / name)
            lines = run(*FIT, name, "--inference").stdout.splitlines()
            found.append([line[:40] for line in lines if line.startswith(("carrier_", "delay"))])
    assert len(found[0]) == 3
    assert found == found[:1] * 4


def write_rows(path, header, *rows):
    path.write_text("\n".join([header, *rows * 8]))


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (["01", "1", "2"], "a number loses the leading zero of '01'"),
        (["1", "1.0", "2"], "'1' and '1.0' are the same number"),
        (["+1", "-1", "0"], "a number loses the sign of '+1'"),
        ([" 1", "1", "2"], "' 1' and '1' are the same number"),
        (["False", "TRUE", "True"], "'TRUE' and 'True' are the same boolean"),
        (["2026-01-01", "2026-01-02", "2026-02-01"], "'2026-01-01' is a date or a time"),
    ],
)
def test_labels_are_the_texts_of_the_file_in_fit_predict_and_compare(files, run, refuse, labels, loss):
    # Column `x` tells the labels apart, so that a model of all of them is right in all rows.
    write_rows(files / "data.csv", "x,end", *(f"{'abc'[k]},{label}" for k, label in enumerate(labels)))
    printed = run(*FIT, "data.csv").stdout
    assert "24 rows, 1 features, 3 classes" in printed
    assert "accuracy      1.0000" in printed
    assert f"Note: column 'end' of data.csv stays text: {loss}\n" in printed
    assert run(*PREDICT, "data.csv", "--target", "end").stdout.startswith("accuracy 1.0000 on 24 rows\n")
    predictions = pyarrow.csv.read_csv(files / "predictions.csv", convert_options=AS_TEXT)
    assert predictions["prediction"].to_pylist() == labels * 8
    assert predictions.column_names[1:] == [f"probability of {label}" for label in sorted(labels)]
    options = SimpleNamespace(**TABLE, target="end", drop=(), table="data.csv", C=1.0, dtype="float64")
    assert comparison.pose(options)[0].n_classes == 3
    # Two of the labels alone would be numbers, and one that the fit lacks is named.
    write_rows(files / "two.csv", "x,end", *(f"{'abc'[k]},{label}" for k, label in enumerate(labels) if k != 1))
    assert run(*PREDICT, "two.csv", "--target", "end").stdout.startswith("accuracy 1.0000 on 16 rows\n")
    write_rows(files / "other.csv", "x,end", f"a,{labels[0]}", "b,3")
    known = ", ".join(map(repr, sorted(labels)))
    refuse(
        f"column 'end' of other.csv holds '3', and the labels of the fit are {known}; write",
        *PREDICT,
        "other.csv",
        "--target",
        "end",
    )


def test_labels_that_are_numbers_in_the_fit_are_not_matched_by_other_spellings(files, run, refuse):
    write_rows(files / "data.csv", "x,end", "a,1", "b,2")
    run(*FIT, "data.csv")
    write_rows(files / "points.csv", "x,end", "a,1.0", "b,2.0")
    assert run(*PREDICT, "points.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
    for label in ("01", "+1", "1.5", "x"):
        write_rows(files / "other.csv", "x,end", "a,1", f"b,{label}")
        shown = label if label == "1.5" else repr(label)
        words = f"column 'end' of other.csv holds {shown}, and the labels of the fit are 1, 2; write the labels as"
        refuse(words, *PREDICT, "other.csv", "--target", "end")


def test_the_types_of_the_fit_decide_what_columns_hold_in_other_files(files, run, refuse):
    write_rows(files / "data.csv", "code,number,end", "01234,1,x", "1234,2,y", "99,3,y")
    printed = run(*FIT, "data.csv", "--C", "100").stdout
    loss = "a number loses the leading zero of '01234'; to fit it as numbers, write each value as a plain number"
    assert f"Note: column 'code' of data.csv stays text: {loss}\n" in printed
    assert "coefficients  4 of 4 nonzero" in printed
    options = SimpleNamespace(**TABLE, target="end", drop=(), table="data.csv", C=1.0, dtype="float64")
    assert comparison.pose(options)[0].X.shape[1] == 4
    found = []
    for rows in (["1234,2,y"], ["1234,2,y", "01234,1,x"], ["1234,02.0,y"]):
        write_rows(files / "new.csv", "code,number,end", *rows)
        finished = run(*PREDICT, "new.csv", "--target", "end").stdout
        assert finished.startswith("accuracy 1.0000")
        found.append(pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()["probability of y"][0])
    assert found == found[:1] * 3
    assert (
        "column 'number' of new.csv is read as numbers, as in the fit: a number loses the leading zero of" in finished
    )
    write_rows(files / "new.csv", "code,number", "1234,1 234", "1234,2")
    words = "column 'number' of new.csv has text such as '1 234', which means the number 1234 with --thousands space"
    refuse(words, *PREDICT, "new.csv")


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
        printed = run(*FIT, name).stdout
        assert f"Note: column 'end' of {name} stays text: {reason}\n" in printed
        assert f"Note: column 'when' of {name} stays text: {reason}; to fit it as numbers, write each" in printed
        for other in ("dates.csv", "dates.parquet"):
            assert run(*PREDICT, other, "--target", "end").stdout.startswith("accuracy 1.0000")
            written.append((files / "predictions.csv").read_bytes())
    assert written == written[:1] * 4


def test_separators_of_thousands_are_read_where_an_option_names_them(files, run, refuse):
    numbers = [999.5, 1234, 76705, 1234567.25, 12, 4321]
    ends = ["x", "y", "y", "x", "y", "x"]
    write_rows(
        files / "plain.csv", "price;end", *(f"{number};{end}" for number, end in zip(numbers, ends, strict=True))
    )
    call = "--separator", ";"
    run(*FIT, "plain.csv", *call)
    run(*PREDICT, "plain.csv", *call)
    expected = (files / "predictions.csv").read_bytes()
    for signs, *options in (
        (",.", "--thousands", ","),
        (".,", "--thousands", ".", "--decimal", ","),
        (" .", "--thousands", "space"),
        ("\u202f,", "--thousands", "space", "--decimal", ","),
        ("'.", "--thousands", "apostrophe"),
    ):
        texts = [f"{number:,}".translate(str.maketrans(",.", signs)) for number in numbers]
        write_rows(files / "data.csv", "price;end", *(f"{text};{end}" for text, end in zip(texts, ends, strict=True)))
        run(*FIT, "data.csv", *call, *options)
        run(*PREDICT, "data.csv", *call, *options)
        assert (files / "predictions.csv").read_bytes() == expected
        refuse("column 'price' of data.csv has text such as ", *FIT, "data.csv", *call)
    write_rows(files / "data.csv", "price;end", "999;x", "76,705;y")
    meanings = (
        "'76,705', which means the number 76705 with --thousands , or 76.705 with --decimal ,; give the right options"
    )
    refuse(f"column 'price' of data.csv has text such as {meanings}", *FIT, "data.csv", *call)
    printed = run(*FIT, "data.csv", *call, "--decimal", ",").stdout
    note = "'76,705' is read as 76.705; if the comma separates thousands, give --decimal . and --thousands ,"
    assert f"Note: column 'price' of data.csv: {note}\n" in printed
    words = "--decimal and --thousands are both ','; numbers such as 1,234.5 need --decimal ."
    refuse(words, *FIT, "data.csv", "--decimal", ",", "--thousands", ",")


def test_names_of_columns_match_without_the_spaces_around_them(files, run, refuse):
    write_rows(files / "spaced.csv", "a, b, end ", "1, 2, x", "3, 4, y")
    write_rows(files / "plain.csv", "a,b,end", "1,2,x", "3,4,y")
    note = "Note: names of columns are read without the spaces around them: ' b', ' end '\n"
    words = "spaced.csv has no column 'c'; there are 'a', 'b', 'end'"
    refuse(words, "fit", "spaced.csv", "--target", "c")
    assert note in run("fit", "spaced.csv", "--target", " end").stdout
    assert note in run(*FIT, "spaced.csv", "--drop", "b").stdout
    assert note in run(*FIT, "spaced.csv").stdout
    found = []
    for name in ("spaced.csv", "plain.csv"):
        run(*PREDICT, name, "--keep", "b")
        found.append([line.split(",")[2] for line in (files / "predictions.csv").read_text().splitlines()])
    assert found[0] == found[1]
    # Two names would be the same.
    write_rows(files / "twice.csv", "a, a,end", "1,2,x", "3,4,y")
    printed = run(*FIT, "twice.csv", "--drop", " a").stdout
    assert "1 features" in printed
    assert "spaces" not in printed
    run(*PREDICT, "twice.csv")


def test_spaces_around_all_texts_of_a_column_are_noted_and_values_that_differ_by_them_alone_are_named(
    files, run, refuse
):
    rows = [(0.5, "red", "yes"), (1.5, "blue", "no"), (2.5, "?", "yes"), (0.7, "blue", "no")]
    for name, separator, end in (("plain.csv", ",", ""), ("spaced.csv", ", ", ""), ("padded.csv", ",", " ")):
        lines = [separator.join([str(number), f"{color}{end}", label]) for number, color, label in rows]
        write_rows(files / name, "size,color,end", *lines)
    remedy = "these stay part of the values, so remove them from the file, or values without them will not match\n"
    printed = run(*FIT, "spaced.csv").stdout
    for column, value in (("end", " yes"), ("color", " red")):
        note = f"Note: column '{column}' of spaced.csv: all values begin with spaces, such as '{value}'; {remedy}"
        assert note in printed
    finished = run(*PREDICT, "plain.csv")
    assert finished.stdout.startswith(
        "Note: column 'color' has 2 levels that the fit did not see, such as 'red', in 24 rows; nothing is added to "
        "their scores; spaces around 2 levels are the only difference from the fit, which has ' red' for 'red'\n"
    )
    words = (
        "holds 'no', and the labels of the fit are ' no', ' yes'; the spaces around them differ, so write the labels"
    )
    refuse(f"column 'end' of plain.csv {words} as in the fit", *PREDICT, "plain.csv", "--target", "end")
    assert (
        f"'color' of padded.csv: all values end with spaces, such as 'red '; {remedy}" in run(*FIT, "padded.csv").stdout
    )
    # Spaces in some rows may be meant, and what is trimmed to no level stays unknown.
    write_rows(files / "some.csv", "size,color,end", "1, red,x", "2,blue,y")
    assert "spaces" not in run(*FIT, "some.csv").stdout
    write_rows(files / "new.csv", "size,color,end", "1,red,x", "2, green,z")
    printed = run(*PREDICT, "new.csv").stdout
    assert "2 levels" in printed and "spaces around 1 level are the only difference" in printed
    assert "which has ' red' for 'red'" in printed
    refuse(
        "holds 'z', and the labels of the fit are 'x', 'y'; write the labels", *PREDICT, "new.csv", "--target", "end"
    )
    # The number 1 differs from the label '1' by its type.
    pyarrow.parquet.write_table(pa.table({"color": ["a", "b"], "end": ["1", "2"]}), files / "texts.parquet")
    pyarrow.parquet.write_table(pa.table({"color": ["a", "b"], "end": [1, 2]}), files / "numbers.parquet")
    run(*FIT, "texts.parquet")
    refuse("labels of the fit are '1', '2'; write the labels", *PREDICT, "numbers.parquet", "--target", "end")
    # A column of Parquet is padded where a database has texts of one length.
    pyarrow.parquet.write_table(pa.table({"color": ["red ", "blue "], "end": ["x", "y"]}), files / "padded.parquet")
    assert "'color' of padded.parquet: all values end with spaces" in run(*FIT, "padded.parquet").stdout


class Name(str):
    """A name that counts how often it is compared."""

    n_comparisons = 0

    def __eq__(self, other):
        Name.n_comparisons += 1
        return str(self) == str(other)

    __hash__ = str.__hash__

    def strip(self):
        return Name(super().strip())


@contextlib.contextmanager
def count_calls():
    """Count the calls that the program and the estimators make; those of a solver depend on its iterations."""
    found = SimpleNamespace(n_calls=0)

    def count(dataframe, event, argument):
        if event in ("call", "c_call"):
            found.n_calls += dataframe.f_globals.get("__name__", "").startswith(("fastlin.cli", "fastlin.estimators"))

    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(None)


def test_every_step_is_linear_in_the_number_of_columns(files, run, monkeypatch):
    read = data_files._read_csv

    def read_names(*arguments):
        table = read(*arguments)
        names = [Name(name) for name in table.column_names]
        return SimpleNamespace(column_names=names, columns=table.columns, num_rows=table.num_rows, schema=table.schema)

    monkeypatch.setattr(data_files, "_read_csv", read_names)
    options = SimpleNamespace(**TABLE, target="end", drop=(), table="wide.csv", C=1.0, dtype="float64")
    steps = {
        "fit": lambda: run(*FIT, "wide.csv", "--C", "1e-3"),
        "predict": lambda: run(*PREDICT, "wide.csv", "--target", "end"),
        "compare": lambda: comparison.pose(options),
    }
    found = {name: [] for name in steps}
    # What the first run imports does not count.
    for n_pairs in (10, 10, 20, 40):
        header = ",".join([*(f"number{j},text{j}" for j in range(n_pairs)), "end"])
        rows = [",".join([*(f"{i + j}.5,{'uvw'[(i + j) % 3]}" for j in range(n_pairs)), "xy"[i]]) for i in range(2)]
        write_rows(files / "wide.csv", header, *rows)
        for name, step in steps.items():
            Name.n_comparisons = 0
            with count_calls() as counted:
                step()
            found[name].append(counted.n_calls)
            assert Name.n_comparisons <= 20 * n_pairs
    for _, *calls in found.values():
        # Twice as many columns add twice as many calls, four times as many if each column looks at all.
        assert calls[2] - calls[1] < 3 * (calls[1] - calls[0])


def test_columns_are_kept_as_they_stand_in_the_file(files, run, refuse):
    run(*FIT, "flights.csv")
    rows = "id,when,carrier,delay,day,prediction\n007,2026-01-02,AA,0.50,1,x\n,2026-01-03,ZZ,1,2,y\n1e3,,ZZ,1,2,z\n"
    (files / "new.csv").write_text(rows)
    finished = run(*PREDICT, "new.csv", "--keep", "id", "--keep", "when", "--keep", "day")
    assert finished.stdout == (
        "Note: column 'carrier' has 1 level that the fit did not see, such as 'ZZ', in 2 rows; nothing is added to "
        "their scores\nWrote predictions.csv.\n"
    )
    lines = [line.split(",") for line in (files / "predictions.csv").read_text().splitlines()]
    assert lines[0][3] == '"prediction"'
    assert [line[:3] for line in lines] == [
        ['"id"', '"when"', '"day"'],
        ['"007"', '"2026-01-02"', "1"],
        ["", '"2026-01-03"', "2"],
        ['"1e3"', "", "2"],
    ]
    words = "--keep 'prediction' has the name of a column of the predictions"
    refuse(words, *PREDICT, "new.csv", "--keep", "prediction")
    words = "new.csv has no column 'no'; there are 'id', 'when', 'carrier', 'delay', 'day'"
    refuse(words, *PREDICT, "new.csv", "--keep", "no")


def test_other_separators_and_encodings_are_read(files, table, run):
    plain = table.set_column(0, "carrier", table["carrier"].fill_null("köln"))
    pyarrow.csv.write_csv(plain, files / "plain.csv")
    rows = [plain.column_names, *(map(str, row.values()) for row in plain.to_pylist())]
    piped = "\n".join("|".join(row) for row in rows)
    (files / "german.csv").write_text(piped.replace("|", ";").replace(".", ","), encoding="cp1252")
    (files / "piped.csv").write_text(piped, encoding="utf-16")
    models = []
    for call in (
        ["plain.csv"],
        ["german.csv", "--separator", ";", "--decimal", ",", "--encoding", "latin-1"],
        ["piped.csv", "--separator", "|", "--encoding", "utf-16"],
    ):
        run(*FIT, *call)
        finished = run(*PREDICT, *call, "--target", "end")
        models.append((finished.stdout, (files / "predictions.csv").read_bytes()))
    assert models == models[:1] * 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("none.csv", "File 'none.csv' does not exist."),
        ("data.xls", "the name of a table must end in .csv, .tsv, .parquet, .pq, .csv.gz, .tsv.gz, got data.xls"),
        ("broken.parquet", "cannot read broken.parquet: "),
        ("empty.csv", "cannot read empty.csv: Empty CSV file"),
        ("header.csv", "header.csv has no rows"),
        ("twice.csv", "twice.csv has more than one column 'a'"),
        ("ragged.csv", "cannot read ragged.csv: CSV parse error: Expected 2 columns, got 3: 1,x,3 (read with --sep"),
        ("holes.csv", "column 'b' of holes.csv has no number in 1 of 2 rows; fix it, or fit without it by --drop"),
        ("unlabeled.csv", "column 'end' of unlabeled.csv has 1 missing values, which are no labels"),
        ("nothing.csv", "column 'a' of nothing.csv has no number in 2 of 2 rows; fix it"),
        ("one.csv", "cannot fit one.csv: "),
        ("halves.csv", "column 'end' of halves.csv has the label 0.5, and labels must be text, booleans or whole"),
        ("endless.csv", "column 'end' of endless.csv has the label inf, and labels must be text, booleans or whole"),
        ("huge.csv", "column 'end' of huge.csv has the label 1e+20, and labels must be text, booleans or whole"),
        ("target.csv", "target.csv has no column but those of --target and --drop"),
        ("flights.csv --target x", "flights.csv has no column 'x'; there are 'carrier', 'delay', 'day', 'end'"),
        ("flights.csv --drop x", "flights.csv has no column 'x'"),
        ("latin.csv", f"cannot read latin.csv: it is not in utf-8; {OTHER}"),
        ("late.csv", f"cannot read late.csv: it is not in utf-8; {OTHER}"),
        ("late.csv --encoding ascii", f"cannot read late.csv: it is not in ascii; {OTHER}"),
        ("wide.csv", f"cannot read wide.csv: it is not in utf-8; {OTHER}"),
        ("latin.csv --encoding x", "cannot read latin.csv: unknown encoding: x"),
        ("flights.csv --separator ab", "--separator must be one character or tab, got 'ab'"),
        ("commas.csv --separator ;", "text such as '1,5', which means the number 1.5 with --decimal ,; give the"),
        ("tabs.csv", r"tabs.csv has no column 'end'; there are 'a\tend' (see --separator)"),
        ("marked.csv", "column 'a' of marked.csv has no number in 1 of 3 rows; fix it"),
        ("flights.csv --C 1 --cross-validate", "--cross-validate chooses C"),
        ("flights.csv --cross-validate --validation holes.csv", "--validation chooses C, so that --cross-"),
        ("flights.csv --C 0", "'--C': 0.0 is not in the range x>=1e-300"),
        ("flights.csv --C nan", "cannot fit flights.csv: "),
        ("flights.csv --l1-ratio x", "'--l1-ratio': 'x' is not a valid float"),
        ("flights.csv --model no/m.skops", "cannot write no/m.skops: No such file or directory"),
    ],
)
def test_what_cannot_be_fitted_gets_one_line_and_leaves_nothing(files, refuse, call, words):
    for name, text in BROKEN.items():
        encoding = {"latin.csv": "latin-1", "late.csv": "latin-1", "wide.csv": "utf-16"}.get(name)
        (files / name).write_text(text, encoding)
    refuse(words, *FIT, *call.split())


def test_rows_mean_the_same_whatever_else_their_file_holds(files, run):
    rows = ["007,True,1", "042,False,2", "x,maybe,other"] * 20
    (files / "train.csv").write_text("\n".join(["code,known,end", *rows]))
    run(*FIT, "train.csv")
    found = []
    # Alone the first row looks like a number and a truth value, and its label like a number.
    for lines in (rows[:1], [rows[0], rows[2]]):
        (files / "new.csv").write_text("\n".join(["code,known,end", *lines]))
        assert run(*PREDICT, "new.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
        found.append(pyarrow.csv.read_csv(files / "predictions.csv").to_pydict()["probability of 1"][0])
    assert found[0] == found[1]


def test_identifiers_that_float64_rounds_are_text_as_labels_and_as_features(files, run):
    codes, labels = ["9007199254740993", "7"], ["123456789012345678901", "7"]
    rows = [f"{code},{label}" for code, label in zip(codes, labels, strict=True)] * 20
    (files / "long.csv").write_text("\n".join(["code,end", *rows]))
    notes = run(*FIT, "long.csv").stdout
    for column, rounded in (("code", "'9007199254740993' to 9007199254740992"), ("end", f"{labels[0]!r} to 1234567")):
        assert f"column {column!r} of long.csv stays text: a number rounds {rounded}" in notes
    assert run(*PREDICT, "long.csv", "--target", "end").stdout.startswith("accuracy 1.0000")
    predicted = pyarrow.csv.read_csv(files / "predictions.csv", convert_options=AS_TEXT)["prediction"]
    assert predicted.to_pylist() == labels * 20


def test_texts_of_several_lines_stay_whole_in_large_files(files, run):
    # Arrow reads pieces of a megabyte.
    rows = [f'"{"ab"[i % 2]}\n{"x" * 60}",{"uv"[i % 2]}' for i in range(20_000)]
    (files / "large.csv").write_text("\n".join(["note,end", *rows]))
    assert "coefficients  2 of 2 nonzero" in run(*FIT, "large.csv").stdout
