"""Trained networks as files: named arrays in safetensors, with the settings of their network."""
