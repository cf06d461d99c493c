"""Offsets and soft labels in predictions, scores, folds, paths and warm starts; `test_properties.py` tests the fits."""

import numpy as np
import pandas as pd
import pytest
import reference
from conftest import as_bfloat16, assert_raises, make_problem
from linear_models import assert_same_model, fit, make_cv_model
from scipy import sparse
from scipy.special import expit, softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastlin
from fastlin import LogisticRegression, MiniBatchLogisticRegression, blocks, logistic_path
from fastlin.estimators.labels import parse_label_columns

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

N, TIGHT_TOL = 240, {"tol": 1e-11}


def make_rows(n_classes):
    """Return X, labels, class probabilities, weights and offsets."""
    X, y, weights, *_ = make_problem(N, 4, n_classes)
    generator = np.random.default_rng(1)
    soft_labels = generator.dirichlet(np.full(n_classes, 0.5), N)
    # Some probabilities are 1.
    soft_labels[:20] = np.eye(n_classes)[generator.integers(0, n_classes, 20)]
    return X, y, soft_labels, weights, generator.normal(size=N if n_classes == 2 else (N, n_classes))


def test_predictions_add_the_offset():
    for n_classes in (2, 3):
        X, y, _, weights, offset = make_rows(n_classes)
        before = [array.copy() for array in (X, y, weights, offset)]
        model = fit(X, y, weights, offset=offset)
        scores = X @ model.coef_.T + model.intercept_ + offset.reshape(N, -1)
        probabilities = softmax(scores, axis=1)
        if n_classes == 2:
            probabilities, scores = np.column_stack([expit(-scores), expit(scores)]), scores[:, 0]
        predictions = probabilities.argmax(axis=1)
        cut, sparse_rows = blocks.from_arrays(X, rows_per_block=70), sparse.csr_array(X)
        for rows, join in (
            (X, np.asarray),
            (sparse_rows, np.asarray),
            (cut, lambda batches: np.concatenate(list(batches))),
        ):
            for method, expected in (
                (model.decision_function, scores),
                (model.predict_proba, probabilities),
                (model.predict_log_proba, np.log(probabilities)),
                (model.predict, predictions),
            ):
                np.testing.assert_allclose(join(method(rows, offset=offset)), expected, atol=1e-12)
            score = model.score(rows, y, weights, offset=offset.tolist())
            assert score == pytest.approx(accuracy_score(y, predictions, sample_weight=weights))
        trained = MiniBatchLogisticRegression(max_iter=1, n_iter_no_change=np.inf).fit(X, y)
        expected = trained.decision_function(X) + offset
        np.testing.assert_allclose(trained.decision_function(X, offset=offset), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.sparsify().decision_function(X, offset=offset), scores, atol=1e-12)
        for array, expected in zip((X, y, weights, offset), before, strict=True):
            np.testing.assert_array_equal(array, expected)


def sample_weak_signal_rows(seed, n_classes):
    """Return X, labels, weights and skewed offsets; the features are only weakly related to the labels."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(300, 8)) * 10.0 ** generator.uniform(-3, -1)
    y = generator.integers(0, n_classes, 300)
    shape = 300 if n_classes == 2 else (300, n_classes)
    offset = np.where(generator.random(shape) < 0.1, 8.0, -1.0) * generator.uniform(0.5, 2)
    return X, y, generator.integers(1, 4, 300).astype(float), offset


def find_minimum(X, y, weights, offset, l2, l1=0.0, grouped=False):
    """Return the reference's minimum of J and null objective."""
    n_classes, arguments = y.max() + 1, {"weights": weights, "offsets": offset.reshape(len(y), -1)}
    null = reference.minimum(np.zeros((len(y), 1)), y, n_classes, 1.0, **arguments)[0]
    if l1 == 0:
        return reference.minimum(X, y, n_classes, l2, **arguments)[0], null
    penalty = {"l2": l2, "l1": l1, "factors": np.ones(X.shape[1]), "group_lasso": grouped, "fit_intercept": True}
    return reference.sparse_minimum(X, y, n_classes, **penalty, **arguments)[0], null


