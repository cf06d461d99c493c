"""
A network
=========

`fastlin.MLPClassifier` trains chains of dense layers. Where a linear model can only draw straight borders, a
network bends them.
"""

# %%
# Three arms of a spiral with some noise, in two columns, and as many rows again for validation.
import matplotlib.pyplot as plt
import numpy as np

from fastlin import LogisticRegression, MLPClassifier

COLORS = np.array(["#0072B2", "#D55E00", "#009E73"])


def make_spiral(n_rows, seed):
    """Return rows on three arms and the number of the arm of each."""
    generator = np.random.default_rng(seed)
    arm, place = generator.integers(0, 3, n_rows), np.sqrt(generator.random(n_rows))
    angle = 2 * np.pi * arm / 3 + 4.5 * place + generator.normal(scale=0.4, size=n_rows)
    return np.column_stack((place * np.cos(angle), place * np.sin(angle))), arm


X, y = make_spiral(1_500, seed=0)
X_val, y_val = make_spiral(1_500, seed=1)

# %%
# Three hidden layers from He's initialization, with batch normalization, and a learning rate that falls by 5 %
# after each epoch. The validation data are our own, and the network of the best epoch is kept.
network = MLPClassifier(
    (32, 32, 32),
    init="he",
    batch_norm="hidden",
    batch_size=64,
    learning_rate_init=0.01,
    learning_rate_decay=0.95,
    max_iter=60,
    early_stopping=True,
    n_iter_no_change=np.inf,
    random_state=0,
)
network.fit(X, y, X_val=X_val, y_val=y_val)
linear = LogisticRegression().fit(X, y)

# %%
# The classes that each model gives to the plane; the darker, the surer it is.
axis = np.linspace(-1.25, 1.25, 300)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
rgb = np.array([[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in COLORS]) / 255

figure, panels = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
for panel, model, name in zip(panels, (linear, network), ("linear model", "network"), strict=True):
    probabilities = model.predict_proba(plane)
    shades = 1 - (1 - probabilities @ rgb) * 0.6
    panel.imshow(shades.reshape(300, 300, 3), origin="lower", extent=(-1.25, 1.25, -1.25, 1.25))
    panel.scatter(*X_val[:600].T, c=COLORS[y_val[:600]], s=12, edgecolors="white", linewidths=0.5)
    panel.set(title=f"{name}: {model.score(X_val, y_val):.1%} of the validation rows", xticks=[], yticks=[])
    panel.grid(False)

# %%
# Loss and accuracy by epoch. Training values are means over an epoch's batches before each step, so that the
# validation data, judged after the epoch, may look better.
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
epochs = np.arange(1, network.n_iter_ + 1)
left.plot(epochs, network.loss_curve_, label="training")
left.plot(epochs, network.validation_loss_curve_, label="validation")
left.set(yscale="log", xlabel="epoch", ylabel="loss")
right.plot(epochs, network.accuracy_curve_, label="training")
right.plot(epochs, network.validation_scores_, label="validation")
right.axhline(linear.score(X_val, y_val), color="black", linestyle="--", label="validation, linear model")
right.set(xlabel="epoch", ylabel="accuracy")
left.legend()
right.legend(loc="lower right")

best = int(np.argmax(network.validation_scores_)) + 1
print(f"Epoch {best} is the best of {network.n_iter_}: {network.best_validation_score_:.1%} of the validation rows.")
