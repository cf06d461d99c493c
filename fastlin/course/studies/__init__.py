"""The studies of the course's reports and of the homework's networks, and comparisons of libraries.

A study is a function of `Settings` that returns `Results`. It draws nothing and writes no files, save the random
search, which keeps its draws. `peers` belongs to no report: `fastlin compare --peers` runs it.
"""

from fastlin.course.studies import (
    binary,
    cifar10_deep,
    cifar10_search,
    cifar10_two_layer,
    gradient_check,
    images,
    l2,
    learning,
    softmax,
)


def _find_studies(*modules):
    """Return the studies of modules by their names; a function study_softmax is the study "softmax"."""
    found = (pair for module in modules for pair in vars(module).items())
    return {name.removeprefix("study_"): study for name, study in found if name.startswith("study_")}


# In the order of the assignment's tasks.
STUDIES = _find_studies(images, gradient_check, binary, softmax, l2, learning)
# These take minutes to hours, so that the program runs them only where they are named.
CIFAR10_STUDIES = _find_studies(cifar10_two_layer, cifar10_search, cifar10_deep)
