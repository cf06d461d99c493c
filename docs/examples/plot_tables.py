"""
A table with categories
=======================

How much does a category of 200 levels tell, and what does its one-hot encoding cost? `fastlin.LogisticRegression` reads
the codes of categorical columns, with a penalized coefficient for each level.
"""

# %%
# The table has 20,000 made-up flights: 12 airlines, 200 airports with an effect each, and the distance.
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
# With ``"from_dtype"`` the columns of pandas' categorical type are read as codes. No column is encoded.
model = LogisticRegression(C=0.3, tol=1e-8, categorical_features="from_dtype").fit(train, y_train)
print(f"{model.coef_.size} coefficients, proven within {model.certificate_:.0e} of the minimum")
print(
    f"accuracy {model.score(test, y_test):.3f}, of the larger class alone {max(y_test.mean(), 1 - y_test.mean()):.3f}"
)

# %%
# The encoded table, as scikit-learn needs it, leads to the same model, and holds far more numbers.
encoded = pd.get_dummies(train, dtype=float)
same = LogisticRegression(C=0.3, tol=1e-8).fit(encoded, y_train)
difference = np.abs(model.predict_proba(train) - same.predict_proba(encoded)).max()
print(f"largest difference of a probability {difference:.0e}")
print(f"{train.memory_usage().sum() / 1e6:.1f} MB as codes, {encoded.memory_usage().sum() / 1e6:.1f} MB encoded")

# %%
# A coefficient for each airport, against the effect that its flights were drawn with. The penalty draws coefficients
# towards zero.
names = list(model.get_feature_names_out())
first = names.index("airport_airport 0")
figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
axes.plot(effects - effects.mean(), model.coef_[0, first : first + 200], "o", alpha=0.6)
axes.axline((0, 0), slope=1, color="gray", linestyle="--")
axes.set(xlabel="effect of the airport", ylabel="coefficient")
