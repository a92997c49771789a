"""What a finished run has to say: `result.json`, tables for the terminal, plots, and an HTML page."""
