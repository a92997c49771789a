"""Reports on finished runs: `result.json`, tables for the terminal, plots, and an HTML page."""
