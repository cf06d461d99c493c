"""
A certificate over time
=======================

During a fit `fastlin.LogisticRegression` keeps a bound on its distance from the minimum. It is an upper bound:
the true distance is smaller. How much smaller, and what does it say about the predictions?
"""

# %%
# The data are made: 20,000 rows of 40 columns in 5 classes that overlap. A fit with a tiny ``tol`` stands for
# the exact minimum, which is known otherwise only in theory.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification

from fastlin import LogisticRegression

X, y = make_classification(
    n_samples=20_000, n_features=40, n_informative=15, n_redundant=10, n_classes=5, class_sep=0.7, random_state=0
)
exact = LogisticRegression(C=1.0, tol=1e-12, solver="lbfgs").fit(X, y)
minimum = exact.history_[-1].objective - exact.certificate_

# %%
# ``history_`` has the objective and the bound of each iteration. The bound is what a fit can prove at that
# time, without knowing the minimum.
model = LogisticRegression(C=1.0, tol=1e-8, solver="lbfgs").fit(X, y)
passes = [iteration.n_passes for iteration in model.history_]
bounds = np.minimum.accumulate([iteration.bound for iteration in model.history_])
distances = np.maximum([iteration.objective - minimum for iteration in model.history_], 1e-16)

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
axes.plot(passes, bounds, "o-", color="#D55E00", label="proven: the bound")
axes.plot(passes, distances, "s-", color="#0072B2", label="true: the objective less its minimum")
axes.axhline(1e-4 * minimum, color="black", linestyle="--", label="where tol = 1e-4 ends a fit")
axes.set(yscale="log", ylim=(1e-12, None), xlabel="passes over X", ylabel="distance from the minimum")
axes.legend()

# %%
# What does it mean for predictions? The probabilities of the training rows cannot be further from those of the
# exact minimum than the root of half of the certificate, in the mean over the rows. Here are fits that end
# after 1, 2, 3, … iterations, with what is proven and what is true.
import warnings

from sklearn.exceptions import ConvergenceWarning

best = exact.predict_proba(X)
certified, true, changed = [], [], []
limits = range(1, len(model.history_), 2)
for limit in limits:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        early = LogisticRegression(C=1.0, tol=1e-8, solver="lbfgs", max_iter=limit).fit(X, y)
    probabilities = early.predict_proba(X)
    certified.append(np.sqrt(early.certificate_ / 2))
    true.append(np.abs(probabilities - best).sum(axis=1).mean() / 2)
    changed.append(np.mean(probabilities.argmax(axis=1) != best.argmax(axis=1)))
assert np.all(np.array(true) <= certified)

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
axes.plot(limits, certified, "o-", color="#D55E00", label="proven: root of half of the certificate")
axes.plot(limits, true, "s-", color="#0072B2", label="true: mean difference of the probabilities")
axes.plot(limits, np.maximum(changed, 1e-9), "^-", color="#009E73", label="share of rows whose label changes")
axes.set(yscale="log", ylim=(1e-6, 2), xlabel="iterations", ylabel="distance from the exact model")
axes.legend()

# %%
# A fit with the default ``tol`` ends well before the last digits, and its predictions are those of the exact
# minimum for all practical purposes.
default = LogisticRegression(C=1.0).fit(X, y)
difference = np.abs(default.predict_proba(X) - best).sum(axis=1).mean() / 2
n_changed = np.count_nonzero(default.predict(X) != exact.predict(X))
print(f"proven: the probabilities differ by at most {np.sqrt(default.certificate_ / 2):.2%} in the mean")
print(f"true:   they differ by {difference:.4%}, and {n_changed} of {len(y):,} labels change")
