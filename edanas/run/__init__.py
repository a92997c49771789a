"""A run, from its settings to its result: the steps between a command and the files that it writes."""
