"""The existence of estimates: separation, compared with a linear program over integers, and collinearity."""

import numpy as np
import pandas
import pytest
from conftest import assert_raises, mark_params
from objectives import build_objective
from reference import log_likelihood
from scipy import optimize, sparse
from sklearn.datasets import load_iris

import fastlin.inference.separation as module
from fastlin import LogisticRegression
from fastlin.exceptions import CollinearityError, ConvergenceWarning, SeparationError, SeparationWarning
from fastlin.inference.collinearity import find_dependences
from fastlin.inference.hessian import InformationMatrix
from fastlin.inference.separation import Separation, check_separation, find_separation, has_certified_maximum
from fastlin.solvers import choose

from .conftest import assert_inference_raises, infer, list_input_formats

# Columns with a larger condition number may raise an error.
MIN_REJECTED_CONDITION_NUMBER = 1e6
# Three independent columns, and the four indicators of a categorical column.
N, GENERATOR = 200, np.random.default_rng(0)
COLUMNS, DUMMIES, ONES = GENERATOR.normal(size=(N, 3)), np.eye(4)[GENERATOR.integers(0, 4, N)], np.ones(N)
pytestmark = [
    pytest.mark.usefixtures("force_sparse_kernels"),
    pytest.mark.filterwarnings("ignore::fastlin.exceptions.ConvergenceWarning", "ignore:The optimum may be"),
]


def classify_separation_exactly(rows, labels):
    """Return "none", "quasi" or "complete" for rows of integers, by one linear program over all rows and classes."""
    classes = np.eye(labels.max() + 1)
    differences = classes[labels][:, None] - classes
    matrix = np.einsum("iok,ij->iokj", differences, rows)[differences.any(axis=2)].reshape(
        -1, len(classes) * rows.shape[1]
    )
    n_differences = len(matrix)
    # The program maximizes the sum of the differences, each at most one. For integers the largest is never tiny.
    result = optimize.linprog(
        np.append(np.zeros(matrix.shape[1]), -np.ones(n_differences)),
        A_ub=np.hstack([-matrix, np.eye(n_differences)]),
        b_ub=np.zeros(n_differences),
        bounds=[(None, None)] * matrix.shape[1] + [(0, 1)] * n_differences,
    )
    assert result.status == 0
    return "none" if -result.fun < 1e-6 else "complete" if -result.fun > n_differences - 1e-6 else "quasi"


def compute_condition_number(X, fit_intercept):
    """Return the condition number of the columns, scaled to length one and, with an intercept, centered."""
    X = X - X.mean(axis=0) if fit_intercept else X
    values = np.linalg.svd(X / np.sqrt((X**2).sum(axis=0)), compute_uv=False)
    return values[0] / values[-1]


def infer_or_classify_error(X, y, fit_intercept):
    """Return the kind of error and None if inference raises an error, otherwise "none" and the Inference."""
    try:
        return "none", infer(X, y, parameters={"fit_intercept": fit_intercept})
    except CollinearityError as error:
        return ("nearly collinear" if "nearly" in str(error) else "collinear"), None
    except SeparationError as error:
        return ("complete" if "ompletely" in str(error) or str(error)[0] == "C" else "quasi"), None


def sample_separations(n_problems, seed=0):
    """Yield X, labels, whether the model has an intercept, and integers that span the same column space."""
    generator = np.random.default_rng(seed)
    while n_problems:
        kind, n_classes = generator.integers(5), generator.choice([2, 2, 2, 3, 4])
        n, d = generator.integers(6, 200), generator.integers(1, 4)
        integers = generator.integers(-2, 4, (n, d)).astype(float)
        scores = integers @ generator.integers(-2, 3, (d, n_classes)) + generator.integers(-1, 2, n_classes)
        labels = np.array([generator.choice(np.flatnonzero(row == row.max())) for row in scores])
        is_relabeled = generator.random(n) < generator.choice([0, 0, 0.02, 0.15, 0.5])
        labels[is_relabeled] = generator.integers(0, n_classes, is_relabeled.sum())
        labels = np.unique(labels, return_inverse=True)[1]
        if not labels.max():
            continue
        n_problems -= 1
        far, ones = np.round(10.0 ** generator.uniform(0, 7)), np.ones((n, 1))
        if kind == 0:
            yield np.hstack([3 * ones, integers + far]), labels, False, np.hstack([ones, integers])
        elif kind == 1:
            base = generator.integers(-3, 4, (n, 1)).astype(float)
            X = np.hstack([base, base + 2.0 ** -generator.integers(1, 15) * integers])
            yield X, labels, True, np.hstack([ones, base, integers])
        else:
            X = [integers, integers * 10.0 ** generator.integers(-5, 6, d), integers + far][kind - 2]
            yield sparse.csr_array(X) if generator.integers(2) else X, labels, True, np.hstack([ones, integers])


