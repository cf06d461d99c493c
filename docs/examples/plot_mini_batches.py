"""
Mini-batches with early stopping
================================

`fastlin.MiniBatchLogisticRegression` takes gradient steps on a few rows at a time, for data that arrive in batches.
Early stopping monitors the log loss of validation rows. With a weak penalty, the resulting model predicts better than
the exact minimum of the objective.
"""

# %%
# Images of digits, a quarter of them for validation. A common step size requires features on similar scales, so the
# pixels are scaled to [0, 1].
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegression, MiniBatchLogisticRegression

X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X / 16, y, random_state=0, stratify=y)

# %%
# Three training runs with a weak penalty: a constant learning rate, a rate that decreases by 4 % after each epoch, and
# the average over the steps. Each run keeps the epoch with the lowest validation loss.
settings = {
    "constant": {},
    "decreasing": {"learning_rate_decay": 0.96, "n_iter_no_change": np.inf},
    "constant, averaged": {"average": True, "n_iter_no_change": np.inf},
}
models = {
    name: MiniBatchLogisticRegression(
        alpha=1e-5,
        batch_size=16,
        learning_rate_init=0.2,
        max_iter=60,
        early_stopping=True,
        n_iter_no_change=10,
        tol=0,
        random_state=0,
    )
    .set_params(**setting)
    .fit(X_train, y_train, X_val=X_val, y_val=y_val)
    for name, setting in settings.items()
}

# %%
# `fastlin.LogisticRegression` finds the exact minimum of the same objective with ``C = 1 / (alpha n)``. The
# resulting model overfits: its validation loss is higher than with early stopping.
exact_model = LogisticRegression(C=1 / (1e-5 * len(X_train))).fit(X_train, y_train)
exact_loss = log_loss(y_val, exact_model.predict_proba(X_val))

figure, (training_panel, validation_panel) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
for name, model in models.items():
    (line,) = training_panel.plot(range(1, len(model.loss_curve_) + 1), model.loss_curve_, label=name)
    validation_panel.plot(
        range(1, len(model.loss_curve_) + 1), model.validation_loss_curve_, color=line.get_color(), label=name
    )
    best = int(np.argmin(model.validation_loss_curve_))
    validation_panel.plot(best + 1, model.validation_loss_curve_[best], "o", color=line.get_color())
training_panel.axhline(exact_model.history_[-1].objective, color="black", linestyle="--", label="exact minimum")
validation_panel.axhline(exact_loss, color="black", linestyle="--", label="exact minimum")
training_panel.set(yscale="log", xlabel="epoch", ylabel="training loss plus penalty")
validation_panel.set(xlabel="epoch", ylabel="validation loss (dot: selected epoch)", ylim=(0.08, 0.3))
training_panel.legend()

for name, model in models.items():
    print(f"{name + ':':20} {model.n_iter_:2} epochs, best validation loss {model.best_validation_loss_:.4f}")
print(f"{'exact minimum:':20} {exact_loss:37.4f}")
assert all(model.best_validation_loss_ < exact_loss for model in models.values())

# %%
# A stronger penalty also prevents overfitting, and `fastlin.LogisticRegressionCV` can choose it.
more_penalized_model = LogisticRegression(C=1 / (1e-4 * len(X_train))).fit(X_train, y_train)
more_penalized_loss = log_loss(y_val, more_penalized_model.predict_proba(X_val))
print(f"With ten times the penalty, the exact minimum has a validation loss of {more_penalized_loss:.4f}.")

# %%
# ``partial_fit`` continues training on new rows. Here the training images arrive in batches of 20.
online_model = MiniBatchLogisticRegression(learning_rate_init=0.05, batch_size=20, random_state=0)
scores = []
for start in range(0, len(X_train), 20):
    batch = slice(start, start + 20)
    online_model.partial_fit(X_train[batch], y_train[batch], classes=np.arange(10))
    scores.append(online_model.score(X_val, y_val))

figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
axes.plot(20 * np.arange(1, len(scores) + 1), scores)
axes.axhline(exact_model.score(X_val, y_val), color="black", linestyle="--", label="exact minimum, all rows")
axes.set(xlabel="training rows seen, each once", ylabel="accuracy on validation images")
axes.legend(loc="lower right")
print(f"After {online_model.t_:,} rows, each seen once, the accuracy is {scores[-1]:.3f}.")
