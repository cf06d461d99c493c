"""Everyday fits: the cases that there are, what is recorded of one, and the table, the map and the command."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks import everyday, races
from benchmarks.everyday import CASES, Case, choose_peers, find_coef_error, measure_case, measure_everyday, standardise
from benchmarks.pages import BLOCKS, show_everyday
from benchmarks.pictures import draw_pictures, read_source
from benchmarks.problems import pose
from benchmarks.races import FASTLIN
from benchmarks.tables import tabulate_everyday, tabulate_everyday_problems, write_everyday


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    # Pauses and repetitions steady times, which no test looks at.
    monkeypatch.setattr(races, "PAUSE", 0.0)
    monkeypatch.setattr(races, "TURN", 1e-9)


def find_case(name):
    return next(case for case in CASES if case.name == name)


def test_the_grid_is_whole_and_names_are_unique():
    shapes = [case.shape for case in CASES if case.group == "grid"]
    assert len(set(shapes)) == len(shapes) == 6 * 3 * 3
    assert len({case.name for case in CASES}) == len(CASES)
    short = [case for case in CASES if case.is_short()]
    assert max(case.shape[0] for case in short if case.shape) == 10_000
    assert {case.group for case in short} == {"grid", "real tables"}


@pytest.mark.parametrize(
    "name",
    [
        "300 × 5, 4 classes",
        "iris, standardised",
        "correlated, 1,000 × 20, 2 classes",
        "unbalanced, 1,000 × 20, 2 classes",
        "raw scales, 1,000 × 20, 2 classes",
    ],
)
def test_columns_are_as_the_name_of_the_case_says(name):
    problem = find_case(name).load(None)
    X = problem.X
    is_standardised = not name.startswith("raw")
    assert np.allclose([X.mean(axis=0), X.std(axis=0)], [[0], [1]]) == is_standardised
    off_diagonal = np.corrcoef(X.T)[0, 1:]
    assert (off_diagonal.min() > 0.9) == name.startswith("correlated")
    if name.startswith("unbalanced"):
        assert 0.03 < np.mean(problem.y == 1) < 0.2
    if name.startswith("raw"):
        assert X.std(axis=0).max() > 500 * X.std(axis=0).min()
        assert np.abs(X.mean(axis=0)).max() > 1_000
    if name.startswith("300"):
        assert (X.shape, problem.n_classes, len(problem.X_test)) == ((300, 5), 4, 60)


def test_a_column_of_one_value_stays_zero():
    X, X_test = standardise(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 6.0]]))
    np.testing.assert_array_equal(X, [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(X_test, [[0, 1]])


def test_peers_have_scikit_learns_defaults():
    problem = find_case("300 × 5, 4 classes").load(None)
    peers = choose_peers(problem, np.inf)
    assert list(peers)[:3] == [f"scikit-learn {solver}" for solver in ("lbfgs", "newton-cg", "newton-cholesky")]
    for solver in ("lbfgs", "newton-cg", "newton-cholesky"):
        expected = LogisticRegression(solver=solver).fit(problem.X, problem.y)
        for found, part in zip(
            peers[f"scikit-learn {solver}"](problem), (expected.coef_, expected.intercept_), strict=True
        ):
            np.testing.assert_array_equal(found, part)
    assert "scikit-learn newton-cholesky" not in choose_peers(problem, 300 * (4 * 6) ** 2 - 1)


def test_coefficients_are_compared_with_those_of_the_minimum():
    assert find_coef_error(np.array([[1.0, -4.5]]), np.array([[1.5, -4.0]])) == 0.125
    # A constant added to the classes of a column changes no probability.
    reference = np.array([[1.0, 2.0], [-1.0, 0.0]])
    assert find_coef_error(reference + np.array([3.0, -2.0]), reference) == 0
    assert find_coef_error(reference * [[1.0], [1.5]], reference) == 0.25


def test_a_case_has_both_sides_and_the_distance_from_the_minimum():
    case = find_case("wine, raw")
    record = measure_case(case, short=True)
    problem = case.load(None)
    best = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(problem.X, problem.y)
    # lbfgs ends its 100 iterations far above: it does not count, and is the default all the same.
    assert record["peer"] != record["default"] == "scikit-learn lbfgs"
    assert record["contenders"].keys() == {FASTLIN, record["default"], record["peer"]}
    for contender in record["contenders"].values():
        assert contender.keys() == {"seconds", "threads", "objective", "accuracy", "log_loss", "coef_error"}
    ours, _ = everyday.fit_by_default(problem)
    assert record["contenders"][FASTLIN]["coef_error"] == pytest.approx(find_coef_error(ours, best.coef_), rel=1e-3)
    assert record["contenders"][record["default"]]["coef_error"] > 0.1


def test_frames_and_their_encoding_have_the_same_minimum():
    pytest.importorskip("pandas", reason="pandas is not installed")
    record = measure_case(find_case("frame with categories, 1,000 rows"))
    assert record["fault"] == ""
    assert record["contenders"][FASTLIN]["coef_error"] < 0.01


def make_problem(title, ratio, shape=(), group="grid", **values):
    sides = {
        FASTLIN: {"seconds": 1e-3, "threads": 2, "accuracy": 0.9, "log_loss": 0.25, "coef_error": 1e-3},
        "lbfgs": {"seconds": ratio / 1e3, "threads": 1, "accuracy": 0.8, "log_loss": 0.5, "coef_error": 2e-3},
    }
    record = {"kind": "race", "title": title, "data": "", "threads": 2, "peer": "lbfgs", "contenders": sides}
    record |= {"ratio": ratio, "gap": 1e-7, "fault": "", "group": group, "shape": list(shape), "default": "lbfgs"}
    record |= {"default_ratio": 2 * ratio, "scikit_learn_ratio": 1.5 * ratio}
    return {**record, "is_above": False, "is_worse": False, **values}


PROBLEMS = [
    make_problem("300 × 5, 2 classes", 4.0, (300, 5, 2)),
    make_problem("300 × 20, 2 classes", 0.25, (300, 20, 2), is_worse=True),
    make_problem("300 × 5, 10 classes", 9.0, (300, 5, 10), is_above=True),
    make_problem("iris", 2.0, group="real tables"),
]
RECORD = {"kind": "everyday", "title": "everyday fits", "threads": 2, "problems": PROBLEMS}


def test_a_group_says_mean_worst_and_how_many_are_slower():
    table = tabulate_everyday([RECORD])
    assert table.rows == [
        [
            "grid, 3",
            "0.9000 / 0.8000",
            "2.1",
            "3.1",
            "4.2",
            "0.25: 300 × 20, 2 classes",
            "1",
            "1",
            "1e-03 / 2e-03",
            "1e-03 / 2e-03",
            "1",
        ],
        [
            "real tables, 1",
            "0.9000 / 0.8000",
            "2.0",
            "3.0",
            "4.0",
            "2.0: iris",
            "0",
            "0",
            "1e-03 / 2e-03",
            "1e-03 / 2e-03",
            "0",
        ],
    ]
    table = tabulate_everyday_problems([RECORD])
    assert table.bold == [False, True, False, False]
    assert table.rows[0] == [
        "300 × 5, 2 classes",
        "0.9000 / 0.8000",
        "0.2500 / 0.5000",
        "4.0",
        "8.0",
        "1 ms",
        "4 ms",
        "lbfgs, 1 thread",
        "+1e-07",
        "1e-03 / 2e-03",
    ]
    assert write_everyday(PROBLEMS[1]).endswith("coef 1e-03 2e-03 worse")


def test_the_map_and_the_tables_are_published(tmp_path):
    machine = {"name": "a", "processor": "A", "processors": 2, "cores": 2, "level": "x86-64-v3"}
    machines = {"a": {"machine": machine, "records": {"everyday": {**RECORD, "date": "2026-01-02"}}}}
    draw_pictures(machines, tmp_path)
    assert read_source(tmp_path / "a-everyday.png")
    text = show_everyday(machines)
    assert "for 2, 4 and 10 classes, A, 2 cores](benchmarks/a-everyday.png)" in text
    assert "| real tables, 1 | 0.9000 / 0.8000 | 2.0 |" in text
    assert "| **300 × 20, 2 classes** | **0.9000 / 0.8000** |" in BLOCKS["everyday-problems"](machines)
    assert show_everyday({"a": {"machine": machine, "records": {}}}) == "No machine has been measured yet."


def test_cases_without_their_data_are_left_out(monkeypatch):
    def load(n_rows):
        if n_rows is None:
            raise NotImplementedError("no data")

    lines = []
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 3))
    small = Case("real tables", "small", lambda n_rows: pose("small", X, X[:, 0] > generator.normal(size=60), 1.0))
    record = measure_everyday(True, [Case("real tables", "missing", load), small], lines.append)
    assert lines[0] == "missing: left out. no data"
    assert [problem["title"] for problem in record["problems"]] == ["small"]
    assert lines[1].startswith("small ")


def test_the_command_measures_what_is_named(monkeypatch, capsys):
    asked = []

    def measure(short, cases, report):
        asked.append((short, [case.name for case in cases]))
        return RECORD

    monkeypatch.setattr(everyday, "measure_everyday", measure)
    everyday.main(["--short", "iris"])
    everyday.main(["frames"])
    assert asked[0] == (True, ["iris, raw", "iris, standardised"])
    assert [len(names) for _, names in asked] == [2, 3]
    assert capsys.readouterr().out.count("\n real ") == 2
    with pytest.raises(SystemExit, match="2"):
        everyday.main(["nothing of this name"])
