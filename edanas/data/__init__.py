"""Data sources: labelled images in memory as uint8 of one size, and their division into four parts."""
