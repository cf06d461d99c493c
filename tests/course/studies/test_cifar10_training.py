"""Shared code of the CIFAR-10 studies: principal components against NumPy, training against the estimator."""

import dataclasses

import numpy as np
import pytest
import small_networks

from fastlin.course import datasets
from fastlin.course.studies import cifar10_training
from fastlin.course.studies.cifar10_training import Images, Recipe, prepare_images, train, train_recipes

RECIPE = Recipe(
    hidden=(7,), epochs=6, batch_size=16, learning_rate=0.2, decay=0.9, reg=0.02, momentum=0.5, init="normal", scale=0.3
)
# The fields of a recipe by the names of the estimator's parameters.
RECIPE_FIELDS = {"learning_rate_init": "learning_rate", "learning_rate_decay": "decay", "max_iter": "epochs"}
RECIPE_FIELDS |= {name: name for name in ("batch_size", "momentum", "init", "dropout")}


def make_data(n_val=20, n_pixels=12):
    """Return images with distinct principal components; validation and test images have other components and means."""
    generator = np.random.default_rng(0)

    def make(n, shift):
        directions = np.linalg.qr(generator.normal(size=(n_pixels, n_pixels)))[0] * 0.7 ** np.arange(n_pixels)
        X = 100 + shift + 60 * generator.normal(size=(n, n_pixels)) @ directions.T
        return np.clip(np.round(X), 0, 255).astype(np.uint8), np.arange(n) % 4

    X_val, y_val = make(n_val, 30) if n_val else (None, None)
    return datasets.Dataset("cifar10", *make(60, 0), *make(15, 60), X_val, y_val)


def make_images():
    generator = np.random.default_rng(0)
    y = np.concatenate([np.arange(4), generator.integers(0, 4, 66)])
    X = (generator.normal(size=(70, 5)) + 2 * np.eye(4, 5)[y]).astype(np.float32)
    return Images("cifar10", X[:50], y[:50], X[60:], y[60:], X[50:60], y[50:60])


def list_losses(trained):
    return [epoch.loss for epoch in trained.training.records]


# Components are products of float32 pixels around 100, and the smallest has a standard deviation of 0.6; pixels leave
# 16 of the 24 bits of float32 for the fraction.
@pytest.mark.parametrize(("n_components", "tolerance"), [(4, 0.05), (12, 0.05), (50, 0.05), (None, 2**-15)])
def test_components_and_pixels_are_centered_by_the_training_means(n_components, tolerance):
    data = make_data()
    images = prepare_images(data, n_components, False)
    X = data.X_train.astype(np.float64)
    mean, directions = X.mean(axis=0), np.eye(12)
    if n_components is not None:
        directions = np.linalg.eigh(np.cov(X.T))[1][:, ::-1][:, :n_components]
        # The sign of a principal direction is arbitrary.
        directions *= np.sign(np.sum(((X - mean) @ directions) * images.X_train, axis=0))
    for name in ("X_train", "X_val", "X_test"):
        actual = getattr(images, name)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, (getattr(data, name) - mean) @ directions, atol=tolerance)
    for name in ("y_train", "y_val", "y_test"):
        np.testing.assert_array_equal(getattr(images, name), getattr(data, name))
    assert images.pixel_deviation == pytest.approx(np.sqrt(np.mean((X - mean) ** 2)), rel=1e-5)
    for name, values in vars(make_data()).items():
        np.testing.assert_array_equal(getattr(data, name), values)


def assert_same_images(actual, expected):
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(actual, name), values)


def test_missing_validation_images_are_the_last_training_images(monkeypatch):
    data = make_data(n_val=0)
    X, y = data.X_train, data.y_train
    split_data = dataclasses.replace(data, X_train=X[:48], y_train=y[:48], X_val=X[48:], y_val=y[48:])
    assert_same_images(prepare_images(data, 3, False), prepare_images(split_data, 3, False))
    monkeypatch.setattr(cifar10_training, "N_QUICK_ROWS", 10)
    data = make_data()
    images = prepare_images(data, 50, True)
    few = {name: getattr(data, name)[:10] for name in ("X_train", "y_train", "X_val", "y_val", "X_test", "y_test")}
    # No more components than images.
    assert images.X_train.shape == images.X_val.shape == images.X_test.shape == (10, 10)
    assert_same_images(images, prepare_images(dataclasses.replace(data, **few), 50, False))


@pytest.mark.parametrize(
    "changes", [{}, {"normalization": ("input",)}, {"normalization": ("hidden",)}, {"dropout": 0.2}], ids=str
)
def test_training_equals_that_of_the_estimator(changes):
    recipe = dataclasses.replace(RECIPE, hidden=(6, 5), batch_size=25, init="he", scale=None, **changes)
    images = make_images()
    trained = train(images, recipe, 3)
    recipe_parameters = {parameter: getattr(recipe, field) for parameter, field in RECIPE_FIELDS.items()}
    other = {"alpha": 2 * recipe.reg * 25, "batch_norm": "".join(recipe.normalization) or False}
    model = small_networks.make(recipe.hidden, nesterovs_momentum=False, random_state=3, **recipe_parameters, **other)
    model.fit(images.X_train, images.y_train, X_val=images.X_val, y_val=images.y_val)
    np.testing.assert_allclose(list_losses(trained), model.loss_curve_, rtol=1e-6)
    assert [epoch.validation_accuracy for epoch in trained.training.records] == model.validation_scores_
    assert trained.accuracies["test"] == pytest.approx(model.score(images.X_test, images.y_test))
    assert trained.accuracies["validation"] == max(model.validation_scores_)
    assert trained.training.stop_reason == "limit"
    assert len(trained.penalties) == recipe.epochs
    assert trained.seconds > 0


@pytest.mark.parametrize("learning_rate", [1e30, 30.0])
def test_a_diverged_training_is_a_result(learning_rate):
    images = make_images().scale(0.01)
    trained = train(images, dataclasses.replace(RECIPE, learning_rate=learning_rate), 0)
    assert trained.training.stop_reason == "diverged"
    assert len(trained.training.records) < RECIPE.epochs
    assert all(0 <= accuracy <= 1 for accuracy in trained.accuracies.values())


def test_an_interrupted_training_returns_no_result():
    n_seen_records = []

    def interrupt(training):
        n_seen_records.append(len(training.records))
        if len(n_seen_records) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_images(), RECIPE, 0, interrupt)
    assert n_seen_records == [1, 2]


def test_trainings_in_parallel_processes_give_the_same_results():
    images = make_images()
    cases = {units: (dataclasses.replace(RECIPE, hidden=(units,)), seed) for units, seed in ((3, 4), (20, 5), (7, 6))}
    trained = dict(train_recipes(images, cases))
    assert trained.keys() == cases.keys()
    for units, case in cases.items():
        _, expected = cifar10_training._run_recipe(units, images, *case)
        assert trained[units].accuracies == expected.accuracies
        np.testing.assert_allclose(list_losses(trained[units]), list_losses(expected), rtol=1e-5)
