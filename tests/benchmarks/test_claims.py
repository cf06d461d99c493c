"""`benchmarks.claims` records the verdicts of the claims, and the published record is current."""

import json

import pytest

from benchmarks import claims
from benchmarks.claims import RECORD_FILE, format_study, read_record, record_claims, tabulate_claims
from fastlin import __version__
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import CLAIMS, evaluate_claims


def test_the_published_verdicts_follow_from_the_published_measurements():
    record = read_record()
    entries = {
        study: {"data": "cifar10" if study in CIFAR10_STUDIES else "mnist", "parameters": {}, "metrics": metrics}
        for study, metrics in record["metrics"].items()
    }
    assert evaluate_claims(entries) == record["claims"]
    assert [row["says"] for row in record["claims"]] == [claim["says"] for claim in CLAIMS]
    assert "not run" not in {row["verdict"] for row in record["claims"]}
    plots = {name for shown in record["plots"].values() for name in shown}
    assert {path.name for path in RECORD_FILE.parent.glob("*.png")} == plots


def make_claim_results(folder):
    """Write the results.json and the plots of a run whose metrics are the published ones."""
    titles = [f"mnist.{name}" for name in STUDIES] + [f"cifar10.{name}" for name in CIFAR10_STUDIES]
    content = {"environment": {"processor": "a processor", "cache": "/a/folder"}, "claims": []}
    for title in titles:
        data, study = title.split(".")
        (folder / data).mkdir(exist_ok=True)
        (folder / data / f"{study}.png").write_bytes(study.encode())
        content[title] = {
            "version": __version__,
            "parameters": {"quick": False, "seed": 0},
            "metrics": read_record()["metrics"][study],
            "seconds": 1.0,
            "plots": [{"file": f"{data}/{study}.png", "caption": "A caption.", "alt": f"Of {study}."}],
        }
    (folder / "results.json").write_text(json.dumps(content))
    return content


def test_a_run_is_recorded_with_its_plots(tmp_path, monkeypatch):
    content, path = make_claim_results(tmp_path), tmp_path / "docs" / "claims.json"
    path.parent.mkdir()
    record_claims(tmp_path, path)
    record = json.loads(path.read_text())
    assert record["environment"] == {"processor": "a processor"}
    assert record["claims"] == read_record()["claims"]
    assert (path.parent / "binary.png").read_bytes() == b"binary"
    # Plots of images are not published.
    assert record["plots"]["images"] == {}
    assert not (path.parent / "images.png").exists()
    monkeypatch.setattr(claims, "RECORD_FILE", path)
    assert format_study("binary") == "![Of binary.](studies/binary.png)"
    assert "| **" not in format_study("cifar10_deep")
    # The header of the table has two lines.
    assert tabulate_claims().count("\n| ") == len(CLAIMS) + 2
    del content["mnist.binary"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="binary"):
        record_claims(tmp_path, path)
