"""Training of supernets and of early-exit networks, training schemes, and BatchNorm recalibration."""
