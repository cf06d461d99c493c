import numpy as np
import pytest

from benchmarks import larger_than_memory
from benchmarks.larger_than_memory import CONTENDERS, MAPPED, PARQUET, main, measure, write_rows


def test_rows_are_made_in_pieces_and_hold_all_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(larger_than_memory, "PIECE_BYTES", 4 * 3 * 40)
    X, y = map(np.load, write_rows(tmp_path, 100, 3, 2))
    assert X.shape == (100, 3)
    assert X.dtype == np.float32
    assert X[-20:].std() > 0.1 and not np.array_equal(X[:40], X[40:80])
    assert np.unique(y).tolist() == [0, 1]


def test_the_whole_run_fits_a_file_by_blocks_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(larger_than_memory, "WHOLE_SIZES", (500, 4, 3))
    main(["--whole"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("500 × 4, 3 classes, float32, ")
    assert [line for line in lines if line.startswith(f"| {MAPPED} | ")]
    assert not list(tmp_path.iterdir())


def test_fits_of_files_end_at_the_minimum_of_the_fit_in_memory():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    contenders = CONTENDERS[:3]
    records, decoding = measure(contenders, (2_000, 5, 3), 2)
    assert tuple(records) == contenders
    objectives = [record["objective"] for record in records.values()]
    assert max(objectives) <= min(objectives) * (1 + 1e-4)
    assert all(record["gap"] <= 1e-4 for record in records.values())
    assert records[MAPPED]["passes"] == records[PARQUET]["passes"]
    assert decoding > 0


# It starts two clusters, which takes ten seconds.
@pytest.mark.slow
def test_workers_of_dask_end_there_too():
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    records, _ = measure((MAPPED, *CONTENDERS[3:]), (2_000, 5, 3), 1)
    objectives = [record["objective"] for record in records.values()]
    assert len(objectives) == 3
    assert max(objectives) <= min(objectives) * (1 + 1e-4)
