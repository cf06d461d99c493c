"""The curves of histories, paths and cross-validation: what is drawn, and what it is called."""

import dataclasses

import numpy as np
import pytest
from conftest import assert_refused
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin import figures
from fastlin.estimators import StabilitySelection

from .conftest import legend

IRIS = load_iris(return_X_y=True)
CV = {"cv": 3, "use_legacy_attributes": False}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_history_is_drawn_by_value_or_by_means_with_a_band(axes):
    history = {0: 1.0, 5: 3.0, 10: 2.0, 15: 6.0, 20: 9.0}
    figures.plot_history(history, "each", axes=axes)
    figures.plot_history(history, "means", 2, axes=axes)
    figures.plot_history(history, "no band", 2, False, axes)
    each, means, plain = axes.lines
    np.testing.assert_array_equal(each.get_xydata(), list(history.items()))
    # The last value has no partner.
    np.testing.assert_array_equal(means.get_xydata(), [(2.5, 2), (12.5, 4)])
    np.testing.assert_array_equal(plain.get_xydata(), means.get_xydata())
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1, 6)


def test_what_cannot_be_drawn_is_refused(axes):
    X, y = IRIS
    path = fastlin.logistic_path(X, y > 0, Cs=[0.1], l1_ratio=0.0)
    with pytest.raises(ValueError, match="feature_names must be one name for each of 4 features, got 2"):
        figures.plot_path(path, axes, feature_names=["a", "b"])
    assert_refused("path has no finite C", figures.plot_path, dataclasses.replace(path, Cs=np.array([np.inf])), axes)
    model = fastlin.LogisticRegressionCV(Cs=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=True)
    assert_refused("use_legacy_attributes=False", figures.plot_scores, model.fit(X, y), axes)


def test_a_path_of_two_classes_names_its_largest_coefficients(axes):
    data = load_breast_cancer()
    path = fastlin.logistic_path(data.data, data.target, Cs=6, tol=1e-3)
    assert figures.plot_path(path, axes, n_labels=4, feature_names=data.feature_names) is axes
    largest = np.argsort(-np.abs(path.coefs[-1, 0]))[:4]
    assert set(texts(axes)) == set(data.feature_names[largest])
    assert axes.get_xscale() == "log"
    assert "C" in axes.get_xlabel()
    drawn = [line.get_ydata() for line in axes.lines]
    for j in largest:
        assert any(np.array_equal(path.coefs[:, 0, j], heights) for heights in drawn)
    (top,) = axes.child_axes
    assert [int(label.get_text()) for label in top.get_xticklabels()] == path.n_nonzeros.tolist()
    heights = [text.xyann[1] if text.xycoords == "data" else text.xy[1] for text in axes.texts]
    low, high = axes.get_ylim()
    assert (np.diff(np.sort(heights)) > 0.04 * (high - low)).all()


def test_a_path_of_more_classes_has_a_colour_for_each(axes):
    X, y = IRIS
    path = fastlin.logistic_path(X, np.array(["a", "b", "c"])[y], Cs=[0.1, 1.0, np.inf], l1_ratio=0.0, tol=1e-2)
    figures.plot_path(path, axes)
    assert legend(axes) == ["class a", "class b", "class c"]
    assert len({line.get_color() for line in axes.lines if not line.get_label().startswith("_")}) == 3
    assert axes.get_xlim() == (0.1, 1.0)


def test_frequencies_are_drawn_and_selected_features_named(axes):
    # The counts of five pairs: the last feature has no penalty.
    path = np.array([[9, 1, 0, 0, np.nan], [10, 8, 2, 0, np.nan]]) / 10
    found = StabilitySelection(path, np.array(["a", "b", "c", "d", "e"], object), 5)
    assert figures.plot_stability(found, axes, threshold=0.8) is axes
    assert texts(axes) == ["a", "b"]
    drawn = [list(line.get_ydata()) for line in axes.lines]
    assert drawn == [[0, 0, 0.2], [0, 0.9, 1], [0, 0.1, 0.8], [0.8, 0.8]]
    assert legend(axes) == [f"threshold 0.8: expected by mistake at most {found.error_bound(0.8):.2g}"]
    assert axes.get_xlim() == (0, 2)


def test_scores_have_mean_spread_and_the_chosen_C(axes):
    X, y = IRIS
    model = fastlin.LogisticRegressionCV(Cs=4, l1_ratios=(0,), scoring="neg_log_loss", **CV).fit(X, y)
    assert figures.plot_scores(model, axes) is axes
    mean, chosen = axes.lines
    np.testing.assert_allclose(mean.get_ydata(), model.scores_.mean(axis=(0, 1)))
    np.testing.assert_array_equal(chosen.get_xdata(), [model.C_, model.C_])
    (band,) = axes.collections
    lowest = (model.scores_.mean(axis=0) - model.scores_.std(axis=0)).min()
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(lowest)
    assert axes.get_ylabel() == "neg log loss"
    assert any(f"C = {model.C_:.3g}" in text for text in legend(axes))
    axes.clear()
    # A validation set has no spread.
    model.set_params(cv=None).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    figures.plot_scores(model, axes)
    assert legend(axes) == ["validation rows", f"chosen: C = {model.C_:.3g}"]
    assert not axes.collections


def test_scores_of_several_l1_ratios_have_a_line_each(axes):
    model = fastlin.LogisticRegressionCV(Cs=[0.1, 1], l1_ratios=(0, 1), scoring=None, **CV).fit(*IRIS)
    figures.plot_scores(model, axes)
    assert [text for text in legend(axes) if text.startswith("l1_ratio")] == ["l1_ratio = 0", "l1_ratio = 1"]
    assert axes.get_ylabel() == "accuracy"
