"""The networks on CIFAR-10: interpretations of the report, and the deeper variants with their layer sizes."""

import dataclasses

import numpy as np
import pytest

from fastlin.course import datasets, figures
from fastlin.course.studies import cifar10_deep, cifar10_two_layer
from fastlin.course.studies.cifar10_training import Images, prepare_images, train
from fastlin.course.studies.settings import Settings

DROPOUT_RATES = [0.05, 0.1, 0.2, 0.35, 0.5]


@pytest.mark.parametrize(("quick", "epochs"), [(False, [1_100, 550, 30]), (True, [55, 28, 5])])
def test_runs_follow_each_interpretation_of_the_report(quick, epochs):
    n = 44_000
    X = np.full((n, 1), 120, np.float32)
    images = Images("cifar10", X, np.zeros(n, np.int64), X, None, X, None, pixel_deviation=60.0)
    (first, first_images), (second, second_images), (better_recipe, better_images) = cifar10_two_layer.make_runs(
        images, quick
    ).values()
    assert [first.epochs, second.epochs, better_recipe.epochs] == epochs
    assert first_images is second_images is images
    assert better_images.X_train[0] == 2
    assert (first.hidden, first.learning_rate, first.decay, first.reg) == ((135,), 0.004786, 0.99, 0.001847)
    assert (first.momentum, first.init, first.scale, first.batch_size) == (0.2, "normal", 1e-4, 22_000)
    assert dataclasses.replace(second, epochs=first.epochs, decay=first.decay) == first
    # There are 1,100 updates, two per epoch, and each is followed by a decay.
    assert second.decay == pytest.approx(0.99**2)
    assert quick or second.epochs * (n // second.batch_size) == 1_100


@pytest.mark.slow
def test_a_diverging_training_does_not_end_the_study(monkeypatch, tmp_path):
    diverging_recipe = dataclasses.replace(cifar10_two_layer.FASTLIN_RECIPE, learning_rate=1e30, epochs=5)
    monkeypatch.setattr(cifar10_two_layer, "FASTLIN_RECIPE", diverging_recipe)
    results = cifar10_two_layer.study_cifar10_two_layer(Settings(datasets.load_digits(), quick=True))
    run = results.metrics["runs"]["He, batches of 128"]
    assert (run["stop_reason"], run["epochs"], run["last_loss"]) == ("diverged", 0, None)
    assert run["test"] < 0.5
    (plot,) = figures.draw("cifar10_two_layer", results, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [plot.file]


@pytest.mark.slow
def test_a_two_layer_network_learns_cifar10(cifar10):
    n = len(cifar10.X_train)
    assert (n, len(cifar10.X_val), len(cifar10.X_test)) == (44_000, 6_000, 10_000)
    assert divmod(n, cifar10_two_layer.REPORT_RECIPE.batch_size) == (2, 0)
    images = prepare_images(cifar10, 300, True)
    assert images.X_train.shape == images.X_val.shape == images.X_test.shape == (4_000, 300)
    assert images.pixel_deviation == pytest.approx(63, abs=2)
    recipe = dataclasses.replace(cifar10_two_layer.FASTLIN_RECIPE, epochs=8)
    trained = train(images.scale(images.pixel_deviation), recipe, 0)
    assert trained.accuracies["test"] > 0.38


def test_variants_match_their_names():
    variants = cifar10_deep.VARIANTS
    low = {name for name, variant in variants.items() if variant.depths == cifar10_deep.SHALLOW_DEPTHS}
    assert len(variants) == 7 + len(low) == 21
    for name, variant in variants.items():
        start, change = name.split(", ")
        is_template_variant = start == "template"
        plain = variants["template, plain" if is_template_variant else "He, plain"].recipe
        assert (plain.dropout, plain.normalization) == (0, ())
        changes = {"init": "normal", "scale": 1e-3 if is_template_variant else 0.01}
        if start == "He":
            changes = {"init": "he", "scale": None}
        if "dropout" in change:
            changes["dropout"] = float(change.split()[1])
        if "batch norm" in change:
            changes["normalization"] = ("input",) if "input" in change else ("hidden",)
        assert variant.recipe == dataclasses.replace(plain, **changes)
        inputs = "pixels from −1 to 1" if is_template_variant else "components"
        assert variant.inputs == (start if "pixels" in start else inputs)
        assert name in low or variant.depths == cifar10_deep.DEPTHS
    # A recipe without momentum is trained with Adam.
    assert variants["template, plain"].recipe.momentum is None
    for start in ("normal", "template"):
        names = [name for name in variants if name.startswith(f"{start}, dropout")]
        assert [variants[name].recipe.dropout for name in names] == DROPOUT_RATES


@pytest.mark.slow
def test_all_variants_of_a_sample_have_the_same_layer_sizes(monkeypatch):
    trained = []

    def record(images, cases):
        trained.extend((images, *case) for case in cases.values())
        return ((key, train(images, *cases[key])) for key in reversed(cases))

    monkeypatch.setattr(cifar10_deep.networks, "train_recipes", record)
    monkeypatch.setattr(cifar10_deep, "DEPTHS", (2, 3))
    replace = dataclasses.replace
    shortened_variants = {
        name: replace(variant, recipe=replace(variant.recipe, epochs=2))
        for name, variant in cifar10_deep.VARIANTS.items()
    }
    monkeypatch.setattr(cifar10_deep, "VARIANTS", shortened_variants)
    results = cifar10_deep.study_cifar10_deep(Settings(datasets.load_digits(), seed=2**32 - 1))
    assert len(trained) == 21 * 2 * 3
    cases_per_network = {}
    for images, recipe, seed in trained:
        inputs, lowest = "components", images.X_train.min()
        # The first pixel of the digits is always 0.
        if (images.X_train[:, 0] == images.X_train[0, 0]).all():
            inputs = {0: "pixels", -1: "pixels from −1 to 1"}.get(lowest, "centered pixels")
        if inputs.startswith("pixels"):
            assert images.X_train.max() == 1
        else:
            # The total variance of the components is that of the 64 pixels, up to constant ones.
            assert images.X_train.var(axis=0).sum() == pytest.approx(64, rel=1e-3)
        cases_per_network.setdefault((recipe.hidden, seed), []).append((inputs, dataclasses.replace(recipe, hidden=())))
    expected = sorted(str((variant.inputs, variant.recipe)) for variant in shortened_variants.values())
    # Networks with other inputs are trained after those with components.
    assert all(sorted(map(str, cases)) == expected for cases in cases_per_network.values())
    assert sorted(len(units) for units, _ in cases_per_network) == [2, 2, 2, 3, 3, 3]
    assert all(20 <= unit <= 100 for units, _ in cases_per_network for unit in units)
    assert {tuple(value) for value in results.parameters["units"].values()} == {units for units, _ in cases_per_network}
    best = results.series["best"]
    assert list(best) == list(shortened_variants)
    lost = {f"{start} {rate}" for start in ("normal", "template") for rate in DROPOUT_RATES}
    assert set(results.metrics["points_lost_by_dropout"]) == lost
    for name, row in results.metrics["the_same_for_few_hidden_layers"].items():
        assert row == {depth: pytest.approx(np.mean(best[name][depth])) for depth in ("2", "3")}
        assert all(len(values) == 3 for values in best[name].values())
    means = results.metrics["mean_best_validation_accuracy_by_hidden_layers"]
    assert set(means) == {
        name for name, variant in shortened_variants.items() if variant.depths != cifar10_deep.SHALLOW_DEPTHS
    }


def test_sampled_layer_sizes_cover_their_range():
    drawn = [cifar10_deep.sample_units(seed, 10, draw) for seed in range(50) for draw in range(3)]
    assert (min(map(min, drawn)), max(map(max, drawn))) == (20, 100)
    assert len(set(drawn)) == len(drawn)
    assert cifar10_deep.sample_units(1, 4, 2) == cifar10_deep.sample_units(1, 4, 2)


@pytest.mark.slow
def test_deep_networks_fail_from_normal_initial_weights(cifar10):
    best = cifar10_deep.study_cifar10_deep(Settings(cifar10, quick=True)).series["best"]
    for name in ("normal, plain", "normal, batch norm of the input", "normal, dropout 0.05"):
        assert max(best[name]["4"] + best[name]["10"]) < 0.13
    for depth in ("2", "4", "10"):
        assert min(best["He, batch norm of hidden layers"][depth]) > 0.3
