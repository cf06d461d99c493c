"""Passes, predictions, mini-batches and networks: both libraries start from the same parameters and agree."""

import numpy as np
import pytest
from conftest import mark_params
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import fastlin
from benchmarks import mini_batches, networks, predictions
from benchmarks.comparisons import FASTLIN
from benchmarks.data import simulate_clusters
from benchmarks.mini_batches import Examples
from benchmarks.networks import LargeBatchProducts, LargeBatchStep, simulate_rows
from benchmarks.passes import FusedPass, make_numpy_pass, sample_coef

# Tolerances relative to the largest entry. NumPy's float32 products sum some hundred terms.
FUSED_PASS_TOLS = {"float64": 1e-12, "float32": 2e-5, "uint8": 2e-5}
# Accuracies after 70 steps of the course may differ on rows with two nearly equal probabilities.
ACCURACY_TOL = {"float64": 1e-4, "float32": 1e-3}


def assert_same_arrays(actual, expected, relative_tol=0.0, absolute_tol=0.0):
    """Compare each pair of arrays within a fraction of the largest expected entry."""
    for part, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(part, theirs, rtol=0, atol=absolute_tol + relative_tol * np.abs(theirs).max())


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", *mark_params(pytest.mark.thorough, "float32", "uint8")])
def test_passes_return_the_loss_and_gradients_of_numpy(dtype, order, layout):
    X = np.random.default_rng(0).integers(0, 256, (300, 20), np.uint8)
    X = np.asarray(X if dtype == "uint8" else (X / 255).astype(dtype), order=layout)
    point = X, np.arange(300) % 10, 10, *sample_coef(X)
    expected = make_numpy_pass(*point, order=order)()
    assert_same_arrays(FusedPass(*point).value_and_gradient(), expected, FUSED_PASS_TOLS[dtype])


@pytest.mark.parametrize("name", list(predictions.COMPARISONS))
def test_both_models_predict_the_same(name):
    if "dataframe" in name or "categories" in name:
        pytest.importorskip("pandas", reason="pandas is not installed")
    prediction = predictions.COMPARISONS[name].load(400)
    (ours,), (theirs,) = (predictions.predict(prediction, library) for library in (FASTLIN, predictions.BASELINE))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert len(ours) == (1 if name == "predict-row" else 400)
    if name != "predict-row":
        # The models were fitted to rows from the same distribution.
        assert prediction.accuracy(ours) > 0.7 - 0.1 * (prediction.n_classes > 2)


def test_mini_batch_steps_match_the_numpy_baseline():
    generator = np.random.default_rng(0)
    X = generator.uniform(size=(1_300, 20))
    y = (X[:, :10] + generator.uniform(size=(1_300, 10))).argmax(axis=1)
    images = Examples(X[:1_000], y[:1_000], X[1_000:], y[1_000:], 10)
    ours, theirs = mini_batches.train(images), mini_batches.train_with_numpy(images)
    assert_same_arrays(ours, theirs, mini_batches.SAME_STEPS_TOL)
    assert images.objective(*ours) == pytest.approx(images.objective(*theirs), rel=mini_batches.SAME_STEPS_TOL)
    coef, intercept, is_one_vs_rest = mini_batches.train_sgd_classifier(images)
    assert (coef.shape, intercept.shape, is_one_vs_rest) == ((10, 20), (10,), True)


@pytest.mark.thorough
def test_both_libraries_learn_from_sparse_rows():
    assert mini_batches.load_sparse_examples(2_000, 100).X_test.shape == (400, 100)
    record = mini_batches.compare_on_sparse_rows(100, 2_000)
    assert record["data"].startswith("2,000 × 100")
    assert all(library["accuracy"] > 0.8 for library in record["libraries"].values())


@pytest.mark.thorough
@pytest.mark.parametrize(("dtype", "tolerance"), mini_batches.COURSE_SAME_STEPS_TOLS.items())
def test_course_training_matches_the_numpy_baseline(dtype, tolerance):
    data = simulate_clusters(10, 1_000, 100, seed=0)
    X, X_test = (np.column_stack([part, np.ones(len(part))]).astype(dtype) for part in (data.X_train, data.X_test))
    examples = Examples(X, data.y_train, X_test, data.y_test, 10)
    coef, _, *histories = mini_batches.train_course(examples, 10)
    expected, _, *expected_histories = mini_batches.train_course_with_numpy(examples, 10)
    assert coef.dtype == dtype
    assert_same_arrays([coef], [expected], tolerance)
    for kind, atol in (("loss", tolerance), ("accuracy", ACCURACY_TOL[dtype])):
        for history, steps in zip(histories, expected_histories, strict=True):
            assert list(history[kind]) == list(steps[kind])
            np.testing.assert_allclose(list(history[kind].values()), list(steps[kind].values()), rtol=0, atol=atol)


def test_networks_start_from_the_parameters_of_scikit_learn():
    X, y = simulate_rows(200, 6)
    seed = networks.SEED
    # The learning rate is so small that float32 rounds the step away.
    model = MLPClassifier(
        networks.N_HIDDEN_UNITS, solver="sgd", learning_rate_init=1e-12, max_iter=1, random_state=seed
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    coefs, intercepts = networks.sample_initial_parameters(np.random.RandomState(seed), 6)
    for part, theirs in zip(coefs + intercepts, model.coefs_ + model.intercepts_, strict=True):
        assert part.dtype == theirs.dtype
        np.testing.assert_allclose(part, theirs, rtol=1e-6, atol=1e-9)


def test_torch_trains_the_same_network():
    pytest.importorskip("torch", reason="PyTorch is in the extra baselines-torch.")
    epoch = networks.load_epoch(1_000, 20)
    ours, theirs = networks.train_estimator(epoch, fastlin.MLPClassifier), networks.train_torch(epoch)
    assert_same_arrays((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), absolute_tol=1e-5)


def test_a_large_network_step_returns_its_objective():
    X, y = simulate_rows(60, 5)
    step, products = LargeBatchStep(X, y, 30), LargeBatchProducts(X, 30)
    assert sorted(np.concatenate(step.batches)) == list(range(60))
    before = step.network.parameters.copy()
    rows, network = step.batches[0], step.network
    expected = networks.Epoch(X[rows], y[rows], X, y, networks.N_CLASSES).objective(network.coefs, network.intercepts)
    expected += networks.LARGE_BATCH_L2 / 2 * sum(float(np.sum(coef.astype(np.float64) ** 2)) for coef in network.coefs)
    assert LargeBatchStep(X, y, 30)() == pytest.approx(expected, rel=0, abs=1e-4)
    # The two batches have different losses, and each call updates the parameters.
    assert step() != step()
    assert (step.network.parameters != before).mean() > 0.5
    products()
    rows = X[:30]
    for actual, expected in (
        (products.hidden_outputs, rows @ products.coefs[0]),
        (products.scores, products.hidden_outputs @ products.coefs[1]),
        (products.gradients[1], products.hidden_outputs.T @ products.residuals),
        (products.slopes, products.residuals @ products.coefs[1].T),
        (products.gradients[0], rows.T @ products.slopes),
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
