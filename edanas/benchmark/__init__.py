"""Latency and memory of finished networks on this machine, in torch and in exported forms."""
