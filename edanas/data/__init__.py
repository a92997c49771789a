"""Data sources, which load labelled images of one size as uint8 tensors, and the split into four parts."""