def assert_within_tol(J, certificate, minimum, null, tol=1e-4):
    """Assert that the suboptimality and the certificate of a fit satisfy tol."""
    # Error bounds are thousands of times the actual rounding errors.
    rounding = 1e-11 * null
    assert J - minimum <= tol * (null - minimum) + rounding
    assert certificate <= tol * (null - minimum) + rounding


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tol_is_relative_to_the_improvement_over_the_null_model(n_classes):
    for seed, (l1_ratio, grouped) in enumerate(2 * [(0.0, False), (1.0, False), (0.5, False), (1.0, True)]):
        X, y, weights, offset = sample_weak_signal_rows(seed, n_classes)
        C = 10.0 ** np.random.default_rng(seed).uniform(0, 3)
        model = LogisticRegression(C=C, l1_ratio=l1_ratio, group_lasso=grouped).fit(X, y, weights, offset=offset)
        l2, l1 = np.array([1 - l1_ratio, l1_ratio]) / (C * weights.sum())
        arguments = {"weights": weights, "offsets": offset.reshape(300, -1), "l1": l1, "group_lasso": grouped}
        J = reference.objective(X, y, model.coef_, model.intercept_, l2, **arguments)
        assert model.converged_
        assert_within_tol(J, model.certificate_, *find_minimum(X, y, weights, offset, l2, l1, grouped))


def test_tol_is_relative_to_the_null_model_if_a_class_has_no_weight():
    for seed in range(4):
        X, y, weights, offset = sample_weak_signal_rows(seed, 3)
        weights[y == 0] = 0
        offset = offset if seed % 2 else np.zeros_like(offset)
        model = LogisticRegression(C=10.0).fit(X, y, weights, offset=offset if seed % 2 else None)
        l2 = 0.1 / weights.sum()
        J = reference.objective(X, y, model.coef_, model.intercept_, l2, weights=weights, offsets=offset)
        # The other two classes have opposite coefficients, half as large as those of a two-class fit.
        others = y > 0
        minimum, null = find_minimum(
            X[others], y[others] - 1, weights[others], offset[others, 2] - offset[others, 1], l2 / 2
        )
        assert model.converged_
        assert_within_tol(J, model.certificate_, minimum, null)


def test_tol_means_the_same_in_paths_and_folds():
    for l1_ratio in (0.0, 1.0):
        X, y, weights, offset = sample_weak_signal_rows(int(l1_ratio), 2)
        Cs, rows = [10.0, 1e3], [np.arange(0, 200), np.arange(100, 300)]
        path = logistic_path(X, y, Cs=Cs, l1_ratio=l1_ratio, sample_weight=weights, offset=offset)
        # With an L1 penalty, the folds are fitted in batches.
        search = make_cv_model(
            Cs=Cs, l1_ratios=(l1_ratio,), cv=[(fold, np.arange(9)) for fold in rows], scoring="accuracy"
        )
        search.fit(X, y, weights, offset=offset)
        for c, C in enumerate(Cs):
            for fold, J, certificate in [
                (slice(None), path.objectives[c], path.certificates[c]),
                *((fold, search.objectives_[f, 0, c], search.certificates_[f, 0, c]) for f, fold in enumerate(rows)),
            ]:
                l2, l1 = np.array([1 - l1_ratio, l1_ratio]) / (C * weights[fold].sum())
                assert_within_tol(J, certificate, *find_minimum(X[fold], y[fold], weights[fold], offset[fold], l2, l1))


def test_a_zero_step_without_curvature_does_not_indicate_convergence():
    X, y, _, weights, _ = make_rows(2)
    offset = np.full(N, 1e3)
    model = fit(X, y, weights, offset=offset, C=np.inf, fit_intercept=False, lower_bounds=-1e4)
    residuals = weights * (expit(model.decision_function(X, offset=offset)) - y)
    assert model.converged_
    np.testing.assert_allclose(X.T @ residuals, 0, atol=1e-3)


