"""CIFAR-10 from its published batches and its JPEG copy: reading, damage, downloads, and the validation split."""

import hashlib
import io
import itertools
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_raises
from PIL import Image

from fastlin.course import datasets
from fastlin.course.datasets import cifar10

ROWS = 6
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SMALL_IMAGES_PER_CLASS = {"train": 3, "test": 2}
DAMAGED_IMAGE_NAME = "train/cat/0001.jpg"
DAMAGE_MESSAGE = r"cifar10-jpeg.zip is damaged"
DATA_FOLDERS = datasets.list_folders()


def compute_md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def pickle_as_python_2(X, y):
    """Return a batch with the opcodes of Python 2. Python 3 can read its string opcodes (U, T) but not write them."""
    labels = b"".join(b"K" + bytes((label,)) for label in y)
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"M" + struct.pack("<H", X.shape[0]) + b"M" + struct.pack("<H", X.shape[1]) + b"\x86"
    state = b"(K\x01" + shape + kind + b"\x89T" + struct.pack("<i", X.size) + X.tobytes() + b"tb"
    return b"\x80\x02}(U\x06labels](" + labels + b"eU\x04data" + array + state + b"u."


class SmallCifar10:
    """Random batches that replace CIFAR-10, as arrays, as files by name, and as an archive."""

    def __init__(self, monkeypatch, folder):
        generator = np.random.default_rng(0)
        self.X = generator.integers(0, 256, (6, ROWS, 3072), dtype=np.uint8)
        self.y = generator.integers(0, 10, (6, ROWS))
        self.files = {name: pickle_as_python_2(self.X[i], self.y[i]) for i, name in enumerate(cifar10.BATCH_MD5)}
        self.write(folder, "folder")
        self.archive = Path(shutil.make_archive(folder, "gztar", folder, cifar10.BATCH_FOLDER)).read_bytes()
        monkeypatch.setattr(cifar10, "N_TRAIN", 5 * ROWS)
        monkeypatch.setattr(cifar10, "BATCH_MD5", {name: compute_md5(data) for name, data in self.files.items()})
        monkeypatch.setattr(cifar10, "ARCHIVE_MD5", compute_md5(self.archive))
        monkeypatch.setattr(cifar10, "ARCHIVE_ADDRESS", f"http://127.0.0.1:9/{cifar10.BATCH_ARCHIVE}")

    def write(self, folder, form):
        """Write the batches (form "folder") or the archive; return the folder of the written files."""
        files = folder / cifar10.BATCH_FOLDER if form == "folder" else folder
        files.mkdir(parents=True, exist_ok=True)
        for name, data in (self.files if form == "folder" else {cifar10.BATCH_ARCHIVE: self.archive}).items():
            (files / name).write_bytes(data)
        return files


@pytest.fixture
def small(monkeypatch, use_empty_cache_folder, tmp_path):
    return SmallCifar10(monkeypatch, tmp_path / "published")


