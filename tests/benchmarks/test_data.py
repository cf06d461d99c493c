"""Letter Recognition from disk: read, damaged and missing."""

import gzip

import numpy as np
import pytest
from conftest import assert_refused

from benchmarks.data import LETTER_FEATURES, LETTER_FILE, LETTER_ROWS, LETTER_TRAIN, load_letter

LINE = "A," + ",".join(str(number) for number in range(LETTER_FEATURES))


def write_letter(folder, lines):
    with gzip.open(folder / LETTER_FILE, "wt") as file:
        file.write("\n".join(lines) + "\n")


def test_letter_takes_the_first_rows_for_training(tmp_path):
    write_letter(tmp_path, [LINE, "Z" + ",15" * LETTER_FEATURES] + [LINE] * (LETTER_ROWS - 2))
    data = load_letter(tmp_path)
    X, y = data.X_train, data.y_train
    assert data.X_test.shape == (LETTER_ROWS - LETTER_TRAIN, LETTER_FEATURES)
    assert data.y_test.shape == (LETTER_ROWS - LETTER_TRAIN,)
    assert X.shape == (LETTER_TRAIN, LETTER_FEATURES)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[0], np.arange(LETTER_FEATURES))
    assert (X[1] == 15).all()
    assert y[:3].tolist() == [0, 25, 0]


@pytest.mark.parametrize(
    "line", ["", "a" + LINE[1:], LINE + ",1", LINE[:-3], "A" + ",16" * 16, "A" + ",-1" * 16, "A" + ",x" * 16]
)
def test_another_file_than_letter_is_refused(tmp_path, line):
    write_letter(tmp_path, [LINE] * 7 + [line] + [LINE] * (LETTER_ROWS - 8))
    assert_refused(None, load_letter, tmp_path)


def test_a_missing_letter_skips(tmp_path, monkeypatch):
    assert_refused("FASTLIN_DATA names the folder", load_letter, tmp_path, error=NotImplementedError)
    monkeypatch.setenv("FASTLIN_DATA", "")
    assert_refused("FASTLIN_DATA names the folder", load_letter, error=NotImplementedError)
