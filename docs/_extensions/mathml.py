"""Writes formulas as MathML, which browsers draw without a script: `html_math_renderer = "mathml"`."""

from docutils import nodes
from latex2mathml.converter import convert


def visit_inline(translator, node):
    """Write a formula that stands in a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula that stands alone."""
    translator.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
