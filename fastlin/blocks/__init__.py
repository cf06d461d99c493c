"""Out-of-core data: blocks of rows from several arrays, from files on disk, or from a function.

`from_arrays`, `from_csr`, `from_parquet` and `from_batches` return `Blocks`, which `fit` accepts instead of X.
"""

from fastlin.blocks.blocks import Blocks, from_arrays, from_batches, from_csr
from fastlin.blocks.parquet import from_parquet

__all__ = ["Blocks", "from_arrays", "from_batches", "from_csr", "from_parquet"]
