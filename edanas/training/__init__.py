"""Training schemes, the supernet's sandwich training, fine-tuning, and BatchNorm recalibration."""
