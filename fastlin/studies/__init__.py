"""The studies of the course's reports, of the homework's networks and the comparison with scikit-learn, one file each.

A study is a function ``run(settings)`` that returns plain results: parameters, merits (its figures of merit, which
go into results.json) and series (what figures/ draws). It writes nothing and draws nothing. peers.py, the comparison
with what contenders.py holds, is not of the reports: `fastlin compare --peers` runs it.
"""

from fastlin.studies import (
    binary,
    cifar10_deep,
    cifar10_search,
    cifar10_two_layer,
    compare,
    early_stopping,
    gradient_check,
    l2_norm,
    l2_sweep,
    l2_weights,
    shuffling,
    softmax,
)

STUDIES = {
    "binary": binary.run,
    "early_stopping": early_stopping.run,
    "shuffling": shuffling.run,
    "softmax": softmax.run,
    "l2_weights": l2_weights.run,
    "l2_sweep": l2_sweep.run,
    "l2_norm": l2_norm.run,
    "gradient_check": gradient_check.run,
    "compare": compare.run,
}
# Minutes to hours: they run only when named.
CIFAR10_STUDIES = {
    "cifar10_two_layer": cifar10_two_layer.run,
    "cifar10_search": cifar10_search.run,
    "cifar10_deep": cifar10_deep.run,
}