def test_folds_and_paths_use_the_offsets_of_their_rows():
    for n_classes in (2, 3):
        X, y, _, weights, offset = make_rows(n_classes)
        Cs, cv = [0.1, 10.0], StratifiedKFold(3)
        for scoring, metric in (("neg_log_loss", log_loss), (None, accuracy_score)):
            model = make_cv_model(Cs=Cs, cv=cv, **TIGHT_TOL, scoring=scoring)
            model.fit(X, y, weights, offset=offset)
            expected = np.empty((3, 1, 2))
            for f, (train, test) in enumerate(cv.split(X, y)):
                for c, C in enumerate(Cs):
                    one = fit(X[train], y[train], weights[train], offset=offset[train], C=C)
                    predict = one.predict_proba if metric is log_loss else one.predict
                    expected[f, 0, c] = metric(
                        y[test], predict(X[test], offset=offset[test]), sample_weight=weights[test]
                    )
            np.testing.assert_allclose(model.scores_, -expected if metric is log_loss else expected, atol=1e-5)
            assert_same_model(model, fit(X, y, weights, offset=offset, C=model.C_))
            predict = model.predict_proba if metric is log_loss else model.predict
            score = metric(y, predict(X, offset=offset), sample_weight=weights)
            assert abs(model.score(X, y, weights, offset=offset)) == pytest.approx(score)
        path = logistic_path(X, y, Cs=Cs, l1_ratio=0.0, tol=1e-11, sample_weight=weights, offset=offset)
        for c, C in enumerate(Cs):
            np.testing.assert_allclose(path.coefs[c], fit(X, y, weights, offset=offset, C=C).coef_, atol=1e-5)
        # The first C of an L1 path is the largest at which all coefficients are zero.
        path = logistic_path(X, y, Cs=5, offset=offset)
        assert path.n_nonzeros[0] == 0
        assert fit(X, y, C=1.001 * path.Cs[0], l1_ratio=1.0, offset=offset).coef_.any()
        warm = LogisticRegression(warm_start=True, **TIGHT_TOL).fit(X, y, weights, offset=offset)
        assert warm.fit(X, y, weights, offset=offset).n_iter_[0] <= 1
        started = LogisticRegression(**TIGHT_TOL).fit(X, y, weights, offset=offset, coef_init=warm.coef_)
        assert_same_model(started, warm)


def test_validation_rows_can_have_their_own_offsets_and_soft_labels():
    X, y, soft_labels, weights, offset = make_rows(3)
    train, val, certain = slice(160), slice(160, None), np.eye(3)[y]
    for labels, labels_val, offsets in (
        (soft_labels, soft_labels, None),
        (soft_labels, y, None),
        (y, soft_labels, None),
        (y, y, offset),
    ):
        train_offset, val_offset = (None if offsets is None else offsets[part] for part in (train, val))
        model = make_cv_model(Cs=[0.1, 10.0], **TIGHT_TOL)
        arguments = {
            "offset": train_offset,
            "X_val": X[val],
            "y_val": labels_val[val],
            "sample_weight_val": weights[val],
        }
        model.fit(X[train], labels[train], weights[train], **arguments, offset_val=val_offset)
        first, last = (certain if array is y else array for array in (labels, labels_val))
        joined_labels = y if first is last is certain else np.concatenate([first[train], last[val]])
        assert_same_model(model, fit(X, joined_labels, weights, offset=offsets, C=model.C_))
        for c, C in enumerate(model.Cs_):
            one = fit(X[train], labels[train], weights[train], offset=train_offset, C=C)
            logarithms = np.log(one.predict_proba(X[val], offset=val_offset))
            expected = np.average((last[val] * logarithms).sum(axis=1), weights=weights[val])
            assert model.scores_[0, 0, c] == pytest.approx(expected, abs=1e-5)
    only_offset_val = {"offset_val": offset, "X_val": None, "y_val": None, "sample_weight_val": None}
    for other, message in (
        ({}, r"offset and offset_val must be given together, got only offset\."),
        ({"offset_val": offset[:3]}, "offset_val has 3 rows, but X_val has 80"),
        (only_offset_val, "together, got only offset_val"),
        ({"offset": None, "y_val": np.full((80, 2), 0.5)}, "y has 3 classes, but y_val has the shape"),
    ):
        assert_raises(message, model.fit, X[train], y[train], **{**arguments, **other})


