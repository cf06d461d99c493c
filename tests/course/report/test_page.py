"""The page: what it holds and in which order, and that it needs nothing but itself."""

import base64
import re

import pytest

from fastlin import __version__
from fastlin.course.studies.claims import CLAIMS, evaluate_claims

SECTIONS = ["1a", "1b", "2a", "2a, 3a", "2b, 2c", "2d", "2e", "3b, 3c", "3d", "4a", "4b", "4c, 4d", "4e"]
HOMEWORK = ["The gradients", "A network of two layers", "Random search", "Deeper networks"]
OTHERS = ["Accuracy against seconds", "All claims", "Where and how this was run"]


def task_of(heading):
    return heading.split(" · ")[0].split(" quick run")[0]


def test_the_sections_come_in_the_order_of_the_tasks_each_with_a_formula_in_mathml(whole):
    assert list(map(task_of, whole.sections)) == [*SECTIONS, *["Homework"] * 4, *OTHERS]
    headings = [heading.partition("Homework · ")[2] for heading in whole.sections]
    assert list(filter(None, headings)) == HOMEWORK
    blocks = re.split(r"<h2>", whole.source)[1:-2]
    assert len(blocks) == len(SECTIONS) + 5
    for block in blocks:
        assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in block, block[:60]
    # What the converter does not know it leaves as it stands.
    assert "\\" not in "".join(re.findall(r"<math.*?</math>", whole.source, re.DOTALL))


def test_each_claim_stands_once_in_the_summary_and_once_in_the_section_of_its_task(report, whole):
    summary = whole.sections["All claims"]
    rows = evaluate_claims(report.entries)
    assert len(rows) == len(CLAIMS)
    for row in rows:
        n_alike = sum(other["says"] == row["says"] for other in rows)
        assert summary.count(row["says"]) == n_alike
        found = [heading for heading, text in whole.sections.items() if row["says"] in text][:-1]
        assert len(found) == 1, row["says"]
        assert row["task"] == task_of(found[0]) or (row["reports"] == "H" and task_of(found[0]) == "Homework")
        text = " ".join(whole.sections[found[0]].split())
        assert f"{row['verdict']} · report" in text
        assert row["because"] in text
        assert row["how"] in text
    # The verdicts are those of measurements, and the links of the summary lead to them.
    assert {"confirmed", "needs MNIST"} <= {row["verdict"] for row in rows}
    anchors = [attributes["id"] for attributes in whole.find("div") if "id" in attributes]
    assert anchors == list(dict.fromkeys(anchors))
    links = [attributes["href"].removeprefix("#") for attributes in whole.find("a")]
    contents = [attributes["id"] for attributes in whole.find("section") if "id" in attributes]
    assert links[: len(contents)] == contents
    assert set(contents) == {*report.entries, "claims", "machine"}
    assert sorted(links[len(contents) :]) == sorted(anchors)
    assert len(anchors) == len(CLAIMS)


def test_the_page_needs_neither_network_nor_script(whole):
    assert not {"script", "link", "iframe", "object"} & {name for name, _ in whole.elements}
    for _, attributes in whole.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "poster", "background"):
            assert re.match(r"data:image/png;base64,|#", attributes.get(name) or "#")
    # The name of MathML is an address that nobody opens.
    rest = whole.source.replace('xmlns="http://www.w3.org/1998/Math/MathML"', "")
    assert not re.search(r"https?://|url\(|@import", re.sub(r'"data:[^"]*"', "", rest))


def test_pictures_are_embedded_with_a_caption_and_an_alternative_text(report, quick_run):
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
    # A picture that was removed is left out.
    report.entries["binary"]["plots"][0]["file"] = "digits/removed.png"
    assert len(report.write().find("img")) == 8


def test_texts_of_results_are_no_markup(report):
    report.entries["binary"]["metrics"]["<b>bold</b>"] = "<script>alert(1)</script> & more"
    report.environment["processor"] = "<i>odd</i>"
    written = report.write()
    assert not {"script", "b", "i"} & {name for name, _ in written.elements}
    for text in ("<b>bold</b>", "<script>alert(1)</script> & more", "<i>odd</i>"):
        assert text in written.text


def test_the_page_says_on_top_which_data_it_ran_on(report, homework):
    top = report.write().text.partition("All claims")[0]
    for words in (
        "The assignment ran on scikit-learn's 8 × 8 digits.",
        "To get it, run fastlin reproduce",
        *("FASTLIN_DATA", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        "The studies of the homework did not run",
    ):
        assert words in top
    for entry in report.entries.values():
        entry["data"] = "mnist"
    report.entries |= homework
    top = report.write().text.partition("All claims")[0]
    assert "The assignment ran on MNIST, the homework on CIFAR-10." in top
    assert "neither on disk" not in top
    assert "did not run" not in top


def test_quick_runs_are_marked(report, homework):
    written = report.write()
    assert "This was a quick run" in written.text
    assert all("quick run" in heading for heading in set(written.sections) - set(OTHERS[1:]))
    assert "confirmed" not in written.sections["All claims"]
    report.entries |= homework
    written = report.write()
    assert "What is marked “quick run”" in " ".join(written.text.split())
    # The gradients of the homework are measured with those of the course.
    quick = [heading for heading in written.sections if "Homework" in heading and "quick" in heading]
    assert quick == [f"Homework · {HOMEWORK[0]} quick run"]
    assert "quick run" not in report.write(quick=False).text


def test_machine_versions_seed_data_and_duration_stand_at_the_end(report):
    text = " ".join(report.write().sections["Where and how this was run"].split())
    environment = report.environment
    seconds = sum(entry["seconds"] for entry in report.entries.values())
    for name, value in (
        ("data", "scikit-learn's 8 × 8 digits"),
        ("seed", 0),
        ("duration of this run's studies", f"{seconds:.0f} s"),
        ("fastlin", __version__),
        ("numpy", environment["numpy"]),
        ("processor", environment["processor"]),
        ("threads", environment["threads"]),
    ):
        assert re.search(rf"\b{name} ?{re.escape(' '.join(str(value).split()))}", text), name
    # The folder of compiled code belongs to the home of whoever ran it.
    assert environment["cache"] not in text


@pytest.mark.parametrize("studies", [["binary"], ["gradient_check", "l2_norm"], ["cifar10_deep"], []])
def test_a_page_of_some_studies(report, homework, studies):
    report.entries = {name: entry for name, entry in (report.entries | homework).items() if name in studies}
    written = report.write(quick=False)
    rows = evaluate_claims(report.entries)
    shown = [attributes["id"] for attributes in written.find("div") if "id" in attributes]
    assert len(shown) == sum(row["study"] in studies for row in rows)
    assert written.sections["All claims"].count("not run") >= sum(row["study"] not in studies for row in rows)
    if not {"binary", "gradient_check"} & set(studies) and studies:
        assert "The assignment did not run" in written.text
