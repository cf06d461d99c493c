"""Seeded sparse data for the benchmarks: text whose words follow Zipf's law, and a one-hot table like a9a."""

import numpy as np
from scipy.sparse import csr_matrix

from fastlin.datasets import Dataset

# Each topic has so many words of its own, between these ranks: the most frequent words say nothing about a topic.
TOPIC_WORDS = 2_000
FIRST_TOPIC_RANK, LAST_TOPIC_RANK = 50, 10_000
# The average parts of the words of a document that are drawn from its own topic and, to mislead, from another one.
# With these a model with an L2 penalty, C = 1, is right on 0.86 of the test rows, and one with L1, which selects 2,000
# of the words, on 0.80.
OWN_SHARE, OTHER_SHARE = 0.32, 0.13
# The draws for each distinct word; Zipf's law repeats the frequent words.
DRAWS_PER_WORD = 3
# The number of categories of each of a9a's fourteen attributes, 123 in all. Five are binned numbers; the fifth
# attribute bins the fourth.
CATEGORIES = (5, 8, 5, 16, 5, 7, 14, 6, 5, 2, 2, 2, 5, 41)
BINNED, BINS = 3, 4
N_VARIABLES = 3
POSITIVE = 0.24
# The scale of the scores from which the labels are drawn. With it a model with C = 1 is right on 0.85 of the test rows.
CERTAINTY = 3.2


