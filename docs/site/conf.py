"""What the generator (Sphinx) is told."""

project = "Earshot"
copyright = "the Earshot maintainers"  # noqa: A001 - its name
html_title = "Earshot"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as the repository's pages have them
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = ["misc.highlighting_failure"]  # extracts of JSON and C, not whole
html_theme = "furo"
html_theme_options = {"footer_icons": []}
html_copy_source = False
html_show_sourcelink = False
exclude_patterns: list[str] = []
