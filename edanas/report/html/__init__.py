"""HTML page of a run in one file that loads no other files and makes no requests.

`page` assembles the page. `sections` has its texts and tables, `networks` shows each early-exit network, and
`charts` draws. `page.css` and `page.js` are copied into the page. All names from users and data sets are
escaped by `markup`.
"""

from edanas.report.html.page import render

__all__ = ["render"]
