"""Configuration of the documentation."""

from __future__ import annotations

from pathlib import Path

from napari_coldatoms import __version__

project = "napari-coldatoms"
author = "The napari-coldatoms developers"
copyright = f"2026, {author}"
release = __version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "Thumbs.db", ".DS_Store"]
# `make accuracy` writes this page: in a tree where it never ran, its entry is left out
if not (Path(__file__).parent / "accuracy.md").exists():
    suppress_warnings = ["toc.not_readable"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# autodoc: public names in the order in which each room lists them
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "napari_sphinx_theme"
html_title = project
html_show_sourcelink = False
