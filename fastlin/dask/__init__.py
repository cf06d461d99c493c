"""Fits over Dask's arrays and dataframes, on one machine or many: the same objective, minimum and certificate.

The client has the optimizer (`classifiers`), the workers have the rows (`parts`, `shard`).
"""

from fastlin.extras import needs
from fastlin.interruption import import_uninterrupted

with needs("dask"):
    import_uninterrupted("dask.array", "distributed")

from fastlin.dask.classifiers import LogisticRegression, LogisticRegressionCV

__all__ = ["LogisticRegression", "LogisticRegressionCV"]
