"""The options, settings, objects, folder, execution and result of one run."""
