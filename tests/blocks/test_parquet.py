"""Blocks of Parquet files: decoding, the cache of decoded arrays, and errors of invalid files."""

import gc
import os
import shutil

import numpy as np
import pytest
from conftest import assert_raises

from fastlin import LogisticRegression
from fastlin.blocks import from_parquet, parquet
from fastlin.exceptions import DataChangedError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet")


def make_table(n=50, seed=0, **changed):
    """Return a table with two columns, labels and weights. `changed` replaces columns, and None drops a column."""
    generator = np.random.default_rng(seed)
    a, b = generator.standard_normal((2, n)).astype(np.float32)
    columns = {"a": a, "b": b, "kind": np.where(a > 0, "plus", "minus"), "w": generator.uniform(1, 2, n), **changed}
    return pa.table({name: column for name, column in columns.items() if column is not None})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = tmp_path / "data"
    folder.mkdir()
    for part in range(3):
        pq.write_table(make_table(seed=part), folder / f"part-{part}.parquet", row_group_size=20)
    return folder


def list_cached_files(cache, length=None):
    """Return the sorted names of the files in a cache, or only their first `length` characters."""
    return sorted(path.name[:length] for path in cache.iterdir())


def read(folder, **options):
    return from_parquet(folder, label="kind", weight="w", **options)


def test_several_files_form_one_table(folder, tmp_path):
    blocks = read(folder)
    assert blocks.shape == (150, 2) and blocks.dtype == np.float32 and blocks.feature_names == ["a", "b"]
    whole = pa.concat_tables([make_table(seed=part) for part in range(3)]).to_pandas()
    for result, names in zip(zip(*blocks, strict=True), (["a", "b"], "kind", "w"), strict=True):
        np.testing.assert_array_equal(np.concatenate(result), whole[names])
    model = LogisticRegression().fit(blocks)
    assert model.classes_.tolist() == ["minus", "plus"]
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.score(blocks) > 0.9
    first_path, second_path, third_path = sorted(folder.iterdir())
    for paths in ([first_path, str(second_path), third_path], str(folder / "part-*.parquet"), [folder]):
        np.testing.assert_array_equal(LogisticRegression().fit(read(paths)).coef_, model.coef_)


def test_the_index_of_a_pandas_dataframe_is_not_a_column(tmp_path):
    dataframe = make_table().to_pandas().sort_values("kind").reset_index(drop=True).sample(frac=1, random_state=0)
    for name, column in ((None, "__index_level_0__"), ("row", "row")):
        dataframe.rename_axis(name).to_parquet(tmp_path / "a.parquet")
        message = rf"a\.parquet has the index of a pandas DataFrame in '{column}'"
        with pytest.warns(UserWarning, match=message) as caught_warnings:
            assert from_parquet(tmp_path / "a.parquet", label="kind", weight="w").feature_names == ["a", "b"]
        assert [warning.filename for warning in caught_warnings] == [__file__]
        assert read(tmp_path / "a.parquet", columns=["a", column]).feature_names == ["a", column]
        assert from_parquet(tmp_path / "a.parquet", columns=["a"], label=column).y.tolist() == dataframe.index.tolist()
    dataframe.reset_index(drop=True).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").feature_names == ["a", "b"]


