"""Settings of the site. Nothing of it, and nothing that it shows, is fetched from a network."""

import os
import sys
import warnings
from pathlib import Path

import fastlin

# Bars of progress and colors of a terminal have no place in the output of an example.
os.environ["NO_COLOR"] = "1"
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

# The pages of the folder hold long tables.
LONG_TABLES = [f"benchmarks/{path.stem}" for path in Path(__file__).parent.glob("benchmarks/*.md")]

project = "fastlin"
author = "the authors of fastlin"
project_copyright = author
version = release = fastlin.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "gallery/**/*.ipynb", "gallery/**/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"
# An indented block of the pages is a formula, a list of commands or a tree of folders as often as it is Python.
highlight_language = "none"
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
math_numfig = False
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"fastlin {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"image_light": "_static/mark.svg", "image_dark": "_static/mark.svg", "text": html_title},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    # The tables of figures need the whole width.
    "secondary_sidebar_items": {"**": ["page-toc"], "benchmarks": [], **{page: [] for page in LONG_TABLES}},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# These pages have none below them to list at the left, or tables that need the width.
html_sidebars = {page: [] for page in ("index", "changelog", "contributing", "benchmarks", "start", *LONG_TABLES)}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("fastlin",),
    "reference_url": {"fastlin": None},
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "capture_repr": (),
    "write_computation_times": False,
    "remove_config_comments": True,
    "reset_modules": ("docs_style.reset",),
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
    "thumbnail_size": (480, 320),
    "run_stale_examples": True,
}

# Outside links are looked at by `make -C docs linkcheck` alone.
linkcheck_anchors = False
linkcheck_timeout = 20

suppress_warnings = ["config.cache"]
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive", category=UserWarning)


def leave_out_what_scikit_learn_defines(app, what, name, obj, skip, options):
    """Skip the members that an estimator has from scikit-learn, whose pages describe them."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith(("sklearn", "inspect")) else skip


def setup(app):
    """Connect the functions of this file."""
    app.connect("autodoc-skip-member", leave_out_what_scikit_learn_defines)
