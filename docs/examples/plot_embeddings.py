"""
Probing embeddings
==================

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

from fastlin import LogisticRegression

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
# One probe for each layer, on few and on many labelled rows. Strong penalties suit few rows, so each probe
# takes the best of three C on the validation rows. The scores are those of other rows.
sizes = [30, 60, 120, 240, 480, len(train)]


def fit_probe(rows, labelled):
    """Return the probe of a layer, fitted to labelled rows, whose C is the best on the validation rows."""
    probes = [LogisticRegression(C=C).fit(rows[labelled], y[labelled]) for C in (0.01, 0.1, 1.0)]
    return max(probes, key=lambda probe: probe.score(rows[validation], y[validation]))


scores = {
    name: [fit_probe(rows, train[:size]).score(rows[test], y[test]) for size in sizes] for name, rows in layers.items()
}

# %%
# All features of a layer come from the pixels, so no layer can know more than they do. But a linear model of
# random features can draw curved borders between the images.
figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
for name, values in scores.items():
    axes.plot(sizes, values, "o-", label=name)
axes.set(xscale="log", xlabel="labelled rows", ylabel="accuracy on new images", title="A probe of each layer")
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.minorticks_off()
axes.legend()

best = max(scores, key=lambda name: scores[name][-1])
print(f"With all {sizes[-1]} rows the probe of {best} is best: {scores[best][-1]:.3f},")
print(f"and that of the pixels has {scores['pixels'][-1]:.3f}.")

# %%
# How sure is the best probe, and of what? Each row of the picture is a digit, and its columns are the mean
# probabilities that the probe gives to images of it. The diagonal is left white, to show what is left over.
probe = fit_probe(layers[best], train)
probabilities = probe.predict_proba(layers[best][test])
means = np.array([probabilities[y[test] == digit].mean(axis=0) for digit in range(10)])
errors = np.where(np.eye(10, dtype=bool), np.nan, means)

figure, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
picture = axes.imshow(errors, cmap="viridis")
axes.set(xlabel="probability of", ylabel="image of", xticks=range(10), yticks=range(10), title=f"The probe of {best}")
axes.grid(False)
figure.colorbar(picture, label="mean probability")

true, taken_for = np.unravel_index(np.nanargmax(errors), errors.shape)
print(f"Its most frequent doubt: it takes a {true} for a {taken_for} with a mean probability of")
print(f"{errors[true, taken_for]:.3f}.")

# %%
# The probe is exact: its objective is proven to lie this close to the minimum, relatively. So differences
# between layers are not differences between trainings.
print(f"{probe.certificate_ / probe.history_[-1].objective:.1e}")