@pytest.mark.parametrize("n_problems", [60, *mark_params(pytest.mark.slow, 4_000)])
def test_no_separation_is_missed(n_problems):
    kinds = []
    for i, (X, labels, fit_intercept, integers) in enumerate(sample_separations(n_problems)):
        result, _ = infer_or_classify_error(X, labels, fit_intercept)
        if np.linalg.matrix_rank(integers) < integers.shape[1]:
            assert result in ("collinear", "quasi", "complete"), i
            continue
        if result == "nearly collinear":
            assert (
                compute_condition_number(X.toarray() if sparse.issparse(X) else X, fit_intercept)
                > MIN_REJECTED_CONDITION_NUMBER
            ), i
            continue
        kinds.append(classify_separation_exactly(integers, labels))
        # For a larger condition number, rounding errors can decide whether all rows are separated.
        assert result == kinds[-1] or (
            kinds[-1] == "complete" and compute_condition_number(X, fit_intercept) > MIN_REJECTED_CONDITION_NUMBER
        ), i
    assert all(kinds.count(kind) >= 5 for kind in ("none", "quasi", "complete"))


def test_the_maximum_is_never_certified_if_classes_are_separated():
    n_certified_maxima = n_overlapping_problems = 0
    for _, labels, _, integers in sample_separations(40, seed=2):
        kind = classify_separation_exactly(integers, labels)
        objective = build_objective(integers, labels, int(labels.max()) + 1, fit_intercept=False)
        for max_iter in (3, 8, 60):
            fitted = choose.minimize(objective, [], solver="auto", tol=1e-10, max_iter=max_iter).parameters
            point = objective.at(objective.center(fitted))
            is_certified = has_certified_maximum(InformationMatrix(point))
            assert not (is_certified and kind != "none")
        n_overlapping_problems += kind == "none"
        n_certified_maxima += is_certified
    # With few rows the columns may also be collinear.
    assert n_certified_maxima >= 0.9 * n_overlapping_problems > 8


def test_large_overlapping_data_need_no_search(monkeypatch):
    monkeypatch.setattr(module, "find_separation", None)
    generator = np.random.default_rng(0)
    for n_classes, n, d in ((2, 20_000, 10), (4, 5_000, 6), (2, 600, 60)):
        X = generator.normal(size=(n, d)) * np.geomspace(1e-3, 1e4, d) + np.geomspace(1e-2, 1e3, d)
        X[:, 0] = generator.random(n) < 0.05
        scores = (X - X.mean(axis=0)) / X.std(axis=0) @ generator.normal(size=(d, n_classes)) / np.sqrt(d)
        y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
        assert np.isfinite(infer(X, y, parameters={"tol": 1e-10}).std_errors).all()


def make_endometrial(n_classes=2):
    """Return X and y: a symptom of the last class only, as in Heinze and Schemper (2002), and two other columns."""
    generator, n = np.random.default_rng(5), 400
    X = np.column_stack([generator.random(n) < 0.1, generator.normal(17, 9, n), generator.gamma(5, 0.35, n)])
    X[:, 1:] = np.round(X[:, 1:], 2)
    y = (-0.1 * X[:, 1:2] * np.arange(n_classes) + generator.gumbel(size=(n, n_classes))).argmax(axis=1)
    y[X[:, 0] > 0] = n_classes - 1
    return X, y


def test_the_error_names_a_separating_column_and_its_classes():
    for names, others in ((["no", "yes"], "class no"), (["no", "maybe", "yes"], "the classes maybe and no")):
        X, y = make_endometrial(len(names))
        dataframe, labels = pandas.DataFrame(X, columns=["NV", "PI", "EH"]), np.array(names)[y]
        expected = f"Quasi-complete separation: NV <= 0 in all rows of {others}, and NV >= 0 in all rows of class yes."
        assert_inference_raises(f"^{expected}", dataframe, labels, error=SeparationError)
        assert np.isfinite(infer(dataframe[["PI", "EH"]], labels).std_errors).all()


