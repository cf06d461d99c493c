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

# In the order of the assignment's tasks.
STUDIES = {
    "images": images.run,
    "gradient_check": gradient_check.run,
    "binary": binary.run_in_order,
    "early_stopping": binary.run_early_stopping,
    "shuffling": binary.run_shuffling,
    "softmax": softmax.run,
    "l2_weights": l2.run_weights,
    "l2_sweep": l2.run_sweep,
    "l2_norm": l2.run_norm,
    "learning": learning.run,
}
# These take minutes to hours, so that the program runs them only where they are named.
CIFAR10_STUDIES = {
    "cifar10_two_layer": cifar10_two_layer.run,
    "cifar10_search": cifar10_search.run,
    "cifar10_deep": cifar10_deep.run,
}
