"""One run: its options, settings, objects, folder, execution and result."""
