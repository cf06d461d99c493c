"""Fits of tables in files: what is saved and shown, what predictions are, and what is refused, with nothing left."""

import os
import re
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import skops.io
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.cli import fit_and_predict
from fastlin.cli.data_files import write_table

N_ROWS = 200


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    carrier = generator.choice(["AA", "UA", None], N_ROWS, p=[0.5, 0.4, 0.1])
    delay = generator.normal(size=N_ROWS).round(3)
    late = np.where(delay + (carrier == "UA") + generator.normal(size=N_ROWS) > 0.5, "late", "on time")
    return pa.table({"carrier": carrier, "delay": delay, "day": np.arange(N_ROWS) % 7, "end": late})


@pytest.fixture
def files(table, run, tmp_path):
    """Write the table in both formats into the folder that the program runs in."""
    pyarrow.csv.write_csv(table, tmp_path / "flights.csv")
    pyarrow.parquet.write_table(table, tmp_path / "flights.parquet")
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Let the program draw nothing, which takes longer than all else."""
    monkeypatch.setattr(fit_and_predict, "embed", lambda *arguments: "")


def read_model(files):
    return skops.io.load(files / "model.skops", trusted=list(fit_and_predict.TRUSTED))


def read_predictions(path):
    return pyarrow.csv.read_csv(path).to_pydict()


def test_both_formats_give_the_model_of_the_library(files, table, run):
    encoded = table.drop_columns(["end"]).set_column(0, "carrier", table["carrier"].dictionary_encode())
    model = fastlin.LogisticRegression(C=0.5, categorical_features="from_dtype", missing_level=True)
    model.fit(encoded, np.array(table["end"].to_pylist()))
    accuracy = model.score(encoded, table["end"].to_pylist())
    for name in ("flights.csv", "flights.parquet"):
        finished = run("fit", name, "--target", "end", "--C", "0.5")
        assert finished.returncode == 0, finished.stderr
        assert "data          200 rows, 3 features, 2 classes" in finished.stdout.splitlines()
        assert f"accuracy      {accuracy:.4f} on 200 rows" in finished.stdout
        predicted = run("predict", "model.skops", name, "--target", "end")
        assert predicted.returncode == 0, predicted.stderr
        assert predicted.stdout.startswith(
            f"accuracy {model.score(encoded, table['end'].to_pylist()):.4f} on 200 rows\n"
        )
        found = read_predictions(files / "predictions.csv")
        assert found["prediction"] == model.predict(encoded).tolist()
        # Levels come in the order of the rows here and sorted there, and sums of another order round otherwise.
        np.testing.assert_allclose(found["probability of late"], model.predict_proba(encoded)[:, 0], rtol=1e-6)
    page = (files / "model.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "<h1>end from flights.parquet</h1>" in page
    assert not list(files.glob("*.part"))


FORMULAS = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "-1", "x=1"]


@pytest.mark.parametrize("output", ["out.csv", "out.tsv", "out.parquet"])
def test_labels_that_are_formulas_are_escaped_on_request_and_numbers_never(files, run, output):
    rows = pa.table({"text": [f"{i}x" for i in range(8)] * 3, "end": FORMULAS * 3})
    pyarrow.parquet.write_table(rows, files / "rows.parquet")
    assert run("fit", "rows.parquet", "--target", "end", "--C", "100").returncode == 0
    escaped = [f"'{text}" for text in FORMULAS[:6]] + FORMULAS[6:]
    for options, expected in (([], FORMULAS), (["--escape-formulas"], escaped)):
        finished = run("predict", "model.skops", "rows.parquet", "--output", output, *options)
        assert finished.returncode == 0, finished.stderr
        if output.endswith("parquet"):
            expected, found = FORMULAS, pyarrow.parquet.read_table(files / output)
        else:
            text = {"prediction": pa.string()}
            found = pyarrow.csv.read_csv(
                files / output,
                parse_options=pyarrow.csv.ParseOptions(delimiter="," if output.endswith("csv") else "\t"),
                convert_options=pyarrow.csv.ConvertOptions(column_types=text),
            )
        assert found["prediction"].to_pylist() == expected * 3
        assert found.column_names[1:] == [f"probability of {label}" for label in sorted(FORMULAS)]
    numbers = pa.table({"text": ["a", "b"] * 9, "end": [-1, 1] * 9})
    pyarrow.parquet.write_table(numbers, files / "numbers.parquet")
    assert run("fit", "numbers.parquet", "--target", "end").returncode == 0
    assert run("predict", "model.skops", "numbers.parquet", "--escape-formulas").returncode == 0
    assert read_predictions(files / "predictions.csv")["prediction"] == [-1, 1] * 9
    write_table(files / "wide.csv", {"\uff1d1": np.array(["\uff201", "+1e-3", "--1"])}, escape_formulas=True)
    assert read_predictions(files / "wide.csv") == {"'\uff1d1": ["'\uff201", "+1e-3", "'--1"]}


def test_formulas_are_escaped_in_arrays_of_any_type_of_text(files):
    columns = {"objects": np.array(["=1+1", None, "a"], object), "numbers": np.array([-1, 2, 3])}
    write_table(files / "objects.csv", columns, escape_formulas=True)
    assert read_predictions(files / "objects.csv") == {"objects": ["'=1+1", "", "a"], "numbers": [-1, 2, 3]}
    write_table(files / "texts.csv", {"texts": np.array(["=1+1"], np.dtypes.StringDType())}, escape_formulas=True)
    assert read_predictions(files / "texts.csv") == {"texts": ["'=1+1"]}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names of files")
def test_no_name_of_a_column_or_a_file_commands_the_terminal(files, run):
    red = "\x1b[31mred\x07"
    texts = "\n".join(f"n{i},{'xy'[i % 2]}" for i in range(60))
    (files / f"{red}.csv").write_text(f"{red},end\n{texts}\n")
    calls = [
        ["fit", f"{red}.csv", "--target", "end", "--model", f"{red}.skops"],
        ["fit", f"{red}.csv", "--target", "none"],
        ["fit", f"{red}.none", "--target", "end"],
        ["predict", f"{red}.skops", f"{red}.csv", "--output", f"{red}.csv"],
        ["predict", f"{red}.skops", f"{red}.csv", "--output", f"{red}.tsv"],
        ["predict", f"{red}.skops", "flights.csv"],
        ["reproduce", red],
    ]
    for call in calls:
        finished = run(*call)
        printed = finished.stdout + finished.stderr
        assert r"\x1b[31mred\x07" in printed
        assert all(line.isprintable() for line in printed.split("\n")), call
    assert (files / f"{red}.tsv").exists()


def test_cross_validation_chooses_c_and_drops_columns(files, run):
    finished = run(
        "fit", "flights.csv", "--target", "end", *["--drop", "day"] * 2, "--cross-validate", "--l1-ratio", "1"
    )
    assert finished.returncode == 0, finished.stderr
    assert "data          200 rows, 2 features, 2 classes" in finished.stdout
    assert "choice        C=" in finished.stdout
    # Columns that the model does not know are left out.
    finished = run("predict", "model.skops", "flights.parquet", "--output", "out.parquet")
    assert (finished.returncode, finished.stdout) == (0, "Wrote out.parquet.\n")
    assert pyarrow.parquet.read_table(files / "out.parquet").column_names[0] == "prediction"


def test_standard_errors_are_printed_and_shown_on_the_page(files, table, run):
    numbers = table.drop_columns(["carrier", "end"])
    pyarrow.csv.write_csv(table.drop_columns(["carrier"]), files / "numbers.csv")
    finished = run("fit", "numbers.csv", "--target", "end", "--inference")
    assert finished.returncode == 0, finished.stderr
    labels = np.array(table["end"].to_pylist())
    model = fastlin.LogisticRegression(C=np.inf, tol=1e-8).fit(numbers, labels)
    assert f"\n\n{model.inference(numbers, labels).summary()}\n" in finished.stdout
    page = (files / "model.html").read_text()
    assert "<h2>Standard errors and tests</h2>" in page
    assert "class on time against late" in page
    assert "The clearest coefficients, with 95 % intervals" in page
    # Levels are compared with the first, and the model that is saved has all of them.
    finished = run("fit", "flights.csv", "--target", "end", "--inference")
    assert finished.returncode == 0, finished.stderr
    lines = [line.split()[0] for line in finished.stdout.splitlines() if line.startswith("carrier_")]
    assert lines == ["carrier_UA", "carrier_nan"]
    assert "reference levels  carrier_AA\n" in finished.stdout
    assert run("predict", "model.skops", "flights.csv").returncode == 0


def test_a_table_without_standard_errors_gets_one_line(files, run):
    (files / "apart.csv").write_text("speed,end\n" + "".join(f"{i},{'xy'[i > 9]}\n" for i in range(20)))
    (files / "alike.csv").write_text("one,two,end\n" + "".join(f"{i},{2 * i},{'xy'[i % 3 > 0]}\n" for i in range(30)))
    before = set(files.iterdir())
    for arguments, words in (
        (["flights.csv", "--C", "2"], "--inference needs a fit without a penalty, so that --C 2 cannot be"),
        (["flights.csv", "--l1-ratio", "1"], "so that --l1-ratio cannot be given with it"),
        (["flights.csv", "--cross-validate"], "so that --cross-validate cannot be given with it"),
        (["flights.csv", "--validation", "a.csv"], "so that --validation cannot be given with it"),
        (["apart.csv"], "there are no standard errors of apart.csv: "),
        (["alike.csv"], "there are no standard errors of alike.csv: "),
    ):
        finished = run("fit", "--target", "end", "--inference", *arguments)
        assert (finished.returncode, words in finished.stderr) == (2, True), finished.stderr
        assert finished.stderr.count("\n") == 1
        assert set(files.iterdir()) == before


def test_a_validation_file_chooses_c(files, table, run):
    # Its columns stand in another order, one more among them, and one has a level that the rows of the fit lack.
    later = (
        table.slice(150).append_column("more", pa.array(range(50))).select(["end", "more", "day", "delay", "carrier"])
    )
    later = later.set_column(4, "carrier", pa.array(["new", *later["carrier"].to_pylist()[1:]]))
    pyarrow.csv.write_csv(table.slice(0, 150), files / "first.csv")
    pyarrow.csv.write_csv(later, files / "later.csv")
    finished = run("fit", "first.csv", "--target", "end", "--validation", "later.csv")
    assert finished.returncode == 0, finished.stderr
    assert "data          150 rows, 3 features, 2 classes" in finished.stdout
    assert " at best, on the validation rows" in finished.stdout
    assert "on 150 rows, the training rows\n" in finished.stdout
    first, second = (
        each.select(["carrier", "delay", "day"]).set_column(0, "carrier", each["carrier"].dictionary_encode())
        for each in (table.slice(0, 150), later)
    )
    options = {"Cs": 10, "l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model = fastlin.LogisticRegressionCV(categorical_features="from_dtype", missing_level=True, **options)
    labels = [np.array(each["end"].to_pylist()) for each in (table.slice(0, 150), later)]
    model.fit(first, labels[0], X_val=second, y_val=labels[1])
    assert f"choice        C={model.C_:.6g}," in finished.stdout
    alone = fastlin.LogisticRegression(C=model.C_, categorical_features="from_dtype", missing_level=True)
    held_out = alone.fit(first, labels[0]).score(second, labels[1])
    assert f"held out      accuracy {held_out:.4f} on 50 rows, by the same C fitted without them\n" in finished.stdout
    assert run("predict", "model.skops", "later.csv").returncode == 0
    for name, text, words in (
        ("few.csv", "end,delay,day\nlate,1,2\n", "few.csv has no column 'carrier'"),
        ("text.csv", "end,carrier,delay,day\nlate,AA,x,1\n", "column 'delay' of text.csv has text such as 'x'"),
        (
            "other.csv",
            "end,carrier,delay,day\nnever,AA,1,1\n",
            "column 'end' of other.csv holds 'never', and the labels of the fit are 'late', 'on time'",
        ),
        ("later.csv", "", "later.csv"),
    ):
        (files / name).write_text(text)
        finished = run("fit", "first.csv", "--target", "end", "--validation", name)
        assert (finished.returncode, words in finished.stderr) == (2, True), finished.stderr


def test_the_index_of_a_frame_of_pandas_is_left_out(files, run, no_pictures):
    is_late = np.arange(60) > 29
    rows = {"delay": np.sin(np.arange(60.0)), "end": np.where(is_late, "late", "on time")}
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0)
    frame.to_parquet(files / "frame.parquet")
    frame.to_parquet(files / "plain.parquet", index=False)
    frame.rename_axis("row").to_parquet(files / "named.parquet")
    frame.to_csv(files / "frame.csv")
    frame.rename_axis("row").to_csv(files / "named.csv")
    accuracy = [
        line for line in run("fit", "plain.parquet", "--target", "end").stdout.splitlines() if "accuracy" in line
    ]
    for name, column in (("frame.parquet", "__index_level_0__"), ("named.parquet", "row")):
        finished = run("fit", name, "--target", "end")
        assert finished.stdout.count("Note: ") == 1
        assert f"Note: column {column!r} is the index of a frame of pandas, and is left out\n" in finished.stdout
        assert accuracy == [line for line in finished.stdout.splitlines() if "accuracy" in line]
        assert run("fit", name, "--target", "end", "--drop", column).stdout.count("Note: ") == 0
        assert run("predict", "model.skops", name).returncode == 0
    for name, note in (
        ("frame.csv", "column '' has no name, as an index that pandas has written to CSV; --drop '' leaves it out"),
        ("named.csv", "column 'row' counts the rows from 0 to 59, as an index does; --drop 'row' leaves it out"),
    ):
        finished = run("fit", name, "--target", "end")
        assert f"Note: {note}\n" in finished.stdout


def test_the_order_of_the_rows_changes_nothing(files, table, run, no_pictures):
    found = []
    for rows in (table, table.take(np.arange(N_ROWS)[::-1])):
        for name, write in (("rows.csv", pyarrow.csv.write_csv), ("rows.parquet", pyarrow.parquet.write_table)):
            write(rows, files / name)
            finished = run("fit", name, "--target", "end", "--inference")
            found.append([line[:40] for line in finished.stdout.splitlines() if line.startswith(("carrier_", "delay"))])
    assert len(found[0]) == 3
    assert found == found[:1] * 4


@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
def test_truth_values_are_predicted_as_they_are_written(files, run, no_pictures, words):
    ends = [i % 4 > 1 for i in range(40)]
    lines = [f"{words[end]},{i % 3},{words[not end]}" for i, end in enumerate(ends)]
    text = "\n".join(["known,delay,end", *lines])
    (files / "truth.csv").write_text(text)
    (files / "title.csv").write_text(text.replace(words[0], "True").replace(words[1], "False"))
    table = pa.table({"known": [not end for end in ends], "delay": [i % 3 for i in range(40)], "end": ends})
    pyarrow.parquet.write_table(table, files / "truth.parquet")
    finished = run("fit", "truth.csv", "--target", "end")
    # As a feature they are one column of numbers.
    assert "coefficients  2 of 2 not zero" in finished.stdout
    for name in ("truth.csv", "title.csv", "truth.parquet"):
        finished = run("predict", "model.skops", name, "--target", "end", "--output", "out.csv")
        assert finished.stdout.startswith("accuracy 1.0000"), finished.stderr
    written = {line.partition(",")[0] for line in (files / "out.csv").read_text().splitlines()[1:]}
    assert written == {f'"{word}"' for word in words}


def test_labels_that_are_coded_otherwise_are_refused(files, run, no_pictures):
    (files / "words.csv").write_text("a,end\n" + "".join(f"{i},{i % 3 > 0}\n" for i in range(12)))
    (files / "letters.csv").write_text("a,end\n1,T\n2,F\n")
    assert run("fit", "words.csv", "--target", "end").returncode == 0
    finished = run("predict", "model.skops", "letters.csv", "--target", "end")
    assert finished.returncode == 2
    assert finished.stderr == (
        "fastlin: column 'end' of letters.csv holds 'F', and the labels of the fit are 'False', 'True'\n"
    )
    assert not (files / "predictions.csv").exists()


def test_columns_are_kept_as_they_stand_in_the_file(files, run, no_pictures):
    assert run("fit", "flights.csv", "--target", "end").returncode == 0
    rows = "id,when,carrier,delay,day,prediction\n007,2026-01-02,AA,0.50,1,x\n,2026-01-03,ZZ,1,2,y\n1e3,,ZZ,1,2,z\n"
    (files / "new.csv").write_text(rows)
    keep = ("--keep", "id", "--keep", "when", "--keep", "day")
    finished = run("predict", "model.skops", "new.csv", *keep)
    assert finished.stdout == (
        "Note: column 'carrier' has 1 level that the fit did not see, such as 'ZZ', in 2 rows; nothing is added to "
        "their scores\nWrote predictions.csv.\n"
    )
    lines = [line.split(",") for line in (files / "predictions.csv").read_text().splitlines()]
    assert lines[0][:4] == ['"id"', '"when"', '"day"', '"prediction"']
    assert [line[:3] for line in lines[1:]] == [
        ['"007"', '"2026-01-02"', "1"],
        ["", '"2026-01-03"', "2"],
        ['"1e3"', "", "2"],
    ]
    for name, words in (
        ("prediction", "--keep 'prediction' has the name of a column of the predictions"),
        ("no", "new.csv has no column 'no'; there are id, when, carrier, delay, day"),
    ):
        finished = run("predict", "model.skops", "new.csv", "--keep", name)
        assert (finished.returncode, words in finished.stderr) == (2, True), finished.stderr


def test_other_separators_and_encodings_are_read(files, table, run, no_pictures):
    plain = table.set_column(0, "carrier", table["carrier"].fill_null("köln"))
    columns = plain.to_pydict()
    rows = list(zip(*columns.values(), strict=True))
    pyarrow.csv.write_csv(plain, files / "plain.csv")
    german = [
        ";".join(columns),
        *(f"{carrier};{delay};{day};{end}".replace(".", ",") for carrier, delay, day, end in rows),
    ]
    piped = ["|".join(columns), *("|".join(map(str, row)) for row in rows)]
    (files / "german.csv").write_text("\n".join(german), encoding="cp1252")
    (files / "piped.csv").write_text("\n".join(piped), encoding="utf-16")
    models = []
    for call in (
        ["plain.csv"],
        ["german.csv", "--separator", ";", "--encoding", "latin-1"],
        ["piped.csv", "--separator", "|", "--encoding", "utf-16"],
    ):
        assert run("fit", *call, "--target", "end").returncode == 0
        finished = run("predict", "model.skops", *call, "--target", "end")
        assert finished.returncode == 0, finished.stderr
        models.append((finished.stdout, (files / "predictions.csv").read_bytes()))
    assert models == models[:1] * 3


def test_coefficients_are_ranked_by_what_their_columns_do(files, run, monkeypatch):
    generator = np.random.default_rng(0)
    narrow, wide = generator.normal(0, 0.01, 200), generator.normal(0, 100, 200)
    rows = {"narrow": narrow, "wide": wide, "kind": np.where(np.arange(200) < 20, "a", "b")}
    end = generator.random(200) < 1 / (1 + np.exp(-wide / 50 - 40 * narrow))
    pyarrow.csv.write_csv(pa.table({**rows, "end": np.where(end, "x", "y")}), files / "scales.csv")
    drawn = []
    monkeypatch.setattr(fit_and_predict, "embed", lambda plot, *size: drawn.append(plot(Figure().subplots())) or "")
    assert run("fit", "scales.csv", "--target", "end", "--C", "100").returncode == 0
    axes = drawn[1]
    coef = {
        name: abs(value)
        for name, value in zip(["narrow", "wide", "kind_a", "kind_b"], read_model(files).coef_[0], strict=True)
    }
    deviations = {"narrow": narrow.std(), "wide": wide.std(), "kind_a": 0.3, "kind_b": 0.3}
    bars = {label.get_text(): bar.get_width() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
    assert next(iter(bars)) == "wide"
    for name, width in bars.items():
        assert abs(width) == pytest.approx(coef[name] * deviations[name], rel=1e-12)
    assert coef["narrow"] > coef["wide"]
    assert axes.get_xlabel() == "coefficient × deviation of the column (to the right: for y)"
    page = (files / "model.html").read_text()
    assert "The largest coefficients, each times the standard deviation of its column" in page


def test_an_inference_says_how_far_the_minimum_is(files, table, run):
    pyarrow.csv.write_csv(table.drop_columns(["carrier"]), files / "numbers.csv")
    finished = run("fit", "numbers.csv", "--target", "end", "--inference")
    assert re.search(r"^objective     0\.\d+, \d\.\de-\d+ standard errors from its minimum$", finished.stdout, re.M)
    assert "without a bound" not in finished.stdout + (files / "model.html").read_text()


def test_texts_of_almost_every_row_are_noted(files, table, run):
    with_names = table.append_column("name", pa.array([f"F{i}" for i in range(N_ROWS)]))
    pyarrow.csv.write_csv(with_names, files / "named.csv")
    finished = run("fit", "named.csv", "--target", "end", "--tol", "0.01")
    note = "column 'name' has 200 different texts in 200 rows, each with coefficients of its own; --drop 'name' leaves "
    note += "it out"
    assert f"Note: {note}\n" in finished.stdout
    assert note.replace("'", "&#39;") in (files / "model.html").read_text()


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
    "semicolons.csv": "a;end\n1,5;x\n2,5;y\n",
    "tabs.csv": "a\tend\n1\tx\n2\ty\n",
    "headless.csv": "0,46.5,x\n1,3.5,y\n",
    "zeros.csv": "0,0,x\n1,3.5,y\n",
    "marked.csv": "a,end\n1,x\n ?,y\n2.5,x\n",
    "target.csv": "end\nx\ny\n",
    "data.xls": "",
    "broken.parquet": "PAR1",
}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "there is no file none.csv"),
        (
            ["data.xls"],
            "the name of a data file must end in .csv, .tsv, .parquet, .pq, or .csv.gz, .tsv.gz, got data.xls",
        ),
        (["broken.parquet"], "cannot read broken.parquet: "),
        (["empty.csv"], "cannot read empty.csv: Empty CSV file"),
        (["header.csv"], "header.csv has no rows"),
        (["twice.csv"], "twice.csv has more than one column 'a'"),
        (["ragged.csv"], "cannot read ragged.csv: "),
        (
            ["holes.csv"],
            "column 'b' of holes.csv has no number in 1 of 2 rows (an empty field, NA, N/A, NaN, null or '?'); fill "
            "them in, or leave the column out with --drop 'b'",
        ),
        (["unlabelled.csv"], "column 'end' of unlabelled.csv has 1 missing values, and labels may have none"),
        (["dates.csv"], "column 'a' of dates.csv has values of the type date32[day], where numbers or text are wanted"),
        (["nothing.csv"], "column 'a' of nothing.csv has no values"),
        (["one.csv"], "cannot fit one.csv: "),
        (["target.csv"], "target.csv has no column but those of --target and --drop"),
        (["flights.csv", "--target", "x"], "flights.csv has no column 'x'; there are carrier, delay, day, end"),
        (["flights.csv", "--drop", "x"], "flights.csv has no column 'x'"),
        (["latin.csv"], "latin.csv is not in utf-8; it may be in latin-1, which --encoding latin-1 reads"),
        (["late.csv"], "late.csv is not in utf-8; it may be in latin-1, which --encoding latin-1 reads"),
        (["late.csv", "--encoding", "ascii"], "late.csv is not in ascii; it may be in latin-1"),
        (["wide.csv"], "wide.csv is not in utf-8; it may be in utf-16, which --encoding utf-16 reads"),
        (["latin.csv", "--encoding", "x"], "--encoding: 'x' is no encoding that Python knows, such as latin-1"),
        (["flights.csv", "--separator", "ab"], "--separator: 'ab' is no character that can separate columns"),
        (
            ["semicolons.csv"],
            "the first line of semicolons.csv has ';' between its columns and no ','; read it with --separator ';'",
        ),
        (
            ["tabs.csv"],
            "the first line of tabs.csv has '\\t' between its columns and no ','; read it with --separator tab",
        ),
        (
            ["headless.csv"],
            "headless.csv has no column 'end'; there are 0, 46.5, x. The first line of CSV must hold the names of the "
            "columns, and this one looks like a row",
        ),
        (["zeros.csv"], "zeros.csv has more than one column '0'. The first line of CSV must hold the names of the"),
        (
            ["marked.csv"],
            "column 'a' of marked.csv has no number in 1 of 3 rows (an empty field, NA, N/A, NaN, null or '?'); fill",
        ),
        (["flights.csv", "--C", "1", "--cross-validate"], "--cross-validate chooses C"),
        (["flights.csv", "--cross-validate", "--validation", "a.csv"], "--validation chooses C, so that --cross-"),
        (["flights.csv", "--C", "0"], "--C: '0' is not a number from 1e-300 to inf"),
        (["flights.csv", "--l1-ratio", "x"], "--l1-ratio: 'x' is not a number from 0 to 1"),
        (["flights.csv", "--model", "no/m.skops"], "cannot write no/m.skops: No such file or directory"),
    ],
)
def test_what_cannot_be_fitted_gets_one_line_and_leaves_nothing(files, run, arguments, words):
    for name, text in BROKEN.items():
        (files / name).write_text(text)
    (files / "latin.csv").write_bytes("größe,end\n1,x\n2,y\n".encode("latin-1"))
    (files / "late.csv").write_bytes("city,end\nköln,x\nbonn,y\n".encode("latin-1"))
    (files / "wide.csv").write_bytes("city,end\nköln,x\nbonn,y\n".encode("utf-16"))
    before = set(files.iterdir())
    finished = run("fit", "--target", "end", *arguments)
    assert finished.returncode == 2
    assert words in finished.stderr
    assert finished.stderr.startswith("fastlin: ")
    assert set(files.iterdir()) == before


def test_what_cannot_be_predicted_gets_one_line(files, run):
    assert run("fit", "flights.csv", "--target", "end").returncode == 0
    (files / "few.csv").write_text("carrier,day\nAA,1\n")
    (files / "text.csv").write_text("carrier,delay,day\nAA,late,1\n")
    (files / "holes.csv").write_text("carrier,delay,day\nAA,?,1\nAA,0.5,2\n")
    (files / "damaged.skops").write_text("no model")
    skops.io.dump(ScikitLearnLogisticRegression(), files / "other.skops")
    skops.io.dump(fastlin.MLPClassifier(), files / "network.skops")
    for model, data, words in (
        ("none.skops", "flights.csv", "there is no file none.skops"),
        ("damaged.skops", "flights.csv", "damaged.skops is damaged or no model that fastlin fit has written"),
        ("other.skops", "flights.csv", "other.skops holds no model that fastlin fit has written"),
        ("network.skops", "flights.csv", "network.skops holds fastlin.estimators.mlp_classifier.MLPClassifier"),
        ("model.skops", "few.csv", "few.csv has no column 'delay'; there are carrier, day"),
        ("model.skops", "text.csv", "column 'delay' of text.csv has text such as 'late' instead of numbers"),
        (
            "model.skops",
            "holes.csv",
            "of holes.csv has no number in 1 of 2 rows (an empty field, NA, N/A, NaN, null or",
        ),
        ("model.skops", "holes.csv", "'?'); fill them in\n"),
    ):
        finished = run("predict", model, data)
        assert finished.returncode == 2
        assert words in finished.stderr
    assert not (files / "predictions.csv").exists()


def test_rows_mean_the_same_whatever_else_their_file_holds(files, run):
    rows = ["007,True,1", "042,False,2", "x,maybe,other"] * 20
    (files / "train.csv").write_text("\n".join(["code,known,end", *rows]))
    assert run("fit", "train.csv", "--target", "end").returncode == 0
    found = []
    # Alone the first row looks like a number and a truth value, and its label like a number.
    for lines in (["007,True,1"], ["007,True,1", "x,maybe,other"]):
        (files / "new.csv").write_text("\n".join(["code,known,end", *lines]))
        finished = run("predict", "model.skops", "new.csv", "--target", "end")
        assert finished.stdout.startswith("accuracy 1.0000")
        found.append(read_predictions(files / "predictions.csv")["probability of 1"][0])
    assert found[0] == found[1]


def test_a_type_that_is_no_text_is_refused_where_the_model_has_text(files, run):
    assert run("fit", "flights.csv", "--target", "end").returncode == 0
    table = pa.table({"carrier": [1, 2], "delay": [0.1, 0.2], "day": [1, 2]})
    pyarrow.parquet.write_table(table, files / "numbers.parquet")
    finished = run("predict", "model.skops", "numbers.parquet")
    assert finished.returncode == 2
    assert "column 'carrier' of numbers.parquet has values of the type int64 instead of text" in finished.stderr
    # A column without any value has no type.
    pyarrow.parquet.write_table(table.set_column(0, "carrier", pa.nulls(2)), files / "nothing.parquet")
    assert run("predict", "model.skops", "nothing.parquet").returncode == 0


def test_texts_of_several_lines_stay_whole_in_large_files(files, run):
    # Arrow reads pieces of a megabyte.
    rows = [f'"{"ab"[i % 2]}\n{"x" * 60}",{"uv"[i % 2]}' for i in range(20_000)]
    (files / "large.csv").write_text("\n".join(["note,end", *rows]))
    finished = run("fit", "large.csv", "--target", "end")
    assert "coefficients  2 of 2 not zero" in finished.stdout


def test_outputs_overwrite_neither_each_other_nor_an_input(files, run):
    assert run("fit", "flights.csv", "--target", "end").returncode == 0
    fit, predict = ("fit", "flights.csv", "--target", "end"), ("predict", "model.skops", "flights.csv")
    before = {path: path.read_bytes() for path in files.iterdir()}
    ends = "the name of the output must end in .csv, .tsv, .parquet, .pq"
    for call, words in (
        ([*fit, "--model", "x.html"], "--report x.html would overwrite --model"),
        ([*fit, "--model", "./flights.csv"], "--model ./flights.csv would overwrite a file that is read"),
        ([*fit, "--report", "flights.csv"], "--report flights.csv would overwrite a file that is read"),
        ([*fit, "--model", ""], "--model needs the name of a file, got ''"),
        ([*fit, "--report", "no/x.html"], "cannot write no/x.html: No such file or directory"),
        ([*fit, "--report", ".."], "--report must name a file, got .., which is something else"),
        ([*predict, "--output", "flights.csv"], "--output flights.csv would overwrite a file that is read"),
        ([*predict, "--output", "x.csv.gz"], f"{ends}, got x.csv.gz"),
        ([*predict, "--output", "x.json"], f"{ends}, got x.json"),
        ([*predict, "--output", "no/x.csv"], "cannot write no/x.csv: No such file or directory"),
    ):
        finished = run(*call)
        assert (finished.returncode, finished.stdout) == (2, "")
        assert finished.stderr == f"fastlin: {words}\n"
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_names_may_hold_what_is_mathematics_elsewhere(files, run):
    (files / "signs.csv").write_text("$a^$,end\n1,$x_$\n2,y\n3,$x_$\n4,y\n")
    finished = run("fit", "signs.csv", "--target", "end")
    assert finished.returncode == 0, finished.stderr


def test_files_that_are_no_models_are_damaged(files, run):
    for content in ("{}", "[1]"):
        with zipfile.ZipFile(files / "odd.skops", "w") as archive:
            archive.writestr("schema.json", content)
        finished = run("predict", "odd.skops", "flights.csv")
        assert finished.returncode == 2
        assert finished.stderr.startswith("fastlin: odd.skops is damaged or no model that fastlin fit has written")


def test_texts_that_look_like_numbers_are_levels_where_the_model_has_levels(files, run):
    (files / "train.csv").write_text("code,end\nA1,x\n7,y\nA1,x\n7,y\n")
    (files / "new.csv").write_text("code\n7\n7\n")
    assert run("fit", "train.csv", "--target", "end", "--C", "100").returncode == 0
    assert run("predict", "model.skops", "new.csv").returncode == 0
    assert read_predictions(files / "predictions.csv")["prediction"] == ["y", "y"]
