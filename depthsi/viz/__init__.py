"""Depth as colour, error maps, grids of images."""
