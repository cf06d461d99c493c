"""Rows in blocks: data in many pieces, on disk, or in no one place, as fits take them.

`from_arrays`, `from_csr`, `from_parquet` and `from_batches` return `Blocks`, which `fit` takes in place of X.
"""

from fastlin.blocks.blocks import Blocks, from_arrays, from_batches, from_csr
from fastlin.blocks.parquet import from_parquet

__all__ = ["Blocks", "from_arrays", "from_batches", "from_csr", "from_parquet"]
