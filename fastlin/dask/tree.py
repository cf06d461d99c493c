"""Sums of terms in an order that depends on their number alone, whoever adds which of them.

Terms are the leaves of a binary tree; a node (first, last) stands for the terms from first to last - 1.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

Node: TypeAlias = tuple[int, int]
Sum = TypeVar("Sum")


def add_up(node: Node, find: Callable[[Node], Sum | None], join: Callable[[Iterable[Sum]], Sum]) -> Sum:
    """Return the sum of the terms of a node.

    find returns the sum of a node if it is known, else None; join adds several sums and may overwrite the first.
    """
    known = find(node)
    if known is not None:
        return known
    return join(add_up(half, find, join) for half in _divide(*node))


def find_nodes(numbers: Iterable[int], n_terms: int) -> list[Node]:
    """Return the fewest nodes that the terms of these numbers, of n_terms in all, make up."""
    held, found, pending = sorted(numbers), [], [(0, n_terms)]
    while pending:
        first, last = pending.pop()
        n_held = bisect_left(held, last) - bisect_left(held, first)
        if n_held == last - first:
            found.append((first, last))
        elif n_held:
            pending += reversed(_divide(first, last))
    return found


def _divide(first, last):
    """Return the two halves of a node, the left one with as many terms as a power of two."""
    middle = first + (1 << ((last - first - 1).bit_length() - 1))
    return (first, middle), (middle, last)
