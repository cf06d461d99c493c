"""Plots of histories, paths, scores, models and images: plotted data, labels, and errors."""

import dataclasses
import inspect

import matplotlib
import numpy as np
import pytest
from conftest import assert_raises
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin import datasets, figures
from fastlin.coefficient_names import INTERCEPT
from fastlin.estimators import StabilitySelection

X, Y = load_iris(return_X_y=True)
CV_PARAMETERS = {"cv": 3, "use_legacy_attributes": False}
matplotlib.use("Agg")


@pytest.fixture
def figure():
    """Yield an empty figure, which is rendered after the test."""
    figure = Figure(layout="constrained")
    yield figure
    figure.draw_without_rendering()


@pytest.fixture
def axes(figure):
    return figure.subplots()


def read(labels):
    return [label.get_text() for label in labels]


def legend(axes):
    return read(axes.get_legend().get_texts())


def test_plot_history_plots_values_or_means_with_a_band(axes):
    history = {0: 1.0, 5: 3.0, 10: 2.0, 15: 6.0, 20: 9.0}
    figures.plot_history(history, "values", axes=axes)
    figures.plot_history(history, "means", 2, axes=axes)
    figures.plot_history(history, "no band", 2, False, axes=axes)
    values, means, line_without_band = axes.lines
    np.testing.assert_array_equal(values.get_xydata(), list(history.items()))
    # The last value does not complete a group of two.
    np.testing.assert_array_equal(means.get_xydata(), [(2.5, 2), (12.5, 4)])
    np.testing.assert_array_equal(line_without_band.get_xydata(), means.get_xydata())
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1, 6)


def test_a_history_may_contain_arrays_or_tuples_of_one_number(axes):
    for wrap in (float, lambda value: np.array([value]), lambda value: (value,)):
        figures.plot_history({step: wrap(step / 4) for step in range(5)}, "means", 2, axes=axes)
        np.testing.assert_array_equal(axes.lines[-1].get_xydata(), [(0.5, 0.125), (2.5, 0.625)])
    message = r"^history must have one number for each step, got values of shape \(2,\)"
    assert_raises(message, figures.plot_history, {0: (0.5, 78), 5: (0.6, 80)}, axes=axes)


def test_plot_path_names_the_largest_coefficients_of_two_classes(axes):
    data = load_breast_cancer()
    path = fastlin.logistic_path(data.data, data.target, Cs=6, tol=1e-3)
    assert figures.plot_path(path, data.feature_names, axes=axes, n_labels=4) is axes
    largest = np.argsort(-np.abs(path.coefs[-1, 0]))[:4]
    assert set(read(axes.texts)) == set(data.feature_names[largest])
    assert axes.get_xscale() == "log"
    assert "C" in axes.get_xlabel()
    drawn = [line.get_ydata() for line in axes.lines]
    for j in largest:
        assert any(np.array_equal(path.coefs[:, 0, j], heights) for heights in drawn)
    (top,) = axes.child_axes
    assert [*map(int, read(top.get_xticklabels()))] == path.n_nonzeros.tolist()
    heights = [text.xyann[1] if text.xycoords == "data" else text.xy[1] for text in axes.texts]
    low, high = axes.get_ylim()
    assert (np.diff(np.sort(heights)) > 0.04 * (high - low)).all()


