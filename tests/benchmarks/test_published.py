"""Published records, their tables and figures, and the documents that show them."""

import io
import re

import numpy as np
import pytest
from benchmark_records import RUN_RECORD, make_comparison, make_machine
from conftest import assert_raises

from benchmarks import pages, publish, tables
from benchmarks.claims import read_record
from benchmarks.pages import BLOCK_FUNCTIONS, BLOCK_PATTERN, DOCUMENTS, STUDY_BLOCK_PREFIX, fill_blocks
from benchmarks.plots import (
    FASTEST_BASELINE,
    MAX_SUBOPTIMALITY,
    list_library_results,
    list_plots,
    list_seconds,
    read_records_digest,
    save_plots,
)
from benchmarks.published import RECORDS_FOLDER, add_records, describe_machine, digest_records, read_machines
from benchmarks.tables import Table, format_markdown, format_ratio, format_seconds, print_tables, tabulate
from fastlin.figures.benchmarks import compute_fraction, compute_profile

# A measurement: a number with a unit of time, or a ratio.
MEASUREMENT_PATTERN = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|seconds|minutes|times)\b")
MISSING_METRICS = {"accuracy": None, "log_loss": None}
PASS_LIBRARY_RECORDS = {
    "fastlin": {"seconds": 0.5, **MISSING_METRICS},
    "scikit-learn": {"seconds": 0.25, **MISSING_METRICS},
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_show_the_current_benchmark_results(document):
    text = document.read_text(encoding="utf-8")
    assert BLOCK_PATTERN.search(text)
    assert fill_blocks(text, read_machines()) == text, "python -m benchmarks.publish --pages writes it again"


def test_every_block_appears_in_a_document():
    documents = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    shown = {match[1] for match in BLOCK_PATTERN.findall(documents)}
    studies = {name.removeprefix(STUDY_BLOCK_PREFIX) for name in shown if name.startswith(STUDY_BLOCK_PREFIX)}
    assert shown - {f"{STUDY_BLOCK_PREFIX}{study}" for study in studies} == set(BLOCK_FUNCTIONS)
    assert studies == {study for study, plots in read_record()["plots"].items() if plots}


def test_the_figures_show_the_current_benchmark_results():
    machines = read_machines()
    assert all(content["machine"]["name"] == name for name, content in machines.items())
    plots = list_plots(machines)
    assert {path.name for path in RECORDS_FOLDER.glob("*.png")} == set(plots)
    for name, (_, records) in plots.items():
        assert read_records_digest(RECORDS_FOLDER / name) == digest_records(records), (
            f"{name}: python -m benchmarks.publish --pages draws it"
        )


def test_measurements_in_the_readme_are_generated():
    text = BLOCK_PATTERN.sub("", (pages.ROOT / "README.md").read_text(encoding="utf-8"))
    assert MEASUREMENT_PATTERN.findall(text) == []
    table = BLOCK_FUNCTIONS["readme-comparisons"](read_machines())
    assert 2 < len([line for line in table.splitlines() if line.startswith("| ")]) <= 2 + 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_of_measurements_have_at_most_seven_columns(document):
    rows = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert not [row for row in rows if row.count(" | ") > 6]


def test_a_run_replaces_only_its_own_records(tmp_path):
    machine = make_machine("a")
    add_records(
        machine, RUN_RECORD, {"digits": make_comparison(1.0, 2.0), "letter": make_comparison(1.0, 3.0)}, tmp_path
    )
    add_records(machine, {**RUN_RECORD, "date": "2026-02-03"}, {"digits": make_comparison(1.0, 4.0)}, tmp_path)
    ((name, contents),) = read_machines(tmp_path).items()
    assert (name, contents["machine"]) == ("a", machine)
    ratios_and_dates = {case: (record["ratio"], record["date"]) for case, record in contents["records"].items()}
    assert ratios_and_dates == {"digits": (4.0, "2026-02-03"), "letter": (3.0, "2026-01-02")}


def test_each_machine_has_a_table_of_its_cases(tmp_path, monkeypatch):
    add_records(make_machine("a"), RUN_RECORD, {"digits": make_comparison(1.0, 2.0)}, tmp_path)
    slower_records = {"digits": make_comparison(2.0, 1.0), "digits-one-thread": make_comparison(2.0, 8.0, threads=1)}
    add_records(make_machine("b"), RUN_RECORD, slower_records, tmp_path)
    monkeypatch.setitem(pages.SLOWER_REASONS, "digits", "as on purpose")
    text, scores = BLOCK_FUNCTIONS["comparisons"](read_machines(tmp_path)), "0.9000 vs 0.8000 | 0.2500 vs 0.5000"
    first, second = text.split("B, 2 processors:")
    assert first.startswith("A, 2 processors:\n")
    assert f"| digits, 10 × 2 | {scores} | 2.0 | 1 s vs 2 s | scikit-learn | +0e+00 |" in first
    assert "| **0.50** | **2 s vs 1 s** |" in second
    assert f"| digits, 10 × 2, 1 thread | {scores} | 4.0 | 2 s vs 8 s | scikit-learn | +0e+00 |" in second
    assert second.endswith("fastlin is slower in these:\n\n- digits, 10 × 2: as on purpose")


def test_the_summary_shows_the_latest_machine_and_every_slower_case(tmp_path):
    lost = make_comparison(4.0, 1.0, title="probe")
    lost["libraries"]["scikit-learn"]["objective"] *= 2.5
    sums = [
        {**make_comparison(1.0, ratio), "group": group, "scikit_learn_ratio": 2 * ratio}
        for group, ratio in (("grid", 0.5), ("grid", 8.0), ("hard", 1.0))
    ]
    records = {
        "mnist-float64": make_comparison(1.0, 33.0, title="MNIST"),
        "everyday": {"kind": "everyday", "problems": sums},
        "probe-1000-chosen": lost,
        "probe-10": {**lost, "title": "another probe"},
    }
    add_records(make_machine("a"), RUN_RECORD, records, tmp_path)
    add_records(
        make_machine("b"), {**RUN_RECORD, "date": "2026-01-01"}, {"letter": make_comparison(1.0, 2.0)}, tmp_path
    )
    machines = read_machines(tmp_path)
    lines = pages.summarize_comparisons(machines).splitlines()
    assert lines[0] == "A, 2 processors:"
    assert [line.split(" | ")[1:4] for line in lines[4:7]] == [
        ["1 s vs 33 s", "33 × faster", "0.9000 vs 0.8000"],
        ["", "2.0 × faster (geometric mean); slower on 1 of 2; lowest ratio 0.50", "0.9000 vs 0.8000"],
        ["4 s vs 1 s", "**4.0 × slower**", "0.9000 vs 0.8000"],
    ]
    assert lines[4].startswith("| MNIST, 10 × 2 |")
    assert lines[4].endswith("| scikit-learn |")
    assert lines[6].endswith("| scikit-learn, which stops at 2.5 × fastlin's objective |")
    assert lines[5].startswith("| 2 tables ")
    assert lines[5].endswith("| the fastest library on each table (4.0 × faster than scikit-learn's fastest solver) |")
    losses = "2 of 3 comparisons (probe, 10 × 2; another probe, 10 × 2)"
    assert lines[-1] == f"fastlin is slower on {losses} and on 1 of 3 everyday problems."
    assert BLOCK_FUNCTIONS["readme-comparisons"](machines).splitlines()[4:] == [*lines[4:6], *lines[-2:]]
    # A machine with fewer of these comparisons is not shown, even if its results are later.
    later_run = {**RUN_RECORD, "date": "2027-01-01"}
    add_records(make_machine("c"), later_run, {"mnist-float64": make_comparison(1.0, 9.0)}, tmp_path)
    assert pages.summarize_comparisons(read_machines(tmp_path)).splitlines() == lines
    # Of two machines with equally many, the later one is shown.
    add_records(make_machine("c"), later_run, machines["a"]["records"], tmp_path)
    assert pages.summarize_comparisons(read_machines(tmp_path)).splitlines()[0] == "C, 2 processors:"


def make_unpredictable_records():
    """Return records of comparisons. One has the log loss of a uniform guess, and others have a higher log loss."""
    records = {}
    for name, classes, log_loss in (("mnist-float64", 4, 1.386), ("probe-100", 4, 1.387), ("letter", 5, 1.387)):
        records[name] = make_comparison(2.0, 1.0, title=name, data=f"100 × 2, {classes} classes, float32")
        for side, suboptimality in zip(records[name]["libraries"].values(), (0, 1), strict=True):
            side["log_loss"] = log_loss + suboptimality
    # The labels are permuted, and no accuracy is measured.
    permutation_record = make_comparison(2.0, 1.0, title="permuted", data="100 × 2, 4 classes, float64")
    for side in permutation_record["libraries"].values():
        side.update(accuracy=None, log_loss=1.4)
    # A single probe has no scores, but has the same data as a comparison.
    single_probe = {"kind": "probe", "title": "probe-100", "data": records["probe-100"]["data"]}
    return records | {"many-permutations": permutation_record, "probe-times-100": single_probe}


def test_comparisons_of_models_worse_than_a_guess_are_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "SLOWER_REASONS", {"probe-100": "not shown"})
    add_records(make_machine("a"), RUN_RECORD, make_unpredictable_records(), tmp_path)
    machines = read_machines(tmp_path)
    summary = pages.summarize_comparisons(machines).splitlines()
    assert [line.split(",")[0] for line in summary if line.startswith("| ")][2:] == ["| MNIST"]
    assert summary[-1].startswith(
        "fastlin is slower on 3 of 3 comparisons (mnist-float64, 100 × 2, 4 classes, float32; "
    )
    reason = "not counted, because the log loss of both models on held-out rows is higher than that of a uniform guess"
    assert summary[-1].endswith(f" 1 comparison is {reason}.")
    comparisons = BLOCK_FUNCTIONS["comparisons"](machines)
    assert [line.split(",")[0] for line in comparisons.splitlines() if line.startswith("| **")] == [
        "| **mnist-float64",
        "| **letter",
        "| **permuted",
    ]
    left_out = f"These are {reason}:\n\n- probe-100, 100 × 2, 4 classes, float32"
    assert comparisons.endswith(left_out)
    assert BLOCK_FUNCTIONS["probe-times"](machines) == f"A, 2 processors:\n\n{left_out}"


