"""
Text classification with an L1 penalty
======================================

Only a few of thousands of words indicate the topic of a text. An L1 penalty sets the coefficients of the other words to
exactly zero, so the model is easy to interpret.
"""

# %%
# Simulated corpus: each text mixes words of its topic with common words and with rare words without a meaning.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegression

TOPICS = {
    "cooking": "oven butter garlic simmer recipe onion dough spoon salt flavor roast pan stir lemon",
    "sailing": "wind mast anchor harbor rope deck tide sail crew keel storm knot bow buoy",
    "astronomy": "star orbit planet comet galaxy telescope moon eclipse light dust nebula probe sky lens",
    "gardening": "soil seed root compost prune blossom hedge mulch tulip spade weed bloom leaf pot",
}
STOP_WORDS = """a all and as at but by can do for from had he in is it more no not of on one or so that the they this to
very was we were with you"""
generator = np.random.default_rng(0)
rare_words = [f"word{number}" for number in range(4_000)]


def write_text(topic):
    """Return a text of about 60 words, on average four of them from its topic."""
    n_topic_words = generator.poisson(4)
    words = [
        *generator.choice(TOPICS[topic].split(), n_topic_words),
        *generator.choice(STOP_WORDS.split(), 40),
        *generator.choice(rare_words, 16),
    ]
    return " ".join(generator.permutation(words))


labels = generator.choice(list(TOPICS), 4_000)
documents = [write_text(topic) for topic in labels]
vectorizer = TfidfVectorizer()
X = vectorizer.fit_transform(documents)
# C is chosen on a validation set. The test set is used once, at the end.
X_train, X_test, y_train, y_test = train_test_split(X, labels, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, random_state=0)
n_texts, n_words = X_train.shape
print(f"{n_texts:,} texts, {n_words:,} words, on average {X_train.nnz / n_texts:.0f} words per text")

# %%
# One softmax model of all four topics per C; X stays sparse. With increasing C the model first selects words of the
# topics, and then words without a meaning.
Cs = np.geomspace(0.03, 30, 13)
lasso_models = [LogisticRegression(C=C, l1_ratio=1.0).fit(X_train, y_train) for C in Cs]
names = vectorizer.get_feature_names_out()
topic_words = {word for words in TOPICS.values() for word in words.split()}
selected_words = [set(names[lasso_model.coef_.any(axis=0)]) for lasso_model in lasso_models]
counts = np.array([[len(words & topic_words), len(words - topic_words)] for words in selected_words])
scores = [lasso_model.score(X_val, y_val) for lasso_model in lasso_models]

figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
axes.plot(Cs, counts[:, 0], "o-", color="#009E73", label="words of the topics")
axes.plot(Cs, counts[:, 1], "s-", color="#D55E00", label="other words")
axes.set(
    xscale="log",
    yscale="symlog",
    ylim=(0, 6_000),
    xlabel="C (larger: weaker penalty)",
    ylabel="selected words",
)
right = axes.twinx()
right.plot(Cs, scores, "k--", label="validation accuracy")
right.set(ylabel="validation accuracy", ylim=(0, 1.02))
right.grid(False)
figure.legend(loc="outside lower center", ncols=3)

best = int(np.argmax(scores))
print(f"C = {Cs[best]:.2g} has the best validation accuracy, {scores[best]:.1%}, with {counts[best].sum():,} words.")
print(f"C = {Cs[-1]:.2g} has {scores[-1]:.1%}, with {counts[-1].sum():,} words.")

# %%
# The chosen model and an L2 model, whose C is chosen in the same way, on the test set:
lasso_model = lasso_models[best]
ridge_models = [LogisticRegression(C=C).fit(X_train, y_train) for C in Cs]
ridge_model = max(ridge_models, key=lambda ridge_model: ridge_model.score(X_val, y_val))
print(f"L1 selects {counts[best].sum()} of {len(names):,} words.")
print(f"{counts[best, 0]} of them are among the {len(topic_words)} words of the topics.")
print(
    f"Test accuracy: {lasso_model.score(X_test, y_test):.1%} with L1, {ridge_model.score(X_test, y_test):.1%} with L2."
)

# %%
# The words with the largest coefficients for each topic:
figure, panels = plt.subplots(1, 4, figsize=(13, 4.6), layout="constrained", sharex=True)
for panel, topic, coef in zip(panels, lasso_model.classes_, lasso_model.coef_, strict=True):
    top_word_indices = np.argsort(coef)[-10:]
    panel.barh(names[top_word_indices], coef[top_word_indices], color="#0072B2")
    panel.set(title=topic, xlabel="coefficient")
    panel.grid(axis="y", visible=False)
