"""The measures of weights as pictures: how rough they are, and how far from a straight upright line."""

import numpy as np
import pytest

from fastlin.course.studies.l2 import measure_line, relative_roughness


def test_relative_roughness_crosses_no_ends_of_rows():
    # Each row of pixels rises by 1 from left to right, so that neighbours differ by 1 in a row and by 0 in a column.
    w = np.concatenate([np.tile(np.arange(4.0), 4), [100.0]])[:, np.newaxis]
    assert relative_roughness(w) == pytest.approx(np.sqrt(0.5) / np.arange(4.0).std())
    assert relative_roughness(3 * w) == pytest.approx(relative_roughness(w))
    transposed = np.concatenate([np.repeat(np.arange(4.0), 4), [0.0]])[:, np.newaxis]
    both = np.concatenate([w, transposed], axis=1)
    assert relative_roughness(both) == pytest.approx(relative_roughness(w))


def test_a_line_is_narrow_and_upright():
    side = 12
    upright, slanted = np.zeros((side, side)), np.zeros((side, side))
    upright[:, 5:7] = 1
    for row in range(side):
        slanted[row, row] = 1
    (width, slant, offset), (other_width, other_slant, _) = (
        measure_line(picture.ravel() + 5) for picture in (upright, slanted)
    )
    assert (width, slant) == (pytest.approx(0.5 / side), pytest.approx(0))
    # The columns 5 and 6 of 12 are the middle.
    assert offset == pytest.approx(0)
    assert measure_line(np.roll(upright, 3, axis=1).ravel() + 5)[2] == pytest.approx(3 / side)
    assert other_width == pytest.approx(np.arange(12).std() / side)
    # The middle half has the columns 3 to 8.
    assert other_slant == pytest.approx(np.arange(6).std() / side)
