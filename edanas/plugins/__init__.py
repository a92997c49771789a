"""Plugins: how they are found and loaded (`manager`), what they offer (`registry`), and built-in bundles."""
