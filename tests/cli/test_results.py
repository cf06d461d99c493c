"""Reports in files: read back, damaged, and interrupted while they are written."""

import os

import pytest

from fastlin.cli.report import read_report, write_report


def test_a_report_is_read_as_it_was_written(tmp_path):
    report = {"λ": [1.5, None, True], "a": {"b": "½"}}
    write_report(tmp_path / "results.json", report)
    assert read_report(tmp_path / "results.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"half": ', b"[1]", b"\xff\xfe"])
def test_a_missing_or_damaged_report_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "results.json").write_bytes(content)
    assert read_report(tmp_path / "results.json") == {}


def test_an_interrupted_write_leaves_the_old_report(tmp_path, monkeypatch):
    def interrupt(source, target):
        raise KeyboardInterrupt

    write_report(tmp_path / "results.json", {"old": 1})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", interrupt)
        write_report(tmp_path / "results.json", {"new": 2})
    assert read_report(tmp_path / "results.json") == {"old": 1}
