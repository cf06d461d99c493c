"""Publishing: what is kept and what is left out, with made-up measurements."""

import pytest
from benchmark_records import make_race
from conftest import assert_refused

from benchmarks import publish
from benchmarks.published import read_machines


def measure(case, whole):
    assert whole
    if case == "text":
        raise NotImplementedError("no data")
    if case == "letter":
        raise RuntimeError("no peer comes within 1e-6")
    return {case: make_race(fault="fastlin has not converged" if case == "one-hot" else "")}


def test_one_case_that_fails_costs_no_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(publish, "measure", measure)
    assert publish.publish(["text", "letter", "one-hot", "digits"], tmp_path) == ["letter", "one-hot"]
    (machine,) = read_machines(tmp_path).values()
    assert list(machine["records"]) == ["digits"]
    assert {"date", "versions"} <= machine["records"]["digits"].keys()
    printed = capsys.readouterr().out
    assert "text: left out. no data" in printed
    assert "letter: failed. RuntimeError: no peer comes within 1e-6" in printed
    assert "one-hot: failed. RuntimeError: one-hot: fastlin has not converged" in printed


def test_the_documents_are_written_whatever_fails(monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(publish, "FOLDER", tmp_path)
    monkeypatch.setattr(publish, "publish", lambda cases: cases)
    monkeypatch.setattr(publish, "draw_pictures", lambda machines, folder: written.append("pictures"))
    monkeypatch.setattr(publish, "write_pages", lambda machines: written.append("pages"))
    assert publish.main(["digits"]) == 1
    assert publish.main(["--pages"]) == 0
    assert written == ["pictures", "pages"] * 2
    assert_refused("2", publish.main, ["nothing"], error=SystemExit)


def test_figures_that_cannot_be_read_are_found_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    damaged = tmp_path / "a.json"
    damaged.write_text('{"machine": {}, "records": {},}')
    monkeypatch.setattr(publish, "read_machines", lambda: read_machines(tmp_path))
    monkeypatch.setattr(publish, "publish", lambda cases: pytest.fail("measured"))
    assert_refused("2", publish.main, ["digits"], error=SystemExit)
    assert f"cannot read the results in {damaged}: " in capsys.readouterr().err
    assert damaged.read_text() == '{"machine": {}, "records": {},}'
