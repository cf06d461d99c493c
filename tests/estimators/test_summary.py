"""Fit summaries, printed and in notebooks."""

import re

import numpy as np
import pytest
import sklearn.neural_network
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss

import fastlin
from fastlin import blocks
from fastlin.estimators import summary

X, Y = load_iris(return_X_y=True)


def parse_summary(model, *data):
    return dict(re.split("  +", line, maxsplit=1) for line in model.summary(*data).splitlines())


def test_a_summary_has_data_objective_duality_gap_iterations_and_coefficients(capsys):
    model = fastlin.LogisticRegression(C=0.5).fit(X, Y)
    objective = model.history_[-1].objective
    relative_gap = f"{model.certificate_ / objective:.1e}"
    lines = parse_summary(model, X, Y)
    assert float(lines.pop("seconds")) == pytest.approx(model.fit_seconds_, rel=0.01)
    assert lines == {
        "model": "LogisticRegression(C=0.5)",
        "data": "150 rows, 4 features, 3 classes",
        "objective": f"{objective:.9g}",
        "duality gap": f"{model.certificate_:.1e} (certificate_), {relative_gap} relative to the objective",
        "tol": "0.0001, reached",
        "iterations": f"{model.n_iter_[0]}, {model.n_passes_:.1f} passes over the data",
        "coefficients": "12 of 12 nonzero, in 4 of 4 features",
        "accuracy": f"{model.score(X, Y):.4f} on 150 rows",
    }
    text = model.summary()
    assert "accuracy" not in text
    # An interactive session shows text, and a notebook shows a table.
    assert repr(text) == str(text) == text
    assert text.startswith("model         LogisticRegression(C=0.5)\ndata          150 rows, 4 features, 3 classes\n")
    assert text._repr_html_().startswith('<table><tr><th style="text-align:left">model</th>')
    assert not capsys.readouterr().out


def test_a_summary_reports_a_missing_bound_and_limits_by_rounding():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    # Newton steps with the full Hessian would give a bound.
    model = fastlin.LogisticRegression(C=np.inf, solver="lbfgs").fit(rows, Y[:100] % 2)
    assert parse_summary(model)["duality gap"] == "inf (certificate_), no certified bound"
    # If the penalty is negligible, rounding errors dominate the bound.
    model = fastlin.LogisticRegression().fit(X, Y, np.full(150, 1e100))
    assert model.converged_ and model.certificate_ > 1
    assert parse_summary(model)["tol"] == "0.0001, reached up to float64 rounding error"
    model = fastlin.LogisticRegression(solver="newton-cg", tol=1e-2).fit(X, Y)
    assert model.converged_ and model.certificate_ > 1e-2 * model.history_[-1].objective
    assert parse_summary(model)["tol"] == "0.01, reached"


def test_a_summary_reports_the_accuracy_limit_of_float32_coefficients():
    generator = np.random.default_rng(0)
    Z = generator.normal(size=(199, 20))
    # X is far from zero, so rounding the coefficients changes the scores.
    X = ((1e3 + Z) * 10 ** generator.uniform(-3, 3, 20)).astype(np.float32)
    y = np.argmax(Z[:, :3] + generator.normal(size=(199, 3)), axis=1)
    values = []
    limit = " up to float32 rounding error; convert X to float64 for a smaller gap"
    for dtype, floor in ((np.float64, ""), (np.float32, limit)):
        model = fastlin.LogisticRegression(C=300, tol=1e-8).fit(X.astype(dtype), y)
        assert model.converged_
        assert parse_summary(model)["tol"] == f"1e-08, reached{floor}"
        coef = model.coef_.astype(np.float64)
        values.append(log_loss(y, model.predict_proba(X.astype(np.float64))) + 0.5 * np.sum(coef**2) / (300 * 199))
    # The certificate includes the rounding errors of the coefficients.
    assert 1e-8 * values[0] < model.certificate_
    assert 0 < values[1] - values[0] <= model.certificate_


def test_a_summary_counts_zero_coefficients():
    model = fastlin.LogisticRegression(l1_ratio=1.0, C=0.05).fit(X, Y)
    n_nonzero, n_features = np.count_nonzero(model.coef_), np.count_nonzero(model.coef_.any(axis=0))
    assert n_nonzero < 12
    for fitted in (model, model.sparsify()):
        assert parse_summary(fitted)["coefficients"] == f"{n_nonzero} of 12 nonzero, in {n_features} of 4 features"
    model = fastlin.LogisticRegression(C=1e-9, l1_ratio=1.0).fit(X, Y)
    lines = parse_summary(model)
    assert (lines["tol"], lines["iterations"].split(",")[0]) == ("0.0001, reached", "0")
    assert model.history_ == [] and "objective" not in lines


