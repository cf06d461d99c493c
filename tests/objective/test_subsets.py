"""Samples of the rows."""

import numpy as np
import pytest
from conftest import evaluate, make_objective, make_problem

from fastlin.objective import Objective
from fastlin.objective.rows import draw_places, split_places


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_sample_is_the_objective_of_its_rows_in_the_same_coordinates(n_classes):
    for weighted in (False, True):
        objective, parameters = make_objective(90, 4, n_classes, columns="shifted", weighted=weighted, l2=0.3)
        sample = objective.sample(30)
        numbers, rows = sample.rows.numbers, objective.rows
        assert sample.n_rows == len(numbers) == len(np.unique(numbers)) == 30
        weights = rows.weights[numbers] if weighted else None
        alone = Objective.over(objective.matrix.X[numbers], rows.labels[numbers], n_classes, l2=0.3, weights=weights)
        found = evaluate(sample, parameters)
        expected = alone.at(alone.coordinates.to_parameters(*sample.coordinates.to_coefficients(parameters)))
        assert found.value == pytest.approx(expected.value, rel=1e-9)
        assert found.largest_entry == pytest.approx(expected.largest_entry, rel=1e-6)
        assert sample.coordinates is objective.coordinates
        assert sample.penalty is objective.penalty
        np.testing.assert_allclose(sample.class_weights, alone.class_weights, rtol=1e-12)
        assert objective.n_passes == sample.n_passes == pytest.approx(1 / 3)
        assert objective.n_rows == 90
        product = found.hessian_product(parameters)
        np.testing.assert_allclose(found.hessian() @ parameters.ravel(), product.ravel(), atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_a_sample_has_one_row_of_each_of_equal_stretches(weighted, numbered):
    X, labels, *_ = make_problem(300, 2, 5)
    weights = np.random.default_rng(0).integers(0, 2, 300).astype(float) if weighted else None
    rows = np.arange(0, 300, 2) if numbered else np.arange(300)
    objective = Objective.over(X, labels, 5, weights=weights, numbers=rows if numbered else None)
    # Rows of weight zero are none.
    rows = rows if weights is None else rows[weights[rows] > 0]
    sample = objective.sample(20).rows.numbers
    assert np.isin(sample, rows).all()
    drawn, stretches = np.searchsorted(rows, sample), np.arange(20) * len(rows) / 20
    assert (drawn > stretches - 1).all() and (drawn < stretches + len(rows) / 20).all()
    whole = objective.sample(5000).rows.numbers
    np.testing.assert_array_equal(whole if len(whole) else np.arange(300), rows)


@pytest.mark.parametrize("seed", range(5))
def test_places_of_parts_name_the_rows_that_places_of_all_name(seed):
    generator = np.random.default_rng(seed)
    counts = [0, 0, 30, 1, 0, 109, 60, 0]
    values = generator.random(200)
    places = np.unique([0, *draw_places(200, 40), 199])
    parts = np.split(values, np.cumsum(counts)[:-1])
    found = [part[share] for part, share in zip(parts, split_places(places, counts), strict=True)]
    np.testing.assert_array_equal(np.concatenate(found), values[places])
