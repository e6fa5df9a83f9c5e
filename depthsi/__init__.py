"""Depth from a single image with the scale-invariant error, in JAX and Flax."""

__version__ = "0.1.0"
