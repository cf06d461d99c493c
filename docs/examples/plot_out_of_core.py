"""
Data larger than memory
=======================

`fastlin.blocks` reads a file block by block, once per pass, so the file can be larger than memory.
`fastlin.LogisticRegression` finds the same minimum, with a certificate, as for an array in memory. The file in this
example is small, but nothing in the script depends on its size.
"""

# %%
# Write a file of 300,000 rows and 30 features in float32, 50,000 rows at a time, so that the whole file is never in
# memory.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastlin import LogisticRegression, blocks

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "X.npy"
generator = np.random.default_rng(0)
true_coef = generator.normal(size=30)
rows = np.lib.format.open_memmap(path, "w+", np.float32, (300_000, 30))
labels = np.empty(len(rows), dtype=bool)
for start in range(0, len(rows), 50_000):
    chunk_rows = slice(start, start + 50_000)
    rows[chunk_rows] = generator.normal(size=(50_000, 30)) * np.geomspace(0.1, 10, 30)
    labels[chunk_rows] = (
        rows[chunk_rows] @ (true_coef / np.geomspace(0.1, 10, 30)) + generator.logistic(size=50_000) > 0
    )
rows.flush()
print(f"The file has {path.stat().st_size / 1e6:.0f} MB.")

# %%
# Fit the memory-mapped file in blocks of 25,000 rows. Two blocks have to fit into memory: the next one is read during
# the computation with the current one.
disk_blocks = blocks.from_arrays(np.load(path, mmap_mode="r"), labels, rows_per_block=25_000)
print(disk_blocks)
model = LogisticRegression(tol=1e-8).fit(disk_blocks)

# %%
# The same rows in memory give the same minimum.
in_memory_model = LogisticRegression(tol=1e-8).fit(np.load(path), labels)
assert np.allclose(model.coef_, in_memory_model.coef_, rtol=1e-3)

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
styles = {"marker": "o", "markersize": 11, "fillstyle": "none"}, {"marker": "x", "linestyle": "--"}
for fitted, name, style in zip((model, in_memory_model), ("blocks of a file", "array in memory"), styles, strict=True):
    bounds = np.minimum.accumulate([iteration.bound for iteration in fitted.history_])
    axes.plot([iteration.n_passes for iteration in fitted.history_], bounds, label=name, **style)
axes.axhline(1e-4 * model.history_[-1].objective, color="black", linestyle="--", label="default tol = 1e-4")
axes.set(yscale="log", xlabel="passes over the data", ylabel="bound on the suboptimality")
axes.legend()

# %%
# Predictions are also computed block by block: ``predict_proba`` returns an iterator over the blocks, so no array of
# all rows is allocated. Here they fill a calibration curve.
counts, predicted, n_positive = np.zeros((3, 10))
for number, block in enumerate(model.predict_proba(disk_blocks)):
    label = labels[number * 25_000 : number * 25_000 + len(block)]
    bin_index = np.minimum((10 * block[:, 1]).astype(int), 9)
    counts += np.bincount(bin_index, minlength=10)
    predicted += np.bincount(bin_index, block[:, 1], minlength=10)
    n_positive += np.bincount(bin_index, label, minlength=10)
predicted, observed_fractions = predicted / counts, n_positive / counts

figure, axes = plt.subplots(figsize=(6.5, 5.5), layout="constrained")
axes.plot([0, 1], [0, 1], color="black", linestyle="--", label="perfect")
axes.plot(predicted, observed_fractions, "o-", label="model")
axes.set(xlabel="predicted probability", ylabel="observed fraction of positives", title="Calibration curve")
axes.legend()
print(f"Predicted and observed fractions differ by at most {np.abs(observed_fractions - predicted).max():.3f}.")

# %%
# `fastlin.blocks.from_parquet` reads Parquet files, `fastlin.blocks.from_csr` sparse matrices, and
# `fastlin.blocks.from_batches` the batches that a function yields.
folder.cleanup()
