"""Networks of dense layers: their loss, its gradient and their predictions. `fastlin.training` trains them."""

from fastlin.networks.network import ACTIVATIONS, NORMALIZATIONS, Examples, Network, initialize

__all__ = ["ACTIVATIONS", "NORMALIZATIONS", "Examples", "Network", "initialize"]
