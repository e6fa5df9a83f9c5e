"""Checkpoints, their metadata, and starting from other weights."""
