"""Kernels of training by mini-batches: the layers of a network, and whole steps of the course's models."""
