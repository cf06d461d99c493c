"""The studies of the course's reports and of the homework's networks, and comparisons of libraries.

A study is a function from `Settings` to `Results`; the study "softmax" is `study_softmax`. Studies draw nothing and
write no files, except the random search, which stores its draws. `baselines` belongs to no report; it is the comparison
of `fastlin compare`.
"""

from fastlin.course import find_functions
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
STUDIES = find_functions("study_", images, gradient_check, binary, softmax, l2, learning)
# These take minutes to hours, so the program runs them only if they are named.
CIFAR10_STUDIES = find_functions("study_", cifar10_two_layer, cifar10_search, cifar10_deep)