def test_no_documented_table_has_a_model_worse_than_a_guess():
    text = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    rows = [line for line in text.splitlines() if line.startswith("| ") and " classes" in line]
    for machine in read_machines().values():
        for record in machine["records"].values():
            if record["kind"] == "comparison" and tables.is_worse_than_a_guess(record):
                assert not [row for row in rows if tables.describe_case(record) in row.replace("**", "")]


def test_every_slower_comparison_has_a_reason():
    assert "not known yet" not in BLOCK_FUNCTIONS["comparisons"](read_machines())


def test_a_figure_is_drawn_again_only_if_its_records_change(tmp_path):
    add_records(make_machine("a"), RUN_RECORD, {"digits": make_comparison(1.0, 2.0)}, tmp_path)
    scaling = {"n": [0.1, 0.2], "d": [0.1, 0.3], "K": [0.1, 0.25]}
    record = {"kind": "passes", "base": {"n": 6, "d": 2, "K": 3}, "factors": [1, 10], "seconds": scaling, "threads": 2}
    add_records(make_machine("a"), RUN_RECORD, {"pass-scaling": record}, tmp_path)
    save_plots(read_machines(tmp_path), tmp_path)
    plot = tmp_path / "a-passes.png"
    assert list(tmp_path.glob("*.png")) == [plot]
    before = plot.stat().st_mtime_ns
    add_records(make_machine("a"), RUN_RECORD, {"digits": make_comparison(1.0, 3.0)}, tmp_path)
    save_plots(read_machines(tmp_path), tmp_path)
    assert plot.stat().st_mtime_ns == before
    add_records(make_machine("a"), RUN_RECORD, {"pass-scaling": {**record, "threads": 1}}, tmp_path)
    save_plots(read_machines(tmp_path), tmp_path)
    assert plot.stat().st_mtime_ns != before


