"""Letter Recognition from files, and generated sparse data: shapes and distributions."""

import gzip
import itertools

import numpy as np
import pytest
from conftest import assert_raises, mark_params
from scipy.sparse.linalg import norm
from sklearn.naive_bayes import MultinomialNB

from benchmarks.data import (
    LETTER_FILE,
    N_LETTER_FEATURES,
    N_LETTER_ROWS,
    N_LETTER_TRAINING_ROWS,
    load_letter,
    simulate_embeddings,
)
from benchmarks.fits import CHOSEN_EMBEDDING_C, EMBEDDINGS, load_embeddings
from benchmarks.sparse_data import (
    CATEGORIES_PER_ATTRIBUTE,
    CATEGORY_STORY_FRACTION,
    N_NEWS_WORDS,
    make_news,
    make_one_hot,
    make_text,
)
from fastlin import LogisticRegression

# The rows, features and classes of embeddings, and the C that validation chooses. The largest fit takes minutes.
EMBEDDING_SIZES = [
    (1_500, 64, 20, 10.0),
    *mark_params(pytest.mark.thorough, (*EMBEDDINGS["probe-100"], CHOSEN_EMBEDDING_C)),
    *mark_params(pytest.mark.slow, (*EMBEDDINGS["probe-300"], CHOSEN_EMBEDDING_C)),
]
LETTER_LINE = "A," + ",".join(str(number) for number in range(N_LETTER_FEATURES))


def write_letter_file(folder, lines):
    with gzip.open(folder / LETTER_FILE, "wt") as file:
        file.write("\n".join(lines) + "\n")


def test_the_first_rows_of_letter_are_the_training_set(tmp_path):
    write_letter_file(tmp_path, [LETTER_LINE, "Z" + ",15" * N_LETTER_FEATURES] + [LETTER_LINE] * (N_LETTER_ROWS - 2))
    data = load_letter(tmp_path)
    X, y = data.X_train, data.y_train
    assert data.X_test.shape == (N_LETTER_ROWS - N_LETTER_TRAINING_ROWS, N_LETTER_FEATURES)
    assert data.y_test.shape == (N_LETTER_ROWS - N_LETTER_TRAINING_ROWS,)
    assert X.shape == (N_LETTER_TRAINING_ROWS, N_LETTER_FEATURES)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[0], np.arange(N_LETTER_FEATURES))
    assert (X[1] == 15).all()
    assert y[:3].tolist() == [0, 25, 0]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a" + LETTER_LINE[1:],
        LETTER_LINE + ",1",
        LETTER_LINE[:-3],
        "A" + ",16" * 16,
        "A" + ",-1" * 16,
        "A" + ",x" * 16,
    ],
)
def test_an_invalid_letter_file_raises_an_error(tmp_path, line):
    write_letter_file(tmp_path, [LETTER_LINE] * 7 + [line] + [LETTER_LINE] * (N_LETTER_ROWS - 8))
    assert_raises(None, load_letter, tmp_path)


def test_a_missing_letter_is_skipped(tmp_path, monkeypatch):
    assert_raises("set FASTLIN_DATA to its folder", load_letter, tmp_path, error=NotImplementedError)
    monkeypatch.setenv("FASTLIN_DATA", "")
    assert_raises("set FASTLIN_DATA to its folder", load_letter, error=NotImplementedError)


def make(kind, seed):
    if kind == "news":
        return make_news(2_000, seed)
    data = make_text(200, 5, seed) if kind == "text" else make_one_hot(800, seed)
    return data.X_train, data.y_train


@pytest.mark.parametrize("kind", ["text", "one-hot", "news"])
def test_the_same_seed_gives_the_same_data(kind):
    (X, y), (X_again, y_again), (other, _) = (make(kind, seed) for seed in (0, 0, 1))
    for attribute in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(X, attribute), getattr(X_again, attribute))
    np.testing.assert_array_equal(y, y_again)
    assert not np.array_equal(X.indices, other.indices)


