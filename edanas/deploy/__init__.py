"""What leaves the toolkit: exporters of finished EENNs, and how a saved one is read back."""
