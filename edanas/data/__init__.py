"""Labelled images from anywhere, in memory as uint8 at one size, and the rule that splits them in four."""
