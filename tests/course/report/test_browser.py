"""The report in a browser: nothing overflows, images load, and contrast is sufficient in light and dark schemes."""

import copy
import html
import json
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from fastlin.cli.results import choose_report_entries
from fastlin.course.report import write_page
from fastlin.course.studies.claims import evaluate_claims

pytestmark = pytest.mark.thorough

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Virtual time advances until the page is idle.
    "--virtual-time-budget=20000",
    "--dump-dom",
)
CASES = [(color_scheme, width) for color_scheme in ("light", "dark") for width in (1280, 390)]
MEASURING_SCRIPT = """
<script>
addEventListener("load", () => {
  const width = document.documentElement.clientWidth, opaque = color => !/, 0\\)|transparent/.test(color);
  const inBox = element => element.closest(".scroll, .formula") !== null;
  const background = element => {
    while (element && !opaque(getComputedStyle(element).backgroundColor)) element = element.parentElement;
    return element ? getComputedStyle(element).backgroundColor : "none";
  };
  const all = [...document.body.querySelectorAll("*")];
  const withText = all.filter(e => [...e.childNodes].some(node => node.nodeType == 3 && node.data.trim()));
  parent.postMessage(JSON.stringify({
    case: location.hash.slice(1),
    width: width,
    pageWidth: document.documentElement.scrollWidth,
    wide: all.filter(e => !inBox(e) && e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 80)),
    cutBoxes: [...document.querySelectorAll(".scroll, .formula")]
      .filter(e => e.getBoundingClientRect().right > width + 1).length,
    images: [...document.images].map(image => image.complete && image.naturalWidth > 0),
    imageBackgrounds: [...document.images].map(background),
    colors: [...new Set(withText.map(e => getComputedStyle(e).color + "|" + background(e)))],
  }), "*");
});
</script>
</body>"""
FRAME_PAGE = """<!doctype html><pre id="records"></pre>
<script>addEventListener("message", event => { document.getElementById("records").textContent += event.data + "\\n" })
</script>
"""


@pytest.fixture(scope="module")
def measured(quick_run, homework_entries, tmp_path_factory):
    """Return browser measurements of each case. The report includes the homework, which has wide tables."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of the browsers {', '.join(BROWSERS)} is installed")
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(quick_run, folder, dirs_exist_ok=True)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    entries = choose_report_entries(results, results) | copy.deepcopy(homework_entries)
    matplotlib.image.imsave(folder / "wide.png", np.zeros((40, 2000)))
    entries["cifar10_deep"]["plots"] = [{"file": "wide.png", "caption": "A caption.", "alt": "A wide figure."}]
    write_page(folder / "report.html", entries, evaluate_claims(entries), results["environment"])
    text = (folder / "report.html").read_text(encoding="utf-8").replace("</body>", MEASURING_SCRIPT)
    assert text.count("color-scheme: light dark;") == 1
    frames_html = FRAME_PAGE
    for color_scheme in ("light", "dark"):
        shown = text.replace("color-scheme: light dark;", f"color-scheme: {color_scheme};")
        (folder / f"{color_scheme}.html").write_text(shown, encoding="utf-8")
    # A browser window cannot be as narrow as a phone, but an iframe can.
    for color_scheme, width in CASES:
        style = f"border:0;width:{width}px;height:800px"
        frames_html += f'<iframe src="{color_scheme}.html#{color_scheme}-{width}" style="{style}"></iframe>'
    (folder / "frames.html").write_text(frames_html, encoding="utf-8")
    command = [browser, *BROWSER_OPTIONS, f"--user-data-dir={folder / 'profile'}", (folder / "frames.html").as_uri()]
    completed_process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=100)
    lines = re.search(r'<pre id="records">(.*?)</pre>', completed_process.stdout, re.DOTALL)
    assert lines, completed_process.stderr
    records = [json.loads(html.unescape(line)) for line in lines.group(1).splitlines()]
    n_plots = sum(len(entry.get("plots", [])) for entry in entries.values())
    return {record["case"]: {**record, "n_plots": n_plots} for record in records}


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def shown(request, measured):
    color_scheme, width = request.param
    record = measured[f"{color_scheme}-{width}"]
    assert 0 <= width - record["width"] <= 20, "the width of the frame minus a scroll bar"
    return record


def test_nothing_overflows_the_browser_window(shown):
    assert shown["wide"] == []
    assert shown["cutBoxes"] == 0
    assert shown["pageWidth"] <= shown["width"]
    assert shown["images"] == [True] * shown["n_plots"]
    assert shown["n_plots"] > 5
    # The text of the figures is black.
    assert set(shown["imageBackgrounds"]) == {"rgb(255, 255, 255)"}


def test_text_contrast_meets_the_accessibility_guidelines(shown):
    assert len(shown["colors"]) >= 5
    for pair in shown["colors"]:
        color, background = map(compute_luminance, pair.split("|"))
        lighter_luminance, darker_luminance = max(color, background), min(color, background)
        # The minimum contrast of the accessibility guidelines (WCAG 2.2, 1.4.3).
        assert (lighter_luminance + 0.05) / (darker_luminance + 0.05) >= 4.5, pair


def test_light_and_dark_schemes_differ(measured):
    backgrounds = [
        {compute_luminance(pair.split("|")[1]) for pair in measured[f"{color_scheme}-390"]["colors"]}
        for color_scheme in ("light", "dark")
    ]
    assert min(backgrounds[0]) > 0.8
    assert max(backgrounds[1]) < 0.1


def compute_luminance(color):
    """Return the relative luminance of a color as browsers write it, "rgb(r, g, b)"."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
