"""What the benchmarks need before they time anything: Letter Recognition from disk, sparse data, and the judge."""

import gzip
from dataclasses import replace

import naive
import numpy as np
import pytest
from scipy.sparse import issparse
from scipy.sparse.linalg import norm
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from benchmarks.common import LETTER_FEATURES, LETTER_FILE, LETTER_ROWS, LETTER_TRAIN, fit, load_letter
from benchmarks.fits import fit_scikit_learn, fit_scikit_learn_to_pixels
from benchmarks.memory import count_allowed_bytes, count_bytes
from benchmarks.networks import (
    N_CLASSES,
    N_HIDDEN,
    SEED,
    LargeProducts,
    LargeStep,
    draw_data,
    draw_start,
    evaluate_network,
    train_fastlin,
    train_torch,
)
from benchmarks.paths import Grid, fit_liblinear_path, fit_scikit_learn_cross_validation
from benchmarks.races import Outcome, Race, make_problem, pose, run_race
from benchmarks.roofline import make_arithmetic, make_read
from benchmarks.sparse_data import CATEGORIES, make_one_hot, make_text
from fastlin.studies.contenders import Problem

LINE = "A," + ",".join(str(number) for number in range(LETTER_FEATURES))


def write_letter(folder, lines):
    with gzip.open(folder / LETTER_FILE, "wt") as file:
        file.write("\n".join(lines) + "\n")


def test_letter_takes_the_first_rows_for_training(tmp_path):
    write_letter(tmp_path, [LINE, "Z" + ",15" * LETTER_FEATURES] + [LINE] * (LETTER_ROWS - 2))
    X, y = load_letter(tmp_path)
    assert X.shape == (LETTER_TRAIN, LETTER_FEATURES)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[0], np.arange(LETTER_FEATURES))
    assert (X[1] == 15).all()
    assert y[:3].tolist() == [0, 25, 0]


@pytest.mark.parametrize(
    "line", ["", "a" + LINE[1:], LINE + ",1", LINE[:-3], "A" + ",16" * 16, "A" + ",-1" * 16, "A" + ",x" * 16]
)
def test_a_line_that_is_no_letter_is_named(tmp_path, line):
    write_letter(tmp_path, [LINE] * 7 + [line] + [LINE] * (LETTER_ROWS - 8))
    with pytest.raises(ValueError, match=rf"{LETTER_FILE}, line 8: expected a letter .* found "):
        load_letter(tmp_path)


def test_another_file_than_letter_is_refused(tmp_path):
    write_letter(tmp_path, [LINE] * 10)
    with pytest.raises(ValueError, match="has 10 lines; Letter Recognition has 20,000"):
        load_letter(tmp_path)
    (tmp_path / LETTER_FILE).write_text(LINE)
    with pytest.raises(ValueError, match="is no gzipped text"):
        load_letter(tmp_path)


def test_a_missing_letter_skips(tmp_path, monkeypatch):
    with pytest.raises(NotImplementedError, match="FASTLIN_DATA names the folder"):
        load_letter(tmp_path)
    monkeypatch.delenv("FASTLIN_DATA", raising=False)
    with pytest.raises(NotImplementedError, match="FASTLIN_DATA names the folder"):
        load_letter()


def make_small_problem(X, C=1.0):
    y = np.random.default_rng(1).integers(0, 3, len(X))
    return Problem("small", X, y, 3, C, fit_intercept=True)


def test_the_peer_on_scaled_pixels_has_the_same_objective():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4), np.uint8)
    problem = make_small_problem(pixels, C=1 / 255**2)
    coef, intercept = fit_scikit_learn_to_pixels(problem, 1)
    scaled = make_small_problem(pixels / 255.0)
    assert problem.objective(coef, intercept) == pytest.approx(scaled.objective(255 * coef, intercept), rel=1e-12)
    assert problem.objective(coef, intercept) == pytest.approx(
        scaled.objective(*fit_scikit_learn(scaled, 1, "lbfgs")), rel=1e-12
    )


