"""Rows of pixels and weights as pictures: which pixel lands where, what is left out, and on which scale."""

import matplotlib
import numpy as np
import pytest
from conftest import assert_refused

import fastlin
from fastlin import datasets, figures

matplotlib.use("Agg")


def panels(figure):
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in panels(figure)]


def titles(figure):
    return [axes.get_title() for axes in panels(figure)]


@pytest.mark.parametrize(("n_pixels", "with_ones"), [(784, False), (64, True), (4, False), (1, True)])
def test_rows_become_square_pictures_without_the_ones(figure, n_pixels, with_ones):
    X = np.random.default_rng(0).integers(0, 256, (3, n_pixels))
    rows = np.hstack([X, np.ones((3, 1), int)]) if with_ones else X
    assert figures.show_images(rows, figure=figure) is figure
    side = round(n_pixels**0.5)
    scaled = (X - X.min()) / (X.max() - X.min())
    np.testing.assert_allclose(pictures(figure), scaled.reshape(3, side, side))
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0, 1)}
    assert {axes.images[0].get_cmap().name for axes in figure.axes} == {"gray"}


def test_planes_become_colours(figure):
    X = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    figures.show_images(X, figure=figure)
    scaled = (X - float(X.min())) / (float(X.max()) - X.min())
    for row, picture in zip(scaled, pictures(figure), strict=True):
        for plane in range(3):
            np.testing.assert_allclose(picture[:, :, plane], row[1024 * plane : 1024 * (plane + 1)].reshape(32, 32))


def test_labels_and_the_grid(figure):
    data = datasets.load_digits()
    figures.show_images(data.X_train[:7], data.y_train[:7].reshape(-1, 1), n_columns=3, figure=figure)
    assert titles(figure) == [str(label) for label in data.y_train[:7]]
    places = [axes.get_subplotspec() for axes in figure.axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [divmod(i, 3) for i in range(7)]


def test_a_figure_of_pyplot_is_made_where_none_is_given():
    import matplotlib.pyplot as plt

    made = [figures.show_images(np.zeros(784)), figures.plot_weights(np.zeros(785))[0].figure]
    assert {figure.number for figure in made} <= set(plt.get_fignums())
    for figure in made:
        # Equal pixels have no range to be scaled to.
        assert np.isfinite(pictures(figure)).all()
        plt.close(figure)


@pytest.mark.parametrize("n_rows", [785, 784])
def test_weights_share_one_symmetric_scale_and_leave_out_the_bias(figure, n_rows):
    w = np.random.default_rng(0).normal(size=(n_rows, 10))
    w[784:] = 100
    returned = figures.plot_weights(w, figure=figure)
    found = pictures(figure)
    np.testing.assert_array_equal(found, w[:784].T.reshape(10, 28, 28))
    largest = np.abs(w[:784]).max()
    assert returned == panels(figure)
    assert {axes.images[0].get_clim() for axes in returned} == {(-largest, largest)}
    assert titles(figure) == [str(digit) for digit in range(10)]
    assert len(figure.axes) == 11


def test_weights_of_planes_are_grey_where_they_are_zero(figure):
    w = np.zeros((3072, 2))
    w[5, 1], w[1024 + 40, 1] = -2.0, 1.0
    figures.plot_weights(w, ["a", "b"], figure=figure)
    first, second = pictures(figure)
    assert (first == 0.5).all()
    assert (second[0, 5, 0], second[1, 8, 1]) == (0, 0.75)
    assert titles(figure) == ["a", "b"]


def test_weights_of_a_model_have_the_shape_that_is_given_and_the_names_of_its_classes(figure):
    X = np.random.default_rng(0).normal(size=(60, 6))
    model = fastlin.LogisticRegression().fit(X, np.repeat(["a", "b", "c"], 20))
    figures.plot_weights(model, shape=(2, 3), figure=figure)
    np.testing.assert_array_equal(pictures(figure), model.coef_.reshape(3, 2, 3))
    assert titles(figure) == ["a", "b", "c"]
    figure.clear()
    # Two classes have one row of coefficients, which speaks for the second.
    model = fastlin.LogisticRegression().fit(X, np.repeat(["a", "b"], 30)).sparsify()
    (one,) = figures.plot_weights(model, shape=(1, 2, 3), figure=figure)
    assert one.get_title() == "b"
    assert one.images[0].get_array().shape == (1, 2, 3)
    # A model has no bias among its coefficients that could be left out.
    other = r"^w must have the pixels of shape=\(\d, \d\) for each picture"
    none = r"^shape must be \(height, width\) or \(height, width, 3\), got"
    for shape, message in (((2, 2), other), ((1, 5), other), (6, none), ((6,), none)):
        assert_refused(message, figures.plot_weights, model, shape=shape, figure=figure)


@pytest.mark.parametrize("shape", [(2, 11), (2, 787), (0, 784), (2, 28, 28), (2, 0)])
def test_rows_of_no_square_are_refused(figure, shape):
    assert_refused(r"^images must have n² or 3 n² pixels", figures.show_images, np.zeros(shape), figure=figure)
    assert_refused(r"^w must have n² or 3 n² pixels", figures.plot_weights, np.zeros(shape).T, figure=figure)
    with pytest.raises(ValueError, match=r"^labels must be one for each of 3 pictures, got 2$"):
        figures.plot_weights(np.zeros((65, 3)), ["a", "b"], figure=figure)
    assert not figure.axes
