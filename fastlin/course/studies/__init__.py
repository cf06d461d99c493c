"""The studies of the course's reports and of the homework's networks, and comparisons of libraries.

A study is a function from `Settings` to `Results`. For example, the study "softmax" is `study_softmax`. Studies draw no
figures and write no files, except that the random search stores its records.
"""

from fastlin.course import find_functions_with_prefix
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

# The studies are in the order of the assignment's tasks.
STUDIES = find_functions_with_prefix("study_", images, gradient_check, binary, softmax, l2, learning)
# These studies take minutes to hours, so the program runs them only if the user names them.
CIFAR10_STUDIES = find_functions_with_prefix("study_", cifar10_two_layer, cifar10_search, cifar10_deep)
