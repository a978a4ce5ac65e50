"""How Sphinx builds the documentation.

    pip install --editable '.[docs]'
    python -m sphinx -W --keep-going -b html docs docs/_build/html

No network is needed, and no code of the pages is run: `tests/docs` runs it.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

import daskals  # noqa: E402

project = "daskals"
author = "The daskals developers"
copyright = "The daskals developers. Apache-2.0"
version = release = daskals.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    # of this folder: tables of parameters and of the configuration, texts of --help, short signatures
    "from_the_package",
]
exclude_patterns = ["_build", "_extensions"]
source_suffix = {".md": "markdown"}
# in docstrings a name in single backticks is a link where there is something to link to, and else code
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give the types, with shapes and units
autosummary_generate = False
# the list "On this page" has room for recommendForAllUsers(), and not for ALSModel.recommendForAllUsers()
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_use_plots = False
html_theme = "pydata_sphinx_theme"
html_title = "daskals"
html_static_path = ["_static"]
html_css_files = ["daskals.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "daskals"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
# pages that have no neighbours need no list of them at the left
html_sidebars = {"index": [], "faq": []}
