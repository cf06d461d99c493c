"""Networks of dense layers: their loss, its gradient and their predictions; what trains them is solvers/momentum.py."""

from fastlin.networks.network import ACTIVATIONS, NORMALIZATIONS, Examples, Network

__all__ = ["ACTIVATIONS", "NORMALIZATIONS", "Examples", "Network"]
