"""Objectives and constraints of a search."""