def test_dtypes_of_columns_and_labels(tmp_path):
    path = tmp_path / "a.parquet"
    small_columns = {"a": np.arange(50, dtype=np.uint8), "b": np.arange(50) % 2 == 0}
    for changed, dtype in (
        (small_columns, np.uint8),
        ({**small_columns, "c": np.arange(50, dtype=np.int16)}, np.int16),
        ({**small_columns, "c": np.arange(50.0)}, np.float64),
        ({"a": np.arange(50)}, np.float64),
    ):
        pq.write_table(make_table(**changed, kind=np.arange(50) % 3), path)
        blocks = read(path)
        assert blocks.dtype == dtype
        np.testing.assert_array_equal(next(blocks.read())[:, 0], np.arange(50))
        assert blocks.y.dtype.kind == "i"
    pq.write_table(make_table(kind=pa.array(["a", "b"] * 25).dictionary_encode()), path)
    assert read(path).y.tolist() == ["a", "b"] * 25


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"b": None}, "has no column 'b'"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), "has several columns 'a'"),
        ({"kind": None}, "has no column 'kind'"),
        ({"b": np.zeros(50)}, "column 'b' as double, but .*part-0.parquet has it as float"),
        ({"kind": np.arange(50)}, "column 'kind' as int64, but .* has it as string"),
        ({"kind": pa.array([None, *["a"] * 49])}, "1 missing labels in column 'kind'"),
        ({"w": np.full(50, np.nan)}, "missing or infinite weights in column 'w'"),
        ({"w": pa.array([None, *[1.0] * 49])}, "missing or infinite weights in column 'w'"),
    ],
)
def test_no_file_is_decoded_if_one_is_invalid(folder, tmp_path, changed, message):
    table = changed if isinstance(changed, pa.Table) else make_table(**changed)
    pq.write_table(table, folder / "part-2.parquet")
    assert_raises(f"part-2.parquet .*{message}", read, folder, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_truncated_cache_file_raises_an_error(folder, tmp_path):
    block_iterator = read(folder, cache=tmp_path / "cache").read()
    next(block_iterator)
    [second] = (tmp_path / "cache").glob("part-1-*.npy")
    os.truncate(second, 200)
    assert_raises(r"part-1-.*\.npy has changed while it was in use", next, block_iterator, error=DataChangedError)
    assert_raises(r"cached file .*part-1-.*\.npy is damaged", read, folder, cache=tmp_path / "cache")
    np.save(second, np.zeros((3, 1)))
    assert_raises(r"part-1-.*\.npy is damaged \(it is \(3, 1\)", read, folder, cache=tmp_path / "cache")


def test_a_damaged_parquet_file_is_named_in_the_error(folder, tmp_path):
    path = folder / "part-1.parquet"
    with open(path, "r+b") as file:
        file.seek(pq.ParquetFile(path).metadata.row_group(0).column(0).dictionary_page_offset)
        file.write(bytes(40))
    assert_raises(r"part-1\.parquet cannot be read", read, folder, cache=tmp_path / "cache")
    assert list_cached_files(tmp_path / "cache", 7) == ["part-0-"]
    for size in (path.stat().st_size - 30, 200, 3, 0):
        os.truncate(path, size)
        assert_raises(r"part-1\.parquet is not a valid Parquet file", read, folder)


def test_the_error_names_the_file_and_rows_of_nan(folder):
    pq.write_table(make_table(b=np.full(50, np.nan, np.float32)), folder / "part-1.parquet")
    assert_raises(r"rows 0 to 49 of part-1\.parquet of X contains NaN", LogisticRegression().fit, read(folder))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": "nowhere.parquet"}, FileNotFoundError, "nowhere.parquet matches no Parquet file"),
        ({"paths": []}, ValueError, "paths is empty"),
        ({"columns": []}, ValueError, "columns is empty"),
        ({"columns": ["a", "kind"]}, ValueError, "as string, but the columns of X and the weights must be numbers"),
        ({"columns": "ab"}, TypeError, "columns must be a list of names, got the string 'ab'"),
        ({"weight": "kind"}, ValueError, "column 'kind' as string"),
        ({"label": "color"}, ValueError, "has no column 'color'. Its columns are 'a', 'b', 'kind', 'w'"),
    ],
)
def test_invalid_arguments_raise_errors(folder, options, error, message):
    assert_raises(message, from_parquet, error=error, **{"paths": folder, "columns": ["a"], **options})


def test_empty_files_do_not_affect_the_dtypes(folder, tmp_path):
    expected = read(folder).y.dtype
    pq.write_table(make_table(n=0), folder / "part-9.parquet")
    blocks = read(folder)
    assert blocks.shape == (150, 2) and blocks.y.dtype == expected
    pq.write_table(make_table(n=50, kind=np.full(50, np.nan)), tmp_path / "a.parquet")
    assert_raises(r"a\.parquet has 50 missing labels in column 'kind'", read, tmp_path / "a.parquet")


def test_changed_content_is_decoded_again_despite_equal_size_and_time(folder, tmp_path):
    path = folder / "part-0.parquet"
    read(folder, cache=tmp_path / "cache")
    times = path.stat()
    # Without statistics and compression, files of different numbers have the same size.
    for seed in (5, 6):
        pq.write_table(make_table(seed=seed, kind=np.arange(50)), path, compression="none", use_dictionary=False)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        result = from_parquet(path, columns=["a", "b"], cache=tmp_path / "cache")
        np.testing.assert_array_equal(next(result.read())[:, 0], make_table(seed=seed)["a"].to_numpy())