def make_point(value, default, baseline=None):
    """Return the record of one value in a scaling sweep. fastlin takes one second."""
    default = {"name": "scikit-learn lbfgs", "seconds": default, "ratio": default, "suboptimality": 0.02}
    baseline = baseline and {
        "name": "scikit-learn newton-cg",
        "seconds": baseline,
        "ratio": baseline,
        "suboptimality": 0.0,
    }
    return {"value": value, "seconds": 1.0, "n_passes": 5.0, "default": default, "baseline": baseline}


def test_the_scaling_block_lists_the_points_at_which_fastlin_is_slower(tmp_path):
    base = {"n": 100, "K": 2, "density": 1.0, "C": 1.0, "std_ratio": 1.0}
    points = [make_point(10, 3.0, 2.0), make_point(1000, 0.5), make_point(1e5, 3.0, 0.8)]
    sweeps = [{"name": "d", "label": "features d", "base": base, "points": points}]
    record = {"kind": "scaling", "title": "whole fits", "sweeps": sweeps, "threads": 2}
    machines = {"a": {"machine": make_machine("a"), "records": {"scaling": record}}}
    assert BLOCK_FUNCTIONS["scaling"](machines).splitlines()[2:] == [
        "On A, 2 processors, a baseline is faster at 2 of 3 points:",
        "",
        "- features d 1,000: scikit-learn lbfgs takes 0.50 × the time, but stops 2e-02 higher",
        "- features d 1e5: scikit-learn newton-cg takes 0.80 × the time",
    ]
    save_plots(machines, tmp_path)
    assert read_records_digest(tmp_path / "a-scaling.png")
    points[1:] = []
    assert BLOCK_FUNCTIONS["scaling"](machines).endswith("fastlin is the fastest at all 1 points.")


