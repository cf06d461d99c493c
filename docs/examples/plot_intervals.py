"""
Confidence intervals and collinearity
=====================================

Nine measurements of the cells of a tumor predict whether it is malignant. ``model.inference`` computes standard errors,
tests and confidence intervals of an unpenalized fit. Why are some of the intervals so wide?
"""

# %%
# The measurements are standardized so that their coefficients are comparable. ``C=np.inf`` means no penalty.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from fastlin import LogisticRegression, figures

data = load_breast_cancer(as_frame=True)
X = data.data.filter(like="mean ").drop(columns="mean area")
X = (X - X.mean()) / X.std()
is_malignant = data.target == 0

model = LogisticRegression(C=np.inf).fit(X, is_malignant)
result = model.inference(X, is_malignant)

figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
figures.plot_coefficients(result, axes=axes)

# %%
# Radius and perimeter have by far the widest intervals, and both intervals include zero. A joint test shows that the
# size of the cells matters all the same.
size = ["mean radius", "mean perimeter"]
separate = result.table().loc[size, "p_value"]
print(f"Separate tests: p = {separate.iloc[0]:.2f} and {separate.iloc[1]:.2f}.")
print(f"Joint test: {result.wald_test(size)}.")
print(f"The correlation of radius and perimeter is {X['mean radius'].corr(X['mean perimeter']):.4f}.")

# %%
# Two nearly identical columns can split their joint effect arbitrarily, so neither coefficient is well determined.
# Without the perimeter, the interval of the radius is narrow, and the likelihood is hardly lower.
fewer = X.drop(columns="mean perimeter")
smaller = LogisticRegression(C=np.inf).fit(fewer, is_malignant)
narrow = smaller.inference(fewer, is_malignant)
print(f"Without the perimeter: {result.lr_test(narrow)}.")

figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
figures.plot_coefficients(narrow, axes=axes)

# %%
# These standard errors are asymptotic. The bootstrap estimates them for 569 rows: it resamples the rows, refits the
# model, and takes the standard deviation of the coefficients.
resampled = smaller.bootstrap(fewer, is_malignant, n_resamples=1000, random_state=0)
errors = narrow.table()[["std_error"]].assign(bootstrap=resampled.std_errors[0])
print(errors.round(2).to_string())
larger = np.median(errors["bootstrap"] / errors["std_error"]) - 1
print(f"The bootstrap standard errors are larger by {larger:.0%} (median).")