def test_plot_path_colors_each_of_more_classes(axes):
    path = fastlin.logistic_path(X, np.array(["a", "b", "c"])[Y], Cs=[0.1, 1.0, np.inf], l1_ratio=0.0, tol=1e-2)
    figures.plot_path(path, axes=axes)
    assert legend(axes) == ["class a", "class b", "class c"]
    assert len({line.get_color() for line in axes.lines if not line.get_label().startswith("_")}) == 3
    assert axes.get_xlim() == (0.1, 1.0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_plot_path_marks_the_selections_of_a_search(axes, n_classes):
    rows, labels = X[Y < n_classes], Y[Y < n_classes]
    path = fastlin.logistic_path(rows, labels, Cs=[0.01, 100.0], l1_ratio=0.0, tol=1e-2)
    model = fastlin.LogisticRegressionCV(Cs=8, l1_ratios=(0,), scoring="neg_log_loss", **CV_PARAMETERS)
    model.fit(rows, labels)
    figures.plot_path(path, axes=axes, model=model)
    mark_labels = [f"best: C = {model.C_best_:.3g}", f"one standard error: C = {model.C_one_standard_error_:.3g}"]
    assert legend(axes) == [f"class {k}" for k in range(3) if n_classes > 2] + mark_labels
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_label() in mark_labels]
    assert marks == [model.C_best_, model.C_one_standard_error_]
    axes.clear()
    # A single fold has no standard error, and a log axis cannot show C = inf.
    model.set_params(cv=None).fit(rows[::2], labels[::2], X_val=rows[1::2], y_val=labels[1::2])
    figures.plot_path(path, axes=axes, model=model)
    assert legend(axes)[-1] == f"best: C = {model.C_best_:.3g}"
    axes.clear()
    model.C_best_ = np.inf
    figures.plot_path(path, axes=axes, model=model)
    assert "best" not in "".join(line.get_label() for line in axes.lines)
    message = "model must be a fitted LogisticRegressionCV, got LogisticRegression without C_best_"
    assert_raises(message, figures.plot_path, path, axes=axes, model=fastlin.LogisticRegression())


def test_plot_stability_names_selected_features(axes):
    # Frequencies of five pairs of half-samples; the last feature is not penalized.
    path = np.array([[9, 1, 0, 0, np.nan], [10, 8, 2, 0, np.nan]]) / 10
    selection = StabilitySelection(path, np.array(["a", "b", "c", "d", "e"], object), 5)
    assert figures.plot_stability(selection, axes=axes, threshold=0.8) is axes
    assert read(axes.texts) == ["a", "b"]
    drawn = [list(line.get_ydata()) for line in axes.lines]
    assert drawn == [[0, 0, 0.2], [0, 0.9, 1], [0, 0.1, 0.8], [0.8, 0.8]]
    assert legend(axes) == [f"threshold 0.8:\nat most {selection.error_bound(0.8):.2g} false selections expected"]
    assert axes.get_xlim() == (0, 2)


def test_plot_strengths_shows_the_strongest_items_with_intervals(axes):
    first, second = ["a$", "b", "c", "a$", "b", "c"], ["b", "c", "a$", "b", "c", "b"]
    model = fastlin.BradleyTerry().fit(first, second, [1, 1, 0.5, 0, 1, 0.5])
    assert figures.plot_strengths(model, axes=axes, n_items=2) is axes
    table = model.to_frame()
    ((line, _, (bars,)),) = axes.containers
    np.testing.assert_allclose(line.get_xdata(), table["strength"][:2])
    np.testing.assert_array_equal(line.get_ydata(), [1, 0])
    limits = [segment[:, 0] for segment in bars.get_segments()]
    np.testing.assert_allclose(limits, table[["lower", "upper"]].to_numpy()[:2])
    assert read(axes.get_yticklabels()) == [item.replace("$", r"\$") for item in table["item"][:2]]
    assert axes.get_title() == "the 2 strongest of 3 items"
    assert_raises(
        "^model must be a fitted BradleyTerry model", figures.plot_strengths, fastlin.BradleyTerry(), axes=axes
    )


def test_plot_scores_has_a_line_per_l1_ratio(axes):
    model = fastlin.LogisticRegressionCV(Cs=4, l1_ratios=(0,), scoring="neg_log_loss", **CV_PARAMETERS).fit(X, Y)
    assert figures.plot_scores(model, axes=axes) is axes
    mean, chosen = axes.lines
    np.testing.assert_allclose(mean.get_ydata(), model.scores_.mean(axis=(0, 1)))
    np.testing.assert_array_equal(chosen.get_xdata(), [model.C_, model.C_])
    (band,) = axes.collections
    lowest = (model.scores_.mean(axis=0) - model.scores_.std(axis=0)).min()
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(lowest)
    assert axes.get_ylabel() == "neg log loss"
    assert any(f"C = {model.C_:.3g}" in text for text in legend(axes))
    axes.clear()
    # A validation set has no band.
    model.set_params(cv=None).fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    figures.plot_scores(model, axes=axes)
    assert legend(axes) == ["validation rows", f"chosen: C = {model.C_:.3g}"]
    assert not axes.collections
    axes.clear()
    model = fastlin.LogisticRegressionCV(Cs=[0.1, 1], l1_ratios=(0, 1), scoring=None, **CV_PARAMETERS).fit(X, Y)
    figures.plot_scores(model, axes=axes)
    assert [text for text in legend(axes) if text.startswith("l1_ratio")] == ["l1_ratio = 0", "l1_ratio = 1"]
    assert axes.get_ylabel() == "accuracy"


