"""Comparisons of fits: fastlin's LogisticRegression with the fastest baseline of each problem."""

from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

from benchmarks.comparisons import CERTIFIED_RULE, DEFAULT_TOL, THREAD_SETTINGS, Comparison, ComparisonRule
from benchmarks.data import (
    load_letter,
    load_mnist_pixels,
    simulate_clusters,
    simulate_embeddings,
    simulate_softmax_data,
    standardize,
)
from benchmarks.problems import count_test_rows, make_classification_problem, make_split_problem
from benchmarks.sparse_data import make_news, make_one_hot, make_text
from fastlin.benchmarking.other_libraries import fit_cyanure, fit_fastlin, fit_scikit_learn

C = 1.0
MAX_ITER = 1000
N_NEWS_ROWS = 800_000
# saga needs this many iterations to come within 1e-4 of the minimum on 10,000 images of MNIST with L1 and C = 0.1.
SAGA_ITERATIONS = 155


def fit_scikit_learn_to_pixels(problem):
    """Divide the pixels by 255, as is common with scikit-learn, and fit with the C for which J is the same."""
    scaled_model = ScikitLearnLogisticRegression(C=problem.C * 255**2, max_iter=MAX_ITER)
    scaled_model.fit(problem.X / 255.0, problem.y)
    return scaled_model.coef_ / 255, scaled_model.intercept_


def make_scikit_learn_baselines(*solvers, tol=DEFAULT_TOL, max_iter=MAX_ITER):
    """Return a dict from the names of scikit-learn's solvers to baselines."""
    suffix = "" if tol == DEFAULT_TOL else f", tol {format_tol(tol)}"
    return {
        f"scikit-learn {solver}{suffix}": partial(fit_scikit_learn, max_iter=max_iter, solver=solver, tol=tol)
        for solver in solvers
    }


def make_cyanure_baselines(tol):
    """Return a dict with Cyanure as a baseline."""
    return {f"Cyanure, tol {format_tol(tol)}": partial(fit_cyanure, max_iter=MAX_ITER, tol=tol)}


def format_tol(tol):
    """Return a tol as a string."""
    return f"{tol:.0e}".replace("e-0", "e-")


def make_dataset_problem(name, data, C=C, **parameters):
    """Return the ClassificationProblem of a Dataset."""
    return make_classification_problem(name, data.X_train, data.y_train, C, (data.X_test, data.y_test), **parameters)


def load_one_hot(n_rows, n_all=16_000):
    """Return a one-hot table like a9a."""
    return make_dataset_problem("one-hot", make_one_hot(n_rows or n_all))


def load_mnist(n_rows, dtype="float64", C=C, n_all=None, **parameters):
    """Return images of MNIST; for pixels from 0 to 255, C is scaled to give the same J as for pixels from 0 to 1."""
    return make_dataset_problem(
        "MNIST", load_mnist_pixels(n_rows or n_all, dtype), C / 255**2 if dtype == "uint8" else C, **parameters
    )


def load_letter_problem(n_rows, is_standardized=False):
    """Return the problem of Letter Recognition."""
    data = load_letter()
    X, X_test = data.X_train[:n_rows], data.X_test
    if is_standardized:
        X, X_test = standardize(X, X_test)
    return make_classification_problem("Letter", X, data.y_train[:n_rows], C, (X_test, data.y_test))


def _load_digits(n_rows):
    X, y = load_digits(return_X_y=True)
    return make_classification_problem("digits", X[:n_rows], y[:n_rows], C)


