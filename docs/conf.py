"""Settings of the documentation site: `sphinx-build -W docs docs/_build/html`."""

import re
import shutil
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import depthsi

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "depthsi"
author = "the depthsi contributors"
version = release = depthsi.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are run by the tests and committed with what they show
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type"]

autodoc_typehints = "none"  # shapes and units stand in the docstrings
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # shapes stand in the descriptions

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"depthsi {release}"
html_show_sphinx = False
html_show_copyright = False


def copy_pages(app: Sphinx) -> None:
    """Brings notebooks and studies, which live elsewhere in the tree, under the pages."""
    made = HERE / "_made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(notebook, made)
    studies = (ROOT / "experiments" / "studies" / "README.md").read_text(encoding="utf-8")
    shutil.copytree(ROOT / "experiments" / "results" / "studies", made / "results")
    studies = studies.replace("../results/studies/", "results/")
    names = sorted(page.stem for page in (made / "results").glob("*.md"))
    listed = "\n".join(f"results/{name}" for name in names)
    toctree = f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    (made / "studies.md").write_text(studies + toctree, encoding="utf-8")


def mathml(self: Any, node: nodes.Element) -> None:
    """Formulas as MathML, which browsers show without a script from elsewhere."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    try:
        self.body.append(convert(node.astext(), display=display))
    except Exception:  # the converter knows less of LaTeX than authors do
        self.body.append(f"<code>{escape(node.astext())}</code>")
    raise nodes.SkipNode


def plain_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with names in single backticks, not reStructuredText."""
    code, in_field, made = False, False, []
    for line in lines:
        code = line.lstrip().startswith(">>>") or (code and bool(line.strip()))
        if not code:
            parts = re.split(r"(`[^`]+`)", line)
            line = "".join(
                f"`{part}`" if part.startswith("`") else re.sub(r"([|*])", r"\\\1", part)
                for part in parts
            )
            if found := re.match(r"(Command|Hardware|Time|Result): +(.*)", line):  # of a preset
                made.append("")
                line, in_field = f"**{found[1]}:** {found[2]}", True
            elif in_field and line.startswith("  "):
                line = line.strip()
            else:
                in_field = False
        made.append(line)
    if what == "attribute":  # or napoleon takes what stands before a colon there for a type
        made.insert(0, "")
    lines[:] = made


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", copy_pages)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))


html_math_renderer = "mathml"
