"""CIFAR-10 from its published batches: folders and archives, whole, damaged, malicious and downloaded; the split."""

import dataclasses
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from fastlin.course import datasets
from fastlin.course.datasets import cifar10, cifar10_batches

ROWS = 6
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def md5_of(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def pickle_by_python_2(X, y):
    """Write a batch opcode by opcode as Python 2 did, whose strings (U, T) Python 3 can read but not write."""
    labels = b"".join(b"K" + bytes((label,)) for label in y)
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"M" + struct.pack("<H", X.shape[0]) + b"M" + struct.pack("<H", X.shape[1]) + b"\x86"
    state = b"(K\x01" + shape + kind + b"\x89T" + struct.pack("<i", X.size) + X.tobytes() + b"tb"
    return b"\x80\x02}(U\x06labels](" + labels + b"eU\x04data" + array + state + b"u."


def pack(folder, contents):
    """Return the archive of a folder with these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        members = [(f"{folder}/{name}", tarfile.REGTYPE, data) for name, data in contents.items()]
        for name, kind, data in [(folder, tarfile.DIRTYPE, b""), *members]:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


class Small:
    """Random batches of 6 images that pass for CIFAR-10: files by name, the archive, and the arrays they hold."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        generator = np.random.default_rng(0)
        self.X = generator.integers(0, 256, (6, ROWS, 3072), dtype=np.uint8)
        self.y = generator.integers(0, 10, (6, ROWS))
        self.files = {name: pickle_by_python_2(self.X[i], self.y[i]) for i, name in enumerate(cifar10_batches.BATCHES)}
        self.archive = pack(cifar10_batches.FOLDER, self.files)
        monkeypatch.setattr(cifar10, "N_TRAIN", 5 * ROWS)
        self.publish(self.files, self.archive)

    def publish(self, files, archive, address="http://127.0.0.1:9/"):
        """Make these files and this archive the ones whose checksums are known, and the archive's address this one."""
        md5s = {name: md5_of(data) for name, data in files.items()}
        self.published = dataclasses.replace(cifar10_batches.PUBLISHED, md5=md5_of(archive), addresses=(address,))
        for module in (cifar10_batches, cifar10):
            self.monkeypatch.setattr(module, "BATCHES", md5s)
            self.monkeypatch.setattr(module, "PUBLISHED", self.published)

    def write(self, folder, form):
        """Write it as a folder, as the files themselves or as the archive; return where the files are."""
        folder.mkdir(parents=True, exist_ok=True)
        if form == "archive":
            (folder / self.published.name).write_bytes(self.archive)
            return folder
        files = folder / cifar10_batches.FOLDER if form == "folder" else folder
        files.mkdir(exist_ok=True)
        for name, data in self.files.items():
            (files / name).write_bytes(data)
        return files


@pytest.fixture
def small(monkeypatch, empty_places):
    return Small(monkeypatch)


@pytest.mark.parametrize("form", ["folder", "files", "archive"])
def test_every_form_is_read(small, tmp_path, form):
    small.write(tmp_path / "data", form)
    before = sorted(tmp_path.rglob("*"))
    data = datasets.load_cifar10(folder=tmp_path / "data")
    assert data.name == "cifar10"
    assert data.class_names == CLASS_NAMES
    assert data.X_val is None
    assert data.y_val is None
    np.testing.assert_array_equal(data.X_train, small.X[:5].reshape(-1, 3072))
    np.testing.assert_array_equal(data.y_train, small.y[:5].ravel())
    np.testing.assert_array_equal(data.X_test, small.X[5])
    np.testing.assert_array_equal(data.y_test, small.y[5])
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        assert X.dtype == np.uint8
        assert X.flags.c_contiguous
        assert X.flags.writeable
        assert y.dtype == np.int64
    assert sorted(tmp_path.rglob("*")) == before


def test_places_are_looked_in_in_order(small, tmp_path, monkeypatch):
    explicit, named, cache = tmp_path / "explicit", tmp_path / "named", datasets.cache_folder()
    small.write(explicit, "files")
    for place in (named, cache):
        (small.write(place, "folder") / "test_batch").write_bytes(b"damaged")
    monkeypatch.setenv("FASTLIN_DATA", str(named))
    assert len(datasets.load_cifar10(folder=explicit).X_train) == 5 * ROWS
    with pytest.raises(ValueError, match="named"):
        datasets.load_cifar10()
    small.write(named, "folder")
    assert len(datasets.load_cifar10().X_train) == 5 * ROWS
    monkeypatch.delenv("FASTLIN_DATA")
    with pytest.raises(ValueError, match="cache"):
        datasets.load_cifar10()


def test_an_incomplete_folder_is_passed_over(small, tmp_path):
    (small.write(tmp_path, "folder") / "data_batch_3").unlink()
    with pytest.raises(datasets.DatasetNotFoundError):
        datasets.load_cifar10(folder=tmp_path)
    small.write(tmp_path, "archive")
    np.testing.assert_array_equal(datasets.load_cifar10(folder=tmp_path).y_test, small.y[5])


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:50] + b"damage" + data[56:]])
def test_a_damaged_archive_is_named(small, tmp_path, damage):
    small.archive = damage(small.archive)
    small.write(tmp_path, "archive")
    with pytest.raises(ValueError, match=rf"{small.published.name} is damaged .* md5"):
        datasets.load_cifar10(folder=tmp_path)


