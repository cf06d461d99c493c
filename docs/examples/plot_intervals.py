"""
How sure are coefficients?
==========================

Ten measurements of the cells of a tumour say whether it is malignant. How sure is each coefficient, and why are some
of them so unsure? ``model.inference`` gives standard errors, tests and intervals of a fit without a penalty.
"""

# %%
# The measurements are standardised, so that coefficients can be compared. ``C=np.inf`` means no penalty.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from fastlin import LogisticRegression, figures

data = load_breast_cancer(as_frame=True)
# The area says what the radius does.
X = data.data.filter(like="mean ").drop(columns="mean area")
X = (X - X.mean()) / X.std()
is_malignant = data.target == 0

model = LogisticRegression(C=np.inf, tol=1e-8).fit(X, is_malignant)
found = model.inference(X, is_malignant)

figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
figures.plot_coefficients(found, axes=axes)

# %%
# Radius, perimeter and area have the widest intervals, and all of them hold zero. Does the size of the cells not
# matter? A test of the three together says that it does.
size = ["mean radius", "mean perimeter", "mean area"]
together = found.wald_test(size)
each = found.table().loc[size, "p_value"]
print(f"The three columns one by one: p = {', '.join(f'{p:.2f}' for p in each)}.")
print(f"The three columns together: {together}.")
print(f"The correlation of radius and perimeter is {X['mean radius'].corr(X['mean perimeter']):.4f}.")

# %%
# One number cannot tell columns apart that say the same. With one of the three the interval of the size is narrow, and
# the likelihood is hardly lower.
fewer = X.drop(columns=size[:2])
smaller = LogisticRegression(C=np.inf, tol=1e-8).fit(fewer, is_malignant)
fewer_found = smaller.inference(fewer, is_malignant)
print(f"Without radius and perimeter: {found.lr_test(fewer_found)}.")

figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
figures.plot_coefficients(fewer_found, axes=axes)

# %%
# These intervals hold for many rows. Do they hold for 569? The bootstrap draws rows anew, and fits each drawing.
resampled = smaller.bootstrap(fewer, is_malignant, n_resamples=500, random_state=0)
for name, error, by_bootstrap in zip(fewer_found.names, fewer_found.std_errors[0], resampled.std_errors[0], strict=True):
    print(f"{name:24} {error:.2f} {by_bootstrap:.2f}")
