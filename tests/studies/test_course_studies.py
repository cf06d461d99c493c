"""Every study on the embedded digits; the studies of the course on MNIST where it is on disk."""

import numpy as np
import pytest

from fastlin import datasets, figures, trainers
from fastlin.studies import CIFAR10_STUDIES, STUDIES, compare, softmax
from fastlin.studies.settings import Settings, roughness, train_binary


@pytest.fixture(scope="module")
def digits():
    return Settings(datasets.load_digits(), quick=True)


def plain(value):
    """Say whether a value is plain data, as results.json takes it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(plain(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


# The studies of networks start processes, which takes most of half a minute.
@pytest.mark.parametrize("name", [*STUDIES, *(pytest.param(name, marks=pytest.mark.slow) for name in CIFAR10_STUDIES)])
def test_every_study_runs_and_is_drawn(name, digits, tmp_path):
    notified = []

    def notify(what, part=None):
        notified.append((what, part))

    results = {**STUDIES, **CIFAR10_STUDIES}[name](Settings(digits.data, True, 0, notify, draws=3))
    assert notified
    assert all(what and isinstance(what, str) for what, _ in notified)
    parts = [part for _, part in notified if part is not None]
    assert parts == sorted(parts)
    if name in CIFAR10_STUDIES:
        assert parts[0] >= 0
        assert parts[-1] == 1
    assert results.merits
    assert plain(results.merits)
    assert plain(results.parameters)
    pictures = figures.draw(name, results, tmp_path, full_mnist=False)
    assert bool(pictures) == (name != "gradient_check")
    for picture in pictures:
        assert (tmp_path / picture).read_bytes()[:4] == b"\x89PNG"
        assert (tmp_path / picture).stat().st_size > 10_000


def test_onset():
    steps = np.arange(6)
    assert softmax.find_onset(steps, np.array([-1, 1, -1, 0, 1, 2.0])) == 4
    assert softmax.find_onset(steps, np.array([1, 1, 1, 1, 1, 1.0])) == 0
    assert softmax.find_onset(steps, np.array([1, 1, 1, 1, 1, -1.0])) is None


def test_a_training_that_was_interrupted_is_no_result(digits, monkeypatch):
    def interrupt(trainer, epochs):
        trainer.interrupted = True
        return {}, {}

    monkeypatch.setattr(trainers.LogisticTrainer, "train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_binary(digits, 1, shuffle=False)


def test_the_studies_of_the_penalty_share_their_trainings(monkeypatch):
    trained = []
    train = trainers.SoftmaxTrainer.train
    monkeypatch.setattr(trainers.SoftmaxTrainer, "train", lambda *arguments: trained.append(1) or train(*arguments))
    data = datasets.load_digits()
    for name, n_trained in (("l2_sweep", 4), ("l2_norm", 4), ("l2_weights", 6), ("l2_norm", 6)):
        # The program makes new settings for each study.
        STUDIES[name](Settings(data, quick=True))
        assert len(trained) == n_trained


def test_roughness():
    assert roughness([1.0, 2.0, 3.0]) == 0
    assert roughness([0.0, 1.0, 0.0]) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("classes", "samples", "features"), [(2, 300, 5), (4, 400, 10)])
def test_compare_reaches_at_least_the_objective_of_scikit_learn(dtype, classes, samples, features):
    data = compare.make_synthetic(classes, samples, features, seed=0)
    assert np.bincount(data.y_train).min() > 0
    results = compare.run(Settings(data), dtype)
    contenders = results.merits["contenders"]
    reference = contenders["scikit-learn"]["objective"]
    assert contenders["fastlin"]["objective"] <= reference * (1 + 1e-6)
    assert abs(contenders["fastlin"]["test_accuracy"] - contenders["scikit-learn"]["test_accuracy"]) < 0.03


def test_early_stopping_on_mnist_stops_where_numpy_does(mnist):
    _, train, val = train_binary(Settings(mnist), 500, shuffle=False, early_stopping=True)
    assert len(train["loss"]) / 31 == pytest.approx(33.5, abs=0.05)
    assert min(val["loss"].values()) < 0.067


@pytest.mark.slow
def test_norms_on_mnist_are_numpys(mnist):
    merits = STUDIES["l2_norm"](Settings(mnist)).merits["squared_norm"]
    assert list(merits.values()) == pytest.approx([0.36, 2.7, 9.6, 13.9], rel=0.02)


@pytest.mark.slow
def test_shuffling_smooths_on_mnist(mnist):
    merits = STUDIES["shuffling"](Settings(mnist)).merits
    for case in ("early_stopping", "full_length"):
        for measure in ("accuracy", "loss"):
            in_order, shuffled = (merits[f"{measure}_spikes_{case}_{name}"] for name in ("in_order", "shuffled"))
            assert shuffled < in_order