def test_a_changed_pickle_is_named_and_not_run(small, tmp_path):
    folder = small.write(tmp_path, "folder")
    (folder / "data_batch_2").write_bytes(b"cbuiltins\nprint\n(S'run'\ntR.")
    with pytest.raises(ValueError, match=r"data_batch_2 .* md5"):
        datasets.load_cifar10(folder=tmp_path)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize(
    "data",
    [pickle.dumps(Evil()), b"cnumpy\nload\n(S'/etc/passwd'\ntR.", b"\x80\x04\x8c\x05numpy\x8c\x0df2py.diagnose\x93."],
    ids=["builtin", "other function of NumPy", "dotted name"],
)
def test_a_pickle_that_calls_anything_is_refused_even_with_its_checksum(small, tmp_path, data):
    small.files["data_batch_2"] = data
    small.publish(small.files, b"")
    small.write(tmp_path, "folder")
    with pytest.raises(pickle.UnpicklingError, match="no part of a NumPy array"):
        datasets.load_cifar10(folder=tmp_path)


def test_the_split_follows_from_the_seed(small, tmp_path):
    small.write(tmp_path, "files")
    whole = datasets.load_cifar10(folder=tmp_path)
    ids = {row.tobytes(): i for i, row in enumerate(whole.X_train)}

    def split(n, seed):
        data = datasets.load_cifar10(n, seed, tmp_path)
        left, drawn = ([ids[row.tobytes()] for row in X] for X in (data.X_train, data.X_val))
        assert len(drawn) == n
        assert sorted(left + drawn) == list(range(5 * ROWS))
        assert left == sorted(left)
        assert drawn == sorted(drawn)
        np.testing.assert_array_equal(data.y_train, whole.y_train[left])
        np.testing.assert_array_equal(data.y_val, whole.y_train[drawn])
        np.testing.assert_array_equal(data.X_test, whole.X_test)
        assert data.X_val.dtype == np.uint8
        assert data.y_val.dtype == np.int64
        return drawn

    assert split(8, 1) == split(8, 1) != split(8, 2)
    assert set(split(8, 1)) < set(split(29, 1))


@pytest.mark.parametrize("n_validation", [-1, 5 * ROWS, 2.5, None])
def test_n_validation_is_checked(small, n_validation):
    with pytest.raises(ValueError, match="n_validation"):
        datasets.load_cifar10(n_validation)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_the_seed_is_checked(small, seed):
    with pytest.raises(ValueError, match="seed"):
        datasets.load_cifar10(3, seed)


def test_the_archive_is_downloaded_once(small, server):
    name = small.published.name
    small.publish(small.files, small.archive, server({name: small.archive}) + name)
    np.testing.assert_array_equal(datasets.load_cifar10().X_test, small.X[5])
    assert [path.name for path in datasets.cache_folder().iterdir()] == [name]
    datasets.load_cifar10()
    assert len(server.requests) == 1


def test_a_download_of_another_checksum_leaves_nothing(small, server):
    small.publish(small.files, small.archive, server({"archive": small.archive[:-1]}) + "archive")
    with pytest.raises(datasets.DatasetNotFoundError, match="MD5"):
        datasets.load_cifar10()
    assert not list(datasets.cache_folder().iterdir())


def test_not_found_names_files_checksums_and_places(small, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path / "named"))
    with pytest.raises(datasets.DatasetNotFoundError) as caught:
        datasets.load_cifar10()
    message = str(caught.value)
    for text in (cifar10_batches.FOLDER, small.published.name, small.published.md5, *small.files):
        assert text in message
    for text in ("cifar10-jpeg.zip", str(tmp_path / "named"), str(datasets.cache_folder())):
        assert text in message


def test_nothing_is_downloaded_where_a_folder_is_given(small, server, tmp_path):
    small.publish(small.files, small.archive, server({}))
    with pytest.raises(datasets.DatasetNotFoundError, match="Nothing is downloaded"):
        datasets.load_cifar10(folder=tmp_path)
    with pytest.raises(datasets.DatasetNotFoundError, match="does not exist"):
        datasets.load_cifar10(folder=tmp_path / "nowhere")
    assert not server.requests


def test_a_loader_of_the_homework_whose_copies_differ_is_refused_with_what_to_write():
    words = r"some return six arrays .* some eight .* a dict .*load_cifar10\(n_validation=1_000\)"
    with pytest.raises(ImportError, match=words):
        from fastlin.datasets import get_CIFAR10_data  # noqa: F401
    with pytest.raises(ImportError, match=r"^cannot import name 'get_CIFAR10' from 'fastlin\.datasets'"):
        from fastlin.datasets import get_CIFAR10  # noqa: F401
