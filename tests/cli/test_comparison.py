"""The comparison of installed libraries on a user's data: reading, errors, and the report."""

import dataclasses
import io
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.preprocessing import StandardScaler

from fastlin.benchmarking.other_libraries import LIBRARIES, CannotSolveError, Library
from fastlin.cli import comparison
from fastlin.cli.results import read_results
from fastlin.cli.studies import make_table

DEFAULT_OPTIONS = {"target": "y", "drop": (), "separator": None, "decimal": ".", "thousands": None, "encoding": "utf-8"}
DATA_FILES = {
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


def read(path, **options):
    return comparison.read_training_and_held_out_problems(
        SimpleNamespace(**DEFAULT_OPTIONS | {"C": 2.0, "dtype": "float64", "table": str(path)} | options)
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.npz", "a.svm", "a.txt"])
def test_all_file_formats_give_the_same_problem(tmp_path, name):
    if name == "a.npz":
        np.savez(tmp_path / name, X=X, y=Y)
    elif name in ("a.svm", "a.txt"):
        dump_svmlight_file(X, Y, str(tmp_path / name))
    else:
        pd.DataFrame(X).assign(y=Y).to_csv(tmp_path / name, sep="\t" if name == "a.tsv" else ",", index=False)
    train, test = read(tmp_path / name)
    assert (len(train.y), len(test.y), train.n_classes, train.C) == (160, 40, 3, 2.0)
    assert np.allclose(np.bincount(train.y) / 160, np.bincount(Y) / 200, atol=0.01)
    np.testing.assert_allclose(train.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.X.std(axis=0), 1, rtol=1e-12)
    # Training and held-out rows are the rows of the file, standardized in the same way.
    actual, expected = (np.sort(StandardScaler().fit_transform(A), axis=0) for A in (np.r_[train.X, test.X], X))
    np.testing.assert_allclose(actual, expected, atol=1e-12)
    assert read(tmp_path / name, dtype="float32")[0].X.dtype == np.float32


def test_text_columns_are_one_hot_encoded(tmp_path):
    kind = np.where(np.arange(200) % 5 == 0, None, np.array(["a", "b"])[np.arange(200) % 2])
    table = pa.table({"number": X[:, 0], "kind": kind, "id": [f"n{i}" for i in range(200)], "y": Y})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    train, test = read(tmp_path / "a.parquet", drop=("id",))
    for problem in (train, test):
        assert problem.X.shape[1] == 4
        np.testing.assert_array_equal(problem.X[:, 1:].sum(axis=1), 1)
    # Most identifiers of the held-out rows are unseen categories.
    train, test = read(tmp_path / "a.parquet")
    assert train.X.format == "csr"
    np.testing.assert_array_equal(test.X[:, 4:].sum(axis=1), 0)


def test_sparse_rows_stay_sparse(tmp_path):
    generator = np.random.default_rng(0)
    X, y = generator.random((50, 30)) * (generator.random((50, 30)) < 0.1), np.arange(50) % 2
    dump_svmlight_file(X, y, str(tmp_path / "a.svm"))
    train, test = read(tmp_path / "a.svm")
    assert train.X.format == test.X.format == "csr"
    assert train.X.nnz + test.X.nnz == np.count_nonzero(X)


def test_invalid_data_print_one_line(assert_error, tmp_path, monkeypatch):
    for name, text in DATA_FILES.items():
        (tmp_path / name).write_text(text)
    for name, arrays in (("other", {"Z": X}), ("short", {"X": X[:-1]}), ("nan", {"X": np.where(X > 3, np.nan, X)})):
        np.savez(tmp_path / f"{name}.npz", y=Y, **arrays)
    np.savez(tmp_path / "regression.npz", y=Y + 0.5, X=X)
    for call, message in (
        ("good.csv --target z", "good.csv has no column 'z'; its columns are 'a', 'y'"),
        ("good.csv --quick", "--quick and --data apply to MNIST only"),
        ("one.csv", "cannot compare on one.csv: all labels are u, but at least two classes are required"),
        ("rare.csv", "cannot compare on rare.csv: The least populated class"),
        ("regression.csv", "label column 'y' of regression.csv has the label 0.5; labels must be text, booleans or"),
        ("regression.npz", "cannot compare on regression.npz: 'y' contains 1.5, which is no class label"),
        ("text.svm", "cannot read text.svm: "),
        ("empty.npz", "cannot read empty.npz: "),
        ("other.npz", "cannot read other.npz: 'X is not a file in the archive'"),
        ("short.npz", "cannot compare on short.npz: Found input variables with inconsistent numbers of samples"),
        ("nan.npz", "cannot compare on nan.npz: Input X contains NaN."),
    ):
        assert_error(message, "compare", *call.split())
    monkeypatch.setattr(comparison, "N_TABLE_COPIES", 1e30)
    if os.name != "nt":
        assert_error("good.csv: it may need 1e+30 times its size in memory", "compare", "good.csv")


def fail_to_solve(problem, effort):
    raise CannotSolveError("not today")


def test_the_comparison_reports_all_libraries_on_one_objective(run, libraries, tmp_path):
    libraries["glum"] = Library(fail_to_solve, (1, 2, 4), "numpy", "numpy")
    libraries["torch"] = dataclasses.replace(LIBRARIES["torch"], module="no_such_module")
    np.savez(tmp_path / "$a$.npz", X=X, y=Y)
    other = "sklearn.linear_model:LogisticRegression(C=2.0, solver='newton-cg', tol=?)"
    options = ("--C", "2", "--seconds", "120", "--baseline", other, "--output", "here")
    completed_process = run("compare", "$a$.npz", *options)
    assert (
        "Not installed, so not compared: torch.\npip install '.[baselines]' in a checkout" in completed_process.stdout
    )
    assert "excluded: not today" in completed_process.stdout
    names = {path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*.*")}
    assert names == {"comparison.json", "results.json", "table/baselines.png"}
    results = read_results(tmp_path / "here" / "comparison.json")
    (problem,) = results["problems"]
    shape = {name: problem[name] for name in ("samples", "features", "classes", "intercept")}
    assert shape == {"samples": 160, "features": 4, "classes": 3, "intercept": True}
    assert (results["C"], problem["left_out"]) == (2.0, {"glum": "not today"})
    assert (results["file"], problem["held_out"]) == ("$a$.npz", 40)
    assert list(problem["points"]) == ["fastlin", "scikit-learn lbfgs", other]
    lines = [line.split() for line in completed_process.stdout.partition("scores on 40 held-out rows")[2].splitlines()]
    for name in ("fastlin", "scikit-learn lbfgs"):
        points = problem["points"][name]
        (scores,) = (line[-2:] for line in lines if line[:-2] == name.split())
        printed = [points[-1]["accuracy"], points[-1]["log_loss"]]
        assert [float(score) for score in scores] == pytest.approx(printed, rel=1e-3)
    accuracies = [points[-1]["accuracy"] for points in problem["points"].values()]
    assert min(accuracies) > 0.6
    assert all(points[-1]["suboptimality"] <= 1e-6 for points in problem["points"].values())


def test_names_of_libraries_are_not_broken_in_a_narrow_terminal():
    from rich.console import Console

    names = ["scikit-learn newton-cholesky", "fastlin"]
    columns = ["", "seconds to a suboptimality of 1e-4", "time divided by the time of fastlin"]
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(make_table("a title", columns, [[name, "0.1234", "12.34 (11.9 to 12.8)"] for name in names]))
    lines = console.export_text().splitlines()
    assert all(any(line.strip().startswith(name) for line in lines) for name in names)
    assert max(map(len, lines)) <= 60
    # A longer name is broken, because no other column would be left.
    long_name = "a name " * 12
    console.print(make_table("", columns, [[long_name, "0.1234", "1"]]))
    lines = console.export_text().splitlines()
    assert not any(long_name.strip() in line for line in lines) and max(map(len, lines)) <= 60