def make_separating_pair(n, maximum, n_others):
    """Return X and labels. The first two columns, integers up to `maximum`, separate the classes jointly."""
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.integers(0, maximum + 1, (n, 2)), generator.normal(size=(n, n_others))])
    total = X[:, 0] + X[:, 1] - maximum
    return X, np.where(total == 0, generator.integers(0, 2, n), total > 0).astype(int)


def test_the_error_names_columns_that_separate_together():
    X, y = make_separating_pair(3_000, 2, 3)
    assert all(len(set(y[X[:, j] == value])) == 2 for j in (0, 1) for value in (1, 2))
    assert_inference_raises(
        r"Quasi-complete separation: the columns x[01], x[01] together", X, y, error=SeparationError
    )
    X, y = load_iris(return_X_y=True)
    expected = r"x[01], x[01] together separate rows of class 0 from those of the classes 1 and"
    assert_inference_raises(expected, X[:, :2], y, error=SeparationError)
    X = X[:, :1] > 5
    with pytest.warns(ConvergenceWarning, match="separable"):
        model = LogisticRegression(C=np.inf).fit(X, X[:, 0])
    expected = "Complete separation: x0 <= 0 in all rows of class False, and x0 >= 1 in all rows of class True"
    assert_raises(expected, model.inference, X, X[:, 0], error=SeparationError)


def search(X, y):
    objective = build_objective(X, y, 2)
    return find_separation(objective, np.zeros(objective.shape))


