"""The digits: MNIST from disk and from a server on this machine, whole, damaged and out of reach; scikit-learn's."""

import gzip
import hashlib

import numpy as np
import pytest

from fastlin.course import datasets
from fastlin.course.datasets import mnist

SHAPES = {"X_train": (30, 4, 4), "y_train": (30,), "X_test": (10, 4, 4), "y_test": (10,)}


def to_idx(array):
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


@pytest.fixture
def small(monkeypatch, empty_places):
    """A small stand-in for MNIST: its files' bytes by name, and no other place to look in than those of the test."""
    generator = np.random.default_rng(0)
    contents, files, published = {}, {}, {}
    for part, (name, _, _) in mnist.MNIST_FILES.items():
        values = generator.integers(0, 10 if part.startswith("y") else 256, SHAPES[part]).astype(np.uint8)
        contents[name] = to_idx(values)
        files[part] = (name, hashlib.md5(contents[name]).hexdigest(), SHAPES[part])
        zipped = zip_files(contents)[f"{name}.gz"]
        published[part] = hashlib.md5(zipped).hexdigest()
    monkeypatch.setattr(mnist, "MNIST_FILES", files)
    monkeypatch.setattr(mnist, "PUBLISHED_GZIP", published)
    monkeypatch.setattr(mnist, "MNIST_ADDRESS", "http://127.0.0.1:9/")
    return contents


def write(folder, contents, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)


def zip_files(contents):
    # Without a time the same data always give the same bytes.
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in contents.items()}


@pytest.mark.parametrize("zipped", [False, True])
def test_files_of_either_kind_are_read(small, tmp_path, zipped):
    write(tmp_path / "data", small, zipped)
    data = datasets.load_mnist(20, tmp_path / "data")
    assert data.name == "mnist"
    assert data.X_train.shape == (20, 16)
    assert data.X_train.dtype == np.uint8
    assert data.X_train.flags.c_contiguous
    assert data.y_train.shape == (20,)
    assert data.X_test.shape == (10, 16)
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
def test_a_damaged_file_is_named(small, tmp_path, damage):
    write(tmp_path / "data", small)
    damaged = tmp_path / "data" / mnist.MNIST_FILES["X_test"][0]
    damaged.write_bytes(damage(damaged.read_bytes()))
    with pytest.raises(ValueError, match=damaged.name):
        datasets.load_mnist(30, tmp_path / "data")


def test_files_that_are_missing_are_downloaded_once(small, server, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST_ADDRESS", server(zip_files(small)))
    present = mnist.MNIST_FILES["y_train"][0]
    write(datasets.cache_folder(), {present: small[present]})
    data = datasets.load_mnist(30)
    np.testing.assert_array_equal(data.y_test, np.frombuffer(small[mnist.MNIST_FILES["y_test"][0]][8:], np.uint8))
    downloaded = {f"{name}.gz" for name in small if name != present}
    assert {path.name for path in datasets.cache_folder().iterdir()} == downloaded | {present}
    assert not any(present in request for request in server.requests)
    n_requests = len(server.requests)
    datasets.load_mnist(30)
    assert len(server.requests) == n_requests


def test_not_found_names_files_checksums_and_places(small, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path / "named"))
    with pytest.raises(datasets.DatasetNotFoundError) as caught:
        datasets.load_mnist(30)
    message = str(caught.value)
    for name, md5, _ in mnist.MNIST_FILES.values():
        assert name in message
        assert md5 in message
    assert str(tmp_path / "named") in message
    assert str(datasets.cache_folder()) in message


@pytest.mark.parametrize("n_train", [0, -1, 31, 2.5, "all"])
def test_n_train_is_checked(small, n_train):
    with pytest.raises(ValueError, match="n_train"):
        datasets.load_mnist(n_train)


def test_the_real_files_have_the_published_checksums(mnist_folder):
    data = datasets.load_mnist(folder=mnist_folder)
    assert [len(X) for X in (data.X_train, data.y_train, data.X_test, data.y_test)] == [60_000, 60_000, 10_000, 10_000]
    np.testing.assert_array_equal(np.unique(data.y_test), np.arange(10))


def test_the_four_arrays_of_the_course(monkeypatch):
    small = datasets.Dataset("mnist", *(np.full(4 - number, number) for number in range(4)))
    monkeypatch.setattr(mnist, "load_mnist", lambda: small)
    for number, array in enumerate(datasets.load()):
        np.testing.assert_array_equal(array, np.full(4 - number, number))


def test_the_first_place_that_holds_a_file_is_taken(small, tmp_path, monkeypatch):
    named, cache = tmp_path / "named", datasets.cache_folder()
    monkeypatch.setenv("FASTLIN_DATA", str(named))
    write(cache, small)
    assert len(datasets.load_mnist(30).X_train) == 30
    write(named, dict.fromkeys(small, b"damaged"))
    with pytest.raises(ValueError, match="named"):
        datasets.load_mnist(30)


def test_digits():
    data = datasets.load_digits()
    assert data.name == "digits"
    assert data.X_train.shape == (1297, 64)
    assert data.X_test.shape == (500, 64)
    assert data.X_train.dtype == np.uint8
    assert data.X_train.max() == 255
    assert set(data.y_test) == set(range(10))
