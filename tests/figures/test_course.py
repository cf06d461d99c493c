"""The pictures of the course's studies: the limits of their axes, and that they leave the caller's figures alone."""

import matplotlib
import pytest

from fastlin import datasets, figures
from fastlin.figures import course
from fastlin.studies import STUDIES
from fastlin.studies.settings import Settings


@pytest.fixture(scope="module")
def digits():
    return Settings(datasets.load_digits(), quick=True)


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("binary", [(0, 0.2), (0.93, 0.99)]),
        ("early_stopping", [(0, 0.2), (0, 0.2), None]),
        ("shuffling", [(0.93, 0.99), (0, 0.2), (0.93, 0.99), (0, 0.2)]),
        ("softmax", [(0.2, 0.8), (0.89, 0.93), (0, 1), None]),
        ("l2_sweep", [(0.65, 0.93)]),
    ],
)
def test_whole_studies_of_mnist_have_their_own_limits(study, expected, digits, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(course, "save_figure", lambda figure, folder, name: opened.append(figure) or name)
    results = STUDIES[study](digits)
    limits = []
    for full_mnist in (True, False):
        assert figures.draw(study, results, tmp_path, full_mnist) == [f"{study}.png"]
        limits.append([axes.get_ylim() for axes in opened.pop().axes])
    for fixed, free, wanted in zip(*limits, expected, strict=True):
        assert fixed == (free if wanted is None else wanted)
        assert wanted in (None, (0, 1)) or free != wanted


def test_pictures_leave_the_callers_figures_alone(digits, tmp_path):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    figures.draw("binary", STUDIES["binary"](digits), tmp_path, full_mnist=False)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_a_study_without_a_picture_draws_nothing(tmp_path):
    assert figures.draw("gradient_check", None, tmp_path, full_mnist=True) == []
    assert not list(tmp_path.iterdir())
