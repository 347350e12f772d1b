"""Sphinx configuration: MyST pages, the API from docstrings, option tables from the adapters themselves."""

from importlib.metadata import entry_points
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import streamgru
from streamgru.adapters.options import describe


def from_stub(name):
    """Document a class of an extension by its stub: the extension cannot tell its own signatures."""
    module = getattr(streamgru, name).__module__
    path = Path(streamgru.__file__).parents[1] / (module.replace(".", "/") + ".pyi")
    names = {"__name__": "streamgru"}
    exec(compile("from __future__ import annotations\n" + path.read_text(), path, "exec"), names)
    setattr(streamgru, name, names[name])


from_stub("Stream")
from_stub("Pool")

project = "streamgru"
author = copyright = "The streamgru developers"
release = version = streamgru.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_click"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"streamgru {version}"
html_static_path = []
smartquotes_action = "qe"  # no dashes: `--speed` is not an en dash
templates_path = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings say it, with shapes
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
nitpick_ignore_regex = [("py:class", r"(numpy|np|msgspec|Any|NDArray|ArrayLike|asyncio|abc|enum|typing|click)\b.*")]


class OptionTable(SphinxDirective):
    """``{options} sources tcp``: the options of one adapter, as it declares them."""

    required_arguments = 2

    def run(self):
        group, name = self.arguments
        (point,) = entry_points(group=f"streamgru.{group}", name=name)
        rows = [
            f"| `{item.name}` | `{item.type.replace('|', chr(92) + '|')}` | `{item.default}` | {item.description} |"
            for item in describe(point.load().options_type)
        ]
        if not rows:
            return [nodes.paragraph("", "It has no options.")]
        table = ["| option | type | default | |", "|--|--|--|--|", *rows]
        return self.parse_text_to_nodes("\n".join(table))


def resolve(app, env, node, contnode):
    """Docstrings leave out the package, and the module of errors, of which they name several at a time."""
    targets = [target.strip() for target in node.get("reftarget", "").split(",")]
    if node.get("refdomain") != "py":
        return None
    references = []
    for target in targets:
        name = f"errors.{target}" if hasattr(streamgru.errors, target) else target
        shown = contnode if len(targets) == 1 else nodes.literal("", target)
        found = env.domains.python_domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", f"streamgru.{name}", node, shown
        )
        if found is None:
            return None
        references += [found, nodes.Text(", ")]
    return nodes.inline("", "", *references[:-1])


def keep_property(app, what, name, thing, options, lines):
    """Put a comment first: napoleon would take what stands before a colon in the first line for a type."""
    if what == "property":
        lines[:0] = [".. a property", ""]


def setup(app):
    app.add_directive("options", OptionTable)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep_property, priority=100)
