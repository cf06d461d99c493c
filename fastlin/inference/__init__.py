"""What coefficients are worth: how far they may lie from those of all data there might be."""

from fastlin.inference.bootstrap import Bootstrap

__all__ = ["Bootstrap"]
