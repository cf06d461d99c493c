"""
Text with an L1 penalty
=======================

Of thousands of words few say what a text is about. An L1 penalty puts the coefficients of all others to zero
exactly, so that the model can be read.
"""

# %%
# A small corpus is made here: each text mixes words of its topic with common words and with rare ones that mean
# nothing.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

from fastlin import LogisticRegression

TOPICS = {
    "cooking": "oven butter garlic simmer recipe onion dough spoon salt flavour roast pan stir lemon",
    "sailing": "wind mast anchor harbour rope deck tide sail crew keel storm knot bow buoy",
    "astronomy": "star orbit planet comet galaxy telescope moon eclipse light dust nebula probe sky lens",
    "gardening": "soil seed root compost prune blossom hedge mulch tulip spade weed bloom leaf pot",
}
COMMON = """a all and as at but by can do for from had he in is it more no not of on one or so that the they this to
very was we were with you"""
generator = np.random.default_rng(0)
rare = [f"word{number}" for number in range(4_000)]


def write_text(topic):
    """Return a text of some 60 words, four of them of its topic in the mean."""
    n_topic = generator.poisson(4)
    words = [
        *generator.choice(TOPICS[topic].split(), n_topic),
        *generator.choice(COMMON.split(), 40),
        *generator.choice(rare, 16),
    ]
    return " ".join(generator.permutation(words))


labels = generator.choice(list(TOPICS), 4_000)
texts = [write_text(topic) for topic in labels]
vectorizer = TfidfVectorizer()
X = vectorizer.fit_transform(texts)
# C is chosen on a validation part. The test part is looked at once, at the end.
X_train, X_test, y_train, y_test = train_test_split(X, labels, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, random_state=0)
print(f"{X_train.shape[0]:,} texts, {X_train.shape[1]:,} words, {X_train.nnz / X_train.shape[0]:.0f} of them in a text")

# %%
# How many words pay off? X stays sparse, and one model of all four topics is fitted for each C, a softmax. Along C
# the model takes in the words of the topics first, and then words that mean nothing.
Cs = np.geomspace(0.03, 30, 13)
lassos = [LogisticRegression(C=C, l1_ratio=1.0).fit(X_train, y_train) for C in Cs]
names = vectorizer.get_feature_names_out()
planted = {word for words in TOPICS.values() for word in words.split()}
kept = [set(names[lasso.coef_.any(axis=0)]) for lasso in lassos]
counts = np.array([[len(words & planted), len(words - planted)] for words in kept])
scores = [lasso.score(X_val, y_val) for lasso in lassos]

figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
axes.plot(Cs, counts[:, 0], "o-", color="#009E73", label="words of the topics")
axes.plot(Cs, counts[:, 1], "s-", color="#D55E00", label="other words")
axes.set(
    xscale="log",
    yscale="symlog",
    ylim=(0, 6_000),
    xlabel="C (to the right: weaker penalty)",
    ylabel="words in the model",
)
right = axes.twinx()
right.plot(Cs, scores, "k--", label="accuracy on the validation part")
right.set(ylabel="accuracy on the validation part", ylim=(0, 1.02))
right.grid(False)
figure.legend(loc="outside lower center", ncols=3)

best = int(np.argmax(scores))
print(f"The best accuracy on the validation part, {scores[best]:.1%}, comes with {counts[best].sum():,} words")
print(f"at C = {Cs[best]:.2g}; at C = {Cs[-1]:.2g} the model has {counts[-1].sum():,} words and {scores[-1]:.1%}.")

# %%
# The chosen model and one with an L2 penalty, whose C is chosen in the same way, on the test part:
lasso = lassos[best]
ridges = [LogisticRegression(C=C).fit(X_train, y_train) for C in Cs]
ridge = max(ridges, key=lambda ridge: ridge.score(X_val, y_val))
print(f"L1 keeps {counts[best].sum()} of {len(names):,} words.")
print(f"{counts[best, 0]} of them are among the {len(planted)} words of the topics.")
print(f"On new texts it is right in {lasso.score(X_test, y_test):.1%},")
print(f"and L2 with all words in {ridge.score(X_test, y_test):.1%}.")

# %%
# The words that speak most for each topic:
figure, panels = plt.subplots(1, 4, figsize=(13, 4.6), layout="constrained", sharex=True)
for panel, topic, coef in zip(panels, lasso.classes_, lasso.coef_, strict=True):
    largest = np.argsort(coef)[-10:]
    panel.barh(names[largest], coef[largest], color="#0072B2")
    panel.set(title=topic, xlabel="coefficient")
    panel.grid(axis="y", visible=False)
