"""Measurements of the latency and memory of finished networks on this machine, in torch and exported."""