@dataclasses.dataclass
class CoefficientEstimates:
    """The attributes of an Inference that are plotted. The last of its three coefficients is the intercept."""

    coef: np.ndarray
    std_errors: np.ndarray
    classes: tuple
    reference: object = "a"
    names: np.ndarray = dataclasses.field(default_factory=lambda: np.array(["x", "$y", INTERCEPT], object))
    is_symmetric: bool = False

    def conf_int(self, level):
        assert level == 0.95
        return np.stack([self.coef - 2 * self.std_errors, self.coef + 3 * self.std_errors], axis=-1)


COEFFICIENT_ESTIMATES = CoefficientEstimates(np.array([[4.0, -3.0, 9.0]]), np.array([[2.0, 0.5, 0.1]]), ("b",))


def test_plot_convergence_shows_the_gap_below_tol(axes):
    model = fastlin.LogisticRegression(tol=1e-6).fit(X, Y)
    assert figures.plot_convergence(model, axes=axes) is axes
    bound, distance, tol = axes.lines
    assert legend(axes) == ["duality gap (bound on J − J*)", "J − final J", "tol = 1e-06"]
    assert bound.get_ydata()[-1] <= 1e-6 == tol.get_ydata()[0]
    last = model.history_[-1]
    assert bound.get_ydata()[-1] == last.bound / last.objective
    # All iterations of a small fit have the same seconds and passes.
    np.testing.assert_array_equal(bound.get_xdata(), np.arange(1, 1 + len(model.history_)))
    assert axes.get_xlabel() == f"iteration (total: {model.n_passes_:.3g} passes over the data)"
    # The last distance is zero, which a log axis cannot show.
    assert len(distance.get_xdata()) == len(model.history_) - 1
    assert axes.get_yscale() == "log"


def test_plot_convergence_shows_training_and_validation_losses(axes):
    model = fastlin.MLPClassifier((4,), max_iter=3, n_iter_no_change=np.inf, random_state=0).fit(X, Y, X_val=X, y_val=Y)
    figures.plot_convergence(model, axes=axes)
    training, validation = axes.lines
    np.testing.assert_array_equal(training.get_xydata(), list(enumerate(model.loss_curve_, 1)))
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_curve_)
    assert legend(axes) == ["training (with penalty)", "validation"]


def test_invalid_plot_arguments_raise_an_error(axes):
    with pytest.warns(UserWarning, match="max_iter"):
        without = fastlin.LogisticRegression(max_iter=0).fit(X, Y)
    path = fastlin.logistic_path(X, Y > 0, Cs=[0.1], l1_ratio=0.0)
    search = fastlin.LogisticRegressionCV(Cs=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=True)
    format_length_message = r"^feature_names must have one name for each of {} coefficients, got {}$".format
    for plot, arguments, message in (
        (figures.plot_path, [dataclasses.replace(path, Cs=np.array([np.inf]))], "path has no finite C"),
        (figures.plot_scores, [search.fit(X, Y)], "use_legacy_attributes=False"),
        (
            figures.plot_convergence,
            [without],
            "^model must have history_ or loss_curve_ of at least one iteration, got Logistic",
        ),
        (figures.plot_coefficients, [fastlin.MLPClassifier()], "^model must be a fitted linear model .* got MLPClass"),
        (figures.plot_coefficients, [without, ["a", "b"]], format_length_message(4, 2)),
        (figures.plot_coefficients, [COEFFICIENT_ESTIMATES, ["a", "b", "c"]], format_length_message(2, 3)),
    ):
        assert_raises(message, plot, *arguments, axes=axes)
    message = "feature_names must have one name for each of 4 features, got 2"
    assert_raises(message, figures.plot_path, path, ["a", "b"], axes=axes)
    assert not axes.lines


