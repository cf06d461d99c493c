"""MLPClassifier: what it adds to scikit-learn's, and that the same seed gives the same bits."""

import itertools
import pickle

import numpy as np
import pytest
from conftest import assert_refused
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small_networks import assert_same_bits, differ, draw_initial, make, make_data

from fastlin.training import MomentumDescent

X, Y = make_data()


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.3, "batch_norm": "both", "init": "he"}], ids=str)
def test_a_decay_is_a_schedule_by_hand(parameters):
    # A fit shuffles the order of its last epoch, as scikit-learn's does, a call of partial_fit that of its rows.
    parameters = {"shuffle": False, **parameters}
    decaying = make(learning_rate_decay=0.7, **parameters).fit(X, Y)
    by_hand, by_calls = make(**parameters), make(learning_rate_decay=0.7, **parameters)
    for epoch in range(5):
        by_hand.set_params(learning_rate_init=0.05 * 0.7**epoch).partial_fit(X, Y, classes=[0, 1, 2])
        by_calls.partial_fit(X, Y, classes=[0, 1, 2])
    assert_same_bits(by_hand, decaying)
    assert_same_bits(by_calls, decaying)
    assert differ(make(**parameters).fit(X, Y), decaying)


@pytest.mark.parametrize(
    "parameters", [{"dtype": "float64"}, {"dropout": 0.5}, {"batch_norm": "both"}, {"init": "he"}], ids=str
)
def test_the_seed_decides(parameters):
    seeds = 0, 0, np.random.RandomState(0), 1
    first, *same, other = (make((7, 5), **{**parameters, "random_state": seed}).fit(X, Y) for seed in seeds)
    for model in same:
        assert_same_bits(model, first)
    assert differ(other, first)


def test_dropout_and_batch_norm_change_the_training():
    settings = [{}, {"dropout": 0.2}, {"dropout": 0.5}, *({"batch_norm": name} for name in ("input", "hidden", "both"))]
    models = [make((7, 5), **parameters).fit(X, Y) for parameters in settings]
    assert all(differ(*pair) for pair in itertools.combinations(models, 2))
    sizes = [(len(model.batch_norm_scales_), len(model.batch_norm_means_)) for model in models]
    assert sizes == [(0, 0), (0, 0), (0, 0), (0, 1), (2, 2), (2, 3)]
    # The statistics of the input follow from X alone.
    X_means = models[3].batch_norm_means_[0] / (1 - 0.9 ** len(models[3].loss_curve_ * 5))
    np.testing.assert_allclose(X_means, X.mean(axis=0), atol=0.3)


@pytest.mark.parametrize(
    ("parameters", "deviation"),
    [({"init": "he"}, np.sqrt(2 / 50)), ({"init": "normal"}, 0.01), ({"init": "normal", "init_scale": 0.3}, 0.3)],
)
def test_the_coefficients_begin_as_asked_for(parameters, deviation):
    model = draw_initial((300,), *make_data(d=50), **parameters)
    assert model.coefs_[0].std() == pytest.approx(deviation, rel=0.1)


def test_validation_data_are_recorded_and_the_best_epoch_is_kept():
    X, y = make_data(n=200)
    X_val, y_val = make_data(n=100, seed=1)
    y_val[:60] = y[:60]
    model = make(max_iter=20, batch_norm="both").fit(X, y, X_val=X_val, y_val=y_val)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 20
    best = int(np.argmax(model.validation_scores_))
    assert 0 < best < 19
    assert model.best_validation_score_ == model.validation_scores_[best] == model.score(X_val, y_val)
    probabilities = model.predict_proba(X_val)[np.arange(100), y_val]
    assert model.validation_loss_curve_[best] == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)
    # They change nothing of the training itself.
    alone = make(max_iter=best + 1, batch_norm="both").fit(X, y)
    assert alone.loss_curve_ == model.loss_curve_[: best + 1]
    model.loss_curve_ = alone.loss_curve_
    assert_same_bits(alone, model)
    assert alone.validation_scores_ is alone.validation_loss_curve_ is alone.best_validation_score_ is None


