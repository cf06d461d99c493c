"""The race of the installed libraries on a user's data: what is read, refused, cut off, and reported."""

import dataclasses
import os
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.preprocessing import StandardScaler

from fastlin.cli import race
from fastlin.cli.results import read_results
from fastlin.contenders import CONTENDERS, CannotSolveError, Contender, Problem
from fastlin.course.studies import peers

# The seconds in which a process starts and makes a short fit.
SHARE = 20.0
GIVEN = {"target": "y", "drop": (), "separator": None, "decimal": ".", "encoding": "utf-8"}


def pose(path, **given):
    return race._pose(SimpleNamespace(**GIVEN | {"C": 2.0, "dtype": "float64", "table": str(path)} | given))


@pytest.fixture
def rows():
    """Return X and labels of three classes, one of them rare."""
    generator = np.random.default_rng(0)
    y = generator.choice(3, 200, p=[0.6, 0.3, 0.1])
    return (generator.normal(size=(200, 4)) + y[:, np.newaxis]).round(3), y


def write(path, X, y):
    if path.suffix == ".npz":
        np.savez(path, X=X, y=y)
    elif path.suffix in (".svm", ".txt"):
        dump_svmlight_file(X, y, str(path))
    else:
        frame = pd.DataFrame(X).assign(y=y)
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.npz", "a.svm", "a.txt"])
def test_all_formats_pose_the_same_problem(rows, tmp_path, name):
    X, y = rows
    write(tmp_path / name, X, y)
    train, test = pose(tmp_path / name)
    assert (len(train.y), len(test.y), train.n_classes, train.C) == (160, 40, 3, 2.0)
    assert np.allclose(np.bincount(train.y) / 160, np.bincount(y) / 200, atol=0.01)
    np.testing.assert_allclose(train.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.X.std(axis=0), 1, rtol=1e-12)
    # Both parts are coded alike, and are the rows of the file.
    found, expected = (np.sort(StandardScaler().fit_transform(each), axis=0) for each in (np.r_[train.X, test.X], X))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert pose(tmp_path / name, dtype="float32")[0].X.dtype == np.float32