def test_a_full_disk_leaves_no_file(folder, tmp_path):
    resource = pytest.importorskip("resource", reason="the system cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        assert_raises("File too large", read, folder, cache=tmp_path / "cache", error=OSError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list_cached_files(tmp_path / "cache")
    assert len(read(folder, cache=tmp_path / "cache")) == 3


def test_the_cache_is_reused_until_a_file_changes(folder, tmp_path, monkeypatch):
    decoded_names, decode, cache = [], parquet._decode, tmp_path / "cache"
    monkeypatch.setattr(
        parquet, "_decode", lambda file, *arguments: decoded_names.append(file.name) or decode(file, *arguments)
    )
    first, again = read(folder, cache=cache), read(folder, cache=str(cache))
    assert len(decoded_names) == 3
    np.testing.assert_array_equal(np.concatenate(list(again.read())), np.concatenate(list(first.read())))
    assert read(folder, cache=cache, columns=["b"]).shape == (150, 1)
    assert len(decoded_names) == 6
    before = list_cached_files(cache)
    pq.write_table(make_table(n=60, seed=9), folder / "part-1.parquet")
    assert read(folder, cache=cache, columns=["b"]).shape == (160, 1)
    assert decoded_names[6:] == ["part-1.parquet"]
    unchanged_files = [name for name in before if name.startswith(("part-0-", "part-2-"))]
    (new,) = set(list_cached_files(cache)) - set(unchanged_files)
    assert len(unchanged_files) == 4 and new.startswith("part-1-") and new not in before


def test_an_interrupted_call_keeps_decoded_files(folder, tmp_path, monkeypatch):
    def interrupt_decoding(file, *arguments):
        n_rows = decode(file, *arguments)
        if file.name == "part-1.parquet":
            raise KeyboardInterrupt
        return n_rows

    decode = parquet._decode
    monkeypatch.setattr(parquet, "_decode", interrupt_decoding)
    assert_raises(None, read, folder, cache=tmp_path / "cache", error=KeyboardInterrupt)
    assert list_cached_files(tmp_path / "cache", 7) == ["part-0-"]


@pytest.mark.skipif(os.name == "nt", reason="files in use cannot be unlinked on Windows")
def test_without_a_cache_the_temporary_file_has_no_name(folder, tmp_path):
    before = set(tmp_path.rglob("*"))
    blocks = read(folder)
    assert set(tmp_path.rglob("*")) == before
    held_block = next(blocks.read())
    expected = held_block.copy()
    del blocks
    gc.collect()
    # A block that the caller still references remains readable.
    np.testing.assert_array_equal(held_block, expected)


@pytest.mark.skipif(os.name == "nt", reason="Windows limits open files differently")
def test_files_beyond_the_open_file_limit_are_mapped_one_at_a_time(folder, tmp_path):
    resource = pytest.importorskip("resource")
    whole = make_table(n=150)
    pq.write_table(whole, tmp_path / "whole.parquet")
    expected = LogisticRegression().fit(read(tmp_path / "whole.parquet"))
    (split_folder := tmp_path / "many").mkdir()
    for row in range(150):
        pq.write_table(whole.slice(row, 1), split_folder / f"part-{row:03d}.parquet")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    try:
        for cache in (None, tmp_path / "cache"):
            model = LogisticRegression().fit(read(split_folder, cache=cache))
            np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_temporary_file_is_on_disk_unless_tmpdir_is_set(folder, tmp_path, monkeypatch):
    large_folder, default_folder, chosen_folder, missing = (
        str(tmp_path / name) for name in ("large", "usual", "named", "missing")
    )
    for path in (large_folder, default_folder, chosen_folder):
        os.mkdir(path)
    monkeypatch.setattr("tempfile.tempdir", default_folder)
    for variable, disk_folder, expected in (
        ("", large_folder, large_folder),
        ("", missing, default_folder),
        (chosen_folder, large_folder, chosen_folder),
    ):
        monkeypatch.setenv("TMPDIR", variable)
        monkeypatch.setattr(parquet, "TEMPORARY_FOLDER_ON_DISK", disk_folder)
        assert parquet._choose_temporary_folder() == expected
    monkeypatch.setenv("TMPDIR", missing)
    assert_raises("missing", read, folder, error=FileNotFoundError)


def test_two_processes_can_decode_the_same_file(folder, tmp_path, monkeypatch):
    def fail_after_the_other_process(temporary_path, path):
        shutil.copy(temporary_path, path)
        raise PermissionError(13, "Access is denied", str(path))

    monkeypatch.setattr(os, "replace", fail_after_the_other_process)
    assert read(folder, cache=tmp_path / "cache").shape == (150, 2)
    assert not list((tmp_path / "cache").glob("*.part"))
