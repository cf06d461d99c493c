"""
Categorical columns without one-hot encoding
============================================

`fastlin.LogisticRegression` reads the integer codes of categorical columns, and fits a penalized coefficient for each
category. The model is the same as after one-hot encoding, with less memory.
"""

# %%
# Simulated data: 20,000 flights with 12 airlines, 200 airports with an effect each, and the distance.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegression

generator = np.random.default_rng(0)
airlines, airports = generator.integers(0, 12, 20_000), generator.integers(0, 200, 20_000)
distance = generator.lognormal(6, 1, 20_000)
effects = generator.normal(0, 1.2, 200)
scores = effects[airports] + 0.3 * (airlines == 3) + 0.2 * (np.log(distance) - 6) - 1
is_late = scores + generator.logistic(size=20_000) > 0
table = pd.DataFrame(
    {
        "airline": pd.Categorical.from_codes(airlines, [f"airline {number}" for number in range(12)]),
        "airport": pd.Categorical.from_codes(airports, [f"airport {number}" for number in range(200)]),
        "distance": np.log(distance),
    }
)
train, test, y_train, y_test = train_test_split(table, is_late, random_state=0)

# %%
# ``"from_dtype"`` treats the columns with a categorical dtype as categorical. No one-hot columns are created.
model = LogisticRegression(C=0.3, tol=1e-8, categorical_features="from_dtype").fit(train, y_train)
print(f"{model.coef_.size} coefficients, duality gap {model.certificate_:.0e}")
print(f"accuracy {model.score(test, y_test):.3f}, of the majority class {max(y_test.mean(), 1 - y_test.mean()):.3f}")

# %%
# One-hot encoding, which scikit-learn requires, gives the same model but needs far more memory.
one_hot_X = pd.get_dummies(train, dtype=float)
one_hot_model = LogisticRegression(C=0.3, tol=1e-8).fit(one_hot_X, y_train)
difference = np.abs(model.predict_proba(train) - one_hot_model.predict_proba(one_hot_X)).max()
print(f"largest difference of the probabilities: {difference:.0e}")
print(
    f"{train.memory_usage().sum() / 1e6:.1f} MB as codes, {one_hot_X.memory_usage().sum() / 1e6:.1f} MB one-hot encoded"
)

# %%
# The coefficient of each airport against its true effect. The penalty shrinks the coefficients towards zero.
names = list(model.get_feature_names_out())
first = names.index("airport_airport 0")
figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
axes.plot(effects - effects.mean(), model.coef_[0, first : first + 200], "o", alpha=0.6)
axes.axline((0, 0), slope=1, color="gray", linestyle="--", label="equality")
axes.set(xlabel="true effect of the airport", ylabel="coefficient", title="Estimated and true effects of 200 airports")
axes.legend()
