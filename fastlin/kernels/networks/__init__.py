"""Kernels for mini-batch training: the layers of a network, and complete steps of linear models."""
