"""Estimators for Dask arrays and DataFrames, with the same objective, optimum and certificate as in memory.

The optimizer runs on the client (`classifiers`), and the rows stay on the workers (`parts`, `shard`).
"""

from fastlin.environment.extras import import_extra
from fastlin.environment.interruption import import_uninterrupted

with import_extra("dask"):
    import_uninterrupted("dask.array", "distributed")

from fastlin.dask.classifiers import LogisticRegression, LogisticRegressionCV

__all__ = ["LogisticRegression", "LogisticRegressionCV"]
