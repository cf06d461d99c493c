"""Reproducible sums: the order of additions depends only on the number of terms, not on which worker has which term.

Terms are the leaves of a binary tree; a node (first, last) stands for the terms from first to last - 1.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

Node: TypeAlias = tuple[int, int]
Sum = TypeVar("Sum")


def sum_subtree(node: Node, find: Callable[[Node], Sum | None], join: Callable[[Iterable[Sum]], Sum]) -> Sum:
    """Return the sum of the terms of a node.

    `find` returns the sum of a node, or None if it is not available. `join` adds sums, and may overwrite the first sum.
    """
    total = find(node)
    if total is not None:
        return total
    return join(sum_subtree(child, find, join) for child in _split_node(*node))


def find_subtree_nodes(numbers: Iterable[int], n_terms: int) -> list[Node]:
    """Return the shortest list of nodes that together contain exactly the terms `numbers`, out of `n_terms` terms."""
    term_indices, nodes, pending_nodes = sorted(numbers), [], [(0, n_terms)]
    while pending_nodes:
        first, last = pending_nodes.pop()
        n_covered_terms = bisect_left(term_indices, last) - bisect_left(term_indices, first)
        if n_covered_terms == last - first:
            nodes.append((first, last))
        elif n_covered_terms:
            pending_nodes += reversed(_split_node(first, last))
    return nodes


def _split_node(first, last):
    """Return the two children of a node; the number of terms in the left child is a power of two."""
    middle = first + (1 << ((last - first - 1).bit_length() - 1))
    return (first, middle), (middle, last)
