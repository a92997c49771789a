"""The search engine and its values; no implementation, and no look-up of names."""