def make_text(n_documents=11_000, n_words=56_000, words_per_document=150, n_topics=20, seed=0):
    """Return documents as rows of tf-idf in CSR, with a fifth as many rows again for testing.

    The frequencies of the words follow Zipf's law. A document draws words from the whole vocabulary, from its own topic
    and from another topic, in parts that differ by document, until it has its number of distinct words. The values are
    (1 + log count) times the smoothed idf of the training rows, and each row is scaled to Euclidean length 1. The order
    of the columns says nothing, as in an alphabetical vocabulary.

    Parameters
    ----------
    n_documents : int
        The number of training rows.
    n_words : int
        The size of the vocabulary.
    words_per_document : int
        The number of distinct words of each document.
    n_topics : int
        The number of topics, which are the classes.
    seed : int
        The seed of all draws.

    Returns
    -------
    Dataset
        X_train (n_documents, n_words) and X_test are csr_matrix of float64 with sorted int32 indices, y is int64.

    Raises
    ------
    ValueError
        There are too few words for documents of so many distinct ones.
    """
    generator = np.random.default_rng(seed)
    n_test = max(n_documents // 5, n_topics)
    n_rows = n_documents + n_test
    y = np.concatenate([generator.permutation(np.arange(n) % n_topics) for n in (n_documents, n_test)])
    rows, words, counts = _draw_words(generator, y, n_words, words_per_document, n_topics)
    words = generator.permutation(n_words)[words]
    n_with_word = np.bincount(words[rows < n_documents], minlength=n_words)
    inverse_document_frequency = np.log((1 + n_documents) / (1 + n_with_word)) + 1
    values = (1 + np.log(counts)) * inverse_document_frequency[words]
    values /= np.sqrt(np.bincount(rows, values**2))[rows]
    # All rows have equally many entries, so that they can be sorted by column as the rows of an array.
    order = np.argsort(words.reshape(n_rows, -1), axis=1)
    columns, values = (np.take_along_axis(flat.reshape(n_rows, -1), order, axis=1) for flat in (words, values))
    starts = np.arange(n_rows + 1, dtype=np.int32) * words_per_document
    X = csr_matrix((values.ravel(), columns.ravel().astype(np.int32), starts), shape=(n_rows, n_words))
    return Dataset("text", X[:n_documents], y[:n_documents], X[n_documents:], y[n_documents:])


def _draw_words(generator, topics, n_words, words_per_document, n_topics):
    """Return document, word and count of each distinct word of each document, in the order of the documents."""
    n_rows, n_draws = len(topics), DRAWS_PER_WORD * words_per_document
    frequency = 1.0 / np.arange(1, n_words + 1)
    first, last = min(FIRST_TOPIC_RANK, n_words // 4), min(LAST_TOPIC_RANK, n_words)
    n_own = min(TOPIC_WORDS, (last - first) // 2)
    own = np.stack([generator.choice(np.arange(first, last), n_own, replace=False) for _ in range(n_topics)])
    # The square root lets a topic prefer some of its rare words too.
    within = np.cumsum(np.sqrt(frequency[own]) * generator.exponential(size=own.shape), axis=1)
    # One search serves all topics: the distribution of topic t runs from t to t + 1.
    within = np.arange(n_topics)[:, None] + within / within[:, -1:]
    overall = np.cumsum(frequency)
    others = (topics + generator.integers(1, n_topics, n_rows)) % n_topics if n_topics > 1 else topics
    shares = 2 * OWN_SHARE * generator.beta(2, 2, n_rows), 2 * OTHER_SHARE * generator.random(n_rows)
    ends = np.cumsum(shares, axis=0)
    source = generator.random((n_rows, n_draws))
    topic = np.where(source < ends[0][:, None], topics[:, None], others[:, None])
    is_topical = source < ends[1][:, None]
    places = generator.random((n_rows, n_draws))
    drawn = np.searchsorted(overall, places * overall[-1])
    found = np.searchsorted(within.ravel(), topic[is_topical] + places[is_topical])
    drawn[is_topical] = own.ravel()[np.minimum(found, own.size - 1)]
    # One number holds document, word and draw. After sorting, a word's first draw stands where document or word change.
    keys = (np.arange(n_rows)[:, None] * n_words + drawn) * n_draws + np.arange(n_draws)
    keys = np.sort(keys, axis=None)
    starts = np.flatnonzero(np.diff(keys // n_draws, prepend=-1))
    counts = np.diff(starts, append=len(keys))
    keys = keys[starts]
    rows, words, draws = keys // n_draws // n_words, keys // n_draws % n_words, keys % n_draws
    per_row = np.bincount(rows, minlength=n_rows)
    if per_row.min() < words_per_document:
        raise ValueError(f"{n_words} words are too few for documents of {words_per_document} distinct ones")
    # Each document keeps the words that were drawn first.
    order = np.argsort(rows * n_draws + draws)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
    order = order[rank < words_per_document]
    return rows[order], words[order], counts[order]


def make_one_hot(n_rows=16_000, seed=0):
    """Return rows with a one for each of fourteen attributes, in CSR, with a quarter as many rows again for testing.

    Three normal variables of each row correlate its attributes. One attribute is another one, binned, so that columns
    depend on each other. The labels are drawn from a logistic model of the columns; the part `POSITIVE` of them is 1.

    Parameters
    ----------
    n_rows : int
        The number of training rows.
    seed : int
        The seed of all draws.

    Returns
    -------
    Dataset
        X_train (n_rows, 123) and X_test are csr_matrix of float64 with sorted int32 indices, y is int64.
    """
    generator = np.random.default_rng(seed)
    n_all = n_rows + n_rows // 4
    variables = generator.normal(size=(n_all, N_VARIABLES))
    first_columns = np.cumsum((0, *CATEGORIES))
    columns = np.empty((n_all, len(CATEGORIES)), np.int32)
    for group, n_categories in enumerate(CATEGORIES):
        # The largest score with Gumbel noise is distributed by the softmax. The first categories are the most common.
        scores = variables @ generator.normal(size=(N_VARIABLES, n_categories)) * 0.7
        scores += generator.gumbel(size=scores.shape) - 1.2 * np.sqrt(np.arange(n_categories))
        columns[:, group] = scores.argmax(axis=1)
    columns[:, BINS] = columns[:, BINNED] * CATEGORIES[BINS] // CATEGORIES[BINNED]
    columns += first_columns[:-1].astype(np.int32)
    effects = generator.normal(size=first_columns[-1])
    scores = CERTAINTY * effects[columns].sum(axis=1) / np.sqrt(len(CATEGORIES)) + generator.logistic(size=n_all)
    y = (scores > np.quantile(scores, 1 - POSITIVE)).astype(np.int64)
    starts = np.arange(n_all + 1, dtype=np.int32) * len(CATEGORIES)
    X = csr_matrix((np.ones(columns.size), columns.ravel(), starts), shape=(n_all, int(first_columns[-1])))
    return Dataset("one-hot", X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:])
