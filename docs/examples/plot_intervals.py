"""
How sure are coefficients?
==========================

Nine measurements of the cells of a tumour say whether it is malignant. How sure is each coefficient, and why are some
of them so unsure? ``model.inference`` gives standard errors, tests and intervals of a fit without a penalty.
"""

# %%
# The measurements are standardized, so that coefficients can be compared. ``C=np.inf`` means no penalty.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from fastlin import LogisticRegression, figures

data = load_breast_cancer(as_frame=True)
X = data.data.filter(like="mean ").drop(columns="mean area")
X = (X - X.mean()) / X.std()
is_malignant = data.target == 0

model = LogisticRegression(C=np.inf).fit(X, is_malignant)
found = model.inference(X, is_malignant)

figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
figures.plot_coefficients(found, axes=axes)

# %%
# Radius and perimeter have by far the widest intervals, and both hold zero. Does the size of the cells not matter? A
# test of both together says that it does.
size = ["mean radius", "mean perimeter"]
one_by_one = found.table().loc[size, "p_value"]
print(f"One by one: p = {one_by_one.iloc[0]:.2f} and {one_by_one.iloc[1]:.2f}.")
print(f"Together: {found.wald_test(size)}.")
print(f"The correlation of radius and perimeter is {X['mean radius'].corr(X['mean perimeter']):.4f}.")

# %%
# Two columns that say the same share their coefficient in any way, so that neither is sure of its part. Without the
# perimeter the interval of the radius is narrow, and the likelihood is hardly lower.
fewer = X.drop(columns="mean perimeter")
smaller = LogisticRegression(C=np.inf).fit(fewer, is_malignant)
narrow = smaller.inference(fewer, is_malignant)
print(f"Without the perimeter: {found.lr_test(narrow)}.")

figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
figures.plot_coefficients(narrow, axes=axes)

# %%
# These errors hold for many rows. The bootstrap shows what 569 are: it draws the rows again, fits each drawing, and
# looks how far the coefficients spread.
resampled = smaller.bootstrap(fewer, is_malignant, n_resamples=1000, random_state=0)
errors = narrow.table()[["std_error"]].assign(bootstrap=resampled.std_errors[0])
print(errors.round(2).to_string())
larger = np.median(errors["bootstrap"] / errors["std_error"]) - 1
print(f"By the bootstrap, errors are larger by {larger:.0%} in the median.")
