"""
Multilabel classification
=========================

A digit can be even, have a loop, and have a straight stroke. Each attribute is one label, and one call of ``fit``
trains all labels from a matrix of zeros and ones.
"""

# %%
# The attributes follow from the digit. Each column of ``Y`` is one attribute, and each row is one image.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegression

DIGIT_ATTRIBUTES = {
    "even": [0, 2, 4, 6, 8],
    "has a loop": [0, 6, 8, 9],
    "has a straight stroke": [1, 4, 5, 7],
    "is prime": [2, 3, 5, 7],
}
X, digits = load_digits(return_X_y=True)
Y = np.column_stack([np.isin(digits, members) for members in DIGIT_ATTRIBUTES.values()]).astype(int)
X_train, X_test, Y_train, Y_test = train_test_split(X / 16, Y, random_state=0)

# %%
# fastlin fits one binary model per label, each with its own certified duality gap.
model = LogisticRegression(C=0.03).fit(X_train, Y_train)
accuracies = (model.predict(X_test) == Y_test).mean(axis=0)
for name, accuracy, gap in zip(DIGIT_ATTRIBUTES, accuracies, model.certificate_, strict=True):
    print(f"{name}: accuracy {accuracy:.3f}, duality gap {gap:.0e}")

# %%
# The figures show the coefficient of each pixel. Ink on red pixels makes an attribute more likely, ink on blue pixels
# less likely. A loop is ink on both sides of an empty center.
figure, axes = plt.subplots(1, len(DIGIT_ATTRIBUTES), figsize=(11, 3.3), layout="constrained")
for panel, name, coef, accuracy in zip(axes, DIGIT_ATTRIBUTES, model.coef_, accuracies, strict=True):
    size = np.abs(coef).max()
    panel.imshow(coef.reshape(8, 8), cmap="RdBu_r", vmin=-size, vmax=size)
    panel.set(title=f"{name}\naccuracy {accuracy:.2f}", xticks=[], yticks=[])
