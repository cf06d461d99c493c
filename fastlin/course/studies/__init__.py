"""The studies of the course's reports and of the homework's networks, and comparisons of libraries.

A study is a function of `Settings` that returns `Results`, such as `study_softmax`, which is the study "softmax". It
draws nothing and writes no files, save the random search, which keeps its draws. `baselines` belongs to no report:
`fastlin compare --baselines` runs it.
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
# These take minutes to hours, so that the program runs them only where they are named.
CIFAR10_STUDIES = find_functions("study_", cifar10_two_layer, cifar10_search, cifar10_deep)
