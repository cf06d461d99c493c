"""Tables in files: what columns, levels and labels are and how they are written; what is refused leaves nothing."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

FIT = "fit", "--target", "end"
PREDICT = "predict", "model.skops"
BROKEN = {
    "empty.csv": "",
    "header.csv": "a,end\n",
    "twice.csv": "a,a,end\n1,2,x\n1,3,y\n",
    "ragged.csv": "a,end\n1,x,3\n",
    "holes.csv": "a,b,end\n1,,x\n2,3,y\n",
    "unlabelled.csv": "a,end\n1,x\n2,\n",
    "dates.csv": "a,end\n2026-01-01,x\n2026-01-02,y\n",
    "nothing.csv": "a,end\n,x\n,y\n",
    "one.csv": "a,end\n1,x\n2,x\n",
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
OTHER = "--encoding names another one, such as latin-1"


def test_the_index_of_a_frame_of_pandas_is_left_out(files, run):
    is_late = np.arange(60) > 29
    rows = {"delay": np.sin(np.arange(60.0)), "end": np.where(is_late, "late", "on time")}
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0)
    frame.to_parquet(files / "frame.parquet")
    frame.to_parquet(files / "plain.parquet", index=False)
    frame.rename_axis("row").to_parquet(files / "named.parquet")
    frame.to_csv(files / "frame.csv")
    frame.rename_axis("row").to_csv(files / "named.csv")
    # Of texts half as many are enough.
    frame.assign(day=[f"F{i % 40}" for i in range(60)]).to_csv(files / "texts.csv", index=False)

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


@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
def test_truth_values_are_predicted_as_written_and_labels_of_other_words_are_refused(files, run, refuse, words):
    ends = [i % 4 > 1 for i in range(40)]
    lines = [f"{words[end]},{i % 3},{words[not end]}" for i, end in enumerate(ends)]
    text = "\n".join(["known,delay,end", *lines])
    (files / "truth.csv").write_text(text)
    (files / "title.csv").write_text(text.replace(words[0], "True").replace(words[1], "False"))
    table = pa.table({"known": [not end for end in ends], "delay": [i % 3 for i in range(40)], "end": ends})
    pyarrow.parquet.write_table(table, files / "truth.parquet")
    # As a feature they are one column of numbers.
    assert "coefficients  2 of 2 not zero" in run(*FIT, "truth.csv").stdout
    for name in ("truth.csv", "title.csv", "truth.parquet"):
        finished = run(*PREDICT, name, "--target", "end", "--output", "out.csv")
        assert finished.stdout.startswith("accuracy 1.0000")
    written = {line.partition(",")[0] for line in (files / "out.csv").read_text().splitlines()[1:]}
    assert written == {f'"{word}"' for word in words}
    (files / "letters.csv").write_text("known,delay,end\nTrue,1,T\nTrue,2,F\n")
    message = f"column 'end' of letters.csv holds 'F', and the labels of the fit are {words[1]!r}, {words[0]!r}\n"
    refuse(message, *PREDICT, "letters.csv", "--target", "end")


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
    words = "new.csv has no column 'no'; there are id, when, carrier, delay, day"
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
        ("holes.csv", "column 'b' of holes.csv has no number in 1 of 2 rows; mend it, or fit without it by --drop"),
        ("unlabelled.csv", "column 'end' of unlabelled.csv has 1 missing values, which are no labels"),
        ("dates.csv", "column 'a' of dates.csv has values of the type date32[day] where numbers should be"),
        ("nothing.csv", "column 'a' of nothing.csv has values of the type null where numbers should be"),
        ("one.csv", "cannot fit one.csv: "),
        ("target.csv", "target.csv has no column but those of --target and --drop"),
        ("flights.csv --target x", "flights.csv has no column 'x'; there are carrier, delay, day, end"),
        ("flights.csv --drop x", "flights.csv has no column 'x'"),
        ("latin.csv", f"cannot read latin.csv: it is not in utf-8; {OTHER}"),
        ("late.csv", f"cannot read late.csv: it is not in utf-8; {OTHER}"),
        ("late.csv --encoding ascii", f"cannot read late.csv: it is not in ascii; {OTHER}"),
        ("wide.csv", "(read with --separator ',' --encoding utf-8)"),
        ("latin.csv --encoding x", "cannot read latin.csv: unknown encoding: x"),
        ("flights.csv --separator ab", "--separator must be one character or tab, got 'ab'"),
        ("commas.csv --separator ;", "which looks like a number; --decimal , reads numbers with"),
        ("tabs.csv", r"tabs.csv has no column 'end'; there are a\tend (see --separator)"),
        ("marked.csv", "column 'a' of marked.csv has no number in 1 of 3 rows; mend it"),
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


def test_texts_of_several_lines_stay_whole_in_large_files(files, run):
    # Arrow reads pieces of a megabyte.
    rows = [f'"{"ab"[i % 2]}\n{"x" * 60}",{"uv"[i % 2]}' for i in range(20_000)]
    (files / "large.csv").write_text("\n".join(["note,end", *rows]))
    assert "coefficients  2 of 2 not zero" in run(*FIT, "large.csv").stdout
