"""Kernels of linear models: passes over dense rows, sparse rows and columns, Hessians, penalties, column scaling."""