def test_a_race_leaves_out_peers_that_miss_the_objective():
    problem = make_small_problem(np.random.default_rng(0).normal(size=(60, 4)))

    def give_up(problem, threads):
        return np.zeros((problem.n_classes, problem.X.shape[1])), np.zeros(problem.n_classes)

    def finish(problem, threads):
        return fit_scikit_learn(problem, threads, "newton-cholesky", tol=1e-8)

    race = Race("small", None, {"gives up": give_up, "finishes": finish}, 1.0, tol=1e-8, within=1e-6, rounds=2)
    outcome = run_race(race, problem, 1)
    assert outcome.peer == "finishes"
    assert outcome.seconds.keys() == {"fastlin", "finishes"}
    assert outcome.counts
    assert outcome.ratio == outcome.seconds["finishes"] / outcome.seconds["fastlin"]
    outcome = run_race(Race("small", None, {"gives up": give_up}, 1.0, tol=1e-8), problem, 1)
    assert outcome.relative_gap < 0


def test_a_race_of_many_fits_counts_only_where_each_reaches_the_peer():
    outcome = Outcome(1, "peer", True, {}, {"fastlin": np.array([0.5, 0.2]), "peer": np.array([0.9, 0.2 / (1 + 1e-5)])})
    assert outcome.relative_gap == pytest.approx(1e-5)
    assert not outcome.counts


def test_a_race_whose_peer_is_not_installed_is_skipped():
    with pytest.raises(NotImplementedError, match="no_such_library is not installed"):
        make_problem(Race("small", None, {}, 1.0, package="no_such_library"))


def evaluate_plainly(problem, coef, intercept):
    """Return J by plain loops over the dense rows."""
    rows = problem.X.toarray() if issparse(problem.X) else problem.X
    loss, _, _ = naive.loss_and_gradient(rows, problem.y, np.ones(len(rows)), coef, intercept)
    total = loss / len(rows)
    for value in coef.ravel():
        total += (1 - problem.l1_ratio) / (problem.C * len(rows)) * value**2 / 2
        total += problem.l1_ratio / (problem.C * len(rows)) * abs(value)
    return total


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_the_judge_is_the_formula(n_classes, l1_ratio):
    generator = np.random.default_rng(0)
    labels = np.array(["a", "b", "c"])[np.arange(40) % n_classes]
    sparse = make_text(40, 500, 10, n_classes).X_train[:, :30]
    problem = pose("small", sparse, labels, 0.3, l1_ratio=l1_ratio)
    coef, intercept = generator.normal(size=(problem.n_rows_coef, 30)), generator.normal(size=problem.n_rows_coef)
    expected = evaluate_plainly(problem, coef, intercept)
    assert problem.objective(coef, intercept) == pytest.approx(expected, rel=1e-13)
    dense = replace(problem, X=sparse.toarray())
    assert dense.objective(coef, intercept) == pytest.approx(expected, rel=1e-13)
    scores = sparse.toarray() @ coef.T + intercept
    predicted = scores[:, 0] > 0 if n_classes == 2 else scores.argmax(axis=1)
    assert problem.accuracy(coef, intercept) == dense.accuracy(coef, intercept) == np.mean(predicted == problem.y)


def test_a_grid_judges_each_fit_on_its_rows_and_its_C():
    generator = np.random.default_rng(0)
    X, y, Cs = generator.normal(size=(30, 4)), np.arange(30) % 3, np.array([0.1, 10.0])
    coef, intercept = generator.normal(size=(6, 3, 4)), generator.normal(size=(6, 3))
    objectives = Grid("small", X, y, 3, Cs, n_folds=3).objective(coef, intercept)
    # Stratified, the folds are of these rows in order.
    for fold, first in enumerate((0, 10, 20)):
        rows = np.setdiff1d(np.arange(30), np.arange(first, first + 10))
        for place, C in enumerate(Cs):
            fit = 2 * fold + place
            expected = pose("small", X[rows], y[rows], C).objective(coef[fit], intercept[fit])
            assert objectives[fit] == pytest.approx(expected, rel=1e-13)
    with pytest.raises(ValueError, match="shorter"):
        Grid("small", X, y, 3, Cs).objective(coef[:1], intercept[:1])


