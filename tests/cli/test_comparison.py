"""The comparison of the installed libraries on a user's data: what is read, refused, and reported."""

import dataclasses
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.preprocessing import StandardScaler

from fastlin.cli import comparison
from fastlin.cli.results import read_results
from fastlin.other_libraries import LIBRARIES, CannotSolveError, Library

GIVEN = {"target": "y", "drop": (), "separator": None, "decimal": ".", "thousands": None, "encoding": "utf-8"}
BROKEN = {
    "good.csv": "a,y\n" + "1,u\n2,v\n" * 20,
    "one.csv": "a,y\n" + "1,u\n" * 20,
    "rare.csv": "a,y\n" + "1,u\n" * 20 + "2,v\n",
    "regression.csv": "a,y\n" + "".join(f"1,{i}.5\n" for i in range(20)),
    "text.svm": "a b c\n",
    "empty.npz": "",
}
GENERATOR = np.random.default_rng(0)
Y = GENERATOR.choice(3, 200, p=[0.6, 0.3, 0.1])
X = (GENERATOR.normal(size=(200, 4)) + Y[:, np.newaxis]).round(3)


def pose(path, **given):
    return comparison.pose(SimpleNamespace(**GIVEN | {"C": 2.0, "dtype": "float64", "table": str(path)} | given))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.npz", "a.svm", "a.txt"])
def test_all_formats_pose_the_same_problem(tmp_path, name):
    if name == "a.npz":
        np.savez(tmp_path / name, X=X, y=Y)
    elif name in ("a.svm", "a.txt"):
        dump_svmlight_file(X, Y, str(tmp_path / name))
    else:
        pd.DataFrame(X).assign(y=Y).to_csv(tmp_path / name, sep="\t" if name == "a.tsv" else ",", index=False)
    train, test = pose(tmp_path / name)
    assert (len(train.y), len(test.y), train.n_classes, train.C) == (160, 40, 3, 2.0)
    assert np.allclose(np.bincount(train.y) / 160, np.bincount(Y) / 200, atol=0.01)
    np.testing.assert_allclose(train.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.X.std(axis=0), 1, rtol=1e-12)
    # Both parts are coded alike, and are the rows of the file.
    found, expected = (np.sort(StandardScaler().fit_transform(each), axis=0) for each in (np.r_[train.X, test.X], X))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert pose(tmp_path / name, dtype="float32")[0].X.dtype == np.float32


def test_texts_are_coded_as_columns_of_ones(tmp_path):
    kind = np.where(np.arange(200) % 5 == 0, None, np.array(["a", "b"])[np.arange(200) % 2])
    table = pa.table({"number": X[:, 0], "kind": kind, "id": [f"n{i}" for i in range(200)], "y": Y})
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


def test_what_cannot_be_raced_gets_one_line(refuse, tmp_path, monkeypatch):
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    for name, arrays in (("other", {"Z": X}), ("short", {"X": X[:-1]}), ("nan", {"X": np.where(X > 3, np.nan, X)})):
        np.savez(tmp_path / f"{name}.npz", y=Y, **arrays)
    np.savez(tmp_path / "regression.npz", y=Y + 0.5, X=X)
    for call, words in (
        ("good.csv --target z", "good.csv has no column 'z'; there are 'a', 'y'"),
        ("good.csv --quick", "--quick and --data are for MNIST"),
        ("one.csv", "cannot compare on one.csv: all labels are u, and two classes are the least"),
        ("rare.csv", "cannot compare on rare.csv: The least populated class"),
        ("regression.csv", "column 'y' of regression.csv has the label 0.5, and labels must be text, booleans or"),
        ("regression.npz", "cannot compare on regression.npz: 'y' holds numbers that are no labels of classes"),
        ("text.svm", "cannot read text.svm: "),
        ("empty.npz", "cannot read empty.npz: "),
        ("other.npz", "cannot read other.npz: 'X is not a file in the archive'"),
        ("short.npz", "cannot compare on short.npz: Found input variables with inconsistent numbers of samples"),
        ("nan.npz", "cannot compare on nan.npz: Input X contains NaN."),
    ):
        refuse(words, "compare", *call.split())
    monkeypatch.setattr(comparison, "COPIES", 1e30)
    if os.name != "nt":
        refuse("good.csv: it may take 1e+30 times its size in memory", "compare", "good.csv")


def refuse(problem, effort):
    raise CannotSolveError("not today")


def test_other_libraries_race_to_the_same_objective(run, libraries, tmp_path):
    libraries["glum"] = Library(refuse, (1, 2, 4), "numpy", "numpy")
    libraries["torch"] = dataclasses.replace(LIBRARIES["torch"], module="no_such_module")
    np.savez(tmp_path / "$a$.npz", X=X, y=Y)
    finished = run("compare", "$a$.npz", "--C", "2", "--seconds", "120", "--output", "here")
    assert "Not installed, so not compared: torch.\npip install '.[baselines]' in a checkout" in finished.stdout
    assert "left out: not today" in finished.stdout
    names = {path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*.*")}
    assert names == {"comparison.json", "results.json", "table/baselines.png"}
    found = read_results(tmp_path / "here" / "comparison.json")
    (problem,) = found["problems"]
    shape = {name: problem[name] for name in ("samples", "features", "classes", "intercept")}
    assert shape == {"samples": 160, "features": 4, "classes": 3, "intercept": True}
    assert (found["C"], problem["left_out"]) == (2.0, {"glum": "not today"})
    assert (found["file"], problem["held_out"]) == ("$a$.npz", 40)
    assert list(problem["points"]) == ["fastlin", "scikit-learn lbfgs"]
    # The table of few libraries has a column for each.
    rows = {line.split()[0]: line.split() for line in finished.stdout.splitlines() if line.split()}
    assert rows["by"][2] == "1"
    accuracies = [points[-1]["accuracy"] for points in problem["points"].values()]
    assert [float(each) for each in rows["accuracy"][1:]] == pytest.approx(accuracies, abs=1e-3)
    assert min(accuracies) > 0.6
    assert all(points[-1]["suboptimality"] <= 1e-6 for points in problem["points"].values())
