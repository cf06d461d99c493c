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
tumor_size_columns = ["mean radius", "mean perimeter"]
separate_test_p_values = result.table().loc[tumor_size_columns, "p_value"]
print(f"Separate tests: p = {separate_test_p_values.iloc[0]:.2f} and {separate_test_p_values.iloc[1]:.2f}.")
print(f"Joint test: {result.wald_test(tumor_size_columns)}.")
print(f"The correlation of radius and perimeter is {X['mean radius'].corr(X['mean perimeter']):.4f}.")

# %%
# Two nearly identical columns can split their joint effect arbitrarily, so neither coefficient is well determined.
# Without the perimeter, the interval of the radius is narrow, and the likelihood is hardly lower.
reduced_X = X.drop(columns="mean perimeter")
reduced_model = LogisticRegression(C=np.inf).fit(reduced_X, is_malignant)
reduced_inference = reduced_model.inference(reduced_X, is_malignant)
print(f"Without the perimeter: {result.lr_test(reduced_inference)}.")

figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
figures.plot_coefficients(reduced_inference, axes=axes)

# %%
# These standard errors are asymptotic. The bootstrap estimates them for 569 rows: it resamples the rows, refits the
# model, and takes the standard deviation of the coefficients.
bootstrap_result = reduced_model.bootstrap(reduced_X, is_malignant, n_resamples=1000, random_state=0)
errors = reduced_inference.table()[["std_error"]].assign(bootstrap=bootstrap_result.std_errors[0])
print(errors.round(2).to_string())
median_error_increase = np.median(errors["bootstrap"] / errors["std_error"]) - 1
print(f"The bootstrap standard errors are larger by {median_error_increase:.0%} (median).")
