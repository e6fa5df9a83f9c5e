"""Trained networks as safetensors files with named arrays and the settings of the network."""
