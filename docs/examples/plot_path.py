"""
L1 regularization path
======================

Which measurements best predict whether a tumor is malignant? An L1 penalty selects a few of them, fewer with a stronger
penalty. `fastlin.logistic_path` fits a whole range of penalties in one call, and `fastlin.LogisticRegressionCV` chooses
one of them by cross-validation.
"""

# %%
# The data have 569 tumors with 30 measurements each. A fit converges without scaling, but a penalty treats all features
# alike only if they are on the same scale.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from fastlin import LogisticRegressionCV, figures, logistic_path

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data)
is_malignant = data.target == 0

# %%
# The default is fifty values of C over three decades, from the largest C at which all coefficients are zero. Each model
# is certified to ``tol``.
path = logistic_path(X, is_malignant, l1_ratio=1.0)
assert path.converged.all()

figure, axes = plt.subplots(figsize=(10, 5.5), layout="constrained")
figures.plot_path(path, data.feature_names, axes=axes, n_labels=7)

# %%
# Which measurement enters the model first, and how many are in the model with the weakest penalty?
entry_steps = (path.coefs[:, 0] != 0).argmax(axis=0)
selected_features = path.coefs[:, 0].any(axis=0)
first = min(
    (step, name)
    for step, name, is_selected in zip(entry_steps, data.feature_names, selected_features, strict=True)
    if is_selected
)
print(f"The first measurement to enter the model is {first[1]!r}, at C = {path.Cs[first[0]]:.2g}.")
print(f"At C = {path.Cs[-1]:.2g}, {path.n_nonzeros[-1]} of {X.shape[1]} coefficients are nonzero.")

# %%
# Cross-validation chooses the penalty, here among L1 and L2. All folds share one X and run in parallel.
model = LogisticRegressionCV(
    Cs=path.Cs[::4], l1_ratios=(0, 1), cv=10, scoring="neg_log_loss", use_legacy_attributes=False
).fit(X, is_malignant)

figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
figures.plot_scores(model, axes=axes)

# %%
# The chosen penalty, and the number of measurements that L1 selects at its own best C.
scores = model.scores_.mean(axis=0)
best_lasso = scores[1].argmax()
n_selected = (model.coefs_paths_[:, 1, best_lasso, 0, :-1] != 0).sum(axis=1)
print(f"Chosen: l1_ratio = {model.l1_ratio_:g} and C = {model.C_:.2g}, with a log loss of {-scores.max():.3f}.")
print(
    f"The best L1 model has a log loss of {-scores[1].max():.3f} and selects {n_selected.min()} to {n_selected.max()} "
    "measurements."
)
