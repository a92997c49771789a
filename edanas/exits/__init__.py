"""Exits: exit classifiers, confidence criteria, gates and inference rules."""
