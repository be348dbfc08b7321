"""How the documentation is built: `make docs`, then open docs/_build/index.html."""

project = "flopcast"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "flopcast"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
suppress_warnings = ["misc.highlighting_failure"]  # a sample of a terminal's output in a block of a shell's language
