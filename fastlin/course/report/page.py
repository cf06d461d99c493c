"""Writes the report of the studies as an HTML page by filling templates with results."""

import base64
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastlin.course.report.result_tables import tabulate
from fastlin.course.text_templates import DATASET_TITLES as DATASET_TITLES
from fastlin.environment.file_system import write_atomically


def write_page(
    path: Path,
    entries: Mapping[str, dict[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
    failed: Collection[str] = (),
) -> None:
    """Write one self-contained HTML file atomically.

    `entries` maps the name of a study to a dict with the keys `data`, `parameters`, `metrics`, `seconds`, `earlier` and
    `plots`. `earlier` is whether an earlier run produced the entry. `plots` is a list of dicts with the keys `file`,
    `caption` and `alt`. `claims` is the list that `evaluate_claims` returns. `failed` contains the names of the studies
    that failed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # All studies of the homework use the same data set, and so do all studies of the assignment.
    data = {study.startswith("cifar10"): entry["data"] for study, entry in entries.items()}
    prepared_entries = {study: _prepare_study_entry(entry, path.parent) for study, entry in entries.items()}
    # Results may contain characters that are HTML markup.
    templates = Environment(
        loader=PackageLoader("fastlin.course.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["formula"] = _convert_to_mathml
    text = templates.get_template("page.html.j2").render(
        entries=prepared_entries,
        claims=[{**claim, "anchor": f"claim-{number}"} for number, claim in enumerate(claims, start=1)],
        course_data=data.get(False),
        homework_data=data.get(True),
        sources=DATASET_TITLES,
        failed=failed,
        environment=environment,
    )
    with write_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def _prepare_study_entry(entry, folder):
    # Figures from an earlier run may have been deleted.
    existing_plots = [plot for plot in entry["plots"] if (folder / plot["file"]).exists()]
    plots = [{**plot, "source": _encode_figure(folder / plot["file"])} for plot in existing_plots]
    return {**entry, "plots": plots, "tables": tabulate(entry["metrics"])}


def _encode_figure(path):
    """Return a figure file as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _convert_to_mathml(formula):
    """Return a LaTeX formula as MathML, which browsers render without a script."""
    from latex2mathml.converter import convert
    from markupsafe import Markup

    return Markup(f'<div class="formula">{convert(str(formula), display="block")}</div>')
