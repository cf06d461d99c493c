"""Pictures of fitted models: what is drawn, how it is named, and what has nothing to draw."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin import figures

from .conftest import legend, ticks

X, Y = load_iris(return_X_y=True)


@dataclass
class Estimates:
    """What an inference tells of its estimates; the last of three is the intercept."""

    coef: np.ndarray
    std_errors: np.ndarray
    classes: tuple
    reference: object = "a"
    names: tuple = ("x", "$y", "intercept")

    def conf_int(self, level):
        assert level == 0.95
        return np.stack([self.coef - 2 * self.std_errors, self.coef + 3 * self.std_errors], axis=-1)


FOUND = Estimates(np.array([[4.0, -3.0, 9.0]]), np.array([[2.0, 0.5, 0.1]]), ("b",))


def test_the_bound_falls_below_tol(axes):
    model = fastlin.LogisticRegression(tol=1e-6).fit(X, Y)
    assert figures.plot_convergence(model, axes) is axes
    bound, distance, tol = axes.lines
    assert legend(axes) == ["bound on the distance from the minimum", "distance from the last objective", "tol = 1e-06"]
    assert bound.get_ydata()[-1] <= 1e-6 == tol.get_ydata()[0]
    last = model.history_[-1]
    assert bound.get_ydata()[-1] == last.bound / last.objective
    # Seconds and passes of a small fit are those of its end.
    np.testing.assert_array_equal(bound.get_xdata(), np.arange(1, 1 + len(model.history_)))
    assert axes.get_xlabel() == f"iteration ({model.n_passes_:.3g} passes over the data in all)"
    # The last distance is zero, for which there is no place on the axis.
    assert len(distance.get_xdata()) == len(model.history_) - 1
    assert axes.get_yscale() == "log"


def test_losses_of_epochs_are_drawn_with_those_of_validation(axes):
    model = fastlin.MLPClassifier((4,), max_iter=3, n_iter_no_change=np.inf, random_state=0).fit(X, Y, X_val=X, y_val=Y)
    figures.plot_convergence(model, axes)
    training, validation = axes.lines
    np.testing.assert_array_equal(training.get_xydata(), list(enumerate(model.loss_curve_, 1)))
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_curve_)
    assert legend(axes) == ["training, with the penalty", "validation"]


def test_what_cannot_be_drawn_is_refused(axes):
    with pytest.warns(UserWarning, match="max_iter"):
        without = fastlin.LogisticRegression(max_iter=0).fit(X, Y)
    other = r"^feature_names must be one name for each of {} coefficients, got {}$".format
    for plot, given, message in (
        (figures.plot_convergence, [without], "^model must have a fit of at least one iteration to show, got Logistic"),
        (figures.plot_coefficients, [fastlin.MLPClassifier()], "^model must be a fitted linear model, .* got MLPClass"),
        (figures.plot_coefficients, [without, ["a", "b"]], other(4, 2)),
        (figures.plot_coefficients, [FOUND, ["a", "b", "c"]], other(2, 3)),
    ):
        with pytest.raises(ValueError, match=message):
            plot(*given, axes=axes)
    assert not axes.lines


def test_bars_are_the_largest_coefficients_with_their_names(axes):
    data = load_breast_cancer()
    model = fastlin.LogisticRegression(C=0.1).fit(data.data / data.data.std(axis=0), data.target)
    figures.plot_coefficients(model, data.feature_names, axes, n_features=3)
    order = np.argsort(-np.abs(model.coef_[0]))[:3]
    (bars,) = axes.containers
    np.testing.assert_array_equal(bars.datavalues, model.coef_[0, order])
    assert ticks(axes) == [data.feature_names[j] for j in order]
    # The first of them is at the top.
    assert np.argmax([bar.get_y() for bar in bars]) == 0
    assert axes.get_title() == "the largest coefficients; 27 features more are not zero"
    assert axes.get_xlabel() == "coefficient (to the right: for 1)"


def test_classes_have_bars_of_their_own_and_zeros_none(axes):
    model = fastlin.LogisticRegression(l1_ratio=1.0, C=0.05).fit(X, Y).sparsify()
    coef = model.coef_.toarray()
    n_shown = np.count_nonzero(coef.any(axis=0))
    assert 0 < n_shown < 4
    figures.plot_coefficients(model, axes=axes)
    assert legend(axes) == ["class 0", "class 1", "class 2"]
    order = np.argsort(-np.abs(coef).max(axis=0))[:n_shown]
    for bars, row in zip(axes.containers, coef, strict=True):
        np.testing.assert_array_equal(bars.datavalues, row[order])
    assert ticks(axes) == [f"x{j}" for j in order]
    assert axes.get_title() == ""


def test_estimates_have_intervals_and_the_clearest_is_at_the_top(axes):
    figures.plot_coefficients(FOUND, axes=axes)
    (points,) = axes.containers
    np.testing.assert_allclose(points[0].get_xydata(), [[-3.0, 1.0], [4.0, 0.0]])
    (bars,) = points[2]
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[-4.0, -1.5], [0.0, 10.0]])
    assert ticks(axes) == [r"\$y", "x"]
    assert axes.get_xlabel() == "coefficient with 95 % interval (to the right: for b)"
    assert axes.get_legend() is None
    axes.clear()
    figures.plot_coefficients(FOUND, ["one", "two"], axes, n_features=1)
    assert ticks(axes) == ["two"]
    assert axes.get_title() == "the clearest coefficients; 1 features more are not zero"
    axes.clear()
    rows = np.array([[4.0, -3.0], [1.0, 2.0]])
    figures.plot_coefficients(Estimates(rows, np.ones((2, 2)), ("b", "c"), names=("x", "y")), axes=axes)
    assert (legend(axes), axes.get_legend().get_title().get_text()) == (["class b", "class c"], "against a")
