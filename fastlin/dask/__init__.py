"""Fits over Dask's arrays and dataframes, on one machine or many: the same objective, minimum and certificate.

The client has the optimiser (`classifiers`), the workers have the rows (`parts`, `shard`).
"""

from fastlin.extras import needs

with needs("dask"):
    import dask.array  # noqa: F401
    import distributed  # noqa: F401

from fastlin.dask.classifiers import LogisticRegression, LogisticRegressionCV

__all__ = ["LogisticRegression", "LogisticRegressionCV"]
