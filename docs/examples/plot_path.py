"""
A path of L1 models
===================

Which measurements of a tumour say most about whether it is malignant? An L1 penalty keeps few of them, and the
penalty's strength decides how few. `fastlin.logistic_path` fits all strengths in one call, and
`fastlin.LogisticRegressionCV` chooses one of them.
"""

# %%
# The data are 569 tumours with 30 measurements each. They need no scaling for the fit to converge, but a
# penalty treats all columns alike only where they have one scale.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from fastlin import LogisticRegressionCV, figures, logistic_path

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data)
is_malignant = data.target == 0

# %%
# Fifty values of C over three decades. The first is the largest C at which all coefficients are zero. At each
# further one the objective is proven to lie within ``tol`` of its minimum, relatively.
path = logistic_path(X, is_malignant, l1_ratio=1.0)
assert path.converged.all()

figure, axes = plt.subplots(figsize=(10, 5.5), layout="constrained")
figures.plot_path(path, data.feature_names, axes=axes, n_labels=7)

# %%
# Which measurement comes first, and how many are in the model when its coefficients have grown?
order = (path.coefs[:, 0] != 0).argmax(axis=0)
entered = path.coefs[:, 0].any(axis=0)
first = min((step, name) for step, name, is_in in zip(order, data.feature_names, entered, strict=True) if is_in)
print(f"The first measurement in the model is the {first[1]!r}, from C = {path.Cs[first[0]]:.2g} on.")
print(f"At C = {path.Cs[-1]:.2g}, {path.n_nonzeros[-1]} of {X.shape[1]} coefficients are not zero.")

# %%
# Cross-validation says how many pay off. L1 and L2 are tried side by side; all folds read one X and run on all
# threads.
model = LogisticRegressionCV(
    Cs=path.Cs[::4], l1_ratios=(0, 1), cv=10, scoring="neg_log_loss", use_legacy_attributes=False
).fit(X, is_malignant)

figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
figures.plot_scores(model, axes=axes)

# %%
# What was chosen, and what the lasso would keep at its own best C.
scores = model.scores_.mean(axis=0)
best_lasso = scores[1].argmax()
n_kept = (model.coefs_paths_[:, 1, best_lasso, 0, :-1] != 0).sum(axis=1)
print(f"Chosen: l1_ratio = {model.l1_ratio_:g} and C = {model.C_:.2g}, with a log loss of {-scores.max():.3f}.")
print(
    f"The best lasso has a log loss of {-scores[1].max():.3f} and keeps {n_kept.min()} to {n_kept.max()} measurements."
)