def test_early_stopping_on_given_data_trains_on_all_rows():
    model = make(max_iter=100, early_stopping=True, n_iter_no_change=3).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    assert model.n_iter_ < 100
    assert model.t_ == len(Y) * model.n_iter_
    assert make(max_iter=model.n_iter_).fit(X, Y).loss_curve_ == model.loss_curve_


def test_validation_labels_may_lack_classes():
    only, names = Y == 2, np.array(["a", "b", "c"])[Y]
    model = make().fit(X, names, X_val=X[only], y_val=names[only])
    assert model.best_validation_score_ == np.mean(model.predict(X[only]) == "c")


def test_the_accuracy_curve_is_that_of_the_batches_before_each_step_by_weight():
    weights = np.linspace(0, 2, len(Y))
    model = make(max_iter=1, learning_rate_init=1e-30).fit(X, Y, weights)
    assert model.accuracy_curve_ == [pytest.approx(model.score(X, Y, weights), rel=1e-12)]


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": "both", "dropout": 0.2}], ids=str)
def test_pickles_and_clones(parameters):
    model = make((7, 5), **parameters).fit(X, Y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    # Momentum and random numbers go with it.
    assert_same_bits(copy.partial_fit(X, Y), model.partial_fit(X, Y))
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    assert_same_bits(clone(model).fit(X, Y), make((7, 5), **parameters).fit(X, Y))


def test_a_warm_start_keeps_running_statistics():
    model = make((7,), batch_norm="both", dropout=0.2, warm_start=True, learning_rate_init=1e-30, max_iter=30).fit(X, Y)
    before = model.predict_proba(X)
    model.set_params(max_iter=1).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=0.05)
    assert len(model.loss_curve_) == 31
    assert model.n_iter_ == 1


def test_a_network_asked_for_later_changes_no_prediction_but_is_none_to_go_on_with():
    for name, value in (("hidden_layer_sizes", (5,)), ("batch_norm", "input")):
        model = make((1,), warm_start=True, batch_norm="hidden").fit(X, Y)
        expected = model.predict_proba(X)
        model.set_params(**{name: value})
        for train in (model.fit, model.partial_fit):
            assert_refused(f"^{name} must be that of the last training", train, X, Y)
        np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_verbose_shows_a_bar_with_the_figures(capsys):
    model = make(verbose=2).fit(X, Y, X_val=X, y_val=Y)
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("fastlin ")
    # Also on 80 columns nothing is cut.
    assert " 5/5 " in shown
    assert f"loss {model.loss_:.4f} / {model.validation_loss_curve_[-1]:.4f} " in shown
    assert f"accuracy {model.accuracy_curve_[-1]:.4f} / {model.validation_scores_[-1]:.4f} " in shown
    make().fit(X, Y)
    assert not capsys.readouterr().out


def test_the_same_bits_from_run_to_run_of_products_that_blas_splits():
    # OpenBLAS computes products of these shapes otherwise on one thread than on two.
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(256, 300)), generator.integers(0, 10, 256)
    first, *others = (make((135,), max_iter=3, batch_size=128, dtype="float64").fit(X, y) for _ in range(3))
    for model in others:
        assert_same_bits(model, first)


@pytest.mark.parametrize(("n", "batch_size", "sizes"), [(402, 200, [134] * 3), (400, 200, [200] * 2), (3, 2, [3])])
def test_normalised_batches_are_of_equal_size(monkeypatch, n, batch_size, sizes):
    taken, step = [], MomentumDescent.step

    def watch(self, examples, rows, *arguments, **options):
        taken.append(rows)
        return step(self, examples, rows, *arguments, **options)

    monkeypatch.setattr(MomentumDescent, "step", watch)
    X, y = make_data(2, n=n, d=3)
    make(batch_norm="hidden", batch_size=batch_size, max_iter=1).fit(X, y)
    assert [len(rows) for rows in taken] == sizes
    assert sorted(np.concatenate(taken)) == list(range(n))
