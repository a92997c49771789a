"""From a candidate to numbers: the two evaluation modes, and the finishing of the networks that come back."""