@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_summary_of_cross_validation_has_the_chosen_parameters(is_legacy):
    options = {"scoring": "neg_log_loss", "use_legacy_attributes": is_legacy}
    model = fastlin.LogisticRegressionCV(Cs=[1e-3, 1.0], l1_ratios=(0.0,), cv=3, **options).fit(X, Y)
    lines = parse_summary(model, X, Y)
    assert lines["accuracy"] == f"{np.mean(model.predict(X) == Y):.4f} on 150 rows"
    scores = (model.scores_[0] if is_legacy else model.scores_[:, 0]).reshape(3, 2)
    best = np.argmax(scores.mean(axis=0))
    assert lines["chosen"] == f"C={[1e-3, 1.0][best]:g}, l1_ratio=0"
    assert lines["best score"].startswith(f"{scores[:, best].mean():.6g} ± {scores[:, best].std():.2g} (mean")
    assert lines["fits"].startswith("6; largest relative duality gap at the chosen C: ")


def test_a_summary_of_a_training_has_epochs_loss_and_accuracy():
    network = fastlin.MLPClassifier((5, 4), max_iter=2, n_iter_no_change=np.inf, random_state=0)
    network.fit(X, Y, X_val=X, y_val=Y)
    lines = parse_summary(network)
    assert lines["layers"] == f"4 → 5 → 4 → 3, {5 * 5 + 6 * 4 + 5 * 3} coefficients and intercepts"
    assert lines["epochs"] == "2, 300 training samples seen"
    assert lines["loss"] == f"{network.loss_curve_[-1]:.6g} in the last epoch, including the penalty"
    assert lines["validation"].startswith(f"loss {network.validation_loss_curve_[-1]:.6g}, accuracy ")
    linear = fastlin.MiniBatchLogisticRegression(max_iter=2, n_iter_no_change=np.inf, random_state=0).fit(X, Y)
    lines = parse_summary(linear)
    assert lines["accuracy"] == f"{linear.accuracy_curve_[-1]:.4f} in the last epoch"
    assert "validation" not in lines


def test_summaries_of_converted_models_are_shorter():
    with pytest.raises(NotFittedError):
        fastlin.LogisticRegression().summary()
    converted = fastlin.LogisticRegression.from_sklearn(fastlin.LogisticRegression().fit(X, Y).to_sklearn())
    assert list(parse_summary(converted)) == ["model", "data", "coefficients"]
    theirs = sklearn.neural_network.MLPClassifier((5,), early_stopping=True, n_iter_no_change=1).fit(X, Y)
    converted = fastlin.MLPClassifier.from_sklearn(theirs)
    assert list(parse_summary(converted)) == ["model", "layers", "epochs", "loss"]
    assert "<th" in converted._repr_mimebundle_()["text/html"]
    row_blocks = blocks.from_arrays(X, Y)
    assert parse_summary(fastlin.LogisticRegression().fit(row_blocks), row_blocks)["accuracy"].endswith(" on 150 rows")


def test_notebooks_show_the_summary_and_a_plot(monkeypatch):
    model = fastlin.LogisticRegression()
    before = model._repr_mimebundle_()["text/html"]
    assert "<img" not in before and "objective" not in before
    with pytest.warns(UserWarning, match="max_iter"):
        model.set_params(max_iter=0).fit(X, Y)
    # The fit made no iterations.
    assert "<img" not in model._repr_mimebundle_()["text/html"]
    model.set_params(max_iter=100)
    model.fit(X, np.array(["<b>", "c", "d"])[Y])
    html = model._repr_mimebundle_()["text/html"]
    assert re.search(r"<th [^>]*>duality gap</th><td [^>]*>.*\(certificate_\)", html)
    assert html.count('src="data:image/png;base64,') == 1
    assert model._repr_html_() == html or "objective" in model._repr_html_()
    with config_context(display="text"):
        assert "text/html" not in model._repr_mimebundle_()
    # Without Matplotlib there is no plot.
    monkeypatch.setattr(summary, "find_missing_packages", lambda extra: ["matplotlib"])
    assert "<img" not in model._repr_mimebundle_()["text/html"]