def test_separating_directions_of_many_rows_are_found_from_few_rows(monkeypatch):
    monkeypatch.setattr(module, "SCORE_BATCH_BYTES", 20_000)
    generator = np.random.default_rng(3)
    X = generator.integers(-3, 4, (4_000, 4)).astype(float)
    direction = X @ [1, 2, -1, 1]
    y = np.where(direction == 0, generator.integers(0, 2, len(X)), direction > 0).astype(int)
    result = search(X, y)
    assert not result.is_complete
    (coef,), _ = build_objective(X, y, 2).coordinates.convert_to_coefficients(result.direction)
    np.testing.assert_allclose(coef / coef[0], [1, 2, -1, 1], rtol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIN_PROGRAM_ROWS", 4)
        assert not search(X, y).is_complete
        patch.setattr(module, "MAX_PROGRAM_ENTRIES", 2 * 5 * 20)
        search_result = search(X, y)
    assert search_result == "a linear program over 20 rows was not conclusive"
    # With one row on the wrong side there is no separation.
    y[np.flatnonzero(direction == 1)[0]] = 0
    assert search(X, y) is None


def test_zero_weights_and_penalized_columns_do_not_cause_separation():
    X, y = make_endometrial()
    weights, first = np.ones(len(X)), np.flatnonzero(X[:, 0])[0]
    y[first] = 0
    assert np.isfinite(infer(X, y, weights).std_errors).all()
    weights[first] = 0
    assert_inference_raises("x0 <= 0 in all rows of class 0", X, y, weights, error=SeparationError)
    y[first] = 1
    free, other, none = ({"C": 1.0, "penalty_factors": factors} for factors in ([0, 1, 1], [1, 0, 1], [1, 1, 1]))
    assert_inference_raises("x0 <= 0", X, y, parameters=free, penalized="laplace", error=SeparationError)
    for parameters in (other, none):
        assert np.isfinite(infer(X, y, parameters=parameters, penalized="laplace").std_errors).all()


def test_a_problem_that_is_too_large_to_search_emits_a_warning(monkeypatch):
    monkeypatch.setattr(module, "MAX_PROGRAM_VARIABLES", 2)
    objective = build_objective(*make_separating_pair(300, 1, 9), 2)
    zeros, names, labels = np.zeros(objective.shape), np.array([f"x{j}" for j in range(11)]), np.array(["a", "b"])
    with pytest.warns(SeparationWarning, match="limited to 2 coefficients, and the model has 12"):
        check_separation(objective.at(zeros), names, labels, zeros, 1)
    result = Separation(False, tuple(range(9)), ((0, 1),))
    assert "the columns x0, x1, x2, x3, x4 and 4 more together" in result.describe(names, labels)


def draw_columns(n_problems):
    """Yield X, labels of two to five classes, whether there is an intercept, and whether columns are dependent."""
    generator = np.random.default_rng(0)
    for number in range(n_problems):
        n, d, fit_intercept = generator.integers(30, 120), generator.integers(2, 6), bool(generator.integers(4))
        n_classes, n_more = generator.choice([2, 2, 3, 5]), generator.choice([0, 0, 20])
        n += 10 * n_classes * n_more
        base = generator.normal(size=(n, d)) if generator.integers(2) else 1.0 * generator.integers(-3, 4, (n, d))
        base += generator.choice([0, 0, 1, 1e2, 1e4, 1e6]) * generator.normal(size=d)
        kind, is_dependent = number % 5, number % 5 < 3
        if kind == 0:
            X = np.column_stack([base, base @ np.append(2, generator.integers(-3, 4, d - 1))])
        elif kind == 1:
            size = 10 ** generator.uniform(2, 5)
            columns = [size * base[:, 0], 2 * size * base[:, 0] - 3 * base[:, 1], base[:, 1]]
            X = np.column_stack([columns[j] for j in generator.permutation(3)] + [base[:, 2:]])
        elif kind == 2:
            categories = np.append(np.arange(3), generator.integers(0, 3, n - 3))
            X = np.column_stack([base, np.eye(3)[categories], np.ones(n)]) * 10.0 ** generator.integers(-3, 4, d + 4)
        elif kind == 3:
            X = np.column_stack([base, base[:, 0] + 10 ** generator.uniform(-5.5, -2) * generator.normal(size=n)])
        else:
            X = base
        X = np.column_stack([X, generator.normal(size=(n, n_more))])
        labels = np.append(np.arange(n_classes), generator.integers(0, n_classes, n - n_classes))
        yield X, labels, fit_intercept, is_dependent


def compute_std_errors(X, y, fit_intercept):
    """Return the standard errors (d,) of the second class vs the first, from the model of orthonormal columns."""
    X = np.column_stack([X - X.mean(axis=0), np.ones(len(X))]) if fit_intercept else X
    columns, triangle = np.linalg.qr(X)
    model = LogisticRegression(C=np.inf, tol=1e-13, fit_intercept=False).fit(columns, y)
    coef = model.coef_ if y.max() == 1 else (model.coef_ - model.coef_[0])[1:]
    _, information = log_likelihood(coef, columns, y, np.ones(len(y)), False)
    inverse = np.linalg.inv(information)[: len(triangle), : len(triangle)]
    covariance = np.linalg.solve(triangle, np.linalg.solve(triangle, inverse).T)
    return np.sqrt(np.diagonal(covariance))[: X.shape[1] - fit_intercept]


@pytest.mark.parametrize("n_problems", [60, *mark_params(pytest.mark.slow, 4_000)])
def test_all_linear_dependences_are_found(n_problems):
    for i, (X, y, fit_intercept, is_dependent) in enumerate(draw_columns(n_problems)):
        result, inference = infer_or_classify_error(sparse.csr_array(X) if i % 2 else X, y, fit_intercept)
        assert result in (("collinear",) if is_dependent else ("none", "nearly collinear")) + ("quasi", "complete"), i
        if result == "nearly collinear":
            assert compute_condition_number(X, fit_intercept) > MIN_REJECTED_CONDITION_NUMBER, i
        elif result == "none" and compute_condition_number(X, fit_intercept) < MIN_REJECTED_CONDITION_NUMBER:
            errors = inference.std_errors[0, : X.shape[1]]
            np.testing.assert_allclose(errors, compute_std_errors(X, y, fit_intercept), rtol=2e-3, err_msg=str(i))


def test_dependences_of_sparse_columns_are_found_without_centering():
    for seed in (7, 19, 27):
        generator = np.random.default_rng(seed)
        X = generator.normal(size=(400, 2)) + np.array([30, 7])
        X = np.column_stack([X, 2 * X[:, 0] - 3 * X[:, 1], generator.normal(size=(400, 20))])
        assert infer_or_classify_error(sparse.csr_array(X), generator.integers(0, 2, 400), True)[0] == "collinear"


def test_a_singular_information_matrix_of_independent_columns_raises_an_error():
    # The offsets separate the classes of one category: its coefficient has a maximum, but almost no curvature.
    categories = np.repeat(np.arange(3), 40)
    X, y = np.eye(3)[categories][:, :2], np.tile([0, 1], 60)
    offset = np.where(categories == 0, np.where(y == 1, 80.0, -80.0), 0.0)
    with pytest.raises(ValueError, match="is singular in float64") as caught:
        infer(X, y, None, offset)
    assert not isinstance(caught.value, CollinearityError | SeparationError)
    # One row with a huge weight makes the contribution of all other rows negligible.
    generator = np.random.default_rng(0)
    X, y, weights = generator.normal(size=(60, 2)), np.tile([0, 1], 30), np.append(9e18, np.ones(59))
    assert_inference_raises("is singular in float64", X, y, weights)


@pytest.mark.parametrize(("n_classes", "d"), [(2, 100), (3, 30), (8, 15), (15, 15)])
def test_many_classes_and_columns_raise_no_spurious_errors(n_classes, d):
    generator, n = np.random.default_rng(0), 100 * d
    X, y = generator.normal(size=(n, d)), generator.integers(0, n_classes, n)
    X[:, 1] = X[:, 0] + 8e-6 * generator.normal(size=n)
    model = LogisticRegression(C=np.inf, tol=1e-8).fit(X, y)
    assert model.inference(X, y).std_errors[0, 1] == pytest.approx(compute_std_errors(X, y, True)[1], rel=1e-3)
    clusters = generator.integers(0, 30, n)
    for options in ({"covariance": "HC0"}, {"covariance": "cluster", "clusters": clusters}):
        assert np.isfinite(model.inference(X, y, **options).std_errors).all()
    X[:, 1] = X[:, 0] + 1e-8 * generator.normal(size=n)
    message = r"nearly depend on each other and on the .*: x1 is nearly x0[.]"
    assert_inference_raises(message, X, y, parameters={"tol": 1e-8}, error=CollinearityError)


def test_a_penalty_too_weak_for_collinear_columns_raises_an_error():
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(100, 2))[:, [0, 1, 0]], np.arange(100) % 2
    result = infer(X, y, parameters={"C": 1e6, "tol": 1e-4}, penalized="laplace")
    # Only the prior distinguishes the equal columns: the variance of each coefficient is half of the prior's.
    assert result.std_errors[0, 0] == pytest.approx(np.sqrt(1e6 / 2), rel=1e-4)
    message = r"singular in float64.* the penalty is too weak|would be dominated by rounding error"
    for C, penalized in ((1e15, "laplace"), (1e15, "sandwich"), (1e18, "sandwich"), (1e7, "sandwich")):
        assert_inference_raises(message, X, y, parameters={"C": C, "tol": 1e-4}, penalized=penalized)