def test_plot_coefficients_names_the_largest_coefficients(axes):
    data = load_breast_cancer()
    model = fastlin.LogisticRegression(C=0.1).fit(data.data / data.data.std(axis=0), data.target)
    figures.plot_coefficients(model, data.feature_names, axes=axes, n_features=3)
    order = np.argsort(-np.abs(model.coef_[0]))[:3]
    (bars,) = axes.containers
    np.testing.assert_array_equal(bars.datavalues, model.coef_[0, order])
    assert read(axes.get_yticklabels()) == [data.feature_names[j] for j in order]
    # The largest coefficient is at the top.
    assert np.argmax([bar.get_y() for bar in bars]) == 0
    assert axes.get_title() == "the largest coefficients; 27 more features have nonzero coefficients"
    assert axes.get_xlabel() == "coefficient (positive: favors 1)"


def test_plot_coefficients_has_bars_for_each_class(axes):
    model = fastlin.LogisticRegression(l1_ratio=1.0, C=0.05).fit(X, Y).sparsify()
    coef = model.coef_.toarray()
    n_shown_features = np.count_nonzero(coef.any(axis=0))
    assert 0 < n_shown_features < 4
    figures.plot_coefficients(model, axes=axes)
    assert legend(axes) == ["class 0", "class 1", "class 2"]
    order = np.argsort(-np.abs(coef).max(axis=0))[:n_shown_features]
    for bars, row in zip(axes.containers, coef, strict=True):
        np.testing.assert_array_equal(bars.datavalues, row[order])
    assert read(axes.get_yticklabels()) == [f"x{j}" for j in order]
    assert axes.get_title() == ""


def test_plot_coefficients_of_an_inference_draws_intervals_sorted_by_significance(axes):
    figures.plot_coefficients(COEFFICIENT_ESTIMATES, axes=axes)
    (points,) = axes.containers
    np.testing.assert_allclose(points[0].get_xydata(), [[-3.0, 1.0], [4.0, 0.0]])
    (bars,) = points[2]
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[-4.0, -1.5], [0.0, 10.0]])
    assert read(axes.get_yticklabels()) == [r"\$y", "x"]
    assert axes.get_xlabel() == "coefficient with 95 % interval (positive: favors b)"
    assert axes.get_legend() is None
    axes.clear()
    figures.plot_coefficients(COEFFICIENT_ESTIMATES, ["one", "two"], axes=axes, n_features=1)
    assert read(axes.get_yticklabels()) == ["two"]
    assert axes.get_title() == "the most significant coefficients; 1 more feature has nonzero coefficients"
    axes.clear()
    rows = np.array([[4.0, -3.0], [1.0, 2.0]])
    figures.plot_coefficients(
        CoefficientEstimates(rows, np.ones((2, 2)), ("b", "c"), names=np.array(["x", "y"])), axes=axes
    )
    assert (legend(axes), axes.get_legend().get_title().get_text()) == (["class b", "class c"], "vs a")
    axes.clear()
    # A column may be named like the intercept, and the intercept need not be last.
    moved = dataclasses.replace(COEFFICIENT_ESTIMATES, names=np.array(["x", INTERCEPT, "intercept"], object))
    figures.plot_coefficients(moved, axes=axes)
    assert read(axes.get_yticklabels()) == ["intercept", "x"]
    np.testing.assert_allclose(axes.containers[0][0].get_xydata(), [[9.0, 1.0], [4.0, 0.0]])


def test_plot_influence_labels_the_rows_with_the_largest_distances(axes):
    model = fastlin.LogisticRegression(C=np.inf).fit(X[:, :2], Y == 2)
    influence = model.inference(X[:, :2], Y == 2).influence()
    figures.plot_influence(influence, axes=axes)
    rows, labeled, _ = axes.lines
    np.testing.assert_array_equal(rows.get_xydata(), np.c_[influence.leverage, influence.deviance_residuals])
    order = np.argsort(-influence.cooks_distance)[:5]
    np.testing.assert_array_equal(labeled.get_xydata(), rows.get_xydata()[order])
    assert read(axes.texts) == list(map(str, order))
    assert [text.xy for text in axes.texts] == list(map(tuple, labeled.get_xydata()))
    assert legend(axes)[1].startswith("largest Cook's distances\n(")
    # A row without a distance is necessary for the estimates. Few rows have few labels.
    axes.clear()
    few = {field.name: getattr(influence, field.name)[:2] for field in dataclasses.fields(influence)}
    few["cooks_distance"] = np.array([0.1, np.nan])
    figures.plot_influence(dataclasses.replace(influence, **few), axes=axes)
    assert read(axes.texts) == ["1", "0"]
    assert_raises("^influence must be the result of Inference.influence, got Logi", figures.plot_influence, model)


