"""
Decision boundaries of a network
================================

`fastlin.MLPClassifier` trains dense neural networks. A linear model has linear decision boundaries; those of a network
can be curved.
"""

# %%
# Simulated data: three noisy spiral arms in two dimensions, with as many validation rows as training rows.
import matplotlib.pyplot as plt
import numpy as np

from fastlin import LogisticRegression, MLPClassifier

COLORS = np.array(["#0072B2", "#D55E00", "#009E73"])


def make_spiral(n_rows, seed):
    """Return points on three spiral arms, and the arm of each point."""
    generator = np.random.default_rng(seed)
    spiral_arm, radius = generator.integers(0, 3, n_rows), np.sqrt(generator.random(n_rows))
    angle = 2 * np.pi * spiral_arm / 3 + 4.5 * radius + generator.normal(scale=0.4, size=n_rows)
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle))), spiral_arm


X, y = make_spiral(1_500, seed=0)
X_val, y_val = make_spiral(1_500, seed=1)

# %%
# Three hidden layers with He initialization and batch normalization. The learning rate decreases by 5 % after each
# epoch. The network of the epoch with the best validation score is kept.
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
linear_model = LogisticRegression().fit(X, y)

# %%
# The predicted classes in the plane; darker colors mean higher probabilities.
axis = np.linspace(-1.25, 1.25, 300)
grid_points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
rgb = np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in COLORS]) / 255

figure, panels = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
for panel, model, name in zip(panels, (linear_model, network), ("linear model", "network"), strict=True):
    probabilities = model.predict_proba(grid_points)
    shades = 1 - (1 - probabilities @ rgb) * 0.6
    panel.imshow(shades.reshape(300, 300, 3), origin="lower", extent=(-1.25, 1.25, -1.25, 1.25))
    panel.scatter(*X_val[:600].T, c=COLORS[y_val[:600]], s=12, edgecolors="white", linewidths=0.5)
    panel.set(title=f"{name}: validation accuracy {model.score(X_val, y_val):.1%}", xticks=[], yticks=[])
    panel.grid(False)

# %%
# Loss and accuracy per epoch. Training values are averages over the batches of an epoch, before each step, whereas
# validation values are computed after the epoch and can therefore be better.
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
epochs = np.arange(1, network.n_iter_ + 1)
left.plot(epochs, network.loss_curve_, label="training")
left.plot(epochs, network.validation_loss_curve_, label="validation")
left.set(yscale="log", xlabel="epoch", ylabel="loss")
right.plot(epochs, network.accuracy_curve_, label="training")
right.plot(epochs, network.validation_scores_, label="validation")
right.axhline(linear_model.score(X_val, y_val), color="black", linestyle="--", label="validation, linear model")
right.set(xlabel="epoch", ylabel="accuracy")
left.legend()
right.legend(loc="lower right")

best = int(np.argmax(network.validation_scores_)) + 1
print(f"Best epoch: {best} of {network.n_iter_}, validation accuracy {network.best_validation_score_:.1%}.")