def test_the_peers_of_the_grids_minimise_their_objective():
    data = make_one_hot(300)
    path = Grid("one-hot", data.X_train, data.y_train, 2, np.array([0.05, 0.5]), fit_intercept=False, l1_ratio=1.0)
    coef, intercept = fit_liblinear_path(path, 1, tol=1e-8)
    for problem, row, objective in zip(path.problems(), coef, path.objective(coef, intercept), strict=True):
        saga = fit_scikit_learn(problem, 1, "saga", tol=1e-8, max_iter=20_000)
        assert objective == pytest.approx(problem.objective(*saga), rel=1e-7)
        np.testing.assert_array_equal(row == 0, saga[0] == 0)
    folds = Grid("one-hot", data.X_train, data.y_train, 2, np.array([1e-3, 1e-2]), n_folds=3)
    coef, intercept = fit_scikit_learn_cross_validation(folds, 1)
    for problem, objective in zip(folds.problems(), folds.objective(coef, intercept), strict=True):
        exact = fit_scikit_learn(problem, 1, "newton-cholesky", tol=1e-10)
        assert objective == pytest.approx(problem.objective(*exact), rel=1e-6)


def test_a_fit_may_take_what_the_rule_says():
    dense = np.zeros((1000, 100), np.float32)
    assert count_allowed_bytes(dense, 10) == 0.2 * dense.nbytes + 1000 * 10 * 4 + 80 * 10 * 101 * 8
    X = make_text(100, 2_000, 20, 5).X_train
    assert count_bytes(X) == 100 * 20 * (8 + 4) + 101 * 4
    assert count_allowed_bytes(X, 2) == int(1.2 * count_bytes(X)) + 100 * 8 + 80 * 2001 * 8
    # One array of n x K would take 80 MB, more than 64 and than X.
    assert count_allowed_bytes(np.zeros((10_000, 2)), 1000) == 0.2 * 160_000 + 80 * 1000 * 3 * 8


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_limits_are_measured_on_any_layout(dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 256, (37, 5)).astype(dtype), order=order)
    make_read(X)()


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_arithmetic_does_what_it_says(precision):
    arithmetic, n_done = make_arithmetic(1e8, precision)
    arithmetic()
    assert n_done == pytest.approx(1e8, rel=0.01)


def test_text_is_sparse_and_the_same_for_the_same_seed():
    data, again, other = (make_text(200, 3_000, 20, 5, seed=seed) for seed in (0, 0, 1))
    for X, n_rows, y in ((data.X_train, 200, data.y_train), (data.X_test, 40, data.y_test)):
        assert X.shape == (n_rows, 3_000)
        assert X.has_canonical_format
        assert (np.diff(X.indptr) == 20).all()
        assert (X.data > 0).all()
        np.testing.assert_allclose(norm(X, axis=1), 1)
        assert (np.bincount(y) == n_rows // 5).all()
    for attribute in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(data.X_train, attribute), getattr(again.X_train, attribute))
    np.testing.assert_array_equal(data.y_train, again.y_train)
    assert not np.array_equal(data.X_train.indices, other.X_train.indices)


def test_the_words_of_text_follow_zipf_and_tell_the_topic():
    data = make_text(600, 5_000, 50, 4)
    frequency = np.sort(np.bincount(data.X_train.indices, minlength=5_000))[::-1]
    # Nearly every document has the most frequent word; a rank ten times as large is some ten times as rare.
    assert frequency[0] > 500
    assert 4 < frequency[50] / frequency[500] < 25
    model = LogisticRegression(C=10.0).fit(data.X_train, data.y_train)
    assert 0.5 < model.score(data.X_test, data.y_test) < 1


