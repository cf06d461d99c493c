"""Fully connected networks: loss, gradient and predictions. `fastlin.training` contains the training algorithms."""

from fastlin.networks.network import ACTIVATIONS, NORMALIZATIONS, Examples, Network, initialize_parameters

__all__ = ["ACTIVATIONS", "NORMALIZATIONS", "Examples", "Network", "initialize_parameters"]
