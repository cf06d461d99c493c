import numpy as np
import pytest

from benchmarks import larger_than_memory
from benchmarks.larger_than_memory import LIBRARIES, MEMORY_MAPPED, PARQUET, main, measure, write_simulated_rows

# Two clusters take ten seconds to start.
WORKER_LIBRARIES = pytest.param((MEMORY_MAPPED, *LIBRARIES[3:]), marks=pytest.mark.slow, id="workers")


def test_rows_written_in_blocks_contain_all_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(larger_than_memory, "CHUNK_BYTES", 4 * 3 * 40)
    X, y = map(np.load, write_simulated_rows(tmp_path, 100, 3, 2))
    assert X.shape == (100, 3)
    assert X.dtype == np.float32
    assert X[-20:].std() > 0.1 and not np.array_equal(X[:40], X[40:80])
    assert np.unique(y).tolist() == [0, 1]


def test_the_option_whole_fits_models_to_a_file_in_blocks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(larger_than_memory, "FULL_SIZES", (500, 4, 3))
    main(["--whole"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("500 × 4, 3 classes, float32, ")
    assert [line for line in lines if line.startswith(f"| {MEMORY_MAPPED} | ")]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("libraries", [pytest.param(LIBRARIES[:3], id="files"), WORKER_LIBRARIES])
def test_fits_of_files_and_workers_reach_the_same_minimum(libraries):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    records, decoding_seconds = measure(libraries, (2_000, 5, 3), 2 if PARQUET in libraries else 1)
    assert tuple(records) == libraries
    assert len(libraries) == 3
    objectives = [record["objective"] for record in records.values()]
    assert max(objectives) <= min(objectives) * (1 + 1e-4)
    if PARQUET in libraries:
        assert all(record["certificate"] <= 1e-4 for record in records.values())
        assert records[MEMORY_MAPPED]["passes"] == records[PARQUET]["passes"]
        assert decoding_seconds > 0