def test_robust_errors_of_one_tiny_weight_are_accurate_or_raise():
    # Of the rows with x = 1, only the last belongs to the first class.
    X, y = np.repeat([0.0, 1.0], [20, 21])[:, None], np.append(np.arange(20) % 2, np.ones(21))
    y[-1] = 0
    options = {"covariance": "HC0", "weight_type": "sampling"}
    for weight in (1e-2, 1e-4, 1e-6):
        errors = infer(X, y, np.append(np.ones(40), weight), **options).std_errors[0]
        # The log-odds at 0 and 1 are independent, each with variance sum s^2 r^2 / (sum s p (1 - p))^2.
        p = 20 / (20 + weight)
        variance = (20 * (1 - p) ** 2 + weight**2 * p**2) / ((20 + weight) * p * (1 - p)) ** 2
        np.testing.assert_allclose(errors, np.sqrt([variance + 0.2, 0.2]), rtol=5e-3)
    for weight in (1e-8, 1e-14):
        assert_inference_raises(
            r"would be dominated by rounding error|singular in float64", X, y, np.append(np.ones(40), weight), **options
        )


def test_columns_summed_in_float32_count_as_dependent():
    generator, y = np.random.default_rng(0), np.arange(200) % 2
    X = generator.normal(size=(200, 2)).astype(np.float32)
    # Integers far from zero, which float32 represents exactly, do not appear in the equation.
    integers = np.column_stack([1e6 + generator.integers(-5, 6, 200), *[generator.integers(0, 5, 200)] * 2])
    integers = integers.astype(np.float32)
    message = r"depend on each other and on the intercept: x2 = "
    assert_inference_raises(message + "x0 [+] x1[.]", np.column_stack([X, X.sum(axis=1)]), y, error=CollinearityError)
    assert_inference_raises(message + "x1[.]", integers, y, error=CollinearityError)


