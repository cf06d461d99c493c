"""The figure of the comparison of libraries, for simulated curves: titles and labels fit."""

from itertools import pairwise

import pytest

from fastlin.course import figures
from fastlin.course.figures import LIBRARIES
from fastlin.course.studies.settings import Results

from .conftest import is_inside_figure

# A baseline that the program's option adds.
LONG_NAME = "package.subpackage.module:LogisticRegression(C=0.0123, max_iter=100_000, random_state=0, tol=?)"


def make_problem(left_out):
    points = [{"seconds": 0.01 * 2**number, "suboptimality": 10.0 ** (-2 * number)} for number in range(4)]
    return {
        "name": "1,000 classes",
        "samples": 1_234_567,
        "features": 1_234_567,
        "intercept": True,
        "points": {name: points for name in (*LIBRARIES, LONG_NAME) if name not in left_out},
        "left_out": dict.fromkeys(left_out, "on purpose"),
    }


@pytest.mark.parametrize("n_problems", [1, 2])
def test_titles_and_names_of_baselines_fit_into_the_figure(n_problems, saved, tmp_path):
    left_out = [name for name in LIBRARIES if name != "fastlin"][:8]
    parameters = {"data": "table", "floor": 1e-8, "dtype": "float64", "C": 0.0123, "threads": 128, "budget": 123.0}
    results = Results(parameters, {}, {"problems": [make_problem(left_out)] * n_problems})
    figures.draw("baselines", results, tmp_path)
    (figure,) = saved
    figure.draw_without_rendering()
    assert "128 threads (baselines: one thread if faster)" in figure.get_suptitle()
    for text in (
        figure._suptitle,
        *figure.legends,
        *(label for axes in figure.axes for label in (axes.title, axes.xaxis.label)),
    ):
        assert is_inside_figure(text, figure)
    for axes in figure.axes:
        assert all(name in axes.get_xlabel().replace("\n", " ") for name in left_out)
    # The names do not overlap the title of the next panel.
    text_boxes = [(axes.title.get_window_extent(), axes.xaxis.label.get_window_extent()) for axes in figure.axes]
    assert all(upper[1].y0 > lower[0].y1 for upper, lower in pairwise(text_boxes))
