"""The figures of the networks on CIFAR-10, for simulated results: reported values, all draws, and divergence."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastlin.course import figures
from fastlin.course.figures import networks
from fastlin.course.studies.cifar10_deep import DEPTHS, VARIANTS
from fastlin.course.studies.settings import Results
from fastlin.training import Checkpoint, Training

from .conftest import is_inside_figure

REPORTED_ACCURACIES = {"train": 0.555, "validation": 0.491, "test": 0.527}
DEEP_VARIANTS = [name for name, variant in VARIANTS.items() if variant.depths == DEPTHS]
PARAMETER_NAMES = ["hidden", "learning_rate", "decay", "reg", "epochs", "batch_size"]


@pytest.fixture
def draw(saved, tmp_path):
    """Return a function that plots the results of a study and returns the Plots and the figures."""

    def draw(study, results):
        plots = figures.draw(study, results, tmp_path)
        assert all(text.endswith(".") for plot in plots for text in (plot.caption, plot.alt))
        return plots, saved

    return draw


def make_two_layer_results(data, stop_reason="limit", n_epochs=6, loss=2.0):
    epochs = [
        SimpleNamespace(loss=loss, accuracy=0.3, validation_loss=1.5, validation_accuracy=0.1 + 0.01 * number)
        for number in range(n_epochs)
    ]
    trained = SimpleNamespace(
        training=Training(epochs, Checkpoint(n_epochs, None), stop_reason, n_epochs),
        penalties=list(0.1 * np.arange(n_epochs)),
        accuracies={"train": 0.6, "validation": 0.5, "test": 0.487},
    )
    parameters = {"data": data, "fraction_of_epochs": 1.0}
    return Results(parameters, {"reported": REPORTED_ACCURACIES}, {"one interpretation": trained, "another": trained})


@pytest.mark.parametrize(("data", "n_lines"), [("cifar10", 6), ("digits", 3)])
def test_plotted_losses_include_the_penalty(data, n_lines, draw):
    _, (figure,) = draw("cifar10_two_layer", make_two_layer_results(data))
    accuracy = figure.axes[2]
    assert len(accuracy.lines) == n_lines
    heights = [line.get_ydata()[0] for line in accuracy.lines if line.get_linestyle() == ":"]
    assert heights == (list(REPORTED_ACCURACIES.values()) if data == "cifar10" else [])
    assert figure.get_suptitle().startswith("CIFAR-10" if data == "cifar10" else "scikit-learn's 8 × 8 digits")
    assert accuracy.get_title().endswith("0.487")
    training, validation = figure.axes[0].lines
    np.testing.assert_allclose(training.get_ydata(), 2.0)
    np.testing.assert_allclose(validation.get_ydata(), 1.5 + 0.1 * np.arange(6))
    np.testing.assert_array_equal(training.get_xdata(), np.arange(1, 7))


def test_a_diverged_run_is_annotated(draw):
    _, (figure,) = draw("cifar10_two_layer", make_two_layer_results("cifar10", "diverged", 3, loss=1e9))
    assert figure.axes[0].texts[0].get_text() == "diverged in epoch 4"
    # The losses of the diverged run do not determine the limits of the axes.
    assert figure.axes[1].get_ylim() == (0, networks.MAX_LOSS)


@pytest.mark.parametrize(("data", "n_draws"), [("cifar10", 9), ("digits", 1)])
def test_the_search_figure_marks_the_best_sample_and_the_optimum(data, n_draws, draw):
    parameters = np.random.default_rng(0).uniform(0.1, 1, (n_draws + 1, 6))
    optimum, *records = (dict(zip(PARAMETER_NAMES, values, strict=True)) for values in parameters)
    optimum["validation"] = 0.473
    for number, record in enumerate(records):
        record["validation"] = 0.5 - 0.01 * number
    results = Results(
        {"data": data, "train_images": 44_000, "draws": n_draws},
        {"optimum_rank": 4, "best_validation": 0.5, "optimum_validation": 0.473},
        {"records": records, "optimum": optimum, "names": PARAMETER_NAMES},
    )
    (plot,), (figure,) = draw("cifar10_search", results)
    for axes, name in zip(figure.axes, PARAMETER_NAMES, strict=True):
        drawn = [points.get_offsets().tolist() for points in axes.collections]
        expected = [[record[name], record["validation"]] for record in records]
        assert drawn == [expected, expected[:1], [[optimum[name], 0.473]]]
        # The marker of the optimum is hollow, so the best draw is visible inside it if both have the same position.
        assert axes.collections[2].get_facecolor().size == 0
        assert [line.get_ydata()[0] for line in axes.lines] == ([0.491] if data == "cifar10" else [])
    assert f"random search, {n_draws} draws;" in figure.get_suptitle()
    assert "0.500; reported optimum 0.473, rank 4" in figure.get_suptitle()
    assert "0.473 would have rank 4" in plot.alt


@pytest.mark.parametrize(("depths", "n_draws"), [(DEPTHS, 3), ((2, 4, 10), 1)])
def test_every_sample_of_every_deep_variant_is_plotted(depths, n_draws, draw):
    generator = np.random.default_rng(0)
    best = {
        name: {str(depth): list(generator.uniform(0.1, 0.5, n_draws)) for depth in depths if depth in variant.depths}
        for name, variant in VARIANTS.items()
    }
    means = {name: {depth: float(np.mean(values)) for depth, values in best[name].items()} for name in DEEP_VARIANTS}
    recipes = {name: {"init": name.split(",")[0].lower()} for name in VARIANTS}
    metrics = {"mean_best_validation_accuracy_by_hidden_layers": means}
    results = Results({"data": "cifar10", "recipes": recipes}, metrics, {"best": best})
    (plot,), (figure,) = draw("cifar10_deep", results)
    (axes,) = figure.axes
    for number, name in enumerate(DEEP_VARIANTS):
        rows = list(best[name].values())
        assert axes.lines[number].get_ydata() == pytest.approx([np.mean(values) for values in rows])
        np.testing.assert_allclose(axes.collections[number].get_offsets()[:, 1], np.ravel(rows))
        assert axes.lines[number].get_linestyle() == ("--" if name.startswith("normal") else "-")
    assert ", ".join(f"{value:.3f}" for value in means["normal, plain"].values()) in plot.alt
    figure.draw_without_rendering()
    assert is_inside_figure(figure._suptitle, figure)
