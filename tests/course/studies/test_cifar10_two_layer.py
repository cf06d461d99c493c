"""The two-layer networks on CIFAR-10: the readings of the report, and that they learn."""

import dataclasses

import numpy as np
import pytest

from fastlin import figures
from fastlin.course import datasets
from fastlin.course.studies import cifar10_two_layer
from fastlin.course.studies.cifar10_training import Images, prepare, train
from fastlin.course.studies.settings import Settings


@pytest.mark.parametrize(("quick", "epochs"), [(False, [1_100, 550, 30]), (True, [55, 28, 5])])
def test_the_readings_of_the_report(quick, epochs):
    n = 44_000
    X = np.full((n, 1), 120, np.float32)
    images = Images(X, np.zeros(n, np.int64), X, None, X, None, 60.0)
    (first, first_data), (second, second_data), (own, own_data) = cifar10_two_layer.make_runs(images, quick).values()
    assert [first.epochs, second.epochs, own.epochs] == epochs
    assert first_data is second_data is images
    assert own_data.X_train[0] == 2
    assert (first.hidden, first.learning_rate, first.decay, first.reg) == ((135,), 0.004786, 0.99, 0.001847)
    assert (first.momentum, first.init, first.scale, first.batch_size) == (0.2, "normal", 1e-4, 22_000)
    assert dataclasses.replace(second, epochs=first.epochs, decay=first.decay) == first
    # 1,100 updates, each with its decay; two make an epoch.
    assert second.decay == pytest.approx(0.99**2)
    assert quick or second.epochs * (n // second.batch_size) == 1_100


@pytest.mark.slow
def test_a_diverging_recipe_does_not_end_the_study(monkeypatch, tmp_path):
    monkeypatch.setattr(
        cifar10_two_layer, "OWN", dataclasses.replace(cifar10_two_layer.OWN, learning_rate=1e30, epochs=5)
    )
    results = cifar10_two_layer.run(Settings(datasets.load_digits(), quick=True))
    run = results.merits["runs"]["He, batches of 128"]
    assert (run["ended"], run["epochs"], run["last_loss"]) == ("diverged", 0, None)
    assert run["test"] < 0.5
    (picture,) = figures.draw("cifar10_two_layer", results, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [picture.file]


@pytest.mark.slow
def test_cifar10_has_two_whole_batches_of_the_report_and_two_layers_learn_it(cifar10):
    n = len(cifar10.X_train)
    assert (n, len(cifar10.X_val), len(cifar10.X_test)) == (44_000, 6_000, 10_000)
    assert divmod(n, cifar10_two_layer.REPORT.batch_size) == (2, 0)
    images = prepare(cifar10, 300, True)
    assert images.X_train.shape == images.X_val.shape == images.X_test.shape == (4_000, 300)
    assert images.pixel_deviation == pytest.approx(63, abs=2)
    recipe = dataclasses.replace(cifar10_two_layer.OWN, epochs=8)
    trained = train(images.scale(images.pixel_deviation), recipe, 0)
    assert trained.accuracies["test"] > 0.38