def test_invalid_offsets_and_scorers_without_offsets_raise_an_error():
    X, y, *_, offset = make_rows(2)
    _, labels, *_, offsets = make_rows(3)
    broken = offset.copy()
    broken[7] = np.nan
    model = LogisticRegression().fit(X, y)
    for target, bad_offset, message in (
        (y, broken, "offset must contain finite numbers .* at most 1e\\+30, but row 7 has nan"),
        (y, 1e31 * offset, "at most 1e\\+30, but row 0 has"),
        (y, offset[:-1], "offset has 239 rows, but X has 240"),
        (y, 1.5, "offset must have one number for each row"),
        (y, offsets, r"for 2 classes, got the shape \(240, 3\)"),
        (
            labels,
            offset,
            "for 3 classes, got the shape .* Adding the same number for all classes of a row has no effect",
        ),
        (labels, offsets[:, :2], r"one number for each row and class, \(n_samples, 3\)"),
        (y, offset.astype(str), "offset must contain numbers: got an array of <U"),
        (y, pd.Series([pd.NA, *offset[1:]], dtype="object"), "offset must contain numbers"),
        (y, sparse.csr_array(offset[:, None]), "offset must contain numbers"),
        (y, [[1.0], [1.0, 2.0]], "offset must contain numbers"),
        (y, [10**400] * len(y), "offset must contain numbers"),
    ):
        assert_raises(message, model.fit, X, target, offset=bad_offset)
    for bad_offset, message in ((broken, "row 7 has nan"), (offset[:3], "offset has 3 rows, but X has 240")):
        for rows in (X, blocks.from_arrays(X)):
            assert_raises(message, model.predict_proba, rows, offset=bad_offset)
    message = r"scoring must be 'accuracy', .* with an offset"
    for scoring in ("roc_auc", make_scorer(accuracy_score), lambda *_: 0.0):
        model = make_cv_model(Cs=2, scoring=scoring)
        assert_raises(message, model.fit, X, y, offset=offset)
        assert_raises(message, model.fit(X, y).score, X, y, offset=offset)


def test_pipelines_searches_and_clones_route_the_offset():
    X, y, _, weights, offset = make_rows(2)
    Z = StandardScaler().fit_transform(X)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression(**TIGHT_TOL).set_fit_request(offset=True, sample_weight=True)
        model.set_predict_proba_request(offset=True).set_score_request(offset=True, sample_weight=False)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        arguments = {"sample_weight": weights, "offset": offset}
        routed_pipeline = make_pipeline(scaler, clone(model)).fit(X, y, **arguments)
        assert_same_model(routed_pipeline[-1], fit(Z, y, **arguments))
        actual = routed_pipeline.predict_proba(X, offset=offset)
        np.testing.assert_allclose(actual, routed_pipeline[-1].predict_proba(Z, offset=offset))
        search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=StratifiedKFold(2)).fit(X, y, **arguments)
        train, test = next(StratifiedKFold(2).split(X, y))
        one = fit(X[train], y[train], weights[train], offset=offset[train], C=0.1)
        assert search.cv_results_["split0_test_score"][0] == one.score(X[test], y[test], offset=offset[test])
        make_pipeline(StandardScaler(), make_cv_model(Cs=2, cv=2).set_fit_request(offset=True)).fit(X, y, offset=offset)


def copy_rows(X, soft_labels, weights, offset, classes=None):
    """Return X, labels, weights and offset, with one copy of each row per class."""
    n, n_classes = soft_labels.shape
    rows = np.repeat(np.arange(n), n_classes)
    labels = np.tile(np.arange(n_classes) if classes is None else classes, n)
    return X[rows], labels, (soft_labels * weights[:, None]).ravel(), offset[rows]


