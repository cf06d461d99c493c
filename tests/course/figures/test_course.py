"""The pictures of the course's studies: titles, captions and texts that hold what was measured, and nothing cut off."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from fastlin.course import datasets, figures
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.texts import read_toml

from .conftest import is_within

pytestmark = pytest.mark.thorough

DRAWN = [name for name in STUDIES if name != "gradient_check"]
LEGENDS = "binary", "early_stopping", "shuffling", "softmax", "l2_sweep", "learning"
# How many panels, from the first, show curves from the first epoch on.
CURVES = {"binary": 2, "early_stopping": 2, "shuffling": 4, "softmax": 3}


@pytest.fixture(scope="module")
def found():
    settings = Settings(datasets.load_digits(), quick=True)
    return {name: STUDIES[name](settings) for name in DRAWN}


@pytest.fixture
def draw(found, opened, tmp_path):
    """A function that draws a study, whose results may be changed; it returns the picture and the figure."""

    def draw(study, metrics=None, parameters=None):
        results = found[study]
        parameters, metrics = results.parameters | (parameters or {}), results.metrics | (metrics or {})
        (plot,) = figures.draw(study, Results(parameters, metrics, results.series), tmp_path)
        return plot, opened.pop()

    return draw


def test_every_drawing_has_its_texts_and_a_study():
    texts = read_toml("figures", "plots.toml")
    assert texts.keys() == figures.DRAWINGS.keys() == {*DRAWN, *CIFAR10_STUDIES, "baselines"}
    assert all(text.keys() == {"title", "caption", "alt"} for text in texts.values())


@pytest.mark.parametrize("study", DRAWN)
def test_texts_are_filled_and_nothing_is_cut_off_or_covered(study, draw, found):
    plot, figure = draw(study)
    title = figure.get_suptitle()
    assert title.startswith("scikit-learn's 8 × 8 digits, ")
    assert "{" not in title + plot.caption + plot.alt
    figure.draw_without_rendering()
    assert is_within(figure._suptitle, figure)
    assert len(figure.legends) == (study in LEGENDS)
    for legend in figure.legends:
        assert is_within(legend, figure)
        top = legend.get_window_extent().y1
        assert all(axes.get_window_extent().y0 > top for axes in figure.axes)
        labels = [text.get_text() for text in legend.get_texts()]
        assert len(set(labels)) == len(labels)
    series = found[study].series
    for number in range(CURVES.get(study, 0)):
        trained = series.get("trained") or series.get("in_order") or series["full length"]["in order"]
        axes = figure.axes[number]
        # Of the curves and their bands.
        points = [line.get_xydata() for line in axes.lines[:2]]
        points += [band.get_paths()[0].vertices for band in axes.collections]
        heights = np.concatenate([each[each[:, 0] >= trained.steps_per_epoch, 1] for each in points])
        low, high = axes.get_ylim()
        assert len(heights) > 10
        # A band may reach below 0, where no loss is.
        assert low <= max(heights.min(), 0) <= heights.max() <= high
        # What is drawn fills most of the axes.
        assert heights.max() > low + 0.8 * (high - low)


@pytest.mark.parametrize(
    ("stops", "data", "marks"),
    [
        (4 * [500.0], "digits", {}),
        (4 * [7.25], "digits", {}),
        ([7.0, 7.0, 9.0, 30.5], "mnist", {"A": 17, "B": 19, "C": 33}),
    ],
)
def test_the_histogram_holds_every_stop_and_marks_the_reports_on_mnist_alone(stops, data, marks, draw):
    _, figure = draw("early_stopping", {"stop_epochs_shuffled": stops}, {"data": data})
    assert figure.get_suptitle().startswith("MNIST, ") == (data == "mnist")
    axes = figure.axes[2]
    bars = [bar for bar in axes.patches if bar.get_height() > 0]
    assert sum(bar.get_height() for bar in bars) == len(stops)
    for stop in stops:
        assert any(bar.get_x() <= stop < bar.get_x() + bar.get_width() for bar in bars)
    assert {text.get_text(): text.xy[0] for text in axes.texts} == marks


def test_an_onset_that_never_comes_is_not_drawn(draw):
    plot, figure = draw("softmax", {"train_accuracy_overtakes_at_step": None})
    assert plot.alt.endswith("above the validation accuracy: never.")
    assert len(figure.axes[3].lines) == 2


def test_pictures_leave_the_callers_figures_and_settings_alone(found, tmp_path):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.size": 7.5, "axes.grid": False}):
        mine = plt.figure()
        axes = mine.subplots()
        before = dict(plt.rcParams)
        # Between them these use every way to open and fill a figure.
        for study in ("images", "l2_norm", "l2_weights"):
            figures.draw(study, found[study], tmp_path)
        assert plt.get_fignums() == [mine.number]
        assert plt.gca() is axes
        assert not axes.has_data()
        assert dict(plt.rcParams) == before
        plt.close(mine)


def test_an_early_stop_in_the_first_epoch_can_be_drawn(found, tmp_path):
    # No value lies after the first epoch then, by which the heights of the axes are chosen.
    results = found["early_stopping"]
    whole = results.series["in_order"]
    n_steps = whole.steps_per_epoch // 2
    few = {name: dict(list(history.items())[:n_steps]) for name, history in (*whole.train.items(), *whole.val.items())}
    short = replace(whole, train=few, val=few)
    changed = replace(results, series={"in_order": short, "shuffled": short})
    assert figures.draw("early_stopping", changed, tmp_path)[0].file == "early_stopping.png"
