"""A Shard in this process, beside the rows of its partitions in memory, and the tree of its sums."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_objective, make_offset
from scipy import sparse

from fastlin.dask.parts import Description, decode, encode
from fastlin.dask.shard import Shard, find_over_passes, measure_rows
from fastlin.dask.tree import add_up, find_nodes
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
        X = (sparse.csr_array if is_sparse else np.asarray)(rows.matrix.X[first:last])
        part = decode(X, rows.labels[first:last], rows.weights[first:last], "p")
        if len(rows.targets):
            soft = rows.targets[first:last]
            soft = np.hstack([1 - soft, soft]) if soft.shape[1] == 1 else soft
            part = replace(part, offsets=rows.offsets[first:last], soft=soft)
        parts.append(encode(part, part.X.dtype, np.arange(rows.n_classes), None, Description.of(part)))
    shards = [Shard({number: parts[number] for number in owned}, len(parts), n_threads=1) for owned in owners]
    return shards, (rows.coordinates.scaling, rows.n_rows_coef)


def call(shards, method, *arguments):
    """Return what a method of the Shards answers, by partitions or nodes, in their order."""
    found = {}
    for answer, error in (each.run(method, *arguments) for each in shards):
        assert error is None
        found |= answer
    return {key: found[key] for key in sorted(found)}


def sum_up(shards, term, add, *arguments):
    return add_up((0, len(BORDERS) - 1), call(shards, "sum", term, add, None, *arguments).get, add)


def sum_passes(shards, term, add, meant, *arguments):
    return sum_up(shards, find_over_passes, add, term, *meant, *arguments)


def assert_measured(shards, rows):
    total, moments = sum_up(shards, measure_rows, merge)
    assert total == pytest.approx(rows.weights.sum(), rel=1e-13)
    for found, expected in zip(moments, rows.matrix.measure(rows.weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def draw(shards, n_rows, n_weighty):
    """Return X of a sample of the rows, and the arrays of its rows as passes read them, by partitions."""
    places = dict(enumerate(split_places(draw_places(sum(n_weighty), n_rows), n_weighty)))
    return [(X, *samples[1:]) for X, samples in call(shards, "draw", None, places).values()]


@pytest.mark.parametrize(("make", "is_sparse"), [(make_objective, False), (make_objective, True), (make_offset, False)])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_sums_are_those_of_the_rows_together(monkeypatch, n_classes, make, is_sparse):
    # Probabilities of 30 rows at a time.
    monkeypatch.setattr(matrix, "PROBABILITY_BYTES", 30 * 8 * max(1, n_classes if n_classes > 2 else 1))
    objective, parameters = make(200, 3, n_classes)
    shards, meant = make_shards(objective, [[0, 3], [1, 2, 4]], is_sparse)
    rows, direction = objective.rows, np.random.default_rng(5).normal(size=parameters.shape)
    probabilities = np.empty((rows.n_rows_coef, 200))
    loss = rows.passes.evaluate(parameters, probabilities, gradient := np.empty(parameters.shape))

    def sum_curvature(*arguments):
        return sum_passes(shards, Passes.sum_curvature, add, meant, *arguments)

    found_loss, found_gradient = sum_passes(shards, evaluate, add_evaluated, meant, parameters)
    assert found_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-11, atol=1e-11)
    product = sum_curvature(find_hessian_product, parameters, direction)
    np.testing.assert_allclose(product, rows.passes.hessian_product(direction, probabilities), rtol=1e-10, atol=1e-10)
    hessian = sum_curvature(find_class_pair_gram, parameters)
    np.testing.assert_allclose(hessian, rows.passes.class_pair_gram(probabilities), rtol=1e-10, atol=1e-10)
    products = sum_curvature(multiply_probabilities, parameters)
    ones = np.concatenate([probabilities, np.ones((1, 200))])
    np.testing.assert_allclose(products, (ones * rows.weights) @ ones.T, rtol=1e-12)
    expected = rows.sum_probability_products(parameters, np.float64)
    np.testing.assert_allclose(products / rows.total_weight, expected, rtol=1e-12)
    assert_measured(shards, rows)


@pytest.mark.parametrize("owners", [[[0, 3], [1, 2, 4]], [[0, 1, 4], [2, 3]]])
def test_weights_and_draws_are_those_of_the_rows_together(owners):
    objective, parameters = make_objective(200, 3, 4)
    rows = objective.rows
    rows.weights[::3] = rows.weights[40:130] = 0
    shards, meant = make_shards(objective, owners)
    n_weighty, totals, smallest, offsets, _ = zip(*call(shards, "tell_weights", None).values(), strict=True)
    assert set(offsets) == {None}
    weighty = rows.weights > 0
    assert n_weighty == tuple(np.count_nonzero(part) for part in np.split(weighty, BORDERS[1:-1]))
    np.testing.assert_allclose(np.sum(totals, axis=0), np.bincount(rows.labels, rows.weights), rtol=1e-13)
    assert min(smallest) == rows.weights[weighty].min()
    assert smallest[1] == smallest[2] == smallest[3] == np.inf
    drawn = zip(*draw(shards, 20, n_weighty), strict=True)
    numbers = objective.sample(20).rows.numbers
    for found, of_all in zip(drawn, (rows.matrix.X, rows.labels, rows.weights), strict=False):
        np.testing.assert_array_equal(np.concatenate(found), of_all[numbers])
    # Partitions without rows or weight take no part.
    assert_measured(shards, rows)
    sums = call(shards, "sum", find_over_passes, add_evaluated, None, evaluate, *meant, parameters)
    assert all(loss == 0 and not slope.any() for (first, last), (loss, slope) in sums.items() if 0 < first < last < 5)


def test_offsets_and_targets_are_those_of_the_rows():
    for n_classes in (2, 4):
        objective, parameters = make_offset(200, 3, n_classes)
        shards, meant = make_shards(objective, [[0, 3], [1, 2, 4]])
        rows = objective.rows
        loss, _ = sum_passes(shards, _evaluate_without_offsets, add_evaluated, meant, parameters)
        assert loss / rows.total_weight == pytest.approx(rows.evaluate_without_offsets(parameters)[0], rel=1e-12)
        n_weighty, totals, _, offsets, have_targets = zip(*call(shards, "tell_weights", None).values(), strict=True)
        totals = np.sum(totals, axis=0)
        np.testing.assert_allclose(totals / totals.sum(), objective.class_weights, rtol=1e-12)
        found = OffsetRange.of(OffsetSums.join(offsets), totals.sum())
        for one, other in zip(found, rows.offset_range, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        assert all(have_targets)
        numbers, of_all = objective.sample(20).rows.numbers, (rows.labels, rows.weights, rows.offsets, rows.targets)
        for found, each in zip(zip(*draw(shards, 20, n_weighty), strict=True), (rows.matrix.X, *of_all), strict=True):
            np.testing.assert_array_equal(np.concatenate(found), each[numbers])


def test_errors_are_answers():
    objective, _ = make_objective(200, 3, 2)
    [shard], _ = make_shards(objective, [[0, 1, 2, 3, 4]])
    answer, error = shard.run("draw", None, {})
    assert answer is None
    assert isinstance(error, KeyError)


def sum_of(terms, node):
    return add_up(node, lambda node: terms[node[0]] if node[1] - node[0] == 1 else None, sum)


@pytest.mark.parametrize("n_terms", [1, 2, 3, 7, 8, 13, 100])
def test_a_sum_has_the_same_bits_whoever_adds_which_terms(n_terms):
    generator = np.random.default_rng(n_terms)
    terms = generator.normal(size=n_terms) * 10.0 ** generator.integers(-8, 8, n_terms)
    expected = sum_of(terms, (0, n_terms))
    assert expected == pytest.approx(np.sum(terms), rel=1e-12)
    for n_holders in (1, 2, 3, n_terms):
        for holders in (np.arange(n_terms) * n_holders // n_terms, generator.integers(0, n_holders, n_terms)):
            nodes = [node for held in range(n_holders) for node in find_nodes(np.flatnonzero(holders == held), n_terms)]
            by_node = {node: sum_of(terms, node) for node in nodes}
            assert add_up((0, n_terms), by_node.get, sum) == expected


def test_nodes_are_few_where_consecutive_terms_are_held():
    assert find_nodes(range(8), 8) == [(0, 8)]
    assert find_nodes(range(4, 8), 8) == [(4, 8)]
    assert find_nodes([0, 1, 2, 5], 8) == [(0, 2), (2, 3), (5, 6)]
    assert find_nodes([], 8) == []
    for first in range(0, 1000, 37):
        numbers = range(first, min(first + 250, 1000))
        nodes = find_nodes(numbers, 1000)
        assert [number for node in nodes for number in range(*node)] == list(numbers)
        assert len(nodes) <= 18