def assert_layout(data):
    assert data.name == "cifar10"
    assert data.class_names == CLASS_NAMES
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        assert (X.dtype, y.dtype) == (np.uint8, np.int64)
        assert X.flags.c_contiguous
        assert X.flags.writeable


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_every_file_format_of_cifar10_is_read(small, tmp_path, form):
    small.write(tmp_path / "data", form)
    before = sorted(tmp_path.rglob("*"))
    data = datasets.load_cifar10(folder=tmp_path / "data")
    assert_layout(data)
    assert data.X_val is data.y_val is None
    np.testing.assert_array_equal(data.X_train, small.X[:5].reshape(-1, 3072))
    np.testing.assert_array_equal(data.y_train, small.y[:5].ravel())
    np.testing.assert_array_equal(data.X_test, small.X[5])
    np.testing.assert_array_equal(data.y_test, small.y[5])
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_batches_and_archives_raise_without_unpickling(small, tmp_path):
    for damage_bytes in (lambda data: data[: len(data) // 2], lambda data: data[:50] + b"damage" + data[56:]):
        (small.write(tmp_path, "archive") / cifar10.BATCH_ARCHIVE).write_bytes(damage_bytes(small.archive))
        assert_raises(rf"{cifar10.BATCH_ARCHIVE}.* is damaged", datasets.load_cifar10, folder=tmp_path)
    # The folder has priority over the archive.
    folder = small.write(tmp_path, "folder")
    (folder / "data_batch_2").write_bytes(b"cbuiltins\nprint\n(S'run'\ntR.")
    assert_raises(r"data_batch_2 .* md5", datasets.load_cifar10, folder=tmp_path)
    (folder / "data_batch_2").unlink()
    assert_raises(r"cifar-10-batches-py is damaged .*data_batch_2", datasets.load_cifar10, folder=tmp_path)


def test_the_split_is_determined_by_the_seed(small, tmp_path):
    small.write(tmp_path, "folder")
    all_data = datasets.load_cifar10(folder=tmp_path)
    row_indices = {row.tobytes(): i for i, row in enumerate(all_data.X_train)}

    def split(n, seed):
        data = datasets.load_cifar10(n, seed, tmp_path)
        left, drawn = ([row_indices[row.tobytes()] for row in X] for X in (data.X_train, data.X_val))
        assert len(drawn) == n
        assert sorted(left + drawn) == list(range(5 * ROWS))
        assert left == sorted(left)
        assert drawn == sorted(drawn)
        np.testing.assert_array_equal(data.y_train, all_data.y_train[left])
        np.testing.assert_array_equal(data.y_val, all_data.y_train[drawn])
        np.testing.assert_array_equal(data.X_test, all_data.X_test)
        assert (data.X_val.dtype, data.y_val.dtype) == (np.uint8, np.int64)
        return drawn

    assert split(8, 1) == split(8, 1) != split(8, 2)
    assert set(split(8, 1)) < set(split(29, 1))


@pytest.mark.parametrize("name", ["n_validation", "seed"])
@pytest.mark.parametrize("value", [-1, 5 * ROWS + 0.5, None])
def test_invalid_validation_sizes_and_seeds_raise_an_error(small, name, value):
    assert_raises(name, datasets.load_cifar10, **{name: value})
    assert_raises("n_validation", datasets.load_cifar10, 5 * ROWS)


def test_the_archive_is_downloaded_once(small, server, monkeypatch):
    monkeypatch.setattr(
        cifar10, "ARCHIVE_ADDRESS", server({cifar10.BATCH_ARCHIVE: small.archive}) + cifar10.BATCH_ARCHIVE
    )
    for _ in range(2):
        np.testing.assert_array_equal(datasets.load_cifar10().X_test, small.X[5])
    assert [path.name for path in datasets.cache_folder().iterdir()] == [cifar10.BATCH_ARCHIVE]
    assert len(server.requests) == 1


def test_the_error_for_missing_data_lists_files_checksums_and_folders(small, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(tmp_path / "named"))
    with pytest.raises(datasets.DatasetNotFoundError) as caught:
        datasets.load_cifar10()
    folders = str(tmp_path / "named"), str(datasets.cache_folder())
    for text in (*cifar10.CIFAR10_FILES, cifar10.ARCHIVE_MD5, *small.files, *folders):
        assert text in str(caught.value)


def encode_jpeg(pixels, mode="RGB"):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def write_zip(folder, members):
    path = folder / "cifar10-jpeg.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def members(monkeypatch, use_empty_cache_folder):
    """Random images by name, in the order of the rows."""
    monkeypatch.setattr(cifar10, "IMAGES_PER_CLASS", SMALL_IMAGES_PER_CLASS)
    monkeypatch.setattr(cifar10, "N_TRAIN", 10 * SMALL_IMAGES_PER_CLASS["train"])
    generator, images = np.random.default_rng(0), {}
    for split, n in SMALL_IMAGES_PER_CLASS.items():
        for number, name in itertools.product(range(n), CLASS_NAMES):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            images[f"{split}/{name}/{number:04}.jpg"] = encode_jpeg(pixels)
    return images


def test_rows_of_the_jpeg_copy_are_sorted_by_number_and_class(members, tmp_path):
    write_zip(tmp_path, members)
    data = datasets.load_cifar10(folder=tmp_path)
    assert_layout(data)
    for row, jpeg_bytes in zip([*data.X_train, *data.X_test], members.values(), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(jpeg_bytes)))
        np.testing.assert_array_equal(row.reshape(3, 32, 32), np.moveaxis(pixels, -1, 0))
    np.testing.assert_array_equal(np.append(data.y_train, data.y_test), np.tile(np.arange(10), 3 + 2))


def test_published_batches_have_priority_over_the_jpeg_copy(members, tmp_path, monkeypatch):
    write_zip(tmp_path, members)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert_raises("pillow", datasets.load_cifar10, folder=tmp_path, error=ImportError)
    # The batches have priority over the JPEG copy.
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"damaged")
    assert_raises(r"cifar-10-python.tar.gz.* is damaged", datasets.load_cifar10, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        *(
            (DAMAGED_IMAGE_NAME, data, DAMAGED_IMAGE_NAME)
            for data in (b"", b"no image", encode_jpeg(np.zeros((32, 32, 3), np.uint8))[:-60])
        ),
        (DAMAGED_IMAGE_NAME, encode_jpeg(np.zeros((32, 31, 3), np.uint8)), DAMAGED_IMAGE_NAME),
        (DAMAGED_IMAGE_NAME, encode_jpeg(np.zeros((32, 32, 3), np.uint8), "L"), DAMAGED_IMAGE_NAME),
        ("test/ship/0000.jpg", None, "test/ship/0000.jpg is"),
    ],
    ids=["empty", "foreign", "truncated", "narrow", "gray", "missing"],
)
def test_the_error_names_a_bad_or_missing_image(members, tmp_path, name, data, message):
    members[name] = data
    write_zip(tmp_path, {name: data for name, data in members.items() if data is not None})
    assert_raises(rf"cifar10-jpeg.zip: {message}", datasets.load_cifar10, folder=tmp_path)
    assert not datasets.cache_folder().exists()


