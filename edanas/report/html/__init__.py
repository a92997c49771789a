"""A run as one HTML page that needs nothing else: no request leaves it, and its policy allows none.

Whatever a user or a data set may have named goes through `markup`. `page` puts the page together, `sections`
has its text and tables, `networks` shows each early-exit network, `charts` and `fronts` draw, and `page.css`
and `page.js` are taken into the page as they are.
"""

from edanas.report.html.page import render

__all__ = ["render"]
