"""Deeper networks on CIFAR-10: the variants, their units, and how they fare."""

import dataclasses

import numpy as np
import pytest

from fastlin import datasets
from fastlin.studies import cifar10_deep
from fastlin.studies.cifar10 import train
from fastlin.studies.settings import Settings


def test_the_variants_are_what_they_are_called():
    variants = cifar10_deep.VARIANTS
    for name, recipe in variants.items():
        assert (recipe.init, recipe.scale) == (("normal", 0.01) if name.startswith("normal") else ("he", None))
        assert (recipe.dropout > 0) == ("dropout" in name)
        if "batch norm" in name:
            assert recipe.normalization == (("input",) if "input" in name else ("hidden",))
        else:
            assert recipe.normalization == ()
        same = {"init": "he", "scale": None, "dropout": 0.0, "normalization": ()}
        assert dataclasses.replace(recipe, **same) == variants["He, plain"]
    assert {name.split(",")[0] for name in variants} == {"normal", "He"}


@pytest.mark.slow
def test_all_variants_of_a_draw_have_the_same_units(monkeypatch):
    trained = []

    def note(images, recipes, seeds):
        trained.extend(zip(recipes, seeds, strict=True))
        return ((number, train(images, recipes[number], seeds[number])) for number in reversed(range(len(recipes))))

    monkeypatch.setattr(cifar10_deep, "run_recipes", note)
    monkeypatch.setattr(cifar10_deep, "DEPTHS", [1, 3])
    monkeypatch.setattr(
        cifar10_deep,
        "VARIANTS",
        {name: dataclasses.replace(recipe, epochs=2) for name, recipe in cifar10_deep.VARIANTS.items()},
    )
    seed = 2**32 - 1
    results = cifar10_deep.run(Settings(datasets.load_digits(), seed=seed))
    assert len(trained) == 6 * 2 * 3
    # One network of every variant for each draw.
    by_units = {}
    for recipe, own_seed in trained:
        by_units.setdefault((recipe.hidden, own_seed), []).append(dataclasses.replace(recipe, hidden=()))
    assert len(by_units) == 6
    for recipes in by_units.values():
        assert recipes == list(cifar10_deep.VARIANTS.values())
    assert sorted(len(units) for units, _ in by_units) == [1, 1, 1, 3, 3, 3]
    assert all(20 <= unit <= 100 for units, _ in by_units for unit in units)
    units = results.parameters["units"]
    assert {tuple(value) for value in units.values()} == {units for units, _ in by_units}
    table = results.series["best"]
    assert list(table) == list(cifar10_deep.VARIANTS)
    for name, row in results.merits["mean_best_validation_accuracy_by_hidden_layers"].items():
        assert row == {depth: pytest.approx(np.mean(table[name][depth])) for depth in ("1", "3")}
        assert all(len(values) == 3 for values in table[name].values())
        # The curves are those of the first draw.
        for depth in (1, 3):
            epochs = results.series["curves"][name, depth].epochs
            assert max(epoch.validation_accuracy for epoch in epochs) == table[name][str(depth)][0]


def test_units_cover_their_range():
    drawn = [cifar10_deep.draw_units(seed, 10, draw) for seed in range(50) for draw in range(3)]
    assert (min(map(min, drawn)), max(map(max, drawn))) == (20, 100)
    assert len(set(drawn)) == len(drawn)
    assert cifar10_deep.draw_units(1, 4, 2) == cifar10_deep.draw_units(1, 4, 2)


@pytest.mark.slow
def test_depth_collapses_with_the_reports_initialisation_and_not_with_its_cure(cifar10):
    best = cifar10_deep.run(Settings(cifar10, quick=True)).series["best"]
    for name in ("normal, plain", "normal, batch norm of the input", "normal, dropout"):
        assert max(best[name]["4"] + best[name]["10"]) < 0.13
    for depth in ("2", "4", "10"):
        assert min(best["He, batch norm of hidden layers"][depth]) > 0.3
