"""Rows in blocks: data that lie in many pieces, on disk, or in no one place, as fits take them.

`from_arrays` cuts arrays, memory-mapped files among them, `from_csr` takes sparse rows, `from_parquet` reads Parquet
files and `from_batches` takes what a function makes. Each returns `Blocks`, which `fit` of `LogisticRegression` and
`LogisticRegressionCV` takes in place of X.
"""

from fastlin.blocks.blocks import Blocks, from_arrays, from_batches, from_csr
from fastlin.blocks.parquet import from_parquet

__all__ = ["Blocks", "from_arrays", "from_batches", "from_csr", "from_parquet"]
