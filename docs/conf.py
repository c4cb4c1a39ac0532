"""Configuration of the documentation."""

from __future__ import annotations

from dataclasses import MISSING, is_dataclass
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from napari_coldatoms import __version__
from napari_coldatoms.backend.analysis import Parameter, parameters

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
# what the sweeps measured is included in the page beside it
exclude_patterns = ["_build", "Thumbs.db", ".DS_Store", "gallery/*_measured.md"]
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


def annotated_parameters(what: str, thing: Any) -> list[Parameter]:
    """Return the parameters of an analysis or of its options, which carry their own help."""
    if what != "class" or not is_dataclass(thing):
        return []
    try:
        found = parameters(thing)
    except NameError:  # a result, whose types are imported for type checking only
        return []
    return found if any(parameter.help for parameter in found) else []


def default_text(parameter: Parameter) -> str:
    """Return a default in short."""
    return f"{parameter.type.__name__}()" if parameter.parameters else repr(parameter.default)


def short_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, result: str
) -> tuple[str, str | None] | None:
    """Write names and defaults only: what is in ``Annotated`` goes into the list below."""
    found = annotated_parameters(what, thing)
    if not found:
        return None
    texts = [p.name if p.default is MISSING else f"{p.name}={default_text(p)}" for p in found]
    return f"({', '.join(texts)})", None


def list_parameters(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Add what each parameter means, from the same text as the widget's tooltip."""
    for parameter in annotated_parameters(what, thing):
        help_text = parameter.help or f"see `{getattr(parameter.type, '__name__', '')}`"
        lines.append(f":param {parameter.name}: {help_text}")
        if not parameter.parameters:
            lines.append(f":type {parameter.name}: {parameter.expected}")


def setup(app: Sphinx) -> None:
    """Connect what autodoc shall do otherwise."""
    app.connect("autodoc-process-signature", short_signature)
    app.connect("autodoc-process-docstring", list_parameters, priority=600)
