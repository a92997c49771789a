"""Plugins: discovery and loading (`manager`), implementations by name (`registry`), and built-in bundles."""