def test_table_cells_are_short():
    seconds = "1.23 ms", "99.9 ms", "0.1 s", "12.3 s"
    assert tuple(map(format_seconds, (0.00123, 0.0999, 0.1, 12.34))) == seconds
    assert [format_ratio(ratio) for ratio in (0.5, 1.54, 1.96, 9.96, 58.2)] == ["0.50", "1.54", "2.0", "10.0", "58"]
    table = Table("", ["a", "b"], [["x", "1"], ["", "2"]], [False, True])
    assert format_markdown(table) == "| a | b |\n| --- | ---: |\n| x | 1 |\n|  | **2** |"


def measure(case, is_full_run):
    assert is_full_run
    if case == "text":
        raise NotImplementedError("no data")
    if case == "letter":
        raise RuntimeError("no baseline comes within 1e-6")
    return {case: make_comparison(failure="fastlin has not converged" if case == "one-hot" else "")}


def test_a_case_that_fails_does_not_stop_the_others(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(publish, "measure", measure)
    assert publish.publish(["text", "letter", "one-hot", "digits"], tmp_path) == ["letter", "one-hot"]
    (machine,) = read_machines(tmp_path).values()
    assert list(machine["records"]) == ["digits"]
    assert {"date", "versions"} <= machine["records"]["digits"].keys()
    printed = capsys.readouterr().out
    assert "text: skipped. no data" in printed
    assert "letter: failed. RuntimeError: no baseline comes within 1e-6" in printed
    assert "one-hot: failed. RuntimeError: one-hot: fastlin has not converged" in printed


def test_the_documents_are_written_even_if_cases_fail(monkeypatch, tmp_path):
    written_outputs = []
    monkeypatch.setattr(publish, "RECORDS_FOLDER", tmp_path)
    monkeypatch.setattr(publish, "publish", lambda cases: cases)
    monkeypatch.setattr(publish, "save_plots", lambda machines, folder: written_outputs.append("plots"))
    monkeypatch.setattr(publish, "write_pages", lambda machines: written_outputs.append("pages"))
    assert publish.main(["digits"]) == 1
    assert publish.main(["--pages"]) == 0
    monkeypatch.setattr(publish, "record_claims", lambda folder: written_outputs.append(str(folder)))
    assert publish.main(["--claims", "results"]) == 0
    assert written_outputs == ["plots", "pages"] * 2 + ["results", "plots", "pages"]
    assert_raises("2", publish.main, ["digits", "--claims", "results"], error=SystemExit)
    assert_raises("2", publish.main, ["nothing"], error=SystemExit)


def test_unreadable_results_are_reported_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    damaged_file = tmp_path / "a.json"
    damaged_file.write_text('{"machine": {}, "records": {},}')
    monkeypatch.setattr(publish, "read_machines", lambda: read_machines(tmp_path))
    monkeypatch.setattr(publish, "publish", lambda cases: pytest.fail("measured"))
    assert_raises("2", publish.main, ["digits"], error=SystemExit)
    assert f"cannot read the results in {damaged_file}: " in capsys.readouterr().err
    assert damaged_file.read_text() == '{"machine": {}, "records": {},}'


def test_a_comparison_is_bold_if_fastlin_is_slower_or_has_failed():
    fast_record = make_comparison(0.05, 1.0, objective_difference=-3e-5)
    fast_record["libraries"]["scikit-learn"]["threads"] = 1
    slow_record = make_comparison(libraries=PASS_LIBRARY_RECORDS, ratio=0.5, threads=1)
    records = {"fast": fast_record, "slow": slow_record, "wrong": make_comparison(failure="fastlin has not converged")}
    (table,) = tabulate(records)
    assert " | ".join(table.rows[0]) == (
        "digits, 10 × 2 | 0.9000 vs 0.8000 | 0.2500 vs 0.5000 | 20 | 50 ms vs 1 s | scikit-learn, 1 thread | -3e-05"
    )
    assert table.rows[1][0] == "digits, 10 × 2, 1 thread"
    assert table.rows[1][1:3] == ["", ""]
    assert table.rows[1][5] == "scikit-learn"
    assert table.bold_mask == [False, True, True]


def test_every_kind_of_record_has_its_own_table():
    seconds = {"fastlin": {"seconds": 0.02}, "its arithmetic": {"seconds": 0.01}}
    limit = {"kind": "limit", "title": "a pass", "data": "", "libraries": seconds, "limit": "its arithmetic"}
    memory = {"kind": "memory", "title": "a fit", "X_bytes": 10**6, "fit_bytes": 3 * 10**6, "allowed_bytes": 2 * 10**6}
    libraries = {"fastlin": {"seconds": 1.25}, "scikit-learn": {"seconds": 1.5}}
    records = {
        "limit": {**limit, "speed_fraction": 0.5},
        "memory": memory,
        "import": {"kind": "first use", "title": "the import", "data": "", "libraries": libraries},
        "comparison": make_comparison(0.05, 1.0, failure="wrong"),
        "ablation-a": {"kind": "ablation", "title": "a", "switch": "b.c", "gains": {"iris": 4.0, "wine": 1.0}},
        "ablation-b": {"kind": "ablation", "title": "b", "switch": "b.d", "gains": {}},
        "scaling": {"kind": "scaling"},
    }
    memory_tables = tabulate({"memory": {**memory, "baseline_bytes": 4 * 10**6}})
    assert memory_tables[0].rows == [["a fit", "1.0 MB", "3.0 MB", "2.0 MB", "4.0 MB"]]
    record_tables = tabulate(records)
    assert [table.rows[0] for table in record_tables[1:]] == [
        ["a pass", "20 ms", "its arithmetic", "10 ms", "50%"],
        ["a fit", "1.0 MB", "3.0 MB", "2.0 MB"],
        ["the import", "1.25 s", "1.50 s", "-0.25 s"],
        ["a", "`b.c`", "2", "2.0", "1.00", "4.0"],
    ]
    assert record_tables[-1].rows[1] == ["b", "`b.d`", "0", "", "", ""]
    assert [table.bold_mask for table in record_tables] == [[True], [False], [True], [False], [False, False]]
    text = io.StringIO()
    print_tables(record_tables, text)
    for table in record_tables:
        assert table.title in text.getvalue()


@pytest.mark.parametrize(
    ("ratio", "interval", "is_slow", "is_tied"),
    [
        (0.9, None, True, False),
        (1.1, None, False, False),
        (0.9, [0.8, 1.1], False, True),
        (0.9, [0.8, 0.95], True, False),
        (1.1, [1.06, 1.2], False, False),
        # Equal code differs by as much from process to process.
        (0.97, [0.96, 0.98], False, True),
        (1.03, [1.02, 1.04], False, True),
    ],
)
def test_a_comparison_counts_as_slower_if_its_interval_is_below_one(ratio, interval, is_slow, is_tied):
    record = {"ratio": ratio, "interval": interval}
    assert (tables.is_slower(record), tables.is_tie(record)) == (is_slow, is_tied)


def tried(**seconds):
    return {name: {"seconds": own, "suboptimality": 0.0} for name, own in seconds.items()}


def test_a_performance_profile_counts_problems_within_a_factor_of_the_fastest():
    failed = tried(a=2.0, b=1.0)
    failed["b"]["suboptimality"] = 2 * MAX_SUBOPTIMALITY
    profiles = compute_profile(list_seconds([tried(a=1.0, b=3.0, c=2.0), tried(a=4.0, b=2.0), failed]))
    assert list(profiles) == ["a", "b", "c"]
    expected = {"a": [1, 1, 2], "b": [1, 3, np.inf], "c": [2]}
    for name, ratios in expected.items():
        np.testing.assert_array_equal(profiles[name], ratios)
    assert [compute_fraction(profiles["a"], factor) for factor in (1, 1.9, 2)] == pytest.approx([2 / 3, 2 / 3, 1])
    # A solver that failed is not within any factor.
    assert compute_fraction(profiles["b"], 1e9) == pytest.approx(2 / 3)
    # A solver with other settings is the same solver, and nobody solves a problem on which all solvers fail.
    all_failed = {"a": {"seconds": 1.0, "suboptimality": np.inf}}
    seconds = list_seconds([tried(**{"a, tol 1e-4": 1.0}), tried(a=1.0), all_failed])
    np.testing.assert_array_equal(compute_profile(seconds)["a"], [1.0, 1.0, np.inf])


def test_a_performance_profile_accepts_older_records():
    record = make_comparison(1.0, 4.0, baseline="glum", default="scikit-learn lbfgs")
    record["libraries"]["scikit-learn lbfgs"] = {"seconds": 8.0, "objective": 0.75}
    (tried,) = list_library_results({"records": {"x": {"kind": "-", "problems": [record, {}]}}})
    assert {name: each["seconds"] for name, each in tried.items()} == {
        "fastlin": 1.0,
        "scikit-learn lbfgs": 8.0,
        FASTEST_BASELINE: 4.0,
    }
    assert tried["scikit-learn lbfgs"]["suboptimality"] == pytest.approx(0.5)


def test_a_machine_with_enough_problems_has_a_performance_profile(tmp_path):
    problems = [{"tried": tried(fastlin=1.0, lbfgs=2.0)}, {"tried": tried(fastlin=3.0, lbfgs=1.0)}] * 5
    machines = {"here": {"machine": describe_machine(), "records": {"x": {"kind": "-", "problems": problems}}}}
    assert list(list_plots(machines)) == ["here-profile.png"]
    save_plots(machines, tmp_path)
    assert read_records_digest(tmp_path / "here-profile.png")
    machines["here"]["records"]["x"]["problems"] = [{}]
    assert not list_plots(machines)