def test_text_is_sparse():
    data = make_text(200, 5)
    for X, n_rows, y in ((data.X_train, 200, data.y_train), (data.X_test, 40, data.y_test)):
        assert X.shape == (n_rows, data.X_train.shape[1])
        assert X.has_canonical_format
        assert X.indices.dtype == X.indptr.dtype == np.int32
        assert (X.data > 0).all()
        np.testing.assert_allclose(norm(X, axis=1), 1)
        assert (np.bincount(y) == n_rows // 5).all()
    assert np.bincount(data.X_train.indices).min() > 1


def test_word_frequencies_of_text_resemble_those_of_newsgroups():
    data = make_text()
    X, y = data.X_train, data.y_train
    # The numbers of rows, columns and entries of 20 Newsgroups.
    assert X.shape == (11_314, pytest.approx(56_436, rel=0.02))
    assert X.nnz == pytest.approx(1_713_894, rel=0.04)
    word_counts = np.sort(np.bincount(X.indices))[::-1]
    # Nearly every post contains the most frequent word. Frequencies are inversely proportional to the rank.
    assert word_counts[0] > 0.9 * len(y)
    assert 4 < word_counts[100] / word_counts[1000] < 15
    assert 4 < word_counts[1000] / word_counts[10_000] < 15
    assert 0.2 < np.mean(word_counts == 2) < 0.4
    # The lengths of posts vary widely.
    lengths = np.diff(X.indptr)
    assert np.median(lengths) < 0.8 * lengths.mean()
    # Words of one author occur together: some columns have entries in the same rows.
    frequent_words = X[:, np.bincount(X.indices) > 5].tocsc()
    row_sets_of_columns = {
        frequent_words.indices[first:last].tobytes() for first, last in itertools.pairwise(frequent_words.indptr)
    }
    assert len(row_sets_of_columns) < frequent_words.shape[1] - 20
    # A linear model with C = 1 is right on 0.91 of the test rows, but takes seconds.
    assert 0.6 < MultinomialNB(alpha=0.01).fit(X, y).score(data.X_test, data.y_test) < 0.98


def test_one_hot_rows_have_a_one_for_each_attribute():
    data = make_one_hot(800)
    column_attributes = np.repeat(np.arange(len(CATEGORIES_PER_ATTRIBUTE)), CATEGORIES_PER_ATTRIBUTE)
    for X, n_rows, y in ((data.X_train, 800, data.y_train), (data.X_test, 200, data.y_test)):
        assert X.shape == (n_rows, 123)
        assert X.has_canonical_format
        assert (X.data == 1).all()
        assert (column_attributes[X.indices.reshape(n_rows, -1)] == np.arange(len(CATEGORIES_PER_ATTRIBUTE))).all()
        assert y.mean() == pytest.approx(0.24, abs=0.08)


def test_news_rows_are_sparse_with_norm_one():
    X, y = make_news(2_000)
    assert X.shape == (2_000, N_NEWS_WORDS)
    assert X.has_sorted_indices
    assert X.indices.dtype == np.int32
    np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1)
    assert 65 < X.nnz / len(y) < 90
    assert abs(y.mean() - CATEGORY_STORY_FRACTION) < 0.15


@pytest.mark.parametrize(("n", "d", "n_classes", "C"), EMBEDDING_SIZES)
def test_models_of_embeddings_are_worth_keeping(n, d, n_classes, C):
    scores = {}
    for candidate in (C / 10, C):
        problem = load_embeddings(None, n, d, n_classes, candidate)
        model = LogisticRegression(C=candidate).fit(problem.X, problem.y)
        scores[candidate] = problem.score_test_rows(model.coef_, model.intercept_)
    assert scores[C].log_loss < scores[C / 10].log_loss
    assert 0.6 <= scores[C].accuracy <= 0.85
    assert scores[C].log_loss < np.log(n_classes) / 2


def test_embeddings_have_unit_length_and_a_decaying_spectrum():
    X, y = simulate_embeddings(4_000, 50, 30)
    assert X.dtype == np.float32 and set(y[:30]) == set(y) == set(range(30))
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
    deviations = np.sqrt(np.linalg.eigvalsh(np.cov(X.T))[::-1])
    ratios = deviations / deviations[0] * np.sqrt(np.arange(1, 51))
    # The rows are scaled to unit length, which changes the largest deviations.
    assert 0.7 < ratios.min() and ratios.max() < 1.6
    _, other = simulate_embeddings(4_000, 50, 30, seed=1)
    assert (other != y).any()
