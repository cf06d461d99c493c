"""Simulated sparse data for the benchmarks: newsgroup posts, news like RCV1, and a one-hot table like a9a.

The posts have about the same numbers of words and entries as 20 Newsgroups. The news stories have the shape of RCV1
(Lewis et al. 2004): 804,414 stories, 47,236 stems, 76 entries per row, and 47 % of the stories in the largest category.
"""

from collections import namedtuple

import numpy as np
from scipy.sparse import csr_matrix

from fastlin.datasets import Dataset

# Common words have frequencies 1 / (rank + offset)^exponent (Zipf-Mandelbrot law).
N_COMMON_WORDS, ZIPF_EXPONENT, ZIPF_OFFSET = 30_000, 1.02, 2.7
# Rare words per post: names, numbers and typing errors.
N_RARE_WORDS_PER_POST, RARE_WORD_FRACTION = 18, 0.035
# A topic prefers its own words and some words shared by a cluster of three topics, but not the most frequent words.
N_TOPIC_WORDS, N_CLUSTER_WORDS, FIRST_TOPIC_RANK = 2_500, 1_000, 60
# Average fractions of a post that come from its topic and from its thread.
TOPIC_WORD_FRACTION, THREAD_WORD_FRACTION = 0.035, 0.035
# Number of words specific to a thread, and the fraction of them that are rare.
N_THREAD_WORDS, RARE_WORD_FRACTION_IN_THREAD = 20, 0.35
POSTS_PER_THREAD, POSTS_PER_AUTHOR, AUTHORS_PER_PLACE = 7.0, 1.6, 6
# Header and signature words of each author and place. Each word is in a fraction SIGNED_POST_FRACTION of
# the author's posts. The words occur together, so their columns are nearly collinear.
N_AUTHOR_SIGNATURE_WORDS, N_PLACE_SIGNATURE_WORDS, SIGNED_POST_FRACTION = 7, 5, 0.85
# The number of words in a post is lognormal with this median and this standard deviation of the logarithm.
MEDIAN_POST_LENGTH, LOG_LENGTH_STD, MIN_POST_LENGTH, MAX_POST_LENGTH = 128, 0.95, 15, 8_000
# Number of stems in the news, without stop words. Their Zipf-Mandelbrot law has a flatter head than the law for text.
N_NEWS_WORDS, NEWS_ZIPF_EXPONENT, NEWS_ZIPF_OFFSET = 47_000, 1.0, 25
# A story has a main and a second subject. The main subject determines whether the story is in the category.
N_SUBJECTS, N_SUBJECT_WORDS, CATEGORY_STORY_FRACTION = 60, 900, 0.47
MAIN_SUBJECT_FRACTION, SECOND_SUBJECT_FRACTION = 0.2, 0.1
MEDIAN_NEWS_LENGTH, NEWS_LOG_LENGTH_STD = 63, 0.55
# Number of categories of each of a9a's fourteen attributes, 123 in total. Five are binned numbers; the fifth
# attribute is a coarser binning of the fourth.
CATEGORIES_PER_ATTRIBUTE = (5, 8, 5, 16, 5, 7, 14, 6, 5, 2, 2, 2, 5, 41)
FINE_ATTRIBUTE_INDEX, COARSE_ATTRIBUTE_INDEX = 3, 4
N_LATENT_VARIABLES = 3
POSITIVE_LABEL_FRACTION = 0.24
# Scale of the scores from which the labels are drawn. A model with C = 1 has a test accuracy of 0.85.
LABEL_SCORE_SCALE = 3.2


# The first index of each group of words.
Vocabulary = namedtuple("Vocabulary", "rare authors indices end")


