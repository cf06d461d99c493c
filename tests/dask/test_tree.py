import numpy as np
import pytest

from fastlin.dask.tree import add_up, find_nodes


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
