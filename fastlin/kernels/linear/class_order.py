"""The kernel that finds rows by their places in the order of the classes, in one look at the labels.

A million labels take a millisecond so, to sort them 8.
"""

from fastlin.kernels.machine.compilation import kernel


@kernel
def find_places(labels, places, first, last, seen, numbers):
    """Fill numbers with the rows, ascending, that stand at some of the places, and return how many there are.

    Row i stands at seen[k], k = labels[i], which it moves on by one. places[first[k] : last[k]] are those of class k,
    ascending; first is overwritten.
    """
    n_found = 0
    for i in range(labels.shape[0]):
        k = labels[i]
        while first[k] < last[k] and places[first[k]] == seen[k]:
            numbers[n_found] = i
            n_found += 1
            first[k] += 1
        seen[k] += 1
    return n_found
