"""A Shard in this process, beside the rows of its partitions in memory."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_objective, make_offset
from scipy import sparse

from fastlin.dask.parts import Description, decode, encode
from fastlin.dask.shard import Shard, find_over_passes, measure_rows
from fastlin.dask.tree import add_up
from fastlin.dask.worker_rows import _evaluate_without_offsets
from fastlin.matrices import Passes, matrix
from fastlin.matrices.matrix import add
from fastlin.matrices.pieces import (
    add_evaluated,
    evaluate,
    find_class_pair_gram,
    find_hessian_product,
    merge,
    multiply_probabilities,
)
from fastlin.objective.offsets import OffsetRange, OffsetSums
from fastlin.objective.rows import draw_places, split_places

BORDERS = [0, 40, 40, 90, 130, 200]


def make_shards(objective, owners, is_sparse=False):
    """Return Shards of the partitions, each with those of its owner, and what passes over all rows take."""
    rows = objective.rows
    parts = []
    for first, last in itertools.pairwise(BORDERS):
        X = rows.matrix.X[first:last]
        X = sparse.csr_array(X) if is_sparse else X
        part = decode(X, rows.labels[first:last], rows.weights[first:last], "p")
        if len(rows.targets):
            soft = rows.targets[first:last]
            soft = np.hstack([1 - soft, soft]) if soft.shape[1] == 1 else soft
            part = replace(part, offsets=rows.offsets[first:last], soft=soft)
        parts.append(encode(part, part.X.dtype, np.arange(rows.n_classes), None, Description.of(part)))
    shards = [Shard({number: parts[number] for number in owned}, len(parts), n_threads=1) for owned in owners]
    return shards, (rows.coordinates.scaling, rows.n_rows_coef)


def call(shards, method, *arguments):
    answers = []
    for each in shards:
        answer, error = each.run(method, *arguments)
        assert error is None
        answers.append(answer)
    return answers


def sum_passes(shards, term, add, meant, *arguments):
    return call(shards, "sum", find_over_passes, add, None, term, *meant, *arguments)


def join(answers, add=add):
    by_node = {node: value for answer in answers for node, value in answer.items()}
    return add_up((0, len(BORDERS) - 1), by_node.get, add)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_sums_are_those_of_the_rows_together(monkeypatch, n_classes, is_sparse):
    # Probabilities of 30 rows at a time.
    monkeypatch.setattr(matrix, "PROBABILITY_BYTES", 30 * 8 * max(1, n_classes if n_classes > 2 else 1))
    objective, parameters = make_objective(200, 3, n_classes)
    shards, meant = make_shards(objective, [[0, 3], [1, 2, 4]], is_sparse)
    rows, direction = objective.rows, np.random.default_rng(5).normal(size=parameters.shape)
    probabilities = np.empty((rows.n_rows_coef, 200))
    loss = rows.passes.evaluate(parameters, probabilities, gradient := np.empty(parameters.shape))

    def sum_curvature(*arguments):
        return join(sum_passes(shards, Passes.sum_curvature, add, meant, *arguments))

    found_loss, found_gradient = join(sum_passes(shards, evaluate, add_evaluated, meant, parameters), add_evaluated)
    assert found_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-11, atol=1e-11)
    product = sum_curvature(find_hessian_product, parameters, direction)
    np.testing.assert_allclose(product, rows.passes.hessian_product(direction, probabilities), rtol=1e-10, atol=1e-10)
    hessian = sum_curvature(find_class_pair_gram, parameters)
    np.testing.assert_allclose(hessian, rows.passes.class_pair_gram(probabilities), rtol=1e-10, atol=1e-10)
    products = sum_curvature(multiply_probabilities, parameters)
    ones = np.concatenate([probabilities, np.ones((1, 200))])
    np.testing.assert_allclose(products, (ones * rows.weights) @ ones.T, rtol=1e-12)
    np.testing.assert_allclose(
        products / rows.total_weight, rows.sum_probability_products(parameters, np.float64), rtol=1e-12
    )

    total, moments = join(call(shards, "sum", measure_rows, merge, None), merge)
    assert total == pytest.approx(rows.weights.sum(), rel=1e-13)
    for found, expected in zip(moments, rows.matrix.measure(rows.weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("owners", [[[0, 3], [1, 2, 4]], [[0, 1, 4], [2, 3]]])
def test_weights_and_draws_are_those_of_the_rows_together(owners):
    objective, _ = make_objective(200, 3, 4)
    objective.rows.weights[::3] = 0
    shards, _ = make_shards(objective, owners)
    rows, numbers = objective.rows, range(5)
    told = {first: each for answer in call(shards, "tell_weights", None) for first, each in answer.items()}
    n_weighty, totals, smallest, offsets, _ = zip(*(told[number] for number in numbers), strict=True)
    totals, smallest = np.array(totals), np.array(smallest)
    assert set(offsets) == {None}
    weighty = rows.weights > 0
    assert n_weighty == tuple(np.count_nonzero(part) for part in np.split(weighty, BORDERS[1:-1]))
    np.testing.assert_allclose(totals.sum(axis=0), np.bincount(rows.labels, rows.weights), rtol=1e-13)
    assert smallest.min() == rows.weights[weighty].min()
    assert smallest[1] == np.inf

    shares = split_places(draw_places(sum(n_weighty), 20), n_weighty)
    places = dict(zip(numbers, shares, strict=True))
    drawn = {n: each for answer in call(shards, "draw", None, places) for n, each in answer.items()}
    expected = objective.sample(20).rows.numbers
    for place, of_all in enumerate((rows.matrix.X, rows.labels, rows.weights)):
        found = np.concatenate([(drawn[number][0], *drawn[number][1][1:3])[place] for number in range(5)])
        np.testing.assert_array_equal(found, of_all[expected])


def test_offsets_and_targets_are_those_of_the_rows():
    for n_classes in (2, 4):
        objective, parameters = make_offset(200, 3, n_classes)
        shards, meant = make_shards(objective, [[0, 3], [1, 2, 4]])
        rows = objective.rows
        expected = rows.passes.evaluate(parameters, None, gradient := np.empty(parameters.shape))
        loss, found = join(sum_passes(shards, evaluate, add_evaluated, meant, parameters), add_evaluated)
        assert loss == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(found, gradient, atol=1e-11)
        without = sum_passes(shards, _evaluate_without_offsets, add_evaluated, meant, parameters)
        loss, _ = join(without, add_evaluated)
        assert loss / rows.total_weight == pytest.approx(rows.evaluate_without_offsets(parameters)[0], rel=1e-12)
        told = [each for answer in call(shards, "tell_weights", None) for each in answer.values()]
        totals = np.sum([each.totals for each in told], axis=0)
        np.testing.assert_allclose(totals / totals.sum(), objective.class_weights, rtol=1e-12)
        found = OffsetRange.of(OffsetSums.join([each.offsets for each in told]), totals.sum())
        for one, other in zip(found, rows.offset_range, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        assert all(each.has_targets for each in told)
        n_weighty = [each.n_weighty for each in told]
        numbers = [first for answer in call(shards, "tell_weights", None) for first in answer]
        places = dict(zip(numbers, split_places(draw_places(200, 20), n_weighty), strict=True))
        drawn = {n: each for answer in call(shards, "draw", None, places) for n, each in answer.items()}
        for X, samples in drawn.values():
            for row in zip(X, *samples[1:], strict=True):
                place = np.flatnonzero((rows.matrix.X == row[0]).all(axis=1))[0]
                for one, other in zip(row[1:], (rows.labels, rows.weights, rows.offsets, rows.targets), strict=True):
                    np.testing.assert_array_equal(one, other[place])


def test_partitions_without_rows_or_weight_take_no_part():
    objective, parameters = make_objective(200, 3, 2)
    objective.rows.weights[40:130] = 0
    shards, meant = make_shards(objective, [[1, 2, 3], [0, 4]])
    _total, moments = join(
        call(shards[:1], "sum", measure_rows, merge, None) + call(shards[1:], "sum", measure_rows, merge, None), merge
    )
    for found, expected in zip(moments, objective.matrix.measure(objective.rows.weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    [by_node] = sum_passes(shards[:1], evaluate, add_evaluated, meant, parameters)
    assert all(loss == 0 and (gradient == 0).all() for loss, gradient in by_node.values())


def test_errors_are_answers():
    objective, _ = make_objective(200, 3, 2)
    [shard], _ = make_shards(objective, [[0, 1, 2, 3, 4]])
    answer, error = shard.run("draw", None, {})
    assert answer is None
    assert isinstance(error, KeyError)
