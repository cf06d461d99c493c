"""The coefficients of linear models: which forms of them are read, and that errors name what was found."""

import numpy as np
import pytest
from conftest import assert_refused
from scipy import sparse

from fastlin import LogisticRegression, MiniBatchLogisticRegression, MLPClassifier
from fastlin.estimators.linear_predictions import read_coefficients

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 5))
Y = {2: np.arange(60) % 2, 4: np.arange(60) % 4}


def fit(n_classes, **parameters):
    return LogisticRegression(tol=0.1, **parameters).fit(X, Y[n_classes])


def test_lists_and_a_single_intercept_are_read():
    model = fit(2)
    scores, labels = model.decision_function(X), model.predict(X)
    model.coef_, model.classes_ = model.coef_.tolist(), model.classes_.tolist()
    for intercept in (model.intercept_[0], float(model.intercept_[0]), np.array(model.intercept_[0])):
        model.intercept_ = intercept
        np.testing.assert_array_equal(model.decision_function(X), scores)
        np.testing.assert_array_equal(model.predict(X), labels)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_coefficients_that_are_no_numbers_name_a_class(n_classes):
    model = fit(n_classes)
    model.coef_ = np.full_like(model.coef_, np.nan)
    for rows in (X, sparse.csr_array(X)):
        assert set(model.predict(rows)) <= set(model.classes_)
        assert np.isnan(model.decision_function(rows)).all()


def test_sparse_coefficients_stay_what_they_are():
    model = fit(4)
    coef, labels = model.coef_.copy(), model.predict(X)
    model.sparsify()
    for rows in (X, sparse.csr_array(X), sparse.csc_matrix(X)):
        np.testing.assert_array_equal(model.predict(rows), labels)
    np.testing.assert_array_equal(read_coefficients(model)[1], coef)
    assert sparse.issparse(model.coef_)
    np.testing.assert_array_equal(model.densify().coef_, coef)


# NumPy says so of what checkpoints would save.
@pytest.mark.filterwarnings("ignore:get_state and legacy:RuntimeWarning")
@pytest.mark.parametrize("estimator_class", [MiniBatchLogisticRegression, MLPClassifier])
def test_a_generator_of_another_kind_goes_on(estimator_class):
    model = estimator_class(random_state=np.random.RandomState(np.random.PCG64(0)))
    model.partial_fit(X, Y[4], classes=np.arange(4))
    assert len(model.partial_fit(X, Y[4]).loss_curve_) == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_start_that_is_not_finite_is_refused():
    model = fit(4, warm_start=True)
    model.coef_[1, 2] = np.inf
    assert_refused("coef_ must be finite", model.fit, X, Y[4])
    model = MiniBatchLogisticRegression(max_iter=1, random_state=0).fit(X, Y[4])
    model.coef_[1, 2] = np.nan
    assert_refused("coef_ and intercept_ must be finite", model.partial_fit, X, Y[4])


def test_classes_that_are_no_text_are_refused():
    model = fit(2)
    # As a damaged file may hold it: NumPy's texts are numbers of four bytes.
    model.classes_ = np.array([0x61, 0x110000], np.uint32).view("<U1")
    assert_refused("classes_ must hold texts of Unicode", model.predict, X)
