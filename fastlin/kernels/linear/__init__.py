"""Kernels of linear models: passes over dense rows, sparse rows and columns, curvature, penalties, coordinates."""
