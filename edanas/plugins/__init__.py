"""Plugins: discovery and loading (`manager`), their implementations (`registry`), and built-in bundles."""