@pytest.mark.parametrize(
    ("n_classes", "class_weight"), [(2, {0: 1e300, 1: 1e299}), (3, {0: 0.0, 1: 1.5, 2: 2.5}), (3, "balanced")]
)
def test_a_soft_label_equals_weighted_copies_of_its_row(n_classes, class_weight):
    X, _, soft_labels, weights, offset = make_rows(n_classes)
    copied, labels, fractions, offsets = copy_rows(X, soft_labels, weights, offset)
    expected = fit(sparse.csr_array(copied), labels, fractions, offset=offsets, class_weight=class_weight, C=0.1)
    actual = fit(sparse.csr_array(X), soft_labels, weights, offset=offset, class_weight=class_weight, C=0.1)
    # If a class has no weight, its intercept decreases without bound.
    for model in (actual, expected) if class_weight != "balanced" and 0.0 in class_weight.values() else ():
        assert model.intercept_[0] < -15
        model.intercept_[0] = -15
        model.intercept_[1:] -= model.intercept_[1:].mean()
    assert_same_model(actual, expected)
    np.testing.assert_array_equal(actual.classes_, np.arange(n_classes))


def test_soft_labels_in_other_containers_give_the_same_model():
    X, _, soft_labels, weights, _ = make_rows(3)
    expected = fit(X, soft_labels, weights)
    # Blocks can contain soft labels.
    cut = blocks.from_batches(lambda: zip(np.split(X, 4), np.split(soft_labels, 4), np.split(weights, 4), strict=True))
    assert_same_model(fit(cut, None), expected)
    assert_same_model(fit(blocks.from_csr(sparse.csr_array(X), soft_labels), None, weights), expected)
    # The row sums differ from one by the rounding error of float16.
    assert_same_model(fit(X, soft_labels.astype(np.float16), weights), expected, 1e-2)
    half_samples = np.full((N, 2), 0.5)
    assert_same_model(fit(X, as_bfloat16(half_samples.astype(np.float32))), fit(X, half_samples))


def test_indicator_matrices_and_single_columns_are_not_soft_labels():
    X, labels, soft_labels, *_ = make_rows(3)
    certain, fit_default = np.eye(3)[labels], LogisticRegression().fit
    # These are label indicators.
    assert fit_default(X, certain).multilabel_
    assert_raises("y should be a 1d array", fit_default, X, 2 * certain.astype(int))
    model = LogisticRegression().fit(X, labels)
    assert model.score(X, labels[:, None]) == model.score(X, labels)
    # Single-label models, and fits with `classes`, interpret them as probabilities.
    for rows in (X, blocks.from_arrays(X)):
        assert model.score(rows, certain) == model.score(X, labels)
    assert_same_model(fit_default(X, certain, classes=[0, 1, 2]), model)
    assert_raises("Unknown label type: continuous", fit_default, X, soft_labels[:, 0])
    message = r"one column of probabilities.*np.column_stack\(\[1 - y, y\]\)"
    assert_raises(message, fit_default, X, soft_labels[:, :1])
    with fastlin.patch_sklearn(), pytest.raises(ValueError, match="y should be a 1d array"):
        ScikitLearnLogisticRegression().fit(X, soft_labels)


def test_labels_that_are_not_probabilities_raise_an_error():
    X, _, soft_labels, *_ = make_rows(3)
    model = LogisticRegression().fit(X, soft_labels)
    for index, value, message in (
        ((30, 1), np.nan, "row 30 contains nan"),
        ((30, 1), np.inf, "row 30 contains inf"),
        ((30, 1), -0.1, r"nonnegative and sum to one within 1e-05 in each row, but row 30 contains -0.1"),
        ((30, slice(None)), [0.5, 0.5, 0.1], r"y has 3 columns. .* row 30 sums to 1.1"),
    ):
        wrong = soft_labels.copy()
        wrong[index] = value
        assert_raises(message, model.fit, X, wrong)
        assert_raises(message, model.score, X, wrong)
    assert_raises("inconsistent numbers of samples", model.fit, X, soft_labels[:-1])
    assert_raises("y must have a column for each of the 3 classes", model.score, X, np.full((N, 2), 0.5))
    assert_raises("liblinear", LogisticRegression(solver="liblinear").fit, X, soft_labels)
    zero_weight_model = LogisticRegression(class_weight=dict.fromkeys(range(3), 0.0))
    assert_raises("must be positive for some rows", zero_weight_model.fit, X, soft_labels)
    # Rows with sums close to one are rescaled.
    _, scaled = parse_label_columns(soft_labels * (1 + 5e-6 * (soft_labels < 1)))
    np.testing.assert_allclose(scaled, soft_labels, rtol=1e-15)


