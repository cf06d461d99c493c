"""MNIST from disk and from a local server: reading, damage, downloads and missing files."""

import gzip
import hashlib

import numpy as np
import pytest
from conftest import assert_raises

from fastlin.course import datasets
from fastlin.course.datasets import mnist

ARRAY_SHAPES = {"X_train": (30, 4, 4), "y_train": (30,), "X_test": (10, 4, 4), "y_test": (10,)}


@pytest.fixture
def small(monkeypatch, use_empty_cache_folder):
    """Replace MNIST by small files; return their contents by name. Only the test's folders are searched."""
    generator = np.random.default_rng(0)
    contents, files, published_checksums = {}, {}, {}
    for array, (name, _, _) in mnist.MNIST_FILES.items():
        values = generator.integers(0, 10 if array.startswith("y") else 256, ARRAY_SHAPES[array]).astype(np.uint8)
        header = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        contents[name] = header + values.tobytes()
        files[array] = (name, hashlib.md5(contents[name]).hexdigest(), ARRAY_SHAPES[array])
        zipped_data = compress_files(contents)[f"{name}.gz"]
        published_checksums[array] = hashlib.md5(zipped_data).hexdigest()
    monkeypatch.setattr(mnist, "MNIST_FILES", files)
    monkeypatch.setattr(mnist, "GZIP_MD5", published_checksums)
    monkeypatch.setattr(mnist, "MNIST_ADDRESS", "http://127.0.0.1:9/")
    return contents


def compress_files(contents):
    # Without a time stamp, the same data always give the same bytes.
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in contents.items()}


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("pack", [dict, compress_files])
def test_plain_and_gzipped_files_are_read(small, tmp_path, pack):
    write(tmp_path / "data", pack(small))
    data = datasets.load_mnist(20, tmp_path / "data")
    assert data.name == "mnist"
    assert (data.X_train.shape, data.y_train.shape, data.X_test.shape) == ((20, 16), (20,), (10, 16))
    assert data.X_train.dtype == np.uint8
    assert data.X_train.flags.c_contiguous
    name = mnist.MNIST_FILES["X_train"][0]
    np.testing.assert_array_equal(data.X_train.ravel(), np.frombuffer(small[name][16:], np.uint8)[: 20 * 16])
    with pytest.raises(AttributeError):
        data.name = "other"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:-1] + bytes((data[-1] ^ 1,)),
        lambda data: gzip.compress(data)[:-20],
        lambda data: gzip.compress(data)[:30] + b"damage" + gzip.compress(data)[36:],
    ],
    ids=["short", "empty", "other contents", "truncated gzip", "damaged gzip"],
)
def test_the_error_names_a_damaged_file(small, tmp_path, damage):
    write(tmp_path / "data", small)
    damaged = tmp_path / "data" / mnist.MNIST_FILES["X_test"][0]
    damaged.write_bytes(damage(damaged.read_bytes()))
    assert_raises(damaged.name, datasets.load_mnist, 30, tmp_path / "data")


def test_missing_files_are_downloaded_once(small, server, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST_ADDRESS", server(compress_files(small)))
    present = mnist.MNIST_FILES["y_train"][0]
    write(datasets.cache_folder(), {present: small[present]})
    for _ in range(2):
        data = datasets.load_mnist(30)
        np.testing.assert_array_equal(data.y_test, np.frombuffer(small[mnist.MNIST_FILES["y_test"][0]][8:], np.uint8))
    downloaded_names = {f"{name}.gz" for name in small if name != present}
    assert {path.name for path in datasets.cache_folder().iterdir()} == downloaded_names | {present}
    assert sorted(server.requests) == sorted(f"/{name}" for name in downloaded_names)


def test_the_error_for_missing_data_lists_files_checksums_and_folders(small, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path / "named"))
    with pytest.raises(datasets.DatasetNotFoundError) as caught:
        datasets.load_mnist(30)
    names_and_checksums = [text for name, md5, _ in mnist.MNIST_FILES.values() for text in (name, md5)]
    for text in (*names_and_checksums, str(tmp_path / "named"), str(datasets.cache_folder())):
        assert text in str(caught.value)


@pytest.mark.parametrize("n_train", [0, -1, 31, 2.5, "all"])
def test_an_invalid_n_train_raises_an_error(small, n_train):
    assert_raises("n_train", datasets.load_mnist, n_train)


def test_the_real_files_have_the_published_checksums(mnist_folder):
    data = datasets.load_mnist(folder=mnist_folder)
    assert [len(X) for X in (data.X_train, data.y_train, data.X_test, data.y_test)] == [60_000, 60_000, 10_000, 10_000]
    np.testing.assert_array_equal(np.unique(data.y_test), np.arange(10))


def test_load_returns_the_four_arrays_of_load_mnist_in_order(monkeypatch):
    small = datasets.Dataset("mnist", *(np.full(4 - number, number) for number in range(4)))
    monkeypatch.setattr(mnist, "load_mnist", lambda: small)
    for number, array in enumerate(datasets.load()):
        np.testing.assert_array_equal(array, np.full(4 - number, number))


def test_the_first_folder_that_contains_a_file_is_used(small, tmp_path, monkeypatch):
    named, cache = tmp_path / "named", datasets.cache_folder()
    monkeypatch.setenv("FASTLIN_DATA", str(named))
    write(cache, small)
    assert len(datasets.load_mnist(30).X_train) == 30
    write(named, dict.fromkeys(small, b"damaged"))
    assert_raises("named", datasets.load_mnist, 30)
