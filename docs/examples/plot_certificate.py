"""
How tight is the certificate?
=============================

`fastlin.LogisticRegression` certifies an upper bound on its suboptimality: the difference between its objective and the
minimum. This example compares the bound with the true suboptimality, and with the error of the predictions.
"""

# %%
# Simulated data: 20,000 rows, 40 features, 5 overlapping classes. A fit with a very small ``tol`` stands for the exact
# minimum.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification

from fastlin import LogisticRegression

X, y = make_classification(
    n_samples=20_000, n_features=40, n_informative=15, n_redundant=10, n_classes=5, class_sep=0.7, random_state=0
)
exact_model = LogisticRegression(C=1.0, tol=1e-12, solver="lbfgs").fit(X, y)
minimum = exact_model.history_[-1].objective - exact_model.certificate_

# %%
# ``history_`` stores the objective and the bound of each iteration. The bound is computed without knowing the minimum.
model = LogisticRegression(C=1.0, tol=1e-8, solver="lbfgs").fit(X, y)
passes = [iteration.n_passes for iteration in model.history_]
bounds = np.minimum.accumulate([iteration.bound for iteration in model.history_])
suboptimality = np.maximum([iteration.objective - minimum for iteration in model.history_], 1e-16)

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
axes.plot(passes, bounds, "o-", color="#D55E00", label="certified bound")
axes.plot(passes, suboptimality, "s-", color="#0072B2", label="true suboptimality")
axes.axhline(1e-4 * minimum, color="black", linestyle="--", label="default tol = 1e-4")
axes.set(
    yscale="log",
    ylim=(1e-12, None),
    xlabel="passes over X",
    ylabel="objective minus minimum",
    title="The bound follows the true suboptimality",
)
axes.legend()

# %%
# What does the bound mean for predictions? For each training row, compare the probabilities with those of the exact
# minimum. The mean difference is at most ``sqrt(certificate_ / 2)``. The next figure stops fits after 1, 3, 5, …
# iterations, and compares the bound with the true difference.
import warnings

from sklearn.exceptions import ConvergenceWarning

best = exact_model.predict_proba(X)
certified_bounds, true_differences, changed_label_fractions = [], [], []
iteration_limits = range(1, len(model.history_), 2)
for iteration_limit in iteration_limits:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        early_model = LogisticRegression(C=1.0, tol=1e-8, solver="lbfgs", max_iter=iteration_limit).fit(X, y)
    probabilities = early_model.predict_proba(X)
    certified_bounds.append(np.sqrt(early_model.certificate_ / 2))
    true_differences.append(np.abs(probabilities - best).sum(axis=1).mean() / 2)
    changed_label_fractions.append(np.mean(probabilities.argmax(axis=1) != best.argmax(axis=1)))
assert np.all(np.array(true_differences) <= certified_bounds)

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
axes.plot(iteration_limits, certified_bounds, "o-", color="#D55E00", label="certified: sqrt(certificate_ / 2)")
axes.plot(iteration_limits, true_differences, "s-", color="#0072B2", label="true: mean difference of probabilities")
axes.plot(
    iteration_limits,
    np.maximum(changed_label_fractions, 1e-9),
    "^-",
    color="#009E73",
    label="fraction of rows with another label",
)
axes.set(yscale="log", ylim=(1e-6, 2), xlabel="iterations", ylabel="difference from the exact model")
axes.legend()

# %%
# With the default ``tol``, the predictions are practically those of the exact minimum.
default = LogisticRegression(C=1.0).fit(X, y)
difference = np.abs(default.predict_proba(X) - best).sum(axis=1).mean() / 2
n_changed_labels = np.count_nonzero(default.predict(X) != exact_model.predict(X))
print(f"certified: the probabilities differ by at most {np.sqrt(default.certificate_ / 2):.2%} on average")
print(f"true:      they differ by {difference:.4%}, and {n_changed_labels} of {len(y):,} labels change")