def make_text(n_posts=11_314, n_topics=20, seed=0):
    """Return posts as tf-idf rows of unit length in CSR, with one test row per five training rows; y is the topic.

    A post is a mixture of common words, words of its topic and thread, and rare words, with the header and signature
    of its author. Words that occur in only one training post are omitted.
    """
    generator = np.random.default_rng(seed)
    n_test = max(n_posts // 5, n_topics)
    n_rows = n_posts + n_test
    y = np.concatenate([generator.permutation(np.arange(n) % n_topics) for n in (n_posts, n_test)])
    n_rare_words, n_authors = N_RARE_WORDS_PER_POST * n_rows, max(int(n_rows / POSTS_PER_AUTHOR), n_topics)
    n_author_places = max(n_authors // AUTHORS_PER_PLACE, 1)
    starts = np.cumsum(
        [N_COMMON_WORDS, n_rare_words, n_authors * N_AUTHOR_SIGNATURE_WORDS, n_author_places * N_PLACE_SIGNATURE_WORDS]
    )
    vocabulary = Vocabulary(*starts.tolist())
    body_word_entries = _write_posts(generator, y, n_topics, vocabulary)
    signature_word_entries = _sample_signature_words(generator, y, n_topics, n_authors, n_author_places, vocabulary)
    rows, words = (np.concatenate(parts) for parts in zip(body_word_entries, signature_word_entries, strict=True))
    X = csr_matrix((np.ones(len(rows)), (rows, words)), shape=(n_rows, vocabulary.end))
    X.sum_duplicates()
    n_posts_with_word = np.bincount(X[:n_posts].indices, minlength=vocabulary.end)
    columns = generator.permutation(np.flatnonzero(n_posts_with_word > 1))
    X = X[:, columns].tocsr()
    X.data *= (np.log((1 + n_posts) / (1 + n_posts_with_word[columns])) + 1)[X.indices]
    counts = np.diff(X.indptr)
    X.data /= np.sqrt(np.bincount(np.repeat(np.arange(n_rows), counts), X.data**2, n_rows)).repeat(counts)
    X.sort_indices()
    return Dataset("text", X[:n_posts], y[:n_posts], X[n_posts:], y[n_posts:])


def _write_posts(generator, topics, n_topics, vocabulary):
    n_rows = len(topics)
    post_lengths = np.exp(np.log(MEDIAN_POST_LENGTH) + LOG_LENGTH_STD * generator.normal(size=n_rows))
    posts = np.repeat(np.arange(n_rows), np.clip(post_lengths, MIN_POST_LENGTH, MAX_POST_LENGTH).astype(int))
    topic_word_weights, topic_words = _choose_topic_words(generator, n_topics)
    threads, thread_words = _choose_thread_words(
        generator, topics, n_topics, topic_word_weights, topic_words, vocabulary
    )
    words = _sample_indices(generator, 1 / (np.arange(N_COMMON_WORDS) + ZIPF_OFFSET) ** ZIPF_EXPONENT, len(posts))
    source = generator.random(len(posts))
    topic_fractions = 2 * TOPIC_WORD_FRACTION * generator.beta(2, 2, n_rows)[posts]
    ends = (
        topic_fractions,
        topic_fractions + THREAD_WORD_FRACTION,
        topic_fractions + THREAD_WORD_FRACTION + RARE_WORD_FRACTION,
    )
    replaced_positions = np.flatnonzero(source < ends[0])
    words[replaced_positions] = topic_words[
        topics[posts[replaced_positions]], _sample_indices(generator, topic_word_weights, len(replaced_positions))
    ]
    replaced_positions = np.flatnonzero((source >= ends[0]) & (source < ends[1]))
    words[replaced_positions] = thread_words[
        threads[posts[replaced_positions]], generator.integers(0, N_THREAD_WORDS, len(replaced_positions))
    ]
    replaced_positions = np.flatnonzero((source >= ends[1]) & (source < ends[2]))
    n_distinct_rare_words = vocabulary.authors - vocabulary.rare
    words[replaced_positions] = vocabulary.rare + (
        n_distinct_rare_words * generator.random(len(replaced_positions)) ** 1.5
    ).astype(int)
    return posts, words


def _choose_topic_words(generator, n_topics):
    """Return the weight of each rank among a topic's words, and the words of each topic by rank."""
    probabilities = 1 / (np.arange(N_COMMON_WORDS) + 30) ** 0.6
    probabilities[:FIRST_TOPIC_RANK] = 0
    probabilities /= probabilities.sum()
    n_clusters = max(1, n_topics // 3)
    clusters = [
        generator.choice(N_COMMON_WORDS, 3 * N_CLUSTER_WORDS // 2, replace=False, p=probabilities)
        for _ in range(n_clusters)
    ]
    topic_words = []
    for topic in range(n_topics):
        own_topic_words = generator.choice(N_COMMON_WORDS, N_TOPIC_WORDS, replace=False, p=probabilities)
        cluster_words = generator.choice(clusters[topic % n_clusters], N_CLUSTER_WORDS, replace=False)
        topic_words.append(generator.permutation(np.concatenate([own_topic_words, cluster_words])))
    return 1 / (np.arange(N_TOPIC_WORDS + N_CLUSTER_WORDS) + 5) ** 0.9, np.array(topic_words)


def _choose_thread_words(generator, topics, n_topics, topic_word_weights, topic_words, vocabulary):
    """Return the thread of each post, and the words of each thread."""
    n_threads = max(int(len(topics) / POSTS_PER_THREAD), n_topics)
    threads = _assign_posts_to_groups(generator, topics, n_topics, generator.pareto(1.3, n_threads) + 0.3)
    shape = n_threads, N_THREAD_WORDS
    words = topic_words[
        (np.arange(n_threads) % n_topics)[:, None], _sample_indices(generator, topic_word_weights, shape)
    ]
    rare = generator.integers(vocabulary.rare, vocabulary.authors, shape)
    return threads, np.where(generator.random(shape) < RARE_WORD_FRACTION_IN_THREAD, rare, words)


def _sample_signature_words(generator, topics, n_topics, n_authors, n_author_places, vocabulary):
    """Return the post and the word of each header or signature entry."""
    authors = _assign_posts_to_groups(generator, topics, n_topics, generator.pareto(1.2, n_authors) + 0.2)
    indices = _sample_indices(generator, 1 / (np.arange(n_author_places) + 3), n_authors)[authors]
    words = np.concatenate(
        [
            vocabulary.authors + authors[:, None] * N_AUTHOR_SIGNATURE_WORDS + np.arange(N_AUTHOR_SIGNATURE_WORDS),
            vocabulary.indices + indices[:, None] * N_PLACE_SIGNATURE_WORDS + np.arange(N_PLACE_SIGNATURE_WORDS),
        ],
        axis=1,
    )
    posts, columns = np.nonzero(generator.random(words.shape) < SIGNED_POST_FRACTION)
    return posts, words[posts, columns]


def _assign_posts_to_groups(generator, topics, n_topics, sizes):
    """Draw a thread or author of the same topic for each post. Number i has topic i % n_topics and weight sizes[i]."""
    chosen_groups = np.empty(len(topics), np.int64)
    for topic in range(n_topics):
        posts = np.flatnonzero(topics == topic)
        chosen_groups[posts] = topic + n_topics * _sample_indices(generator, sizes[topic::n_topics], len(posts))
    return chosen_groups


def _sample_indices(generator, weights, shape):
    """Return indices drawn with probabilities proportional to the weights."""
    sums = np.cumsum(weights)
    return np.minimum(np.searchsorted(sums, sums[-1] * generator.random(shape)), len(weights) - 1)


def make_news(n_rows, seed=0):
    """Return news stories as CSR rows of logarithmic tf-idf with unit length, and whether each is in the category."""
    generator = np.random.default_rng(seed)
    main_subjects = _sample_indices(generator, 1 / (np.arange(N_SUBJECTS) + 4), n_rows)
    second_subjects = _sample_indices(generator, 1 / (np.arange(N_SUBJECTS) + 4), n_rows)
    probabilities = 1 / (np.arange(N_NEWS_WORDS) + 200) ** 0.7
    probabilities /= probabilities.sum()
    subject_words = np.array(
        [generator.choice(N_NEWS_WORDS, N_SUBJECT_WORDS, replace=False, p=probabilities) for _ in range(N_SUBJECTS)]
    )
    story_lengths = (
        np.exp(np.log(MEDIAN_NEWS_LENGTH) + NEWS_LOG_LENGTH_STD * generator.normal(size=n_rows)).astype(np.int32) + 5
    )
    starts = np.concatenate([[0], np.cumsum(story_lengths)])
    words = _sample_indices(
        generator, 1 / (np.arange(N_NEWS_WORDS) + NEWS_ZIPF_OFFSET) ** NEWS_ZIPF_EXPONENT, starts[-1]
    ).astype(np.int32)
    source = generator.random(len(words), np.float32)
    subject_word_weights = 1 / (np.arange(N_SUBJECT_WORDS) + 8) ** 0.9
    for first, last, story_subjects in (
        (0, MAIN_SUBJECT_FRACTION, main_subjects),
        (MAIN_SUBJECT_FRACTION, MAIN_SUBJECT_FRACTION + SECOND_SUBJECT_FRACTION, second_subjects),
    ):
        replaced_positions = np.flatnonzero((source >= first) & (source < last))
        rows = np.searchsorted(starts, replaced_positions, "right") - 1
        words[replaced_positions] = subject_words[
            story_subjects[rows], _sample_indices(generator, subject_word_weights, len(replaced_positions))
        ]
    X = csr_matrix((np.ones(len(words)), words, starts), shape=(n_rows, N_NEWS_WORDS))
    X.sum_duplicates()
    X.data = (1 + np.log(X.data)) * np.log(n_rows / np.maximum(np.bincount(X.indices, minlength=N_NEWS_WORDS), 1))[
        X.indices
    ]
    X.data /= np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1])).repeat(np.diff(X.indptr))
    is_subject_in_category = np.zeros(N_SUBJECTS, np.int64)
    subject_fractions = np.bincount(main_subjects, minlength=N_SUBJECTS) / n_rows
    order = generator.permutation(N_SUBJECTS)
    is_subject_in_category[order[np.cumsum(subject_fractions[order]) <= CATEGORY_STORY_FRACTION]] = 1
    return X, is_subject_in_category[main_subjects]


def make_one_hot(n_rows=16_000, seed=0):
    """Return CSR rows with a one for each of fourteen attributes, and one test row per four training rows.

    Three normal variables correlate the attributes, and labels are drawn from a logistic model of the columns.
    """
    generator = np.random.default_rng(seed)
    n_all = n_rows + n_rows // 4
    variables = generator.normal(size=(n_all, N_LATENT_VARIABLES))
    first_attribute_columns = np.cumsum((0, *CATEGORIES_PER_ATTRIBUTE))
    columns = np.empty((n_all, len(CATEGORIES_PER_ATTRIBUTE)), np.int32)
    for group, n_categories in enumerate(CATEGORIES_PER_ATTRIBUTE):
        # The index of the largest score plus Gumbel noise has the softmax distribution. The first categories are the
        # most common.
        scores = variables @ generator.normal(size=(N_LATENT_VARIABLES, n_categories)) * 0.7
        scores += generator.gumbel(size=scores.shape) - 1.2 * np.sqrt(np.arange(n_categories))
        columns[:, group] = scores.argmax(axis=1)
    columns[:, COARSE_ATTRIBUTE_INDEX] = (
        columns[:, FINE_ATTRIBUTE_INDEX]
        * CATEGORIES_PER_ATTRIBUTE[COARSE_ATTRIBUTE_INDEX]
        // CATEGORIES_PER_ATTRIBUTE[FINE_ATTRIBUTE_INDEX]
    )
    columns += first_attribute_columns[:-1].astype(np.int32)
    category_effects = generator.normal(size=first_attribute_columns[-1])
    scores = LABEL_SCORE_SCALE * category_effects[columns].sum(axis=1) / np.sqrt(
        len(CATEGORIES_PER_ATTRIBUTE)
    ) + generator.logistic(size=n_all)
    y = (scores > np.quantile(scores, 1 - POSITIVE_LABEL_FRACTION)).astype(np.int64)
    starts = np.arange(n_all + 1, dtype=np.int32) * len(CATEGORIES_PER_ATTRIBUTE)
    X = csr_matrix((np.ones(columns.size), columns.ravel(), starts), shape=(n_all, int(first_attribute_columns[-1])))
    return Dataset("one-hot", X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:])
