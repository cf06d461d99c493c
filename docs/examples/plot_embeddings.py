"""
Probes of four layers
=====================

A linear probe says what a layer of a network knows: if a linear model can read the classes off its outputs,
they are there. Here a frozen network with random weights turns images of digits into embeddings, layer by
layer, and a probe of each layer shows where the digits are easiest to read.
"""

# %%
# The network has three layers of 600 random features, and was never trained. Its outputs are stored in float16,
# as embeddings often are; a fit reads them as they are and widens them in registers.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegressionCV, figures

X, y = load_digits(return_X_y=True)
layers = {"pixels": (X / 16).astype(np.float16)}
generator = np.random.default_rng(0)
for depth in (1, 2, 3):
    below = list(layers.values())[-1].astype(np.float32)
    weights = generator.normal(size=(below.shape[1], 600)) * np.sqrt(2 / below.shape[1])
    layers[f"layer {depth}"] = np.maximum(below @ weights, 0).astype(np.float16)

train, rest = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0, stratify=y)
validation, test = train_test_split(rest, test_size=0.5, random_state=0, stratify=y[rest])

# %%
# One probe for each layer, on few and on many labeled rows. One call fits each C to the labeled rows and chooses
# the best on the validation rows; with ``refit=False`` the probe is that fit. The scores are those of other rows.
sizes = [60, 120, 240, 480, len(train)]


def fit_probe(rows, labeled):
    """Return the probe of a layer, fitted to labeled rows, whose C is the best on the validation rows."""
    probe = LogisticRegressionCV(
        Cs=np.logspace(-4, 4, 9), l1_ratios=(0,), scoring="accuracy", refit=False, use_legacy_attributes=False
    )
    return probe.fit(rows[labeled], y[labeled], X_val=rows[validation], y_val=y[validation])


probes = {name: [fit_probe(rows, train[:size]) for size in sizes] for name, rows in layers.items()}
scores = {name: [probe.score(layers[name][test], y[test]) for probe in probes[name]] for name in layers}

# %%
# All features of a layer come from the pixels, so no layer can know more than they do. But a linear model of
# random features can draw curved borders between the images.
figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
for name, values in scores.items():
    axes.plot(sizes, values, "o-", label=name)
axes.set(xscale="log", xlabel="labeled rows", ylabel="accuracy on new images", title="A probe of each layer")
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.minorticks_off()
axes.legend()

best = max(scores, key=lambda name: scores[name][-1])
print(f"With all {sizes[-1]} rows the probe of {best} is best: {scores[best][-1]:.3f},")
print(f"and that of the pixels has {scores['pixels'][-1]:.3f}.")

# %%
# The score of a layer depends on C, that of the pixels more than that of a layer of features. So each layer is judged
# at the C that suits it best.
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
for place, name in zip(axes, ("pixels", best), strict=True):
    figures.plot_scores(probes[name][-1], axes=place).set_title(name)

# %%
# Each fit is proven: this is the largest distance from the minimum among all C of the best layer, relative to the
# objective. So differences between layers are not differences between trainings.
probe = probes[best][-1]
print(f"{(probe.certificates_ / probe.objectives_).max():.1e}")
