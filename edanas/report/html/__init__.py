"""HTML page of a run in one file, without requests to other files or hosts.

Names from users and data sets pass through `markup`, which escapes them. `page` assembles the page,
`sections` has texts and tables, `networks` shows each early-exit network, `charts` draws, and `page.css` and
`page.js` are part of the page.
"""

from edanas.report.html.page import render

__all__ = ["render"]