def test_axes_and_figure_are_keyword_only():
    functions = [getattr(figures, name) for name in figures.__all__ if name.startswith(("plot_", "show_"))]
    assert len(functions) == 10
    for function in functions:
        parameters = inspect.signature(function).parameters
        (name,) = parameters.keys() & {"axes", "figure"}
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY, function.__name__
    for name in ("LIBRARIES", "DOTS_PER_INCH", "draw"):
        assert name not in figures.__all__
        assert not hasattr(figures, name)


NAMES = [f"a long name of a feature, number {number}" for number in range(4)]


@pytest.mark.parametrize(("n_classes", "style"), [(2, figures.STYLE), (3, {})])
def test_titles_and_labels_fit_into_the_figure(n_classes, style):
    import matplotlib.pyplot as plt

    rows = Y < n_classes
    model = fastlin.LogisticRegression().fit(X[rows], Y[rows])
    path = fastlin.logistic_path(X[rows], Y[rows], Cs=[0.1, 1.0], tol=1e-3)
    # Without a current figure the functions create one.
    plt.close("all")
    for plot in (
        lambda: figures.plot_coefficients(model, NAMES, n_features=1),
        lambda: figures.plot_coefficients(model, n_features=3),
        lambda: figures.plot_path(path, NAMES),
        lambda: figures.plot_convergence(model),
    ):
        with plt.rc_context(style):
            axes = plot()
        figure = axes.figure
        figure.draw_without_rendering()
        # The bounding box of all texts and marks: title, labels, names next to the axes, legend.
        box = axes.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
        plt.close(figure)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def images(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in panels(figure)]


def titles(figure):
    return [axes.get_title() for axes in panels(figure)]


@pytest.mark.parametrize(("n_pixels", "has_ones_column"), [(784, False), (64, True), (4, False), (1, True)])
def test_rows_become_square_images_without_the_column_of_ones(figure, n_pixels, has_ones_column):
    X = np.random.default_rng(0).integers(0, 256, (3, n_pixels))
    rows = np.hstack([X, np.ones((3, 1), int)]) if has_ones_column else X
    assert figures.show_images(rows, figure=figure) is figure
    side = round(n_pixels**0.5)
    scaled = (X - X.min()) / (X.max() - X.min())
    np.testing.assert_allclose(images(figure), scaled.reshape(3, side, side))
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0, 1)}
    assert {axes.images[0].get_cmap().name for axes in figure.axes} == {"gray"}


def test_color_channels_become_images_with_labels_as_titles(figure):
    X = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    figures.show_images(X, figure=figure)
    scaled = (X - float(X.min())) / (float(X.max()) - X.min())
    for row, image in zip(scaled, images(figure), strict=True):
        for color_channel in range(3):
            np.testing.assert_allclose(
                image[:, :, color_channel], row[1024 * color_channel : 1024 * (color_channel + 1)].reshape(32, 32)
            )
    figure.clear()
    data = datasets.load_digits()
    figures.show_images(data.X_train[:7], data.y_train[:7].reshape(-1, 1), n_columns=3, figure=figure)
    assert titles(figure) == [str(label) for label in data.y_train[:7]]
    cells = [axes.get_subplotspec() for axes in figure.axes]
    assert [(cell.rowspan.start, cell.colspan.start) for cell in cells] == [divmod(i, 3) for i in range(7)]


def test_without_a_figure_a_pyplot_figure_is_created():
    import matplotlib.pyplot as plt

    created_figures = [figures.show_images(np.zeros(784)), figures.plot_weights(np.zeros(785))[0].figure]
    assert {figure.number for figure in created_figures} <= set(plt.get_fignums())
    for figure in created_figures:
        # Constant images have no range to scale.
        assert np.isfinite(images(figure)).all()
        plt.close(figure)


