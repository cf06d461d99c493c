"""CIFAR-10 from its JPEG copy: the decoded images, and damaged and malicious zips."""

import io
import sys
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from fastlin.course import datasets
from fastlin.course.datasets import cifar10, cifar10_jpeg

PER_CLASS = {"train": 3, "test": 2}
DAMAGED = "train/cat/0001.jpg"


def to_jpeg(pixels, mode="RGB"):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def make_members():
    """Return {name: JPEG} with a colour for each image: its red tells the class, its green the number in the class."""
    members = {}
    for part, n in PER_CLASS.items():
        for label, name in enumerate(cifar10_jpeg.CLASS_NAMES):
            for number in range(n):
                colour = (20 * label, 40 * number, 200 if part == "train" else 100)
                members[f"{part}/{name}/{number:04}.jpg"] = to_jpeg(np.full((32, 32, 3), colour, np.uint8))
    return members


def write_zip(folder, members):
    """Write {name: bytes}, or (name, bytes) pairs where a name comes twice, as the zip of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = members.items() if isinstance(members, dict) else members
    path = folder / "cifar10-jpeg.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, data in pairs:
            archive.writestr(name, data)
    return path


@pytest.fixture
def members(monkeypatch, empty_places):
    monkeypatch.setattr(cifar10_jpeg, "IMAGES_PER_CLASS", PER_CLASS)
    monkeypatch.setattr(cifar10, "N_TRAIN", 10 * PER_CLASS["train"])
    return make_members()


@pytest.fixture
def jpeg_folder():
    """The folder with the real zip, or a skip that says what is missing."""
    for place in datasets.list_places():
        if (place / cifar10_jpeg.ARCHIVE).is_file():
            return place
    pytest.skip("cifar10-jpeg.zip is not on disk: set FASTLIN_DATA to the folder that holds it")


def test_rows_come_by_number_and_class_in_the_published_layout(members, tmp_path):
    write_zip(tmp_path, members)
    data = datasets.load_cifar10(folder=tmp_path)
    assert data.name == "cifar10"
    assert data.class_names == cifar10_jpeg.CLASS_NAMES
    for X, y, n, blue in ((data.X_train, data.y_train, 3, 200), (data.X_test, data.y_test, 2, 100)):
        assert X.shape == (10 * n, 3072)
        assert X.dtype == np.uint8
        assert X.flags.c_contiguous
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, np.tile(np.arange(10), n))
        colours = np.column_stack((20 * y, np.repeat(40 * np.arange(n), 10), np.full(10 * n, blue)))
        np.testing.assert_allclose(X.reshape(-1, 3, 1024), np.repeat(colours[:, :, None], 1024, axis=2), atol=6)


def test_pixels_are_those_that_pillow_decodes(members, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    members["test/frog/0001.jpg"] = to_jpeg(picture)
    write_zip(tmp_path, members)
    row = datasets.load_cifar10(folder=tmp_path).X_test[16]
    expected = np.asarray(Image.open(io.BytesIO(members["test/frog/0001.jpg"])))
    np.testing.assert_array_equal(row.reshape(3, 32, 32), np.moveaxis(expected, -1, 0))


def test_published_batches_go_before_the_copy(members, tmp_path):
    write_zip(tmp_path, members)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz is damaged"):
        datasets.load_cifar10(folder=tmp_path)


def test_nothing_is_unpacked_and_other_names_are_passed_over(members, tmp_path):
    write_zip(
        tmp_path / "data", [("train/", b""), *members.items(), ("../evil.jpg", b"x"), ("train/lion/0000.jpg", b"")]
    )
    assert len(datasets.load_cifar10(folder=tmp_path / "data").X_train) == 30
    assert not list(tmp_path.rglob("*.jpg"))


def test_a_missing_image_is_named(members, tmp_path):
    write_zip(tmp_path, {name: data for name, data in members.items() if not name.startswith("test/ship")})
    with pytest.raises(ValueError, match=r"cifar10-jpeg.zip: test/ship/0000.jpg is"):
        datasets.load_cifar10(folder=tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        to_jpeg(np.zeros((32, 32, 3), np.uint8))[:-60],
        to_jpeg(np.zeros((32, 31, 3), np.uint8)),
        to_jpeg(np.zeros((64, 64, 3), np.uint8)),
        to_jpeg(np.zeros((32, 32, 3), np.uint8), "L"),
        to_jpeg(np.zeros((32, 32, 3), np.uint8)) + bytes(100_000),
    ],
    ids=["empty", "foreign", "truncated", "narrow", "large", "grey", "too long"],
)
def test_a_bad_image_is_named(members, tmp_path, data):
    write_zip(tmp_path, members | {DAMAGED: data})
    with pytest.raises(ValueError, match=rf"cifar10-jpeg.zip: {DAMAGED}"):
        datasets.load_cifar10(folder=tmp_path)
    assert not datasets.cache_folder().exists()


def test_a_picture_of_another_kind_is_refused(members, tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(stream, "PNG")
    write_zip(tmp_path, members | {DAMAGED: stream.getvalue()})
    with pytest.raises(ValueError, match=DAMAGED):
        datasets.load_cifar10(folder=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-30], lambda data: b"no zip" * 100])
def test_a_damaged_zip_is_named(members, tmp_path, damage):
    path = write_zip(tmp_path, members)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"cifar10-jpeg.zip is damaged"):
        datasets.load_cifar10(folder=tmp_path)


def test_a_member_that_changed_in_the_zip_is_named(members, tmp_path):
    path = write_zip(tmp_path, members)
    data = path.read_bytes()
    start = data.index(members[DAMAGED]) + len(members[DAMAGED]) // 2
    path.write_bytes(data[:start] + bytes((data[start] ^ 1,)) + data[start + 1 :])
    with pytest.raises(ValueError, match=rf"{DAMAGED} .*CRC"):
        datasets.load_cifar10(folder=tmp_path)


def test_a_missing_pillow_is_not_taken_for_damage(members, tmp_path, monkeypatch):
    write_zip(tmp_path, members)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pillow"):
        datasets.load_cifar10(folder=tmp_path)


@pytest.mark.slow
def test_the_real_zip(jpeg_folder, empty_places):
    data = datasets.load_cifar10(5000, 7, jpeg_folder)
    assert data.X_train.shape == (45_000, 3072)
    assert data.X_val.shape == (5_000, 3072)
    assert data.X_test.shape == (10_000, 3072)
    np.testing.assert_array_equal(np.bincount(np.append(data.y_train, data.y_val)), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(data.y_test), [1000] * 10)
    assert 100 < data.X_train.mean() < 140
    again = datasets.load_cifar10(5000, 7, jpeg_folder)
    np.testing.assert_array_equal(again.X_val, data.X_val)
    np.testing.assert_array_equal(again.y_train, data.y_train)
