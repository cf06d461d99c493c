"""Kernels and functions that depend on the processor: compilation, threads, vectors, tiles, products."""
