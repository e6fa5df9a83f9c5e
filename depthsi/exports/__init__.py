"""Trained networks as programs that run without this package's networks, or without JAX."""