def test_texts_are_coded_as_columns_of_ones(rows, tmp_path):
    kind = np.where(np.arange(200) % 5 == 0, None, np.array(["a", "b"])[np.arange(200) % 2])
    table = pa.table({"number": rows[0][:, 0], "kind": kind, "id": [f"n{i}" for i in range(200)], "y": rows[1]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    train, test = pose(tmp_path / "a.parquet", drop=("id",))
    for part in (train, test):
        assert part.X.shape[1] == 4
        np.testing.assert_array_equal(part.X[:, 1:].sum(axis=1), 1)
    # Most texts are new in the rows that are held out.
    train, test = pose(tmp_path / "a.parquet")
    assert train.X.format == "csr"
    np.testing.assert_array_equal(test.X[:, 4:].sum(axis=1), 0)


def test_sparse_rows_stay_sparse(tmp_path):
    generator = np.random.default_rng(0)
    X, y = generator.random((50, 30)) * (generator.random((50, 30)) < 0.1), np.arange(50) % 2
    dump_svmlight_file(X, y, str(tmp_path / "a.svm"))
    train, test = pose(tmp_path / "a.svm")
    assert train.X.format == test.X.format == "csr"
    assert train.X.nnz + test.X.nnz == np.count_nonzero(X)


BROKEN = {
    "good.csv": "a,y\n" + "1,u\n2,v\n" * 20,
    "one.csv": "a,y\n" + "1,u\n" * 20,
    "rare.csv": "a,y\n" + "1,u\n" * 20 + "2,v\n",
    "regression.csv": "a,y\n" + "".join(f"1,{i}.5\n" for i in range(20)),
    "text.svm": "a b c\n",
    "empty.npz": "",
}


def test_what_cannot_be_raced_gets_one_line(rows, refuse, tmp_path, monkeypatch):
    X, y = rows
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    for name, arrays in (("other", {"Z": X}), ("short", {"X": X[:-1]}), ("nan", {"X": np.where(X > 3, np.nan, X)})):
        np.savez(tmp_path / f"{name}.npz", y=y, **arrays)
    for call, words in (
        ("good.csv --target z", "good.csv has no column 'z'; there are a, y"),
        ("good.csv --quick", "--quick, --peers and --data are for MNIST"),
        ("one.csv", "cannot compare on one.csv: all labels are u, and two classes are the least"),
        ("rare.csv", "cannot compare on rare.csv: The least populated class"),
        ("regression.csv", "cannot compare on regression.csv: 'y' holds numbers that are no labels of classes"),
        ("text.svm", "cannot read text.svm: "),
        ("empty.npz", "cannot read empty.npz: "),
        ("other.npz", "cannot read other.npz: 'X is not a file in the archive'"),
        ("short.npz", "cannot compare on short.npz: Found input variables with inconsistent numbers of samples"),
        ("nan.npz", "cannot compare on nan.npz: Input X contains NaN."),
    ):
        refuse(words, "compare", *call.split())
    monkeypatch.setattr(race, "CONTENDERS", {"fastlin": fake(fall_asleep)})
    monkeypatch.setattr(race, "TIGHT", 2)
    refuse("fastlin: 1 s are too few for good.csv: give more by --seconds\n", "compare", "good.csv", "--seconds", "1")
    monkeypatch.setattr(race, "COPIES", 1e30)
    if os.name != "nt":
        refuse("good.csv: it may take 1e+30 times its size in memory", "compare", "good.csv")


def fall_asleep(problem, effort):
    """Take long where the effort is more than one."""
    time.sleep(600 if effort > 1 else 0.02)
    return np.zeros((problem.n_rows_coef, problem.X.shape[1])), np.zeros(problem.n_rows_coef)


def end_the_process(problem, effort):
    os._exit(1)


def refuse(problem, effort):
    raise CannotSolveError("not today")


def fake(fit, efforts=(1, 2, 4)):
    return Contender(fit, efforts, "numpy", "numpy")


def test_libraries_race_to_the_same_objective(rows, run, tmp_path, monkeypatch):
    few = {name: CONTENDERS[name] for name in ("fastlin", "scikit-learn lbfgs")}
    few["crash"], few["[refusal]"] = fake(end_the_process), fake(refuse)
    few["torch"] = dataclasses.replace(CONTENDERS["torch"], module="no_such_module")
    for module in (race, peers):
        monkeypatch.setattr(module, "CONTENDERS", few)
    monkeypatch.setattr(race, "TURN_SECONDS", 0.0)
    np.savez(tmp_path / "$a$.npz", X=rows[0], y=rows[1])
    finished = run("compare", "$a$.npz", "--seconds", "120", "--output", "here")
    assert "  left out: its process ended\n" in finished.stdout
    assert "  left out: not today\n" in finished.stdout
    assert "Not installed, so not compared: torch.\npip install '.[peers]' in a checkout" in finished.stdout
    assert "$a$.npz, 160 × 4, 3 classes, C = 1" in finished.stdout
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"race.json", "race.png"}
    found = read_results(tmp_path / "here" / "race.json")
    assert found["parameters"]["held_out"] == 40
    assert list(found["libraries"]) == ["fastlin", "scikit-learn lbfgs"]
    assert found["left_out"] == {"crash": "its process ended", "[refusal]": "not today"}
    table = [line.split() for line in finished.stdout.splitlines()]
    for name, row in found["libraries"].items():
        assert row["is_near"]
        assert 0 <= row["excess"] <= race.NEAR
        assert 0.6 < row["accuracy"] <= 1
        assert len(row["turns"]) == len(row["ratios"]) == race.N_TURNS
        assert row["seconds"] == np.median(row["turns"])
        (cells,) = (cells for cells in table if cells[: len(name.split())] == name.split() and len(cells) > 4)
        assert cells[-1] == f"{row['accuracy']:.4f}"
    assert found["libraries"]["fastlin"]["ratios"] == [1.0] * race.N_TURNS


def test_a_library_that_is_cut_off_gets_a_lower_bound(rows):
    problem = Problem("", rows[0], rows[1], 3, 1.0, fit_intercept=True)
    slow, endless = (
        race._compete(problem, problem, each, 0.1, SHARE) for each in (fake(fall_asleep), fake(fall_asleep, (2, 4)))
    )
    # What ended short of the objective is the bound, and not the time until the next one was cut off.
    assert (slow.is_near, slow.effort, slow.objective) == (False, 1, pytest.approx(np.log(3)))
    assert 0.02 <= slow.seconds < SHARE
    assert (endless.is_near, endless.objective) == (False, None)
    assert 0 < endless.seconds <= SHARE
    for entry in (slow, endless):
        entry.ratios = [100.0]
        assert [text[:2] for text in entry.describe()[:2]] == ["> ", "> "]
    with pytest.raises(CannotSolveError, match="no time was left"):
        race._compete(problem, problem, fake(fall_asleep), 0.1, 0)
