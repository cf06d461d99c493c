"""Shards in this process, compared with the same rows in memory, and the tree of their sums."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from objectives import make_objective, make_offset_objective
from scipy import sparse

from fastlin.dask.cluster import Cluster, ShardHandle
from fastlin.dask.cluster_matrix import ClusterMatrix
from fastlin.dask.parts import PartitionData
from fastlin.dask.shard import MAX_CACHED_ARRAYS, Shard
from fastlin.dask.tree import find_subtree_nodes, sum_subtree
from fastlin.matrices import matrix
from fastlin.matrices.pieces import sum_probability_outer_products
from fastlin.objective.rows import Rows

PARTITION_BOUNDARIES = [0, 40, 40, 90, 130, 200]


class InProcessCluster(Cluster):
    """A Cluster whose Shards are in this process. It records the calls and the arrays that are sent."""

    def __init__(self, parts, owners):
        super().__init__(None, parts, np.diff(PARTITION_BOUNDARIES), 60.0, set())
        self.methods, self.sent_arrays = [], []
        for owned_parts in owners:
            shard = Shard({number: parts[number] for number in owned_parts}, len(parts), n_threads=1)
            self._shards.append(ShardHandle("here", shard, frozenset(owned_parts)))

    def _call_until_complete(self, method, *arguments):
        self.methods.append(method)
        return super()._call_until_complete(method, *arguments)

    def _call_shards(self, calls):
        self.sent_arrays += [arguments[2] for _, arguments in calls]
        return [shard.actor.run(*arguments) for shard, arguments in calls]


def cut(objective, owners=((0, 3), (1, 2, 4)), is_sparse=False, **changes):
    """Return Rows of partitions on workers, and the same Rows in memory; `changes` replace fields of the samples."""
    rows = objective.rows
    samples = rows.passes.samples._replace(**changes)
    X = (sparse.csr_array if is_sparse else np.asarray)(rows.matrix.X)
    parts = [PartitionData("p", X[first:last]) for first, last in itertools.pairwise(PARTITION_BOUNDARIES)]
    pieces = [(n, X.dtype) for n in np.diff(PARTITION_BOUNDARIES).tolist()]
    matrix_arguments = X.shape, X.dtype, is_sparse, X.size, X.shape[1], pieces
    worker_matrix = ClusterMatrix(InProcessCluster(parts, owners), *matrix_arguments)
    others = samples, rows.n_classes, rows.coordinates, rows.fit_intercept
    return Rows(worker_matrix, *others), Rows(rows.matrix, *others)


def assert_same_sums(result, expected, parameters):
    assert not result.has_labels and expected.has_labels
    direction, (K, n_rows) = np.random.default_rng(5).normal(size=parameters.shape), (len(parameters), expected.n_rows)
    gradients, probabilities = np.empty((2, *parameters.shape)), np.empty((K, n_rows))
    loss = expected.passes.evaluate(parameters, probabilities, gradients[0])
    assert result.passes.evaluate(parameters, None, gradients[1]) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(*gradients, rtol=1e-11, atol=1e-11)
    product = expected.passes.hessian_product(direction, probabilities)
    np.testing.assert_allclose(result.passes.hessian_product(direction, parameters), product, rtol=1e-10, atol=1e-10)
    hessian = expected.passes.class_pair_gram(probabilities)
    np.testing.assert_allclose(result.passes.class_pair_gram(parameters), hessian, rtol=1e-10, atol=1e-10)
    products = sum_probability_outer_products(expected.passes, probabilities)
    np.testing.assert_allclose(
        result.passes.sum_with_probabilities(sum_probability_outer_products, parameters), products, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("make", "is_sparse"), [(make_objective, False), (make_objective, True), (make_offset_objective, False)]
)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_sums_match_rows_in_memory(monkeypatch, n_classes, make, is_sparse):
    # Probabilities are computed for 30 rows at a time.
    monkeypatch.setattr(matrix, "PROBABILITY_BATCH_BYTES", 30 * 8 * max(1, n_classes if n_classes > 2 else 1))
    objective, parameters = make(200, 3, n_classes)
    result, expected = cut(objective, is_sparse=is_sparse)
    assert_same_sums(result, expected, parameters)
    loss, gradient = expected.evaluate_without_offsets(parameters)
    actual_loss, actual_gradient = result.evaluate_without_offsets(parameters)
    assert actual_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(actual_gradient, gradient, rtol=1e-11, atol=1e-11)
    for weights in (None, expected.weights):
        for one, other in zip(result.matrix.measure(weights), expected.matrix.measure(weights), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("owners", [[[0, 3], [1, 2, 4]], [[0, 1, 4], [2, 3]]])
@pytest.mark.parametrize("make", [make_objective, make_offset_objective])
def test_selected_and_sampled_rows_match_rows_in_memory(owners, make):
    objective, parameters = make(200, 3, 4)
    weights = objective.rows.weights.copy()
    weights[::3] = 0
    # The third partition has none of these rows.
    indices = np.r_[5:35, 95:180]
    for changes in ({"weights": weights}, {"rows": indices}, {"rows": indices, "weights": weights}):
        result, expected = cut(objective, owners, **changes)
        assert_same_sums(result, expected, parameters)
        actual, full = result.sample(20), expected.sample(20)
        np.testing.assert_array_equal(actual.matrix.X, full.matrix.X[full.row_indices])
        expected_samples = full.passes.samples.take(full.row_indices)
        for one, other in zip(actual.passes.samples[1:], expected_samples[1:], strict=True):
            np.testing.assert_array_equal(one, other)
        assert result.sample(20).matrix is actual.matrix


def test_arrays_are_sent_to_workers_once_and_again_after_eviction():
    objective, parameters = make_objective(200, 3, 2)
    result, _ = cut(objective)
    keys_per_shard = [shard.cached_array_keys for shard in result.matrix.cluster._shards]
    first = result.passes.evaluate(parameters, None, np.empty(parameters.shape))
    initial_keys_per_shard = [list(cache) for cache in keys_per_shard]
    assert result.passes.evaluate(parameters, None, np.empty(parameters.shape)) == first
    assert [list(cache) for cache in keys_per_shard] == initial_keys_per_shard
    for number in range(MAX_CACHED_ARRAYS):
        result.matrix.measure(np.arange(200.0) + number)
    assert not any(labels in cache for (labels, *_), cache in zip(initial_keys_per_shard, keys_per_shard, strict=True))
    assert result.passes.evaluate(parameters, None, np.empty(parameters.shape)) == first
    assert all(len(cache) <= MAX_CACHED_ARRAYS for cache in keys_per_shard)


def test_only_the_weights_of_a_fold_are_sent_to_workers():
    objective, parameters = make_offset_objective(200, 3, 4)
    result, expected = cut(objective)
    samples, weights = result.passes.samples, [np.arange(200.0) + number for number in range(2 * MAX_CACHED_ARRAYS)]
    # For any number of folds, labels and offsets are sent once, and the last folds are cached.
    for each in [*weights, *weights[-3:]]:
        fold, same = (
            Rows(rows.matrix, samples._replace(weights=each), 4, rows.coordinates, rows.fit_intercept)
            for rows in (result, expected)
        )
        loss = same.passes.evaluate(parameters, None, np.empty(parameters.shape))
        assert fold.passes.evaluate(parameters, None, np.empty(parameters.shape)) == pytest.approx(loss, rel=1e-12)
    sent_arrays = result.matrix.cluster.sent_arrays
    array_counts = [len(new) for new in sent_arrays]
    assert array_counts[0] > 1
    assert array_counts[2:] == [1] * (len(array_counts) - 8) + [0] * 6
    assert sum(array.nbytes for array in sent_arrays[2][next(iter(sent_arrays[2]))].values()) < weights[0].nbytes


def test_parallel_folds_fetch_their_samples_once():
    result, _ = cut(make_objective(200, 3, 2)[0])
    folds, barrier = [np.arange(0, 200, 2), np.arange(1, 200, 2)], threading.Barrier(2)

    def sample(rows):
        taken = []
        for _ in range(3):
            barrier.wait(60)
            taken.append(result.take(rows).matrix)
        return taken

    with ThreadPoolExecutor(2) as pool:
        for rows, taken in zip(folds, pool.map(sample, folds), strict=True):
            assert all(each is taken[0] for each in taken)
            np.testing.assert_array_equal(taken[0].X, make_objective(200, 3, 2)[0].rows.matrix.X[rows])
    assert result.matrix.cluster.methods == ["take"] * 2


def test_errors_of_shards_are_returned():
    value, error = Shard({0: PartitionData("p", np.ones((2, 2)))}, 1, n_threads=1).run("take", [0], {}, {})
    assert value is None
    assert isinstance(error, KeyError)


def sum_terms(terms, node):
    return sum_subtree(node, lambda node: terms[node[0]] if node[1] - node[0] == 1 else None, sum)


@pytest.mark.parametrize("n_terms", [1, 2, 3, 7, 8, 13, 100])
def test_sums_have_the_same_bits_for_any_assignment_of_terms(n_terms):
    generator = np.random.default_rng(n_terms)
    terms = generator.normal(size=n_terms) * 10.0 ** generator.integers(-8, 8, n_terms)
    expected = sum_terms(terms, (0, n_terms))
    assert expected == pytest.approx(np.sum(terms), rel=1e-12)
    for n_holders in (1, 2, 3, n_terms):
        for holders in (np.arange(n_terms) * n_holders // n_terms, generator.integers(0, n_holders, n_terms)):
            nodes = [
                node
                for holder in range(n_holders)
                for node in find_subtree_nodes(np.flatnonzero(holders == holder), n_terms)
            ]
            node_sums = {node: sum_terms(terms, node) for node in nodes}
            assert sum_subtree((0, n_terms), node_sums.get, sum) == expected


def test_consecutive_terms_are_combined_in_few_nodes():
    assert find_subtree_nodes(range(8), 8) == [(0, 8)]
    assert find_subtree_nodes(range(4, 8), 8) == [(4, 8)]
    assert find_subtree_nodes([0, 1, 2, 5], 8) == [(0, 2), (2, 3), (5, 6)]
    assert find_subtree_nodes([], 8) == []
    for first in range(0, 1000, 37):
        numbers = range(first, min(first + 250, 1000))
        nodes = find_subtree_nodes(numbers, 1000)
        assert [number for node in nodes for number in range(*node)] == list(numbers)
        assert len(nodes) <= 18