def test_classes_name_the_columns_of_soft_labels():
    X, labels, soft_labels, weights, offset = make_rows(3)
    names = ["ant", "bee", "cat"]
    model = LogisticRegression(tol=1e-11, class_weight={"ant": 2.0, "bee": 1.0, "cat": 0.5})
    expected = clone(model).fit(*copy_rows(X, soft_labels, weights, offset, names)[:3])
    assert_same_model(model.fit(X, soft_labels, weights, classes=names), expected)
    assert model.classes_.tolist() == names
    assert set(model.predict(X)) <= set(names)
    assert make_cv_model(Cs=2, cv=2).fit(X, soft_labels, classes=names).classes_.tolist() == names
    assert logistic_path(X, soft_labels, Cs=2, classes=names).classes.tolist() == names
    for wrong, message in (
        (names[:2], "classes must be 3 different labels .* for each column of y"),
        (["bee", "ant", "cat"], "different labels in ascending order"),
        (["ant", "ant", "cat"], "different labels in ascending order"),
        (["ant", None, "cat"], "classes must be labels that can be sorted"),
    ):
        assert_raises(message, model.fit, X, soft_labels, classes=wrong)
    # Without soft labels, `classes` must be exactly the classes in y.
    y = np.array(names)[labels]
    assert LogisticRegression().fit(X, y, classes=["bee", "ant", "cat"]).classes_.tolist() == names
    assert_raises("y contains the label 'cat', which is not one of classes", model.fit, X, y, classes=names[:2])
    assert_raises("No row of y has the class 'dog', which is one of classes", model.fit, X, y, classes=[*names, "dog"])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_labels_give_the_scores_of_weighted_copies(n_classes):
    X, _, soft_labels, weights, offset = make_rows(n_classes)
    copied, copies, fractions, offsets = copy_rows(X, soft_labels, weights, offset)
    model = fit(X, soft_labels, weights, offset=offset, class_weight="balanced")
    expected = model.score(copied, copies, fractions, offset=offsets)
    assert model.score(X, soft_labels, weights, offset=offset) == pytest.approx(expected)
    # Folds are stratified by the most probable class.
    rows = np.repeat(np.arange(N), n_classes)
    folds = StratifiedKFold(3).split(X, soft_labels.argmax(axis=1))
    folds_of_copies = [[np.flatnonzero(np.isin(rows, part)) for part in pair] for pair in folds]
    for scoring in ("neg_log_loss", "accuracy", None):
        for arguments, arguments_of_copies in (({}, {}), ({"offset": offset}, {"offset": offsets})):
            search = make_cv_model(Cs=[0.1, 10.0], cv=3, tol=1e-11, scoring=scoring)
            expected = (
                clone(search).set_params(cv=folds_of_copies).fit(copied, copies, fractions, **arguments_of_copies)
            )
            search.fit(X, soft_labels, weights, **arguments)
            np.testing.assert_allclose(search.scores_, expected.scores_, atol=1e-5)
            assert_same_model(search, expected)
            score = expected.score(copied, copies, fractions, **arguments_of_copies)
            assert search.score(X, soft_labels, weights, **arguments) == pytest.approx(score, abs=1e-5)
    assert_raises(
        "with soft labels, which other scorers do not", make_cv_model(Cs=2, scoring="roc_auc_ovr").fit, X, soft_labels
    )
    cut = blocks.from_arrays(X, soft_labels, weights, rows_per_block=90)
    search = make_cv_model(Cs=[0.1, 10.0], cv=3, tol=1e-11, scoring="accuracy")
    expected = clone(search).fit(X, soft_labels, weights)
    np.testing.assert_allclose(search.fit(cut).scores_, expected.scores_)
    assert model.score(cut) == pytest.approx(model.score(X, soft_labels, weights))
    path = logistic_path(X, soft_labels, Cs=[0.1, 10.0], l1_ratio=0.0, tol=1e-11)
    np.testing.assert_allclose(path.coefs[1], fit(X, soft_labels, C=10.0).coef_, atol=1e-5)
