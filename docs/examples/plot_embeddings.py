"""
Linear probes of a network's layers
===================================

A linear probe tests whether the outputs of a layer are linearly predictive of the classes. Here a frozen network with
random weights maps images of digits to embeddings. Probes show in which layer the digits are easiest to classify.
"""

# %%
# The network has three layers of 600 random features and is not trained. Its outputs are stored in float16, as is
# common for embeddings; a fit converts them to float32.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegressionCV, figures

X, y = load_digits(return_X_y=True)
layers = {"pixels": (X / 16).astype(np.float16)}
generator = np.random.default_rng(0)
for depth in (1, 2, 3):
    previous_layer = list(layers.values())[-1].astype(np.float32)
    weights = generator.normal(size=(previous_layer.shape[1], 600)) * np.sqrt(2 / previous_layer.shape[1])
    layers[f"layer {depth}"] = np.maximum(previous_layer @ weights, 0).astype(np.float16)

train, held_out_rows = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0, stratify=y)
validation_rows, test_rows = train_test_split(held_out_rows, test_size=0.5, random_state=0, stratify=y[held_out_rows])

# %%
# One probe per layer and number of labeled rows. One call fits all values of C to the labeled rows and chooses the best
# on the validation rows; with ``refit=False`` it keeps that model. The scores are measured on test rows.
sizes = [60, 120, 240, 480, len(train)]


def fit_probe(rows, labeled_rows):
    """Return a probe fitted to the labeled rows, with the C that scores best on the validation rows."""
    probe = LogisticRegressionCV(
        Cs=np.logspace(-4, 4, 9), l1_ratios=(0,), scoring="accuracy", refit=False, use_legacy_attributes=False
    )
    return probe.fit(rows[labeled_rows], y[labeled_rows], X_val=rows[validation_rows], y_val=y[validation_rows])


probes = {name: [fit_probe(rows, train[:size]) for size in sizes] for name, rows in layers.items()}
scores = {name: [probe.score(layers[name][test_rows], y[test_rows]) for probe in probes[name]] for name in layers}

# %%
# All layers are functions of the pixels, so no layer contains more information. But a linear model of random features
# can have curved decision boundaries in the space of the images.
figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
for name, values in scores.items():
    axes.plot(sizes, values, "o-", label=name)
axes.set(xscale="log", xlabel="labeled rows", ylabel="accuracy on test images", title="Accuracy of the probes by layer")
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.minorticks_off()
axes.legend()

best = max(scores, key=lambda name: scores[name][-1])
print(f"With all {sizes[-1]} rows, the probe of {best} has the highest accuracy, {scores[best][-1]:.3f};")
print(f"the probe of the pixels has {scores['pixels'][-1]:.3f}.")

# %%
# The score depends on C, for the pixels more than for the layers. Compare layers at the best C of each.
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
for panel, name in zip(axes, ("pixels", best), strict=True):
    figures.plot_scores(probes[name][-1], axes=panel).set_title(name)

# %%
# Each fit is certified. The number below is the largest duality gap over all C of the best layer, relative to log 10,
# the objective of a uniform guess. Differences between layers are therefore not due to the optimization.
probe = probes[best][-1]
print(f"{probe.certificates_.max() / np.log(10):.1e}")