@pytest.mark.parametrize(
    ("damage_bytes", "message"),
    [
        (lambda data, index: b"", DAMAGE_MESSAGE),
        (lambda data, index: data[:-30], DAMAGE_MESSAGE),
        (lambda data, index: b"no zip" * 100, DAMAGE_MESSAGE),
        (
            lambda data, index: data[:index] + bytes((data[index] ^ 1,)) + data[index + 1 :],
            rf"{DAMAGED_IMAGE_NAME} .*CRC",
        ),
    ],
    ids=["empty", "truncated", "foreign", "one bit of a member"],
)
def test_the_error_names_a_damaged_zip(members, tmp_path, damage_bytes, message):
    path = write_zip(tmp_path, members)
    data = path.read_bytes()
    path.write_bytes(
        damage_bytes(data, data.index(members[DAMAGED_IMAGE_NAME]) + len(members[DAMAGED_IMAGE_NAME]) // 2)
    )
    assert_raises(message, datasets.load_cifar10, folder=tmp_path)


@pytest.mark.slow
def test_the_real_jpeg_archive_has_all_images(use_empty_cache_folder):
    folder = next((path for path in DATA_FOLDERS if (path / cifar10.JPEG_ARCHIVE).is_file()), None)
    if folder is None:
        pytest.skip("cifar10-jpeg.zip is not on disk: set FASTLIN_DATA to its folder")
    data = datasets.load_cifar10(5000, 7, folder)
    assert [len(X) for X in (data.X_train, data.X_val, data.X_test)] == [45_000, 5_000, 10_000]
    np.testing.assert_array_equal(np.bincount(np.append(data.y_train, data.y_val)), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(data.y_test), [1000] * 10)
    assert 100 < data.X_train.mean() < 140
