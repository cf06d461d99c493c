"""
Predicted probabilities and influential rows
============================================

Three measurements predict whether a tumor is malignant. How certain are the predicted probabilities, and do a few
patients determine them?
"""

# %%
# ``predict`` returns probabilities with confidence intervals. The radius varies, and the other measurements are fixed
# at their means.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from fastlin import LogisticRegression, figures

data = load_breast_cancer(as_frame=True)
X, is_malignant = data.data[["mean radius", "mean texture", "mean smoothness"]], data.target == 0
model = LogisticRegression(C=np.inf).fit(X, is_malignant)
result = model.inference(X, is_malignant)

radius = np.linspace(8, 24, 200)
new_rows = X.mean().to_frame().T.loc[np.zeros(200, int)].assign(**{"mean radius": radius})
predicted = result.predict(new_rows)

figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.plot(radius, predicted.probabilities[:, 1], label="probability")
axes.fill_between(radius, predicted.lower[:, 1], predicted.upper[:, 1], alpha=0.3, label="95 % interval")
axes.set(xlabel="mean radius", ylabel="probability that the tumor is malignant")
axes.legend()
widths = predicted.upper[:, 1] - predicted.lower[:, 1]
print(f"The widest interval is {widths.max():.2f}, at a radius of {radius[widths.argmax()]:.1f}.")

# %%
# The intervals assume that the model describes all rows. A row with a large leverage and a large residual can have much
# influence on the estimates.
influence = result.influence()
figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
figures.plot_influence(influence, axes=axes)

# %%
# The row with the largest Cook's distance is removed to check the approximation. ``dfbetas`` are the approximate
# changes of the estimates in standard errors.
row = influence.cooks_distance.argmax()
others = X.index != row
refitted = LogisticRegression(C=np.inf).fit(X[others], is_malignant[others])
exact = (result.coef - refitted.inference(X[others], is_malignant[others]).coef) / result.std_errors
for name, approximate_change, exact_change in zip(result.names, influence.dfbetas[row, 0], exact[0], strict=True):
    print(f"Without row {row}, {name} changes by {exact_change:+.3f} (approximation: {approximate_change:+.3f}).")
print(f"Row {row} has {influence.leverage[row] / influence.leverage.mean():.0f} times the mean leverage.")
