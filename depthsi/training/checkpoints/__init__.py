"""Checkpoints, what they say about themselves, and starting from other weights."""
