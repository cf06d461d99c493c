"""Fits and predictions in threads of their callers, each of which has threads of its own."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import fastlin

# So many rows that a pass has several blocks, each of which any thread may run.
N, D, K = 24_000, 40, 4
N_CALLERS = 4
SECONDS = 300


def make_data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(N, D))
    return X, (X[:, :K] + generator.normal(size=(N, K))).argmax(axis=1)


def test_two_levels_of_threads_give_the_bits_of_one():
    X, y = make_data()
    parameters = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    alone = fastlin.LogisticRegressionCV(Cs=2, cv=2, n_jobs=1, **parameters).fit(X, y)
    expected = alone.coef_, alone.scores_, alone.predict_proba(X)

    # Callers of several threads each, whose folds run side by side and whose passes run in blocks.
    def fit(n_jobs):
        model = clone(alone).set_params(n_jobs=n_jobs).fit(X, y)
        return model.coef_, model.scores_, model.predict_proba(X)

    with ThreadPoolExecutor(N_CALLERS) as pool:
        running = [pool.submit(fit, n_jobs) for n_jobs in (1, 2, 3, None)]
        for found in [each.result(timeout=SECONDS) for each in running]:
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_tools_of_scikit_learn_with_threads_of_their_own_give_the_same_bits():
    X, y = make_data()
    model = fastlin.LogisticRegression(n_jobs=2)
    expected = cross_val_score(model, X, y, cv=3, scoring="neg_log_loss")

    def search():
        found = GridSearchCV(model, {"C": [1e-3, 1.0]}, cv=3, scoring="neg_log_loss", n_jobs=2).fit(X, y)
        return [found.cv_results_[f"split{fold}_test_score"][1] for fold in range(3)]

    with joblib.parallel_config("threading"):
        found = joblib.Parallel(n_jobs=N_CALLERS, timeout=SECONDS)(joblib.delayed(search)() for _ in range(2))
    for scores in found:
        np.testing.assert_array_equal(scores, expected)