@pytest.mark.parametrize("n_rows", [785, 784])
def test_plot_weights_uses_one_symmetric_color_scale(figure, n_rows):
    w = np.random.default_rng(0).normal(size=(n_rows, 10))
    w[784:] = 100
    returned_axes = figures.plot_weights(w, figure=figure)
    np.testing.assert_array_equal(images(figure), w[:784].T.reshape(10, 28, 28))
    largest = np.abs(w[:784]).max()
    assert returned_axes == panels(figure)
    assert {axes.images[0].get_clim() for axes in returned_axes} == {(-largest, largest)}
    assert titles(figure) == [str(digit) for digit in range(10)]
    assert len(figure.axes) == 11


def test_zero_weights_of_color_channels_are_gray(figure):
    w = np.zeros((3072, 2))
    w[5, 1], w[1024 + 40, 1] = -2.0, 1.0
    figures.plot_weights(w, ["a", "b"], figure=figure)
    first, second = images(figure)
    assert (first == 0.5).all()
    assert (second[0, 5, 0], second[1, 8, 1]) == (0, 0.75)
    assert titles(figure) == ["a", "b"]


def test_plot_weights_of_a_model_uses_the_image_shape(figure):
    X = np.random.default_rng(0).normal(size=(60, 6))
    model = fastlin.LogisticRegression().fit(X, np.repeat(["a", "b", "c"], 20))
    figures.plot_weights(model, shape=(2, 3), figure=figure)
    np.testing.assert_array_equal(images(figure), model.coef_.reshape(3, 2, 3))
    assert titles(figure) == ["a", "b", "c"]
    figure.clear()
    # Two classes have one row of coefficients, for the second class.
    model = fastlin.LogisticRegression().fit(X, np.repeat(["a", "b"], 30)).sparsify()
    (one,) = figures.plot_weights(model, shape=(1, 2, 3), figure=figure)
    assert one.get_title() == "b"
    assert one.images[0].get_array().shape == (1, 2, 3)
    # The coefficients of a model contain no bias to ignore.
    mismatch_message = r"^w must have the number of pixels of shape=\(\d, \d\) per image"
    shape_message = r"^shape must be \(height, width\) or \(height, width, 3\), got"
    for shape, message in (
        ((2, 2), mismatch_message),
        ((1, 5), mismatch_message),
        (6, shape_message),
        ((6,), shape_message),
    ):
        assert_raises(message, figures.plot_weights, model, shape=shape, figure=figure)


@pytest.mark.parametrize("shape", [(2, 11), (2, 787), (0, 784), (2, 28, 28), (2, 0)])
def test_rows_that_are_not_square_images_raise(figure, shape):
    assert_raises(r"^images must have n² or 3 n² pixels", figures.show_images, np.zeros(shape), figure=figure)
    assert_raises(r"^w must have n² or 3 n² pixels", figures.plot_weights, np.zeros(shape).T, figure=figure)
    with pytest.raises(ValueError, match=r"^labels must have one entry for each of 3 images, got 2$"):
        figures.plot_weights(np.zeros((65, 3)), ["a", "b"], figure=figure)
    assert not figure.axes


def test_positional_axes_and_figures_raise_with_a_hint_to_the_keyword(figure, axes):
    path, model = fastlin.logistic_path(X, Y, Cs=3), fastlin.LogisticRegression().fit(X, Y)
    rows = np.arange(8.0).reshape(2, 4)
    for plot, data, argument, keyword in (
        (figures.plot_history, {0: 1.0}, "label", "axes"),
        (figures.plot_path, path, "feature_names", "axes"),
        (figures.plot_coefficients, model, "feature_names", "axes"),
        (figures.show_images, rows, "labels", "figure"),
        # With one image, a figure as `labels` would have the valid length.
        (figures.show_images, rows[:1], "labels", "figure"),
        (figures.plot_weights, rows.T, "labels", "figure"),
    ):
        positional_argument = axes if keyword == "axes" else figure
        # pyplot.subplots returns arrays of axes.
        for wrong in (positional_argument, np.array([positional_argument])):
            message = (
                f"^{argument} must be a .* or None, got {type(positional_argument).__name__}; pass .* {keyword}=...$"
            )
            assert_raises(message, plot, data, wrong, error=TypeError)
    assert_raises("^feature_names must be a sequence of names", figures.plot_path, path, "petal", error=TypeError)
    assert figure.axes == [axes] and not axes.has_data()