def _load_clusters(n_rows, n_all, n_features, n_classes, dtype="float64"):
    # With few rows there are fewer classes, so that each class has twenty rows.
    n_rows = n_rows or n_all
    data = simulate_clusters(max(2, min(n_classes, n_rows // 20)), n_rows, n_features, seed=0)
    return make_classification_problem(
        "synthetic", data.X_train.astype(dtype), data.y_train, C, (data.X_test, data.y_test)
    )


def load_linear_probe(n_rows, n_all, n_features, n_classes):
    """Return simulated embeddings, normally distributed in float32, with labels drawn from a softmax model."""
    n_rows = n_rows or n_all
    # Each class has at least twenty rows.
    K = max(2, min(n_classes, n_rows // 20))
    X, y = simulate_softmax_data(n_rows + count_test_rows(n_rows), n_features, K, 1 / 8, np.float32)
    return make_split_problem("generated linear probe", X, y, C, n_rows)


def load_embeddings(n_rows, n_all, n_features, n_classes, C=C):
    """Return simulated embeddings in float32."""
    n_rows = n_rows or n_all
    # Each class has at least twenty rows.
    K = max(2, min(n_classes, n_rows // 20))
    X, y = simulate_embeddings(n_rows + count_test_rows(n_rows), n_features, K)
    return make_split_problem("generated embeddings", X, y, C, n_rows)


def load_text(n_rows, **parameters):
    """Return simulated newsgroup posts."""
    return make_dataset_problem("text", make_text(n_rows) if n_rows else make_text(), **parameters)


def _load_news(n_rows):
    n_rows = n_rows or N_NEWS_ROWS
    return make_split_problem("news", *make_news(n_rows + count_test_rows(n_rows)), C, n_rows)


def _load_expression(n_rows, n_all, n_genes):
    """Return simulated gene expression for few samples: thirty factors, noise, and different standard deviations."""
    generator, n_rows = np.random.default_rng(0), n_rows or n_all
    latent_factors = generator.normal(size=(n_rows + count_test_rows(n_rows), 30))
    X = latent_factors @ generator.normal(size=(30, n_genes)) / 2 + generator.normal(
        size=(len(latent_factors), n_genes)
    )
    X *= np.exp(generator.normal(size=n_genes) / 2)
    y = latent_factors[:, 0] + generator.logistic(size=len(X)) > 0
    return make_split_problem("expression", X, y, C, n_rows, fit_intercept=False)


def _make_comparison(title, load, baselines, rows=None, rule=CERTIFIED_RULE, solver="auto", **options):
    """Return a Comparison. Its title contains fastlin's tol unless tol is the default."""
    title += ", tol 1e-6" if rule is CERTIFIED_RULE else ""
    fit = fit_fastlin if solver == "auto" else partial(fit_fastlin, solver=solver)
    return Comparison(title, load, fit, baselines, rows=rows, rule=rule, **options)


# On MNIST, lbfgs stops at least 1.4e-3 above the minimum.
DEFAULT_TOL_RULE = ComparisonRule(tol=DEFAULT_TOL, baseline_suboptimality=1e-3)
# On embeddings with many classes, lbfgs stops above the minimum, so its accuracy differs.
PROBE_RULE = ComparisonRule(tol=DEFAULT_TOL, suboptimality=DEFAULT_TOL, should_match_accuracy=False)
LBFGS_BASELINE = make_scikit_learn_baselines("lbfgs")
EMBEDDINGS = {
    "probe-1000": (50_000, 768, 1_000),
    "probe-300": (20_000, 512, 300),
    "probe-100": (8_000, 256, 100),
}
# Of 1, 10, 100 and 1,000, this C has the lowest log loss on held-out rows of 100 and of 300 classes.
CHOSEN_EMBEDDING_C = 1_000.0
LOAD_LINEAR_PROBE = partial(load_linear_probe, n_all=100_000, n_features=1_024, n_classes=10)


def _list_probes():
    """Yield the named comparisons of probes: with C = 1, with a chosen C, and with solver="lbfgs"."""
    title = "generated embeddings"
    for name, (n, d, n_classes) in EMBEDDINGS.items():
        load = partial(load_embeddings, n_all=n, n_features=d, n_classes=n_classes)
        yield name, _make_comparison(title, load, LBFGS_BASELINE, 2_000, PROBE_RULE)
        load_with_chosen_C = partial(load, C=CHOSEN_EMBEDDING_C)
        yield (
            f"{name}-chosen",
            _make_comparison(f"{title}, C = 1,000", load_with_chosen_C, LBFGS_BASELINE, 2_000, PROBE_RULE),
        )
    title = "generated linear probe"
    yield "probe-10", _make_comparison(title, LOAD_LINEAR_PROBE, LBFGS_BASELINE, 2_000, CERTIFIED_RULE)
    lbfgs_options = {"rule": ComparisonRule(tol=DEFAULT_TOL, suboptimality=DEFAULT_TOL), "solver": "lbfgs"}
    yield (
        "probe-10-lbfgs",
        _make_comparison(f'{title}, solver="lbfgs"', LOAD_LINEAR_PROBE, LBFGS_BASELINE, 2_000, **lbfgs_options),
    )


def _list_expression_comparisons():
    baselines = {**make_cyanure_baselines(1e-6), **make_scikit_learn_baselines("newton-cg", tol=1e-6)}
    for n, n_genes in ((500, 5_000), (2_000, 20_000)):
        load = partial(_load_expression, n_all=n, n_genes=n_genes)
        yield (
            f"expression-{n}",
            _make_comparison("generated gene expression", load, baselines, 100, within=1e-5, package="cyanure"),
        )


LOAD_TWO_CLASSES = partial(_load_clusters, n_all=1_000_000, n_features=30, n_classes=2)
LOAD_MNIST_L1 = partial(load_mnist, C=0.1, n_all=10_000, l1_ratio=1.0)
LOAD_MANY_CLASSES = partial(_load_clusters, n_all=20_000, n_features=50, n_classes=1_000, dtype="float32")
PIXELS_BASELINE = {"scikit-learn lbfgs on X / 255.0": fit_scikit_learn_to_pixels}
SAGA_BASELINE = {
    "scikit-learn saga to within 1e-4": partial(fit_scikit_learn, max_iter=SAGA_ITERATIONS, solver="saga", tol=0)
}
NEWTON_BASELINE = make_scikit_learn_baselines("newton-cholesky")
ALL_SOLVERS = "lbfgs", "newton-cholesky", "newton-cg"
TEXT_BASELINES = {**make_scikit_learn_baselines("newton-cg"), **make_scikit_learn_baselines("saga", tol=1e-3)}
NEWS_BASELINES = {
    **make_scikit_learn_baselines("liblinear"),
    **make_scikit_learn_baselines("lbfgs", tol=1e-6),
    **make_cyanure_baselines(1e-6),
}
CYANURE_OPTIONS = {"package": "cyanure", "threads": THREAD_SETTINGS}

COMPARISONS = {
    **{
        f"mnist-{dtype}": _make_comparison(
            "MNIST", partial(load_mnist, dtype=dtype), LBFGS_BASELINE, 3_000, DEFAULT_TOL_RULE, threads=THREAD_SETTINGS
        )
        for dtype in ("float64", "float32")
    },
    "mnist-uint8": _make_comparison(
        "MNIST, C / 255²",
        partial(load_mnist, dtype="uint8"),
        PIXELS_BASELINE,
        3_000,
        DEFAULT_TOL_RULE,
        threads=THREAD_SETTINGS,
    ),
    "mnist-cyanure": _make_comparison("MNIST", load_mnist, make_cyanure_baselines(1e-5), 3_000, **CYANURE_OPTIONS),
    "digits": _make_comparison(
        "digits", _load_digits, make_scikit_learn_baselines(*ALL_SOLVERS), within=DEFAULT_TOL, threads=THREAD_SETTINGS
    ),
    "letter": _make_comparison("Letter", load_letter_problem, NEWTON_BASELINE, 4_000, threads=THREAD_SETTINGS),
    "letter-cyanure": _make_comparison(
        "Letter", load_letter_problem, make_cyanure_baselines(1e-6), 4_000, **CYANURE_OPTIONS
    ),
    "two-classes": _make_comparison(
        "generated rows, two classes",
        LOAD_TWO_CLASSES,
        make_scikit_learn_baselines(*ALL_SOLVERS, tol=1e-6),
        50_000,
        within=1e-6,
        threads=THREAD_SETTINGS,
    ),
    "thousand-classes": _make_comparison(
        "generated rows, 1,000 classes", LOAD_MANY_CLASSES, LBFGS_BASELINE, 2_000, threads=THREAD_SETTINGS
    ),
    **dict(_list_probes()),
    "text": _make_comparison("generated text", load_text, TEXT_BASELINES, 1_000, within=1e-5),
    "news": _make_comparison("generated news", _load_news, NEWS_BASELINES, 10_000, within=1e-6, package="cyanure"),
    **dict(_list_expression_comparisons()),
    "text-l1": _make_comparison(
        "generated text, L1", partial(load_text, l1_ratio=1.0), make_scikit_learn_baselines("saga"), 200
    ),
    "one-hot": _make_comparison("one-hot", load_one_hot, make_scikit_learn_baselines("newton-cholesky", tol=1e-6)),
    "mnist-l1": _make_comparison("MNIST, L1, C = 0.1", LOAD_MNIST_L1, SAGA_BASELINE, 500),
}
