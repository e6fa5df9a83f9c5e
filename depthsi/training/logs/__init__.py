"""Logs of a training: metrics, TensorBoard files and profiles."""
