"""
Rank language models from votes
===============================

In an arena, people compare the answers of two anonymous language models and vote for the better one. ``BradleyTerry``
ranks the models. How certain is the ranking, and does it help to be shown first?
"""

# %%
# The votes are generated. Model A is slightly better than model B, and so on. Each person votes several times, and
# has a taste: he or she prefers some models to others. The answer that is shown first has an advantage.
import matplotlib.pyplot as plt
import numpy as np

from fastlin import BradleyTerry, figures

generator = np.random.default_rng(0)
n_voters, n_votes = 60, 4500
names = np.array([f"model {letter}" for letter in "ABCDEFGHIJKL"])
true_strengths = np.linspace(1.2, -1.2, len(names))
tastes = generator.normal(scale=1.0, size=(n_voters, len(names)))
voter = generator.integers(n_voters, size=n_votes)
first = generator.integers(len(names), size=n_votes)
second = (first + generator.integers(1, len(names), size=n_votes)) % len(names)
utilities = true_strengths + tastes
log_odds = utilities[voter, first] - utilities[voter, second] + 0.3
outcome = (generator.random(n_votes) < 1 / (1 + np.exp(-log_odds))).astype(float)
outcome[generator.random(n_votes) < 0.15] = 0.5  # ties

# %%
# Votes of the same person are not independent, so the voters are passed as clusters. A covariate that is 1 in all
# matches is the advantage of the first answer.
is_first = np.ones((n_votes, 1))
model = BradleyTerry().fit(names[first], names[second], outcome, clusters=voter, covariates=is_first)
print(
    model.to_frame()[["item", "strength", "std_error", "rank", "rank_lower", "rank_upper", "elo"]].round(2).to_string()
)

figure, axes = plt.subplots(figsize=(7.5, 5), layout="constrained")
figures.plot_strengths(model, axes=axes)

# %%
# The intervals of neighbors overlap, so the rank ranges are wide: few places are certain. The first answer has an
# advantage.
advantage, std_error = model.covariate_coef_[0], np.sqrt(model.covariance_[-1, -1])
print(f"Advantage of the first answer: {advantage:.2f} (standard error {std_error:.2f}).")

# %%
# Standard errors that ignore the voters are too small. The bootstrap, which resamples voters, confirms those of the
# clusters.
independent = BradleyTerry().fit(names[first], names[second], outcome, covariates=is_first)
resampled_strengths = model.bootstrap(200, random_state=0)
for label, errors in (
    ("independent votes", independent.to_frame()["std_error"]),
    ("clusters of voters", model.to_frame()["std_error"]),
    ("bootstrap of voters", resampled_strengths.std(axis=0, ddof=1)),
):
    print(f"Mean standard error, {label}: {np.mean(errors):.3f}")
