"""Sphinx configuration. The site loads nothing from other servers."""

import os
import sys
import warnings
from pathlib import Path

import fastlin

# The output of the examples must not contain progress bars and terminal colors.
os.environ["NO_COLOR"] = "1"
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

# These pages have wide tables.
LONG_TABLE_PAGES = [f"benchmarks/{path.stem}" for path in Path(__file__).parent.glob("benchmarks/*.md")]

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
# Blocks without a language are formulas, commands or directory trees as often as Python.
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
    # The benchmark tables need the full width.
    "secondary_sidebar_items": {"**": ["page-toc"], "benchmarks": [], **{page: [] for page in LONG_TABLE_PAGES}},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# These pages have no subpages to list in the left sidebar, or have tables that need the width.
html_sidebars = {
    page: [] for page in ("index", "changelog", "contributing", "benchmarks", "start", "cookbook", *LONG_TABLE_PAGES)
}

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

# Only `make -C docs linkcheck` checks external links.
linkcheck_anchors = False
linkcheck_timeout = 20

suppress_warnings = ["config.cache"]
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive", category=UserWarning)


def skip_members_of_scikit_learn(app, what, name, obj, skip, options):
    """Skip the members that scikit-learn defines, because its own pages document them."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith(("sklearn", "inspect")) else skip


def setup(app):
    """Register the event handlers."""
    app.connect("autodoc-skip-member", skip_members_of_scikit_learn)
