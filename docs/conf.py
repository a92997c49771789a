"""Build of the site: `sphinx-build -W --keep-going -b html docs OUT`. Nothing is fetched."""

import gc
import sys
from pathlib import Path

# A full collection visits every object of torch; at Python's thresholds, they take a tenth of the build.
gc.set_threshold(50_000, 20, 50)

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import edanas  # noqa: E402 (after the path of our own extension)

project = "edanas"
author = "the edanas authors"
copyright = "the edanas authors, Apache-2.0"
release = version = edanas.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "reference_pages",
]
# The last one would fetch its table's scripts from the internet.
exclude_patterns = ["_build", "_ext", "tutorials", "sg_execution_times.rst"]
# Typographic dashes would make `--option` unreadable outside of code.
smartquotes = False

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

# Docstrings write code in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"edanas {release}"
html_show_sphinx = False
html_copy_source = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "plot_gallery": "True",
}
