"""Executors of evaluations: in this process, or in worker processes of this machine."""