def test_cluster_scores_that_sum_to_zero_raise_an_error():
    # The feature identifies the clusters.
    clusters = np.repeat([0, 1], 150)
    X, y = clusters[:, None] * 1.0, np.random.default_rng(0).random(300) < 0.4 + 0.1 * clusters
    message = "would be dominated by rounding error, because their terms cancel"
    assert_inference_raises(message, X, y, parameters={"tol": 1e-8}, covariance="cluster", clusters=clusters)


def describe(*columns, n_classes=2, **options):
    table = np.column_stack(columns)
    names = np.array([f"x{j}" for j in range(table.shape[1])])
    objective = build_objective(table, np.random.default_rng(1).integers(0, n_classes, N), n_classes, **options)
    return [dependence.describe(names) for dependence in find_dependences(objective, objective.penalty.curvatures == 0)]


def test_the_error_states_the_equations_of_collinear_columns():
    x = COLUMNS.T
    for columns, expected in (
        ([COLUMNS, x[0] + 2 * x[1]], ["x3 = x0 + 2 x1"]),
        ([COLUMNS, x[0] / 3 - 2.5 * x[1] + 4, x[2]], ["x3 = 4 + 0.333333 x0 - 2.5 x1", "x4 = x2"]),
        ([COLUMNS, ONES, 0 * ONES], ["x3 is constant", "x4 is constant"]),
        ([COLUMNS, DUMMIES], ["x6 = 1 - x3 - x4 - x5"]),
        ([COLUMNS, x[0] * 1e8, x[1] * 1e-8 - 1e-8], ["x3 = 1e+08 x0", "x4 = -1e-08 + 1e-08 x1"]),
        ([1e6 + x[0], 3 * (1e6 + x[0]) - x[1], x[1]], ["x2 = 3 x0 - x1"]),
        ([COLUMNS], []),
    ):
        assert describe(*columns) == expected
        assert describe(*columns, n_classes=3) == expected
    wide = np.random.default_rng(2).normal(size=(N, 8))
    assert describe(wide, wide.sum(axis=1)) == ["x8 depends on x0, x1, x2, x3 and 4 more"]
    # Without an intercept a constant is an ordinary column.
    for columns, expected in (
        ([COLUMNS, ONES], []),
        ([DUMMIES], []),
        ([COLUMNS, ONES, 0 * ONES], ["x4 is constant"]),
        ([ONES, COLUMNS, 2 * ONES], ["x4 = 2 x0"]),
    ):
        assert describe(*columns, fit_intercept=False) == expected
    # Rows without weight do not count.
    weights = (np.arange(N) % 4 > 0).astype(float)
    last = np.where(weights > 0, x[0] - x[1], 7.0)
    assert describe(COLUMNS, last) == []
    assert describe(COLUMNS, last, weights=weights) == ["x3 = x0 - x1"]


def test_separations_and_dependences_are_found_in_every_input_format():
    X, y = make_endometrial(3)
    for rows, labels in (*list_input_formats(X, y), (X.astype(np.float32), y)):
        assert_inference_raises(
            "x0 <= 0 in all rows of the classes 0 and 1, and x0 >= 0 in", rows, labels, error=SeparationError
        )
    table, y = np.hstack([COLUMNS, DUMMIES]), np.random.default_rng(4).integers(0, 2, N)
    for rows, labels in list_input_formats(table, y):
        assert_inference_raises("x6 = 1 - x3 - x4 - x5", rows, labels, error=CollinearityError)
    assert_inference_raises("x3 is constant", np.column_stack([COLUMNS, 0.1 * ONES]), y, error=CollinearityError)
    # A penalty determines the coefficients.
    assert np.isfinite(infer(table, y, parameters={"C": 1.0}, penalized="laplace").std_errors).all()
