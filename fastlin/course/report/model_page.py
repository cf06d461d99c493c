"""The page about one model: what its fit says of itself, and pictures."""

from collections.abc import Mapping, Sequence

from fastlin.course.report.page import open_templates
from fastlin.places import write_whole
from fastlin.typing import PathLike


def write_model_page(
    path: PathLike, title: str, lines: Mapping[str, str], notes: Sequence[str], pictures: Sequence[tuple[str, str]]
) -> None:
    """Write the page, which needs no other file and no network, and whole or not at all.

    The title says what the model predicts, and from what; lines are what the fit says of itself, and notes what the
    reader should know. A picture is a caption and an address that holds its bytes.
    """
    text = (
        open_templates().get_template("model.html.j2").render(title=title, lines=lines, notes=notes, pictures=pictures)
    )
    with write_whole(path) as part:
        part.write_text(text, encoding="utf-8")
