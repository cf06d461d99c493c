"""The figures of the course's studies: titles, captions and labels with measured values, and nothing is clipped."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from fastlin.course import datasets, figures
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.text_templates import read_toml

from .conftest import is_inside_figure

pytestmark = pytest.mark.thorough

DRAWN_STUDIES = [name for name in STUDIES if name != "gradient_check"]
FIGURES_WITH_LEGENDS = "binary", "early_stopping", "shuffling", "softmax", "l2_sweep", "learning"
# The number of leading panels whose curves begin in the first epoch.
N_CURVES_PER_STUDY = {"binary": 2, "early_stopping": 2, "shuffling": 4, "softmax": 3}


@pytest.fixture(scope="module")
def results_by_study():
    settings = Settings(datasets.load_digits(), quick=True)
    return {name: STUDIES[name](settings) for name in DRAWN_STUDIES}


@pytest.fixture
def draw(results_by_study, saved, tmp_path):
    """Return a function that plots a study, optionally with changed results, and returns the Plot and the figure."""

    def draw(study, metrics=None, parameters=None):
        results = results_by_study[study]
        parameters, metrics = results.parameters | (parameters or {}), results.metrics | (metrics or {})
        (plot,) = figures.draw(study, Results(parameters, metrics, results.series), tmp_path)
        return plot, saved.pop()

    return draw


def test_every_figure_has_texts_and_a_study():
    captions = read_toml("figures", "plots.toml")
    assert captions.keys() == figures.DRAWING_FUNCTIONS.keys() == {*DRAWN_STUDIES, *CIFAR10_STUDIES, "baselines"}
    assert all(text.keys() == {"title", "caption", "alt"} for text in captions.values())


@pytest.mark.parametrize("study", DRAWN_STUDIES)
def test_no_text_of_a_figure_is_clipped_or_covered(study, draw, results_by_study):
    plot, figure = draw(study)
    title = figure.get_suptitle()
    assert title.startswith("scikit-learn's 8 × 8 digits, ")
    assert "{" not in title + plot.caption + plot.alt
    figure.draw_without_rendering()
    assert is_inside_figure(figure._suptitle, figure)
    assert len(figure.legends) == (study in FIGURES_WITH_LEGENDS)
    for legend in figure.legends:
        assert is_inside_figure(legend, figure)
        top = legend.get_window_extent().y1
        assert all(axes.get_window_extent().y0 > top for axes in figure.axes)
        labels = [text.get_text() for text in legend.get_texts()]
        assert len(set(labels)) == len(labels)
    series = results_by_study[study].series
    for number in range(N_CURVES_PER_STUDY.get(study, 0)):
        trained = series.get("trained") or series.get("in_order") or series["full length"]["in order"]
        axes = figure.axes[number]
        # The vertices of the curves and of their bands.
        points = [line.get_xydata() for line in axes.lines[:2]]
        points += [band.get_paths()[0].vertices for band in axes.collections]
        heights = np.concatenate(
            [path_vertices[path_vertices[:, 0] >= trained.steps_per_epoch, 1] for path_vertices in points]
        )
        low, high = axes.get_ylim()
        assert len(heights) > 10
        # A band may extend below 0, where there is no loss.
        assert low <= max(heights.min(), 0) <= heights.max() <= high
        # The curves fill most of the axes.
        assert heights.max() > low + 0.8 * (high - low)


@pytest.mark.parametrize(
    ("stop_epochs", "data", "marks"),
    [
        (4 * [500.0], "digits", {}),
        (4 * [7.25], "digits", {}),
        ([7.0, 7.0, 9.0, 30.5], "mnist", {"A": 17, "B": 19, "C": 33}),
    ],
)
def test_the_histogram_counts_every_early_stop(stop_epochs, data, marks, draw):
    _, figure = draw("early_stopping", {"stop_epochs_shuffled": stop_epochs}, {"data": data})
    assert figure.get_suptitle().startswith("MNIST, ") == (data == "mnist")
    axes = figure.axes[2]
    bars = [bar for bar in axes.patches if bar.get_height() > 0]
    assert sum(bar.get_height() for bar in bars) == len(stop_epochs)
    for stop in stop_epochs:
        assert any(bar.get_x() <= stop < bar.get_x() + bar.get_width() for bar in bars)
    assert {text.get_text(): text.xy[0] for text in axes.texts} == marks


def test_an_onset_that_is_never_reached_is_not_plotted(draw):
    plot, figure = draw("softmax", {"train_accuracy_overtakes_at_step": None})
    assert plot.alt.endswith("above the validation accuracy: never.")
    assert len(figure.axes[3].lines) == 2


def test_plotting_does_not_change_the_callers_figures_and_settings(results_by_study, tmp_path):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.size": 7.5, "axes.grid": False}):
        callers_figure = plt.figure()
        axes = callers_figure.subplots()
        before = dict(plt.rcParams)
        # Together, these studies call every function that creates or fills a figure.
        for study in ("images", "l2_norm", "l2_weights"):
            figures.draw(study, results_by_study[study], tmp_path)
        assert plt.get_fignums() == [callers_figure.number]
        assert plt.gca() is axes
        assert not axes.has_data()
        assert dict(plt.rcParams) == before
        plt.close(callers_figure)


def test_an_early_stop_in_the_first_epoch_can_be_plotted(results_by_study, tmp_path):
    # The limits of the axes depend on values after the first epoch. Here there are no such values.
    results = results_by_study["early_stopping"]
    full = results.series["in_order"]
    n_steps = full.steps_per_epoch // 2
    few = {name: dict(list(history.items())[:n_steps]) for name, history in (*full.train.items(), *full.val.items())}
    short = replace(full, train=few, val=few)
    changed = replace(results, series={"in_order": short, "shuffled": short})
    assert figures.draw("early_stopping", changed, tmp_path)[0].file == "early_stopping.png"
