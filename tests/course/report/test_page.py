"""The report: content, order, and independence from network and other files."""

import base64
import re

import pytest

from fastlin import __version__
from fastlin.course.studies.claims import CLAIMS, evaluate_claims

TASK_SECTIONS = ["1a", "1b", "2a", "2a, 3a", "2b, 2c", "2d", "2e", "3b, 3c", "3d", "4a", "4b", "4c, 4d", "4e"]
HOMEWORK_HEADINGS = ["The gradients", "A two-layer network", "Random search", "Deeper networks"]
OTHERS = ["Accuracy against seconds", "All claims", "Environment"]


def parse_task(heading):
    return heading.split(" · ")[0].split(" quick run")[0]


def test_sections_are_in_task_order(full_page):
    assert list(map(parse_task, full_page.sections)) == [*TASK_SECTIONS, *["Homework"] * 4, *OTHERS]
    headings = [heading.partition("Homework · ")[2] for heading in full_page.sections]
    assert list(filter(None, headings)) == HOMEWORK_HEADINGS
    blocks = re.split(r"<h2>", full_page.source)[1:-2]
    assert len(blocks) == len(TASK_SECTIONS) + 5
    for block in blocks:
        assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in block, block[:60]
    # The converter would leave unsupported LaTeX commands unchanged.
    assert "\\" not in "".join(re.findall(r"<math.*?</math>", full_page.source, re.DOTALL))


def test_each_claim_appears_once_in_its_section(report, full_page):
    summary = full_page.sections["All claims"]
    rows = evaluate_claims(report.entries)
    assert len(rows) == len(CLAIMS)
    for row in rows:
        n_equal_rows = sum(other["says"] == row["says"] for other in rows)
        assert summary.count(row["says"]) == n_equal_rows
        (heading,) = [heading for heading, text in full_page.sections.items() if row["says"] in text][:-1]
        assert row["task"] == parse_task(heading) or (row["reports"] == "H" and parse_task(heading) == "Homework")
        text = " ".join(full_page.sections[heading].split())
        assert f"{row['verdict']} · report" in text
        assert row["because"] in text
        assert row["how"] in text
    # The links of the summary lead to the verdicts.
    assert {"confirmed", "needs MNIST"} <= {row["verdict"] for row in rows}
    anchors = [attributes["id"] for attributes in full_page.find("div") if "id" in attributes]
    assert anchors == list(dict.fromkeys(anchors))
    links = [attributes["href"].removeprefix("#") for attributes in full_page.find("a")]
    contents = [attributes["id"] for attributes in full_page.find("section") if "id" in attributes]
    assert links[: len(contents)] == contents
    assert set(contents) == {*report.entries, "claims", "machine"}
    assert sorted(links[len(contents) :]) == sorted(anchors)
    assert len(anchors) == len(CLAIMS)


def test_the_page_needs_no_network_and_no_scripts(full_page):
    assert not {"script", "link", "iframe", "object"} & {name for name, _ in full_page.elements}
    for _, attributes in full_page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "poster", "background"):
            assert re.match(r"data:image/png;base64,|#", attributes.get(name) or "#")
    # The namespace of MathML is a URL that is never loaded.
    rest = full_page.source.replace('xmlns="http://www.w3.org/1998/Math/MathML"', "")
    assert not re.search(r"https?://|url\(|@import", re.sub(r'"data:[^"]*"', "", rest))


def test_figures_are_embedded_with_caption_and_alternative_text(report, quick_run):
    written = report.write()
    plots = [plot for entry in report.entries.values() for plot in entry["plots"]]
    images = written.find("img")
    assert len(images) == len(plots) == 9
    for plot in plots:
        (image,) = [image for image in images if image["alt"] == plot["alt"]]
        assert len(image["alt"]) > 20
        content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        assert content == (quick_run / plot["file"]).read_bytes()
        assert plot["caption"] in written.text
    # A deleted figure is omitted.
    report.entries["binary"]["plots"][0]["file"] = "digits/removed.png"
    assert len(report.write().find("img")) == 8


def test_markup_in_results_is_escaped(report):
    report.entries["binary"]["metrics"]["<b>bold</b>"] = "<script>alert(1)</script> & more"
    report.environment["processor"] = "<i>odd</i>"
    written = report.write()
    assert not {"script", "b", "i"} & {name for name, _ in written.elements}
    for text in ("<b>bold</b>", "<script>alert(1)</script> & more", "<i>odd</i>"):
        assert text in written.text


def test_the_top_of_the_page_names_the_data_sets(report, homework_entries):
    top = report.write().text.partition("All claims")[0]
    for phrase in (
        "The assignment ran on scikit-learn's 8 × 8 digits.",
        "To get MNIST, run fastlin reproduce",
        *("FASTLIN_DATA", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        "The studies of the homework did not run",
    ):
        assert phrase in top
    for entry in report.entries.values():
        entry["data"] = "mnist"
    report.entries |= homework_entries
    top = report.write().text.partition("All claims")[0]
    assert "The assignment ran on MNIST, the homework on CIFAR-10." in top
    assert "not on disk" not in top
    assert "did not run" not in top


def test_quick_runs_are_marked(report, homework_entries):
    written = report.write()
    assert "This was a quick run" in written.text
    assert all("quick run" in heading for heading in set(written.sections) - set(OTHERS[1:]))
    assert "confirmed" not in written.sections["All claims"]
    report.entries |= homework_entries
    written = report.write()
    assert "Sections marked “quick run”" in " ".join(written.text.split())
    # The gradients of the homework are part of a study of the course.
    quick = [heading for heading in written.sections if "Homework" in heading and "quick" in heading]
    assert quick == [f"Homework · {HOMEWORK_HEADINGS[0]} quick run"]
    assert "quick run" not in report.write(quick=False).text


def test_the_environment_section_lists_machine_versions_seed_data_and_duration(report):
    text = " ".join(report.write().sections["Environment"].split())
    environment = report.environment
    seconds = sum(entry["seconds"] for entry in report.entries.values())
    for name, value in (
        ("data", "scikit-learn's 8 × 8 digits"),
        ("seed", 0),
        ("duration of the studies of this run", f"{seconds:.0f} s"),
        ("fastlin", __version__),
        ("numpy", environment["numpy"]),
        ("processor", environment["processor"]),
        ("threads", environment["threads"]),
    ):
        assert re.search(rf"\b{name} ?{re.escape(' '.join(str(value).split()))}", text), name
    # The folder of compiled code is private to whoever ran the studies.
    assert environment["cache"] not in text


@pytest.mark.parametrize("studies", [["binary"], ["gradient_check", "l2_norm"], ["cifar10_deep"], []])
def test_a_report_with_only_some_studies(report, homework_entries, studies):
    report.entries = {name: entry for name, entry in (report.entries | homework_entries).items() if name in studies}
    written = report.write(quick=False)
    rows = evaluate_claims(report.entries)
    shown = [attributes["id"] for attributes in written.find("div") if "id" in attributes]
    assert len(shown) == sum(row["study"] in studies for row in rows)
    assert written.sections["All claims"].count("not run") >= sum(row["study"] not in studies for row in rows)
    if not {"binary", "gradient_check"} & set(studies) and studies:
        assert "The assignment did not run" in written.text
