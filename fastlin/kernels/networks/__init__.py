"""Kernels for mini-batch training: the layers of networks, and complete steps of linear models."""