def test_too_few_words_are_refused():
    with pytest.raises(ValueError, match="60 words are too few"):
        make_text(20, 60, 50, 2)


def test_one_hot_rows_have_a_one_for_each_attribute_and_are_the_same_for_the_same_seed():
    data, again, other = (make_one_hot(800, seed=seed) for seed in (0, 0, 1))
    attribute_of = np.repeat(np.arange(len(CATEGORIES)), CATEGORIES)
    for X, n_rows, y in ((data.X_train, 800, data.y_train), (data.X_test, 200, data.y_test)):
        assert X.shape == (n_rows, 123)
        assert X.has_canonical_format
        assert (X.data == 1).all()
        assert (attribute_of[X.indices.reshape(n_rows, -1)] == np.arange(len(CATEGORIES))).all()
        assert y.mean() == pytest.approx(0.24, abs=0.08)
    np.testing.assert_array_equal(data.X_train.indices, again.X_train.indices)
    np.testing.assert_array_equal(data.y_train, again.y_train)
    assert not np.array_equal(data.X_train.indices, other.X_train.indices)


def test_the_judge_of_networks_is_the_formula():
    generator = np.random.default_rng(0)
    X, y = draw_data(20, 4)
    coefs = [generator.normal(size=shape) for shape in ((4, 3), (3, N_CLASSES))]
    intercepts = [generator.normal(size=size) for size in (3, N_CLASSES)]
    losses, right = [], []
    for row, label in zip(X, y, strict=True):
        hidden = [max(sum(row * coefs[0][:, j]) + intercepts[0][j], 0) for j in range(3)]
        scores = [sum(hidden * coefs[1][:, k]) + intercepts[1][k] for k in range(N_CLASSES)]
        losses.append(naive.softmax(scores, label)[0])
        right.append(max(scores) == scores[label])
    loss, accuracy = evaluate_network(X, y, coefs, intercepts)
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert accuracy == np.mean(right)


def test_networks_start_as_scikit_learns():
    X, y = draw_data(200, 6)
    # Steps so small that float32 rounds them away.
    model = MLPClassifier(N_HIDDEN, solver="sgd", learning_rate_init=1e-12, max_iter=1, random_state=SEED)
    fit(model, X, y)
    for parts, expected in zip(
        draw_start(np.random.RandomState(SEED), 6), (model.coefs_, model.intercepts_), strict=True
    ):
        for part, theirs in zip(parts, expected, strict=True):
            assert part.dtype == theirs.dtype
            np.testing.assert_allclose(part, theirs, rtol=1e-6, atol=1e-9)


def test_torch_trains_the_same_network():
    pytest.importorskip("torch", reason="PyTorch is of the extra peers.")
    data = draw_data(1_000, 20)
    for ours, theirs in zip(train_fastlin(*data), train_torch(*data), strict=True):
        for part, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(part, expected, rtol=0, atol=1e-5)


def test_large_steps_take_the_rows_in_turn_and_their_products_are_those_of_a_step():
    X, y = draw_data(60, 5)
    step, products = LargeStep(X, y, 30), LargeProducts(X, 30)
    assert sorted(np.concatenate(step.batches)) == list(range(60))
    before = step.network.parameters.copy()
    # Losses of the halves differ, and steps are taken.
    assert step() != step()
    assert (step.network.parameters != before).mean() > 0.5
    products()
    rows = X[:30]
    for found, expected in (
        (products.hidden, rows @ products.coefs[0]),
        (products.scores, products.hidden @ products.coefs[1]),
        (products.gradients[1], products.hidden.T @ products.residuals),
        (products.slopes, products.residuals @ products.coefs[1].T),
        (products.gradients[0], rows.T @ products.slopes),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
